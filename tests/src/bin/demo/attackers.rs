//! gobuster and hydra, as their manuals say.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use api_abuse_tests::attack::{NAMES, leaked_credentials};
use api_abuse_tests::relay::Relay;
use rustix::process::{Pid, Signal, kill_process_group};

/// Round trip between the attackers and the shop.
const ROUND_TRIP: Duration = Duration::from_millis(60);

/// A tool with its address, and what is promised of it.
pub(crate) struct Attacker {
    pub(crate) name: &'static str,
    pub(crate) address: Ipv4Addr,
    /// Requests that may be served to it at most.
    pub(crate) served_max: usize,
    /// What it is to be denied for.
    pub(crate) threat: &'static str,
    command: fn(SocketAddr, &Path) -> Command,
}

pub(crate) const ATTACKERS: [Attacker; 3] = [
    Attacker {
        name: "gobuster dir, 5 threads",
        address: Ipv4Addr::new(127, 1, 12, 1),
        served_max: 25,
        threat: "vulnerability_scanning",
        command: gobuster,
    },
    Attacker {
        name: "hydra, HTML form",
        address: Ipv4Addr::new(127, 1, 1, 1),
        served_max: 40,
        threat: "credential_stuffing",
        command: hydra_form,
    },
    Attacker {
        name: "hydra, API",
        address: Ipv4Addr::new(127, 1, 1, 2),
        served_max: 40,
        threat: "credential_stuffing",
        command: hydra_api,
    },
];

fn gobuster(to: SocketAddr, home: &Path) -> Command {
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
fn hydra_form(to: SocketAddr, home: &Path) -> Command {
    let mut command = hydra(to, home);
    let form = "/login:email=^USER^&password=^PASS^:F=do not match";
    command.args(["http-post-form", form]);
    command
}

/// hydra takes a form that answers 401 for a mistake of its user's, so it shows each pair of
/// credentials in an Authorization header instead.
fn hydra_api(to: SocketAddr, home: &Path) -> Command {
    let mut command = hydra(to, home);
    command.args(["http-post", "/api/login"]);
    command
}

impl Attacker {
    /// Starts the tool, through a relay, in a directory of its own.
    pub(crate) fn start(&self, shop: SocketAddr) -> Attack {
        let relay = Relay::start(shop, self.address, ROUND_TRIP).expect("a port for a relay");
        let home = std::env::temp_dir().join(format!(
            "api-abuse-demo-{}-{}",
            std::process::id(),
            relay.address.port()
        ));
        fs::create_dir(&home).unwrap();
        let tool = (self.command)(relay.address, &home)
            .current_dir(&home)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tool starts");
        Attack { tool, home, _relay: relay }
    }
}

/// A tool at work.
pub(crate) struct Attack {
    tool: Child,
    home: PathBuf,
    _relay: Relay,
}

impl Attack {
    /// Ends it, whether or not it is done, and the processes that it made: hydra has one for each
    /// connection.
    pub(crate) fn end(&mut self) {
        let group = Pid::from_child(&self.tool);
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.tool.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// Names of the Debian packages that are needed and not there.
pub(crate) fn missing_tools() -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed =
        |tool: &&str| std::env::split_paths(&path).any(|place| place.join(tool).is_file());
    let missing: Vec<_> = ["gobuster", "hydra"].into_iter().filter(|t| !installed(t)).collect();
    (!missing.is_empty()).then(|| missing.join(" "))
}
