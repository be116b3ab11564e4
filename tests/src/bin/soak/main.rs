//! `make soak`: ten minutes of everything at once.
//!
//! A small zone under full load on all cores, a reload every five seconds, a worker killed every seven,
//! the detecting worker stopped for a while (so that lanes fill), more sources than the table holds, more
//! denials than the denylist holds, a wall clock that jumps, and a state directory on a full disk. No
//! request may fail that would not fail without the module, no denial that was in force may be lost,
//! memory must stay flat, and whatever is dropped must be counted.
//!
//! `SOAK_SECONDS` says how long; the number of seconds is printed with the results.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a soak fails loudly")]

mod events;
mod load;

use std::env;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::memory::Memory;
use api_abuse_tests::metrics::Metrics;
use api_abuse_tests::nginx::{Nginx, Site};
use serde_json::Value;

use load::Load;

/// The smallest zone that two workers can have takes 1.5 MB. The circuit breaker would open in the first
/// second, when there were few visitors yet: it has tests of its own.
const HTTP: &str = "\
    api_abuse_zone abuse:2m; api_abuse_deny_loopback on; api_abuse_state @home@/state;\n\
    access_log off; log_not_found off; keepalive_requests 100000;\n\
    api_abuse_application shop { budget 100%; }\n\
    set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;\n\
    server { listen @listen@ backlog=1024; api_abuse shop; api_abuse_mode block; root html;\n\
        location = /status { api_abuse off; api_abuse_status; }\n\
    }";

fn main() -> ExitCode {
    let seconds = env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let clock = events::fake_clock();
    if clock.is_none() {
        println!("libfaketime is not installed: the wall clock will not jump");
    }
    let nginx = site(clock.as_deref()).start();
    let disk = events::Disk::full(&nginx);
    if disk.is_none() {
        println!("no file system can be mounted here: the disk will not be full");
    }
    let load = Load::new(&nginx);
    let mut memory = Memory::default();
    let mut happened = false;
    let begun = Instant::now();
    thread::scope(|scope| {
        let over = load.ends_with_this();
        for number in 0..load::VISITORS {
            let load = &load;
            scope.spawn(move || load.visit(number));
        }
        for number in 0..load::ATTACKERS {
            let load = &load;
            scope.spawn(move || load.attack(number));
        }
        scope.spawn(|| load.knock());
        let mut schedule = events::Schedule::new(&nginx, clock.is_some());
        while begun.elapsed() < Duration::from_secs(seconds) {
            schedule.next(begun.elapsed(), &mut memory);
        }
        println!("{schedule}");
        drop(over);
        happened = schedule.happened(seconds);
    });
    let happened = happened && (disk.is_none() || nginx.error_log().contains("No space left"));
    report(&nginx, &load, &memory, begun.elapsed(), happened)
}

fn site(clock: Option<&str>) -> Site {
    let site = Site::new(HTTP)
        .main("worker_shutdown_timeout 10s;")
        .file("html/1k.bin", [b'x'; 1024])
        .file("faketime", "+0")
        .file("state/.keep", "")
        .expect("No space left on device")
        .expect("the denylist is full");
    let Some(library) = clock else { return site };
    let wrapper = [
        "env",
        &format!("LD_PRELOAD={library}"),
        "FAKETIME_TIMESTAMP_FILE=@home@/faketime",
        "FAKETIME_CACHE_DURATION=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ];
    site.under(&wrapper).main(
        "env LD_PRELOAD; env FAKETIME_TIMESTAMP_FILE; env FAKETIME_CACHE_DURATION; \
         env FAKETIME_DONT_FAKE_MONOTONIC;",
    )
}

/// Prints what was seen, and says whether it is as it must be.
fn report(
    nginx: &Nginx,
    load: &Load<'_>,
    memory: &Memory,
    took: Duration,
    happened: bool,
) -> ExitCode {
    let metrics = nginx.metrics();
    let total = |name: &str| metrics.total(name);
    let (served, denied) = (load.served.load(Relaxed), load.denied.load(Relaxed));
    let (failed, lost) = (load.failed.load(Relaxed), load.lost.load(Relaxed));
    let answered = served + denied;
    println!(
        "{answered} requests in {:.0} s, {:.0} a second; {denied} denied; {} sent again after a reset; \
         {failed} failed",
        took.as_secs_f64(),
        answered as f64 / took.as_secs_f64(),
        load.resent.load(Relaxed),
    );
    println!(
        "{} sources convicted, {} knocks of the first {} of them, {lost} let in",
        load.convicted.load(Relaxed),
        load.knocks.load(Relaxed),
        load::WATCHED,
    );
    print_metrics(&metrics);
    let health = nginx.status()["health"].clone();
    let of = |pointer: &str| health.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (full, displaced) = (of("/denylist/full"), of("/denylist/displaced"));
    let (live, panics) = (of("/sources/live"), of("/detector/panics") + of("/callback_panics"));
    println!(
        "denylist of {} slots: {full} found no room, {displaced} displaced",
        of("/denylist/size")
    );
    println!(
        "{} times detection was taken over from a process that died",
        of("/detector/takeovers")
    );
    println!("{memory}");
    let counted = total("api_abuse_requests_total") + total("api_abuse_records_dropped_total");
    // A killed worker takes what it had not pushed along; a client counts what it was answered.
    let difference = (counted - answered as f64).abs() / answered as f64;
    println!("counted or dropped: {counted}, {:.3} % off", difference * 100.0);
    let checks = [
        ("no request failed", failed == 0),
        ("no denial was lost", lost == 0),
        ("there was load", answered > 500 * took.as_secs()),
        ("sources were denied", load.convicted.load(Relaxed) > 0),
        ("every record was counted or its loss was", difference < 0.01),
        ("memory stayed flat", memory.is_flat()),
        ("detection is up", total("api_abuse_detector_up") > 0.5),
        ("nothing panicked", panics == 0),
        // That all of it was there, or the rest says nothing.
        ("reloads, deaths, stops, jumps and a full disk happened", happened),
        ("a lane was full", total("api_abuse_records_dropped_total") > 0.5),
        // Four in five visitors are new, and the table has forgotten most of them.
        ("the table of sources was full", live > 500 && live < served / 4),
        ("the denylist was full", full + displaced > 0),
    ];
    for (what, holds) in checks {
        println!("{} {what}", if holds { "ok    " } else { "FAILED" });
    }
    if checks.iter().all(|(_, holds)| *holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_metrics(metrics: &Metrics) {
    for name in [
        "api_abuse_requests_total",
        "api_abuse_records_dropped_total",
        "api_abuse_sources",
        "api_abuse_sources_evicted_total",
        "api_abuse_denylist_entries",
        "api_abuse_state_errors_total",
        "api_abuse_detector_up",
    ] {
        println!("{name} {}", metrics.total(name));
    }
}

/// Runs a command; whether it went well.
fn run(command: &str, arguments: &[&str]) -> bool {
    let status = Command::new(command).args(arguments).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
