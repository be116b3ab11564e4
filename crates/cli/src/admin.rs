//! `api-abuse status | list | explain | deny | allow | remove`: the JSON API of `api_abuse_console`,
//! for people at a terminal and for scripts.
//!
//! Everything is asked of a running NGINX; nothing here knows more than the API says. What comes from
//! requests (addresses, paths, User-Agents) is hostile, so tables escape it.

pub(crate) mod change;
pub(crate) mod explain;
pub(crate) mod list;
mod server;
pub(crate) mod status;
mod table;
mod url;
mod words;

use std::io::{self, ErrorKind, Write};

use clap::Args;
use serde_json::Value;

use crate::Failure;
use server::Api;

/// Which console, and for whom the answer is.
#[derive(Args, Debug)]
pub(crate) struct Console {
    /// Where `api_abuse_console` is, as in `http://127.0.0.1/abuse/`
    #[arg(long, env = "API_ABUSE_URL", hide_env_values = true, value_name = "URL", value_parser = url::parse)]
    url: url::Url,
    /// Name and password, where the location has `auth_basic`
    #[arg(long, env = "API_ABUSE_USER", hide_env_values = true, value_name = "NAME:PASSWORD")]
    user: Option<String>,
    /// The API's own JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl Console {
    fn api(&self) -> Api {
        Api::new(&self.url, self.user.as_deref())
    }

    /// Says `value` to a program or, in the words of `people`, to a person.
    fn say(&self, value: &Value, people: impl FnOnce() -> String) -> Result<(), Failure> {
        write(&if self.json { format!("{value:#}\n") } else { people() })
    }
}

/// Writes to standard output; a reader that has seen enough is no error.
fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Input(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
