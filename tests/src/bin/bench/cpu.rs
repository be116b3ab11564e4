//! Time on a processor, as the kernel accounts it.

use std::fs;

/// A thread of a process.
pub(crate) struct Thread {
    id: String,
    name: String,
    /// Nanoseconds that it ran.
    ran_ns: u64,
}

/// All threads of a process.
fn threads(pid: u32) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            let times = fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some(Thread {
                id: task.file_name().to_string_lossy().into_owned(),
                name: name.trim().to_owned(),
                ran_ns: times.split_whitespace().next()?.parse().ok()?,
            })
        })
        .collect()
}

/// Nanoseconds that some processes ran: all threads whose names begin so, and all others.
pub(crate) fn shares(pids: &[u32], name: &str) -> (u64, u64) {
    let all = pids.iter().flat_map(|pid| threads(*pid));
    all.fold((0, 0), |(ours, others), Thread { name: found, ran_ns, .. }| {
        if found.starts_with(name) { (ours + ran_ns, others) } else { (ours, others + ran_ns) }
    })
}

/// The threads of some processes whose names begin so.
pub(crate) fn ids(pids: &[u32], name: &str) -> Vec<String> {
    let all = pids.iter().flat_map(|pid| threads(*pid));
    all.filter(|thread| thread.name.starts_with(name)).map(|thread| thread.id).collect()
}
