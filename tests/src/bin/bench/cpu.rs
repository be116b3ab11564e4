//! Time on a processor, as the kernel accounts it.

use std::fs;

/// Nanoseconds that each thread of a process ran, with its name.
pub(crate) fn threads(pid: u32) -> Vec<(String, u64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            let times = fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((name.trim().to_owned(), times.split_whitespace().next()?.parse().ok()?))
        })
        .collect()
}

/// Nanoseconds that some processes ran: all threads whose names begin so, and all others.
pub(crate) fn shares(pids: &[u32], name: &str) -> (u64, u64) {
    let all = pids.iter().flat_map(|pid| threads(*pid));
    all.fold((0, 0), |(ours, others), (thread, ns)| {
        if thread.starts_with(name) { (ours + ns, others) } else { (ours, others + ns) }
    })
}
