//! `api-abuse documents`: man pages and shell completions, from the very arguments that are parsed.
//!
//! Only what builds packages needs it, so it is there with the feature `documents` alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::{Shell, generate_to};

use crate::Failure;

/// Arguments of `documents`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Directory to write to, made if it is not there
    directory: PathBuf,
}

/// Writes a page for the program and for each of its commands, and a completion for each shell.
pub(crate) fn run(command: Command, arguments: &Arguments) -> Result<(), Failure> {
    write(command.mut_subcommand("documents", |own| own.hide(true)), &arguments.directory)
        .map_err(|error| Failure::Input(format!("{}: {error}", arguments.directory.display())))
}

fn write(mut command: Command, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        generate_to(shell, &mut command, "api-abuse", directory)?;
    }
    clap_mangen::generate_to(command.disable_help_subcommand(true), directory)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_has_its_page_and_its_completion() {
        let directory = std::env::temp_dir().join(format!("documents-{}", std::process::id()));
        run(crate::Cli::command(), &Arguments { directory: directory.clone() }).unwrap();
        let bash = fs::read_to_string(directory.join("api-abuse.bash")).unwrap();
        let mut pages = 0;
        for own in crate::Cli::command().get_subcommands() {
            let name = own.get_name();
            let page = fs::read_to_string(directory.join(format!("api-abuse-{name}.1")));
            assert_eq!(page.is_ok(), name != "documents", "{name}");
            assert!(bash.contains(name), "{name}");
            pages += usize::from(page.is_ok());
        }
        assert!(pages >= 3, "{pages} pages");
        fs::remove_dir_all(directory).unwrap();
    }
}
