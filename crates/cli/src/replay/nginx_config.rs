//! The policies in an NGINX configuration file: `api_abuse_application` blocks, and the roles that
//! `api_abuse_endpoint` gives to locations.
//!
//! Only what says how requests are judged is read, in the file and in those that it includes. What cannot be
//! followed is named instead of guessed.

mod include;
mod tokens;

use std::path::{Path, PathBuf};

use api_abuse_engine::policy::ApplicationConfig;
use api_abuse_engine::policy::text::{PolicyText, is_application_name};
use api_abuse_engine::role::Role;

use crate::Failure;
use tokens::{Statement, Tokens};

/// What a configuration says of judging.
#[derive(Debug, Default)]
pub(crate) struct NginxConfig {
    pub(crate) applications: Vec<ApplicationConfig>,
    pub(super) roles: Roles,
    /// What stands there and is not followed, for people.
    pub(crate) notes: Vec<String>,
    /// Where included files are; `None` for a text that is no file.
    directory: Option<PathBuf>,
    /// The included files that are being read, the innermost last.
    inside: Vec<String>,
}

/// What is wrong with a configuration, and the line where it stands.
type Mistake = (String, u32);

/// Files that include each other. Nobody writes more, and one that includes itself has no end.
const DEEPEST: usize = 16;

/// Roles by the prefix of a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles(Vec<(Vec<u8>, Place, Role)>);

/// How a location names its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// All that begin so.
    Prefix,
    /// This one.
    Exact,
}

impl Roles {
    /// The role of a path: of its exact location, or of the longest prefix.
    pub(super) fn of(&self, path: &[u8]) -> Role {
        let matches = |(prefix, place, _): &&(Vec<u8>, Place, Role)| match place {
            Place::Exact => path == prefix,
            Place::Prefix => path.starts_with(prefix),
        };
        let longest = self.0.iter().filter(matches);
        let longest =
            longest.max_by_key(|(prefix, place, _)| (*place == Place::Exact, prefix.len()));
        longest.map_or(Role::Auto, |(.., role)| *role)
    }
}

impl NginxConfig {
    /// Reads a file, and those that it includes.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display();
        let text = std::fs::read(path);
        let text = text.map_err(|error| Failure::Input(format!("--config: {name}: {error}")))?;
        let directory = path.parent().map(Path::to_owned);
        Self::parse(&text, directory)
            .map_err(|(message, line)| Failure::Usage(format!("{message} in {name}:{line}")))
    }

    /// Reads a text; a mistake is told with its line.
    fn parse(text: &[u8], directory: Option<PathBuf>) -> Result<Self, Mistake> {
        let mut config = Self { directory, ..Self::default() };
        let mut tokens = Tokens::new(text);
        config.block(&mut tokens, None)?;
        Ok(config)
    }

    /// Notes something of the file that is being read.
    fn note(&mut self, line: u32, what: &str) {
        let file = self.inside.last().map_or(String::new(), |file| format!("{file} "));
        self.notes.push(format!("{file}line {line}: {what}"));
    }

    /// Reads the files that an `include` names, each with `read`. One that cannot be read is noted: it may be
    /// for others' eyes, and of no interest here.
    fn include(
        &mut self,
        pattern: &[u8],
        line: u32,
        mut read: impl FnMut(&mut Self, &mut Tokens<'_>) -> Result<(), Mistake>,
    ) -> Result<(), Mistake> {
        let pattern = String::from_utf8_lossy(pattern);
        let Some(directory) = self.directory.clone().filter(|_| self.inside.len() < DEEPEST) else {
            self.note(line, &format!("\"include {pattern}\" is not followed"));
            return Ok(());
        };
        let files = match include::files(&directory, &pattern) {
            Ok(files) => files,
            Err(error) => {
                self.note(line, &format!("\"include {pattern}\" is not followed: {error}"));
                return Ok(());
            }
        };
        for file in files {
            let name = file.display().to_string();
            let text = match std::fs::read(&file) {
                Ok(text) => text,
                Err(error) => {
                    self.note(line, &format!("\"include {pattern}\" is not followed: {error}"));
                    continue;
                }
            };
            self.inside.push(name.clone());
            let mut tokens = Tokens::new(&text);
            let result = read(self, &mut tokens);
            self.inside.pop();
            result.map_err(|(message, at)| {
                (format!("{message} in {name}:{at}, which is included"), line)
            })?;
        }
        Ok(())
    }

    /// Reads a block up to its end; `location` is the one around it, if there is any that a prefix
    /// can name.
    fn block(
        &mut self,
        tokens: &mut Tokens<'_>,
        location: Option<&(Vec<u8>, Place)>,
    ) -> Result<(), Mistake> {
        while let Some(statement) = tokens.statement()? {
            let Statement { words, opens, line } = statement;
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let at = |message: String| (message, line);
            match (words.as_slice(), opens) {
                ([b"api_abuse_application", arguments @ ..], true) => {
                    self.application(arguments, tokens, line)?;
                }
                ([b"api_abuse_application", ..], false) => {
                    let message = "directive \"api_abuse_application\" has no opening \"{\"";
                    return Err(at(message.to_owned()));
                }
                ([b"api_abuse_endpoint", arguments @ ..], false) => {
                    self.endpoint(arguments, location, line).map_err(at)?;
                }
                ([b"include", files], false) => {
                    self.include(files, line, |config, tokens| config.block(tokens, location))?;
                }
                ([b"location", arguments @ ..], true) => {
                    self.block(tokens, place(arguments).as_ref())?;
                }
                ([b"server" | b"http" | b"if" | b"limit_except", ..], true) => {
                    self.block(tokens, location)?;
                }
                (_, true) => tokens.skip()?,
                (_, false) => {}
            }
        }
        Ok(())
    }

    /// `api_abuse_application NAME { … }`.
    fn application(
        &mut self,
        arguments: &[&[u8]],
        tokens: &mut Tokens<'_>,
        line: u32,
    ) -> Result<(), Mistake> {
        let [name] = arguments else {
            let message = "invalid number of arguments in \"api_abuse_application\" directive";
            return Err((message.to_owned(), line));
        };
        let shown = String::from_utf8_lossy(name);
        if !is_application_name(name) {
            let remedy = "a name is letters, digits, \"_\", \".\", \":\" and \"-\"";
            return Err((format!("invalid application name {shown:?}, {remedy}"), line));
        }
        if self.applications.iter().any(|known| known.name == *name) {
            return Err((format!("duplicate application {shown:?}"), line));
        }
        let mut text = PolicyText::default();
        self.policy(&mut text, tokens)?;
        self.applications.push(ApplicationConfig { name: name.to_vec(), policy: text.policy() });
        Ok(())
    }

    /// The directives inside of an application, up to its end or that of an included file.
    fn policy(&mut self, text: &mut PolicyText, tokens: &mut Tokens<'_>) -> Result<(), Mistake> {
        while let Some(statement) = tokens.statement()? {
            let words: Vec<&[u8]> = statement.words.iter().map(Vec::as_slice).collect();
            if statement.opens {
                return Err(("directive is not terminated by \";\"".to_owned(), statement.line));
            }
            if let [b"include", files] = words[..] {
                let read = |config: &mut Self, tokens: &mut Tokens<'_>| config.policy(text, tokens);
                self.include(files, statement.line, read)?;
                continue;
            }
            text.directive(&words).map_err(|message| (message, statement.line))?;
        }
        Ok(())
    }

    /// `api_abuse_endpoint ROLE [success=…] [failure=…]`.
    fn endpoint(
        &mut self,
        arguments: &[&[u8]],
        location: Option<&(Vec<u8>, Place)>,
        line: u32,
    ) -> Result<(), String> {
        let Some((name, answers)) = arguments.split_first() else {
            return Err(
                "invalid number of arguments in \"api_abuse_endpoint\" directive".to_owned()
            );
        };
        let name = String::from_utf8_lossy(name);
        let role = Role::from_name(&name).ok_or_else(|| {
            let roles = Role::ALL.map(Role::name).join(", ");
            format!("invalid value {name:?} in \"api_abuse_endpoint\" directive, it must be one of {roles}")
        })?;
        if !answers.is_empty() {
            self.note(line, "answers of \"api_abuse_endpoint\" are not replayed");
        }
        match location {
            Some((prefix, place)) => self.roles.0.push((prefix.clone(), *place, role)),
            None => self.note(
                line,
                "\"api_abuse_endpoint\" outside of a location with a prefix is not replayed",
            ),
        }
        Ok(())
    }
}

/// The prefix or path of a location; `None` for regular expressions and named ones.
fn place(arguments: &[&[u8]]) -> Option<(Vec<u8>, Place)> {
    match arguments {
        [b"=", path] => Some((path.to_vec(), Place::Exact)),
        [b"^~", prefix] => Some((prefix.to_vec(), Place::Prefix)),
        [path] if path.starts_with(b"=/") => Some((path[1..].to_vec(), Place::Exact)),
        [prefix] if prefix.starts_with(b"/") => Some((prefix.to_vec(), Place::Prefix)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
