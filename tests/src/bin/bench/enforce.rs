//! Time to enforce: from the log phase of the request that convicts its source to the first request of
//! that source that another worker denies.
//!
//! Asked all the time, the other worker would see a client of many good requests, who is no scanner. So
//! it is asked once after each probe, so many milliseconds later: was the source denied by then? That
//! the probe did convict is known from the next one, a long time later.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::attack::{NAMES, probe};
use api_abuse_tests::http::Client;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::sites::{attacker, guarded_files};

use crate::setting;
use crate::wrk::{self, has};

/// When the other worker is asked, milliseconds after a probe, and for how many convictions of 100.
const ASKED: [(u64, u64); 4] = [(2, 40), (4, 40), (6, 40), (10, 100)];
/// Time from one probe to the next.
const PACE: Duration = Duration::from_millis(40);
/// Probes after which a scanner gives up.
const PROBES: usize = 60;

/// The table.
pub(crate) fn run() -> String {
    let mut text = String::from("| denied by another worker within |");
    for (ms, _) in ASKED {
        let _ = write!(text, " {ms} ms |");
    }
    text.push_str("\n| --- | ---: | ---: | ---: | ---: |\n");
    for loaded in [false, true] {
        if loaded && !has("wrk") {
            text.push_str("| under full load: not measured, wrk is not installed | | | | |\n");
            continue;
        }
        let name = if loaded { "both workers under full load" } else { "idle" };
        let _ = write!(text, "| {name} |");
        for (ms, share) in ASKED {
            let samples = (setting("BENCH_SAMPLES", 100) * share / 100) as u16;
            let (denied, convicted) = measure(ms, samples, loaded);
            let percent = denied * 100 / convicted.max(1);
            let _ = write!(text, " {percent} % of {convicted} |");
        }
        text.push('\n');
    }
    text
}

/// How many scanners were denied so many milliseconds after the probe that convicted them, and how many
/// were convicted.
fn measure(ms: u64, samples: u16, loaded: bool) -> (usize, usize) {
    let mut site = guarded_files();
    site.http = site.http.replace("listen @listen@;", "listen @listen@ reuseport;").replace(
        "api_abuse shop;",
        "add_header X-Worker $pid always; keepalive_timeout 600; \
         location = /1k.bin { api_abuse load; api_abuse_mode monitor; } api_abuse shop;",
    );
    let nginx = site.workers(2).start();
    let stop = AtomicBool::new(false);
    let denied: Vec<bool> = thread::scope(|scope| {
        let load = scope.spawn(|| {
            while loaded && !stop.load(Ordering::Relaxed) {
                wrk::wrk(nginx.address, "/1k.bin", 1);
            }
        });
        let after = Duration::from_millis(ms);
        let denied = (1..=samples).filter_map(|host| convict(&nginx, host, after)).collect();
        stop.store(true, Ordering::Relaxed);
        let _ = load.join();
        denied
    });
    nginx.finish();
    (denied.iter().filter(|denied| **denied).count(), denied.len())
}

/// Whether a scanner was denied so long after the probe that convicted it; `None` when none did.
fn convict(nginx: &Nginx, host: u16, after: Duration) -> Option<bool> {
    let (mut scanner, one) = connected(nginx, host)?;
    let mut other = (0..50).find_map(|_| connected(nginx, host).filter(|(_, pid)| *pid != one))?.0;
    for name in NAMES.lines().take(PROBES) {
        let status = scanner.send(&probe(format!("/{name}"))).ok()?.status;
        if status == 403 {
            return Some(false);
        }
        // NGINX logs a request when its answer is on the way.
        let begun = Instant::now();
        thread::sleep(after);
        if other.send(&probe("/page.html")).ok()?.status == 403 {
            return Some(true);
        }
        thread::sleep(PACE.saturating_sub(begun.elapsed()));
    }
    None
}

/// A client of an attacker's address, and the worker that it talks to.
fn connected(nginx: &Nginx, host: u16) -> Option<(Client, String)> {
    let mut client = nginx.client_from(attacker(host));
    let response = client.send(&probe("/page.html")).ok()?;
    let worker = response.header("x-worker")?.to_owned();
    Some((client, worker))
}
