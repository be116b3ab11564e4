//! Who attacks the shop: an attacker for each threat, all of them tools as their manuals say.

mod tools;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

/// At least one for each threat. What is promised leaves room for what is under way when the conviction
/// falls: hydra fetches the form before each attempt, on four connections; a flood is one after seconds.
pub(crate) const ATTACKERS: [Attacker; 9] = [
    attacker("gobuster dir, 5 threads", 12, 25, "vulnerability_scanning", tools::gobuster),
    attacker("hydra, HTML form", 1, 50, "credential_stuffing", tools::hydra_form),
    attacker("hydra, API", 2, 40, "credential_stuffing", tools::hydra_api),
    attacker("curl, fake accounts", 5, 25, "account_creation", tools::accounts),
    attacker("curl, the same review", 7, 25, "spamming", tools::reviews),
    attacker("curl, one product, again", 9, 80, "scalping", tools::reservations),
    attacker("curl, the whole catalogue", 16, 80, "scraping", tools::catalogue),
    attacker("curl, orders by number", 21, 60, "bola", tools::orders),
    attacker("curl, 20 searches at once", 23, 5000, "resource_exhaustion", tools::searches),
];

const fn attacker(
    name: &'static str,
    host: u8,
    served_max: usize,
    threat: &'static str,
    command: fn(SocketAddr, &Path) -> Command,
) -> Attacker {
    Attacker { name, address: Ipv4Addr::new(127, 1, 12, host), served_max, threat, command }
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
    let missing: Vec<_> =
        ["gobuster", "hydra", "curl"].into_iter().filter(|t| !installed(t)).collect();
    (!missing.is_empty()).then(|| missing.join(" "))
}
