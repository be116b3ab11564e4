//! The console with 100,000 denials: how soon the API answers, and for how long the worker that answers does
//! nothing else. `make bench-api` runs it and prints the numbers.
//!
//! A busy machine stretches every wall clock, so the worker's own processor time is what counts: what it spent
//! between the moment when a request was sent and the moment when its answer was there is the most that the
//! API can have held it up.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails loudly, a benchmark prints"
)]

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::denials::{DENIALS, deny_all, roomy_site};
use api_abuse_tests::http::Client;
use api_abuse_tests::nginx::Nginx;
use serde_json::Value;

/// Looks at each list.
const LOOKS: usize = 20;
/// What the contract promises, in milliseconds.
const FIRST_ANSWER: f64 = 100.0;
const HELD_UP: f64 = 5.0;

/// Puts this program and the worker on one processor. The kernel knows exactly what a program has used that does
/// not run at the moment; of one that runs elsewhere, only up to the last tick.
fn share_a_processor(worker: u32) {
    for pid in [std::process::id(), worker] {
        let pid = pid.to_string();
        let done = Command::new("taskset")
            .args(["--all-tasks", "--cpu-list", "--pid", "0", &pid])
            .output();
        assert!(done.is_ok_and(|output| output.status.success()), "taskset {pid}");
    }
}

/// Milliseconds of processor time that the worker's event loop has used.
fn spent(worker: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{worker}/task/{worker}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

/// The most processor time that passed while a page was waited for, and how many pages were.
fn hold_up(worker: u32, mut client: Client, stop: &AtomicBool) -> (f64, u32) {
    let (mut most, mut pages) = (0.0_f64, 0);
    while !stop.load(Ordering::Relaxed) {
        let before = spent(worker);
        assert_eq!(client.get("/page.html").unwrap().status, 200);
        most = most.max(spent(worker) - before);
        pages += 1;
        thread::sleep(Duration::from_micros(200));
    }
    (most, pages)
}

/// Looks at a list: median and worst milliseconds of wall clock, median ones of the worker's.
fn look(nginx: &Nginx, worker: u32, path: &str) -> (Value, f64, f64, f64) {
    let mut client = nginx.client();
    let (mut waits, mut costs, mut value) = (Vec::new(), Vec::new(), Value::Null);
    for _ in 0..LOOKS {
        let (begun, before) = (Instant::now(), spent(worker));
        let answer = client.get(format!("/abuse/api/{path}")).unwrap();
        waits.push(begun.elapsed().as_secs_f64() * 1000.0);
        costs.push(spent(worker) - before);
        assert_eq!(answer.status, 200, "{}", answer.text());
        value = serde_json::from_slice(&answer.body).unwrap();
    }
    waits.sort_by(f64::total_cmp);
    costs.sort_by(f64::total_cmp);
    (value, waits[LOOKS / 2], waits[LOOKS - 1], costs[LOOKS / 2])
}

#[test]
#[ignore = "fills a denylist: make bench-api"]
fn a_hundred_thousand_denials() {
    let nginx = roomy_site().workers(1).start();
    let begun = Instant::now();
    deny_all(&nginx);
    println!("{DENIALS} denials made in {:.1} s", begun.elapsed().as_secs_f64());
    let worker = nginx.worker_pids()[0];
    share_a_processor(worker);
    println!("milliseconds               median   worst  of the worker  held up by");
    let lists = [
        ("denylist", DENIALS),
        ("denylist?offset=99000", DENIALS),
        ("denylist?sort=address&limit=100", DENIALS),
        ("denylist?q=10.1.0.0/16", DENIALS.min(131_072) - 65_536),
        ("denylist?q=10.1.2", 256 + 1),
        ("status", 0),
    ];
    for (path, total) in lists {
        let stop = AtomicBool::new(false);
        let (median, worst, cost, held) = thread::scope(|scope| {
            let client = nginx.client();
            let prober = scope.spawn(|| hold_up(worker, client, &stop));
            let (value, median, worst, cost) = look(&nginx, worker, path);
            stop.store(true, Ordering::Relaxed);
            let (held, pages) = prober.join().unwrap();
            assert!(pages > 10, "{pages} pages");
            if total > 1000 {
                assert_eq!(value["total"], total, "{path}");
            }
            (median, worst, cost, held)
        });
        println!("{path:<32} {median:>6.1} {worst:>7.1} {cost:>14.1} {held:>11.2}");
        // The page of the list that the console begins with; a search may take longer.
        assert!(path != "denylist" || median < FIRST_ANSWER, "{path}: {median} ms");
        assert!(held < HELD_UP, "{path}: {held} ms");
    }
    nginx.finish();
}
