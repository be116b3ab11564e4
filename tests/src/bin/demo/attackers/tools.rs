//! The tools, with what they are told.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use api_abuse_tests::attack::{NAMES, leaked_credentials};
use api_abuse_tests::shop::accounts;

pub(super) fn gobuster(to: SocketAddr, home: &Path) -> Command {
    fs::write(home.join("names.txt"), NAMES).unwrap();
    let mut command = Command::new("gobuster");
    command.args(["dir", "--quiet", "--no-error", "--no-progress", "--threads", "5"]);
    command.args(["--wordlist", "names.txt", "--url", &format!("http://{to}/")]);
    command
}

fn hydra(to: SocketAddr, home: &Path) -> Command {
    fs::write(home.join("leaked.txt"), leaked_credentials(7, 1500)).unwrap();
    let mut command = Command::new("hydra");
    command.args(["-I", "-q", "-C", "leaked.txt", "-t", "4", "-s", &to.port().to_string()]);
    command.arg(to.ip().to_string());
    command
}

/// The form answers 200 and says in words that it was wrong.
pub(super) fn hydra_form(to: SocketAddr, home: &Path) -> Command {
    let mut command = hydra(to, home);
    let form = "/login:email=^USER^&password=^PASS^:F=do not match";
    command.args(["http-post-form", form]);
    command
}

/// hydra takes a form that answers 401 for a mistake of its user's, so it shows each pair of
/// credentials in an Authorization header instead.
pub(super) fn hydra_api(to: SocketAddr, home: &Path) -> Command {
    let mut command = hydra(to, home);
    command.args(["http-post", "/api/login"]);
    command
}

/// curl, which expands `[1-300]` in a URL by itself.
fn curl(url: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--max-time", "60", url]);
    command
}

/// An account after the other, as a list in a file says.
pub(super) fn accounts(to: SocketAddr, home: &Path) -> Command {
    let list = leaked_credentials(11, 300).lines().fold(String::new(), |mut list, line| {
        let (email, password) = line.split_once(':').unwrap_or_default();
        let _ = writeln!(
            list,
            "next\nsilent\nurl = \"http://{to}/api/register\"\nheader = \"Content-Type: application/json\"\n\
             data = \"{{\\\"email\\\":\\\"{email}\\\",\\\"password\\\":\\\"{password}\\\"}}\""
        );
        list
    });
    fs::write(home.join("accounts.curl"), list.trim_start_matches("next\n")).unwrap();
    let mut command = Command::new("curl");
    command.args(["--config", "accounts.curl"]);
    command
}

/// The number stands behind `#`, which no client sends: the same request again and again.
pub(super) fn reviews(to: SocketAddr, _: &Path) -> Command {
    let mut command = curl(&format!("http://{to}/api/reviews#[1-300]"));
    command.args(["--header", "Content-Type: application/json"]);
    command.args(["--data", r#"{"product":31,"text":"cheap pills at pills.example"}"#]);
    command
}

pub(super) fn reservations(to: SocketAddr, _: &Path) -> Command {
    let mut command = curl(&format!("http://{to}/api/cart#[1-400]"));
    command.args(["--header", "Content-Type: application/json", "--data", r#"{"product":62}"#]);
    command
}

pub(super) fn catalogue(to: SocketAddr, _: &Path) -> Command {
    curl(&format!("http://{to}/api/items/[1-300]"))
}

/// A customer who logs in once and then asks for everybody's orders.
pub(super) fn orders(to: SocketAddr, home: &Path) -> Command {
    let (email, password) = accounts::credentials(499);
    let login = format!(r#"{{"email":"{email}","password":"{password}"}}"#);
    fs::write(home.join("login.json"), login).unwrap();
    let script = format!(
        r#"token=$(curl --silent --header 'Content-Type: application/json' --data @login.json \
                       http://{to}/api/login | sed 's/.*"token":"\([^"]*\)".*/\1/')
           exec curl --silent --header "Authorization: Bearer $token" 'http://{to}/api/orders/[1000-1400]'"#
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    command
}

/// One search again and again; what counts them is never sent.
pub(super) fn searches(to: SocketAddr, _: &Path) -> Command {
    let mut command = curl(&format!("http://{to}/search?q=lamp#[1-20000]"));
    command.args(["--parallel", "--parallel-max", "20", "--parallel-immediate"]);
    command
}
