//! Starts a real NGINX with the module, in a directory of its own, and judges what it logged.
//!
//! Whatever a test is about, it also fails when NGINX says `[alert]`, `[emerg]` or `[crit]`, when a
//! worker dies that the test did not kill, when a sanitizer speaks or when Rust panics. A test that
//! provokes such a line says so with [`Site::expect`].

pub mod error_log;
pub mod life;
mod port;
pub mod site;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Child;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::access_log::{self, Entry};
use crate::attack::until_judged;
use crate::eventually;
use crate::http::Client;
use crate::metrics::Metrics;
use error_log::Expected;
pub use site::{Site, built_with};

/// How long NGINX may take to start, to reload and to stop, at the very most, when nothing slows it down
/// on purpose.
const PATIENCE: Duration = Duration::from_secs(60);

/// Title of a worker that accepts connections.
const WORKER: &str = "nginx: worker process\0";

/// A running NGINX. Dropping it stops it and judges its error log.
#[derive(Debug)]
pub struct Nginx {
    /// Where it listens; `@listen@` in the configuration.
    pub address: SocketAddr,
    /// The second address that it may listen on; `@other@` in the configuration.
    pub other_address: SocketAddr,
    site: Site,
    home: site::Home,
    child: Child,
    killed: Mutex<Vec<u32>>,
    stopped: bool,
}

impl Nginx {
    pub(crate) fn launch(site: Site) -> Self {
        let home = site::Home::new(&site);
        let child = home.command().spawn().expect("NGINX starts");
        let mut nginx = Self {
            address: home.listen,
            other_address: home.other,
            site,
            home,
            child,
            killed: Mutex::default(),
            stopped: false,
        };
        nginx.await_ready();
        nginx
    }

    fn await_ready(&mut self) {
        let ready = eventually(self.site.patience, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.stopped = true;
                panic!("NGINX ended with {status}:\n{}", self.home.said());
            }
            let single = self.site.main.contains("master_process off");
            TcpStream::connect(self.address).is_ok()
                && (single || self.worker_pids().len() == self.site.workers)
        });
        assert!(ready, "NGINX does not listen on {}:\n{}", self.address, self.home.said());
    }

    /// A client from 127.0.0.1.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// A client from this address.
    pub fn client_from(&self, address: Ipv4Addr) -> Client {
        self.client().from(address)
    }

    /// The directory that everything of this NGINX lies in.
    pub fn home(&self) -> &Path {
        &self.home.path
    }

    /// Process id of the master, or of the only process with `master_process off`.
    pub fn master_pid(&self) -> u32 {
        self.child.id()
    }

    /// Process ids of the workers that accept connections, ascending.
    pub fn worker_pids(&self) -> Vec<u32> {
        children_titled(self.master_pid(), WORKER)
    }

    /// Process ids of workers that finish their last requests.
    pub fn retiring_pids(&self) -> Vec<u32> {
        children_titled(self.master_pid(), "nginx: worker process is shutting down")
    }

    /// The worker that detects, as the status says it.
    pub fn detecting_pid(&self) -> Option<u32> {
        let status = self.status();
        let pid = status.pointer("/health/detector/process").and_then(Value::as_u64)? as u32;
        (pid != 0).then_some(pid)
    }

    /// Kills a worker without any warning.
    pub fn kill9(&self, pid: u32) {
        self.killed.lock().unwrap().push(pid);
        signal(pid, Signal::KILL);
    }

    /// Tells a worker to end when its last request is answered.
    pub fn tell_to_go(&self, pid: u32) {
        signal(pid, Signal::QUIT);
    }

    /// Takes the processor from a process until [`Self::resume`].
    pub fn pause(&self, pid: u32) {
        signal(pid, Signal::STOP);
    }

    /// Lets a paused process go on.
    pub fn resume(&self, pid: u32) {
        signal(pid, Signal::CONT);
    }

    /// Changes the configuration on disk; [`Self::reload`] makes NGINX read it.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Site)) {
        change(&mut self.site);
        self.home.write_configuration(&self.site);
    }

    /// Reloads and waits until new workers have replaced all old ones.
    pub fn reload(&self) {
        let old = self.worker_pids();
        self.hup();
        let replaced = eventually(PATIENCE, || {
            let new = self.worker_pids();
            new.len() == self.site.workers && new.iter().all(|pid| !old.contains(pid))
        });
        assert!(replaced, "the reload did not happen:\n{}", self.home.said());
    }

    /// Asks for a reload and waits for nothing.
    pub fn hup(&self) {
        signal(self.master_pid(), Signal::HUP);
    }

    /// What `nginx -t` says of the configuration on disk while this NGINX runs on it.
    pub fn test_configuration(&self) -> (bool, String) {
        self.home.test()
    }

    /// The access log so far.
    pub fn access_log(&self) -> Vec<Entry> {
        let log = fs::read(self.home.path.join("access.json")).expect("an access log");
        access_log::parse(&log).unwrap()
    }

    /// The access log, once it has at least `count` entries of requests from `address`.
    pub fn entries_from(&self, address: Ipv4Addr, count: usize) -> Vec<Entry> {
        self.entries_until(address, |entries| entries.len() >= count)
    }

    /// The entries of requests from `address`, once they are `complete`. NGINX logs a request after its
    /// client has the answer, and each worker by itself: the last entry need not be that of the last
    /// request, nor need it be there when the answer is.
    pub fn entries_until(
        &self,
        address: Ipv4Addr,
        complete: impl Fn(&[Entry]) -> bool,
    ) -> Vec<Entry> {
        let mut entries = Vec::new();
        let is_complete = eventually(PATIENCE, || {
            entries = self.access_log();
            entries.retain(|entry| entry.from == address.to_string());
            complete(&entries)
        });
        let last = entries.last();
        assert!(is_complete, "{} requests of {address} were logged, {last:?}", entries.len());
        entries
    }

    /// The first request of `address` that was denied, once its entry is there.
    pub fn denial_of(&self, address: Ipv4Addr) -> Entry {
        let entries = self.entries_until(address, |entries| entries.iter().any(Entry::denied));
        entries.into_iter().find(Entry::denied).expect("a denial")
    }

    /// The error log so far.
    pub fn error_log(&self) -> String {
        self.home.error_log()
    }

    /// Pauses between two requests of an attacker, and until what it did is judged: see [`until_judged`].
    pub fn let_judge(&self, pace: Duration) {
        std::thread::sleep(pace);
        until_judged(self.address);
    }

    /// The metrics served at `/status`.
    pub fn metrics(&self) -> Metrics {
        let response = self.client().get("/status").expect("the status location");
        assert_eq!(response.status, 200, "{}", response.text());
        Metrics::parse(&response.text()).unwrap()
    }

    /// The JSON served at `/status?format=json`.
    pub fn status(&self) -> Value {
        let response = self.client().get("/status?format=json").expect("the status location");
        assert_eq!(response.status, 200, "{}", response.text());
        serde_json::from_slice(&response.body).expect("the status is JSON")
    }

    /// Stops NGINX gracefully and judges what it logged. Dropping does the same.
    pub fn finish(mut self) {
        self.stop();
    }

    /// Stops NGINX like [`Self::finish`], then reads what it left in its directory.
    pub fn finish_and_read<T>(mut self, read: impl FnOnce(&Path) -> T) -> T {
        self.stop();
        read(&self.home.path)
    }

    fn stop(&mut self) {
        let in_time = self.end(Signal::QUIT);
        let complaints = error_log::complaints(
            &self.home.error_log(),
            &Expected { fragments: &self.site.expected, killed: &self.killed.lock().unwrap() },
        );
        if !complaints.is_empty() || !in_time {
            self.home.keep();
        }
        assert!(
            in_time,
            "NGINX did not stop within {PATIENCE:?}; see {}",
            self.home.path.display()
        );
        assert!(
            complaints.is_empty(),
            "NGINX complained; see {}:\n{}",
            self.home.path.display(),
            complaints.join("\n")
        );
    }

    /// Sends the signal and reaps the master; false when it had to be killed.
    fn end(&mut self, with: Signal) -> bool {
        if std::mem::replace(&mut self.stopped, true) {
            return true;
        }
        signal(self.child.id(), with);
        let in_time = eventually(self.site.patience, || {
            // A single process looks for signals only between events: give it one.
            drop(TcpStream::connect(self.address));
            !matches!(self.child.try_wait(), Ok(None))
        });
        if !in_time {
            for pid in children(self.child.id()) {
                signal(pid, Signal::KILL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        in_time
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            if !self.stopped {
                self.stop();
            }
            return;
        }
        self.end(Signal::TERM);
        self.home.keep();
        eprintln!("--- {} ---\n{}", self.home.path.display(), self.home.said());
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).expect("a process id");
    // A process that is gone already has what it was to be given.
    let _ = kill_process(pid, signal);
}

/// Children of `parent`, ascending, zombies not counted.
fn children(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything; what follows it does not.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let state = fields.next();
        state != Some("Z") && fields.next().and_then(|p| p.parse().ok()) == Some(parent)
    };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = pids.filter(is_child).collect();
    pids.sort_unstable();
    pids
}

fn children_titled(parent: u32, title: &str) -> Vec<u32> {
    let titled = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // Under valgrind a process cannot change its title; a child is taken for a worker.
        let nameless = title == WORKER && line.windows(8).any(|word| word == b"valgrind");
        nameless || line.starts_with(title.as_bytes())
    };
    children(parent).into_iter().filter(titled).collect()
}
