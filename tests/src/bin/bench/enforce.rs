//! Time to enforce: from the log phase of the request that convicts its source to the first request of
//! that source that another worker denies.
//!
//! Asked all the time, the other worker would see a client of many good requests, who is no scanner. So
//! it is asked only after the probe that convicted the scanner before, and then more and more seldom until
//! it denies. Time begins with the last byte of that probe's answer, and ends with the answer that is a
//! denial: how long that request itself took is in it.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::attack::{NAMES, probe};
use api_abuse_tests::http::Client;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::sites::{attacker, guarded_files};

use crate::wrk::{self, On, has};
use crate::{percentile, setting};

/// Time from one probe to the next: enough for the first to be judged.
const PACE: Duration = Duration::from_millis(4);
/// When the other worker is asked, milliseconds after the probe that may have convicted.
const ASKED: [f64; 16] =
    [0.3, 0.6, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 25.0, 50.0, 100.0];
/// Probes after which a scanner gives up.
const PROBES: usize = 60;

/// The table.
pub(crate) fn run() -> String {
    let mut text = String::from(
        "| denied by another worker | convictions | p50 | p99 | within 10 ms |\n\
         | --- | ---: | ---: | ---: | ---: |\n",
    );
    for loaded in [false, true] {
        if loaded && !has("wrk") {
            text.push_str("| under full load: not measured, wrk is not installed | | | | |\n");
            continue;
        }
        let name = if loaded { "both workers under full load" } else { "idle" };
        let mut took_ms = measure(setting("BENCH_SAMPLES", 300) as u16, loaded);
        let count = took_ms.len();
        let in_time = took_ms.iter().filter(|ms| **ms <= 10.0).count();
        let [p50, p99] = [0.5, 0.99].map(|share| percentile(&mut took_ms, share));
        let _ = writeln!(
            text,
            "| {name} | {count} | {p50:.1} ms | {p99:.1} ms | {:.1} % |",
            in_time as f64 / count.max(1) as f64 * 100.0
        );
    }
    text
}

/// Milliseconds that it took for so many scanners, as far as they were convicted by the probe after which
/// the other worker was asked.
fn measure(samples: u16, loaded: bool) -> Vec<f64> {
    let mut site = guarded_files();
    site.http = site.http.replace("listen @listen@;", "listen @listen@ reuseport;").replace(
        "api_abuse shop;",
        "keepalive_timeout 600; location = /worker { api_abuse off; add_header X-Worker $pid; return 200; } \
         location = /1k.bin { api_abuse load; api_abuse_mode monitor; } api_abuse shop;",
    );
    let nginx = site.workers(2).start();
    let stop = AtomicBool::new(false);
    let took = thread::scope(|scope| {
        let load = scope.spawn(|| {
            while loaded && !stop.load(Ordering::Relaxed) {
                wrk::wrk(nginx.address, "/1k.bin", 1, On::Any);
            }
        });
        // The first ones show after how many probes that is.
        let mut convicting = PROBES;
        let took = (1..=samples).filter_map(|host| convict(&nginx, host, &mut convicting));
        let took = took.collect();
        stop.store(true, Ordering::Relaxed);
        let _ = load.join();
        took
    });
    nginx.finish();
    took
}

/// How long it took until a scanner was denied by the worker that it did not talk to; `None` when it was
/// denied before anybody asked, or not at all. `convicting`: the probe that convicted the one before.
fn convict(nginx: &Nginx, host: u16, convicting: &mut usize) -> Option<f64> {
    let (mut scanner, one) = connected(nginx, host)?;
    let mut other = (0..50).find_map(|_| connected(nginx, host).filter(|(_, pid)| *pid != one))?.0;
    for (sent, name) in (1..).zip(NAMES.lines().take(PROBES)) {
        if scanner.send(&probe(format!("/{name}"))).ok()?.status == 403 {
            *convicting = sent - 1;
            return None;
        }
        let begun = Instant::now();
        if sent >= *convicting {
            for ms in ASKED {
                thread::sleep(Duration::from_secs_f64(ms / 1000.0).saturating_sub(begun.elapsed()));
                if other.send(&probe("/page.html")).ok()?.status == 403 {
                    *convicting = sent;
                    return Some(begun.elapsed().as_secs_f64() * 1000.0);
                }
            }
            // It takes one more; the next scanner will show.
            *convicting = sent + 1;
            return None;
        }
        thread::sleep(PACE.saturating_sub(begun.elapsed()));
    }
    None
}

/// A client of an attacker's address, and the worker that it talks to.
fn connected(nginx: &Nginx, host: u16) -> Option<(Client, String)> {
    let mut client = nginx.client_from(attacker(host));
    let response = client.get("/worker").ok()?;
    let worker = response.header("x-worker")?.to_owned();
    Some((client, worker))
}
