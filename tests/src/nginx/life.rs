//! The ends and beginnings of an NGINX that a test brings about.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::error_log::{self, Expected};
use super::{Nginx, PATIENCE, Site, children, children_titled, signal, site};
use crate::eventually;
use crate::http::Client;

impl Nginx {
    /// Stops NGINX gracefully, judges what it logged, and starts it again in the same directory.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// As [`Self::restart`], with something done in between.
    pub fn restart_with(&mut self, change: impl FnOnce(&Path)) {
        self.stop();
        change(&self.home.path);
        self.start_again();
    }

    /// Ends NGINX as `kill` does, and starts it again in the same directory.
    pub fn terminate_and_restart(&mut self) {
        assert!(self.end(Signal::TERM), "NGINX did not end");
        self.start_again();
    }

    /// Kills all processes at once, as a loss of power does, and starts NGINX again in the same
    /// directory.
    pub fn crash_and_restart(&mut self) {
        // The master is stopped first, or it starts others in their place, also while this looks.
        signal(self.master_pid(), Signal::STOP);
        let mut all = vec![self.master_pid()];
        all.extend(children(self.master_pid()));
        for pid in &all {
            signal(*pid, Signal::KILL);
        }
        let _ = self.child.wait();
        let free = eventually(PATIENCE, || TcpListener::bind(self.address).is_ok());
        assert!(free, "killed processes still listen");
        self.start_again();
    }

    fn start_again(&mut self) {
        self.child = self.home.command().spawn().expect("NGINX starts");
        self.stopped = false;
        self.await_ready();
    }

    /// Has NGINX open its log files again.
    pub fn reopen_logs(&self) {
        signal(self.master_pid(), Signal::USR1);
    }

    /// Process ids of the helper process that looks after caches, and of the module's detector when
    /// that runs there.
    pub fn helper_pids(&self) -> Vec<u32> {
        children_titled(self.master_pid(), "nginx: cache manager process\0")
    }

    /// Files in the directory of the state whose names start with this.
    pub fn state_files(&self, start: &str) -> Vec<PathBuf> {
        let directory = fs::read_dir(self.home().join("api_abuse_state"));
        let files = directory.into_iter().flatten().flatten().map(|entry| entry.path());
        let named = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
        };
        files.filter(named).collect()
    }
}

/// An NGINX that runs as a daemon: only such a one can be replaced by another binary.
#[derive(Debug)]
pub struct Daemon {
    /// Where it listens.
    pub address: SocketAddr,
    site: Site,
    home: site::Home,
}

impl Daemon {
    /// Starts it.
    pub fn start(site: Site) -> Self {
        let site = site.set("daemon off;", &"daemon on;");
        let home = site::Home::new(&site);
        let started = home.command().status().expect("NGINX starts");
        assert!(started.success(), "{}", home.said());
        let daemon = Self { address: home.listen, site, home };
        daemon.await_workers(daemon.master());
        daemon
    }

    /// A client from 127.0.0.1.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Process id of the newest master.
    pub fn master(&self) -> u32 {
        let mut pid = None;
        eventually(PATIENCE, || {
            let text = fs::read_to_string(self.home.path.join("nginx.pid")).unwrap_or_default();
            pid = text.trim().parse().ok();
            pid.is_some()
        });
        pid.expect("a master")
    }

    /// Starts another master beside this one, with the binary that is there now; returns both, the
    /// old one first.
    pub fn upgrade(&self) -> (u32, u32) {
        let old = self.master();
        signal(old, Signal::USR2);
        let renamed = self.home.path.join("nginx.pid.oldbin");
        let there = eventually(PATIENCE, || renamed.exists() && self.master() != old);
        assert!(there, "no new master:\n{}", self.home.said());
        let new = self.master();
        self.await_workers(new);
        (old, new)
    }

    fn await_workers(&self, master: u32) {
        let ready = eventually(PATIENCE, || {
            children_titled(master, "nginx: worker process\0").len() == self.site.workers
        });
        assert!(ready, "no workers of {master}:\n{}", self.home.said());
    }

    /// Ends a master and its workers gracefully.
    pub fn quit(&self, master: u32) {
        signal(master, Signal::QUIT);
        let gone = eventually(PATIENCE, || !Path::new(&format!("/proc/{master}/exe")).exists());
        assert!(gone, "{master} does not end:\n{}", self.home.said());
    }

    /// Bytes of a file of the state; 0 when there is none.
    pub fn state_bytes(&self, name: &str) -> u64 {
        let file = self.home.path.join("api_abuse_state").join(name);
        fs::metadata(file).map_or(0, |file| file.len())
    }

    /// The error log so far.
    pub fn error_log(&self) -> String {
        self.home.error_log()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let text = fs::read_to_string(self.home.path.join("nginx.pid")).unwrap_or_default();
        if let Ok(master) = text.trim().parse() {
            signal(master, Signal::QUIT);
            eventually(PATIENCE, || !Path::new(&format!("/proc/{master}/exe")).exists());
        }
        let expected = Expected { fragments: &self.site.expected, killed: &[] };
        let complaints = error_log::complaints(&self.home.error_log(), &expected);
        if std::thread::panicking() || !complaints.is_empty() {
            self.home.keep();
            eprintln!("--- {} ---\n{}", self.home.path.display(), self.home.said());
        }
        assert!(std::thread::panicking() || complaints.is_empty(), "{}", complaints.join("\n"));
    }
}
