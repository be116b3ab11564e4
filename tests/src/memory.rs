//! What the processes of NGINX take.

use std::fmt;
use std::fs;

use crate::nginx::Nginx;

/// Kilobytes of all workers and of the master, sample by sample.
#[derive(Debug, Default)]
pub struct Memory {
    workers: Vec<u64>,
    master: Vec<u64>,
}

impl Memory {
    /// Takes a sample of workers that have served for a while.
    pub fn sample(&mut self, nginx: &Nginx) {
        let pids = nginx.worker_pids();
        let sizes: Vec<u64> = pids.iter().filter_map(|pid| private_kilobytes(*pid)).collect();
        // A worker that died in between says nothing.
        if sizes.len() == pids.len() && !sizes.is_empty() {
            self.workers.push(sizes.iter().sum::<u64>() / sizes.len() as u64);
            self.master.extend(private_kilobytes(nginx.master_pid()));
        }
    }

    /// Whether the last quarter is no larger than the first, but for what an allocator keeps.
    pub fn is_flat(&self) -> bool {
        [&self.workers, &self.master].into_iter().all(|sizes| {
            let (first, last) = ends(sizes);
            last <= first + first / 5 + 1024
        })
    }
}

/// Medians of the first and of the last quarter.
fn ends(sizes: &[u64]) -> (u64, u64) {
    let quarter = sizes.len().div_ceil(4);
    let median = |sizes: &[u64]| {
        let mut sorted = sizes.to_vec();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    };
    (median(&sizes[..quarter]), median(&sizes[sizes.len() - quarter..]))
}

/// What a process has that no other shares: the zone is not in it, nor is the program.
fn private_kilobytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    Some(private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum())
}

/// Memory that is no file's and no zone: unlike private memory it does not depend on which pages a fork
/// has yet to copy.
pub fn anonymous_kilobytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((w, workers), (m, master)) = (ends(&self.workers), ends(&self.master));
        let samples = self.workers.len();
        write!(
            f,
            "private memory, first to last quarter of {samples} samples: worker {w} to {workers} kB, \
             master {m} to {master} kB"
        )
    }
}
