//! The detector beside the workers that feed it: its share of the processor, what is dropped, and what
//! it costs when nothing happens.

use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::sites::guarded_files;

use crate::wrk::{self, On, has};
use crate::{cpu, setting};

/// The table.
pub(crate) fn run() -> String {
    if !has("wrk") {
        return "Not measured: wrk is not installed (`make deps-bench`).".into();
    }
    let mut site = guarded_files();
    // From one address, which is not to be denied.
    site.http = site.http.replace("api_abuse_deny_loopback on;", "");
    let nginx = site.workers(2).start();
    let text = [idle(&nginx), busy(&nginx)].concat();
    format!("| | |\n| --- | ---: |\n{text}")
}

fn idle(nginx: &Nginx) -> String {
    let pids = nginx.worker_pids();
    thread::sleep(Duration::from_secs(3));
    let (before, begun) = (cpu::shares(&pids, "abuse-").0, Instant::now());
    thread::sleep(Duration::from_secs(setting("BENCH_IDLE_SECONDS", 20)));
    let ns = cpu::shares(&pids, "abuse-").0 - before;
    let share = ns as f64 / begun.elapsed().as_nanos() as f64;
    format!("| threads of the module in two idle workers | {:.3} % of a core |\n", share * 100.0)
}

fn busy(nginx: &Nginx) -> String {
    let pids = nginx.worker_pids();
    let before = cpu::shares(&pids, "abuse-");
    let dropped = |nginx: &Nginx| nginx.metrics().total("api_abuse_records_dropped_total");
    let dropped_before = dropped(nginx);
    let load = wrk::wrk(nginx.address, "/1k.bin", setting("BENCH_SECONDS", 2) * 5, On::Any);
    thread::sleep(Duration::from_millis(500));
    let after = cpu::shares(&pids, "abuse-");
    let lost = dropped(nginx) - dropped_before;
    let (ours, others) = (after.0 - before.0, after.1 - before.1);
    let mut text = String::new();
    let _ = writeln!(text, "| two workers under full load | {:.0} requests/s |", load.per_second);
    let _ = writeln!(text, "| records dropped | {lost:.0} of {:.0} |", load.requests);
    let _ = writeln!(
        text,
        "| the module's threads beside the workers | {:.1} % of their time, {:.2} µs a request |",
        ours as f64 / others as f64 * 100.0,
        ours as f64 / 1000.0 / load.requests,
    );
    text
}
