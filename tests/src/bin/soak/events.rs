//! What happens to NGINX meanwhile.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::random::Random;

use crate::run;
use api_abuse_tests::memory::Memory;

const RELOAD: Duration = Duration::from_secs(5);
const KILL: Duration = Duration::from_secs(7);
const STOP: Duration = Duration::from_secs(31);
const JUMP: Duration = Duration::from_secs(13);
/// How long the detecting worker is stopped: long enough for the lane of the other one to fill.
const STOPPED: Duration = Duration::from_millis(1500);
/// Where the wall clock jumps to.
const CLOCKS: [&str; 6] = ["+1h", "+0", "-1h", "+3d", "-2d", "+0"];

/// What is due when.
pub(crate) struct Schedule<'n> {
    nginx: &'n Nginx,
    random: Random,
    clock: bool,
    due: [Duration; 4],
    done: [u32; 4],
}

impl<'n> Schedule<'n> {
    pub(crate) fn new(nginx: &'n Nginx, clock: bool) -> Self {
        Self { nginx, random: Random::new(7), clock, due: [RELOAD, KILL, STOP, JUMP], done: [0; 4] }
    }

    /// Does what is due, or waits a moment.
    pub(crate) fn next(&mut self, now: Duration, memory: &mut Memory) {
        let Some(event) = (0..self.due.len()).find(|event| self.due[*event] <= now) else {
            thread::sleep(Duration::from_millis(20));
            return;
        };
        match event {
            0 => {
                memory.sample(self.nginx);
                self.nginx.hup();
            }
            1 => {
                let workers = self.nginx.worker_pids();
                if workers.is_empty() {
                    return;
                }
                self.nginx.kill9(workers[self.random.within(0..workers.len() as u64) as usize]);
            }
            2 => self.stop_detection(),
            _ if !self.clock => {}
            _ => {
                let offset = CLOCKS[self.done[3] as usize % CLOCKS.len()];
                fs::write(self.nginx.home().join("faketime"), offset).unwrap();
            }
        }
        self.due[event] += [RELOAD, KILL, STOP, JUMP][event];
        self.done[event] += 1;
    }

    /// Whether everything came about as often as it must in so many seconds, give or take a few.
    pub(crate) fn happened(&self, seconds: u64) -> bool {
        let events = [RELOAD, KILL, STOP, JUMP].into_iter().zip(self.done).take(if self.clock {
            4
        } else {
            3
        });
        let mut events = events.map(|(every, done)| u64::from(done) * every.as_secs() * 2);
        events.all(|twice| twice >= seconds.saturating_sub(32))
    }

    /// The kernel takes the processor from a detecting worker for a while.
    fn stop_detection(&self) {
        // A killed process stays on the status page until the next one holds the lease.
        let detecting = self.nginx.detecting_pid();
        let Some(pid) = detecting.filter(|pid| self.nginx.worker_pids().contains(pid)) else {
            return;
        };
        self.nginx.pause(pid);
        thread::sleep(STOPPED);
        self.nginx.resume(pid);
    }
}

impl fmt::Display for Schedule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [reloads, kills, stops, jumps] = self.done;
        let jumps = if self.clock { jumps } else { 0 };
        write!(
            f,
            "{reloads} reloads, {kills} workers killed, {stops} times detection stopped for \
             {STOPPED:?}, {jumps} jumps of the wall clock"
        )
    }
}

/// The library that makes the wall clock jump for NGINX alone, when it is installed.
pub(crate) fn fake_clock() -> Option<String> {
    let places = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    places
        .map(|place| place.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
        .map(|library| library.display().to_string())
}

/// A file system without room, mounted where the state is to be written.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// Mounts it and fills it; `None` where that is not allowed.
    pub(crate) fn full(nginx: &Nginx) -> Option<Self> {
        let place = nginx.home().join("state");
        let mounted =
            run("mount", &["-t", "tmpfs", "-o", "size=64k,mode=0777", "tmpfs", place.to_str()?]);
        let disk = mounted.then(|| Self(place.clone()))?;
        fill(&place);
        Some(disk)
    }
}

/// Writes until no byte fits.
fn fill(place: &Path) {
    for size in [32 << 10, 4 << 10, 1 << 10] {
        for number in 0..64 {
            if fs::write(place.join(format!("filler-{size}-{number}")), vec![0; size]).is_err() {
                break;
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l", &self.0.display().to_string()]);
    }
}
