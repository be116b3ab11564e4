//! `api-abuse`: the command line of API Abuse Prevention for NGINX.
//!
//! It runs the very engine of the module over other things than live requests. The life of a log
//! line in `replay`: [`input`] finds where it ends (plain, gzip, zstd, standard input), an
//! [`access_log::Format`] finds its values, [`replay`] turns them into the record that NGINX's log
//! phase would have written, and the engine judges it.
#![forbid(unsafe_code)]

mod access_log;
mod admin;
mod denials;
#[cfg(feature = "documents")]
mod documents;
mod input;
mod learn;
mod memory;
mod replay;
mod report;
mod simulate;
mod state;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// For the end of the help and of the man page.
const EXIT_STATUS: &str = "Exit status: 0 done; 1 nothing could be read or written, or NGINX refused; \
    2 the arguments make no sense; 3 no NGINX answered";

/// API Abuse Prevention for NGINX, from a terminal.
#[derive(Debug, Parser)]
#[command(name = "api-abuse", version, about, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One sub-command for each row of the documentation.
#[derive(Debug, Subcommand)]
enum Command {
    /// Judge access logs: who would have been denied, when, for what, and at what cost
    Replay(replay::Arguments),
    /// A seeded population of people, machines and attackers against the engine, in virtual time
    Simulate(simulate::Arguments),
    /// Learn from access logs what is normal, so that a new installation starts ready
    Learn(learn::Arguments),
    /// What a running NGINX says of itself: mode, applications, health
    Status(admin::status::Status),
    /// Who is denied, who is allowed, who was convicted
    List(admin::list::List),
    /// Why somebody was convicted: value, normal, multiple, and the requests that show it
    Explain(admin::explain::Explain),
    /// Deny an address for some time
    Deny(admin::change::Deny),
    /// Never deny an address or a network
    Allow(admin::change::Allow),
    /// Lift a denial, or remove from the allowlist
    Remove(admin::change::Remove),
    /// Write man pages and shell completions
    #[cfg(feature = "documents")]
    Documents(documents::Arguments),
}

/// How a command ended, beside success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing could be read or written; exit status 1.
    Input(String),
    /// NGINX refused, or has no such thing; exit status 1.
    Refused(String),
    /// The arguments make no sense; exit status 2.
    Usage(String),
    /// No NGINX answered; exit status 3.
    Unreachable(String),
}

impl Failure {
    /// What the error means, and the exit status that scripts see.
    fn report(self) -> ExitCode {
        let (message, status) = match self {
            Self::Input(message) | Self::Refused(message) => (message, 1),
            Self::Usage(message) => (message, 2),
            Self::Unreachable(message) => (message, 3),
        };
        eprintln!("api-abuse: {message}");
        ExitCode::from(status)
    }
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Learn(arguments) => learn::run(&arguments),
        Command::Status(arguments) => admin::status::run(&arguments),
        Command::List(arguments) => admin::list::run(&arguments),
        Command::Explain(arguments) => admin::explain::run(&arguments),
        Command::Deny(arguments) => admin::change::deny(&arguments),
        Command::Allow(arguments) => admin::change::allow(&arguments),
        Command::Remove(arguments) => admin::change::remove(&arguments),
        #[cfg(feature = "documents")]
        Command::Documents(arguments) => {
            documents::run(<Cli as clap::CommandFactory>::command(), &arguments)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
