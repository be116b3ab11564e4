//! What is measured in time, or under load. These tests run one at a time and after all others, so
//! that they measure the module and not each other.
//!
//! Bounds on the wall clock are generous, for machines that are busy with something else; the numbers
//! that count come from the module's own histogram and are printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_push_string,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "a test fails loudly, and is in no hurry"
)]

use std::fs;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::{Client, Request, Response, is_closed};
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::sites::{attacker, guarded_files};

/// How long something that must happen may take, whatever else the machine does.
const SOON: Duration = Duration::from_secs(60);
/// Requests that may be served to a scanner.
const SCANNER_MAX: usize = 25;
/// The load: clients, and requests a second of all of them together.
const CLIENTS: u16 = 8;
const RATE: u32 = 5_000;

fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the contract promises, in seconds, for 99 of 100 convictions.
const ENFORCED: f64 = 0.010;
const SCANNERS: u16 = 100;

#[test]
fn a_denial_holds_in_every_worker_within_ten_milliseconds() {
    let _alone = alone();
    let nginx = guarded_files().start();
    let mut rounds = 0;
    let in_time = eventually(SOON, || {
        let late = late_convictions(&nginx, rounds * SCANNERS);
        rounds += 1;
        late <= usize::from(SCANNERS / 100)
    });
    let metrics = nginx.metrics();
    let p99 = metrics.quantile("api_abuse_enforcement_seconds", 0.99).expect("convictions");
    let count = metrics.total("api_abuse_enforcement_seconds_count");
    println!("{count} convictions in {rounds} rounds, enforceable within {p99} s (p99)");
    assert!(count >= f64::from(rounds * SCANNERS));
    assert!(in_time, "{p99} s: {:?}", metrics.buckets("api_abuse_enforcement_seconds"));
    let both_denied = || {
        let log = nginx.access_log();
        let denied = |pid: &u32| log.iter().any(|entry| entry.pid == *pid && entry.denied());
        nginx.worker_pids().iter().all(denied)
    };
    assert!(eventually(SOON, both_denied), "one worker did nothing");
}

/// Convicts scanners, one after the other, and says how many of the convictions took longer than they may:
/// not counting what the threads of NGINX waited meanwhile for a processor that somebody else had.
fn late_convictions(nginx: &Nginx, first: u16) -> usize {
    let state = || {
        let taken = nginx.metrics().total("api_abuse_enforcement_seconds_sum");
        (taken, waited(nginx))
    };
    let late = (first..first + SCANNERS).filter(|host| {
        let before = state();
        let attack = Attacker {
            pace: Duration::from_millis(3),
            waits: false,
            ..Attacker::new(nginx.address, attacker(1 + host))
        };
        let outcome = attack.scan();
        assert!(outcome.denied, "{outcome:?}");
        // Four new connections: with two workers, both have to know it now.
        let refused = (0..4).all(|_| {
            nginx.client_from(attack.from).send(&probe("/page.html")).unwrap().status == 403
        });
        assert!(refused, "scanner {host} was served again");
        let after = state();
        after.0 - before.0 > ENFORCED + after.1 - before.1
    });
    late.count()
}

/// Seconds that the threads of all workers were ready to run and did not.
fn waited(nginx: &Nginx) -> f64 {
    let tasks = nginx.worker_pids().into_iter().flat_map(|pid| {
        fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().map(|task| task.path())
    });
    let waited = tasks.map(|task| {
        let statistics = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        statistics.split(' ').nth(1).and_then(|waited| waited.parse::<u64>().ok()).unwrap_or(0)
    });
    waited.sum::<u64>() as f64 / 1e9
}

/// On a machine that is busy with something else this load is an overload, and its clients are told so.
fn site() -> Nginx {
    let mut site = guarded_files();
    let policy = "api_abuse_application shop { threat resource_exhaustion reaction=monitor; }\n";
    site.http.insert_str(0, policy);
    site.start()
}

/// Clients who want a page again and again, as often as [`RATE`] says, over kept connections.
#[derive(Debug, Default)]
struct Load {
    over: AtomicBool,
    requests: AtomicU64,
    retries: AtomicU64,
}

impl Load {
    /// Asks until it is over. A connection that a killed worker held is reset; every HTTP client
    /// tries again then, and so do these. Anything else that is not the page is a failure.
    fn ask(&self, nginx: &Nginx, number: u16) {
        let mut client = nginx.client_from(Ipv4Addr::new(127, 3, 0, number as u8));
        let interval = Duration::from_secs(1) * u32::from(CLIENTS) / RATE;
        let mut due = Instant::now();
        while !self.over.load(Relaxed) {
            let response = self.insist(&mut client, &Request::get("/1k.bin"));
            assert_eq!((response.status, response.body.len()), (200, 1024));
            self.requests.fetch_add(1, Relaxed);
            due += interval;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.retries.fetch_add(client.resent, Relaxed);
    }

    /// A source that was denied before it all began tries to get in all the time.
    fn try_to_get_in(&self, nginx: &Nginx) {
        while !self.over.load(Relaxed) {
            // New connections, so that every worker there ever is meets it.
            let mut client = nginx.client_from(attacker(1));
            let response = self.insist(&mut client, &probe("/1k.bin"));
            assert_eq!(response.status, 403, "a denial was lost");
            self.requests.fetch_add(1, Relaxed);
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn insist(&self, client: &mut Client, request: &Request) -> Response {
        for _ in 0..4 {
            match client.send(request) {
                Ok(response) => return response,
                Err(error) if is_closed(&error) => self.retries.fetch_add(1, Relaxed),
                Err(error) => panic!("a request failed: {error}"),
            };
        }
        panic!("a request failed four times");
    }
}

/// Convicts a new scanner and says how long that took.
fn convict(nginx: &Nginx, host: u16) -> Duration {
    let begun = Instant::now();
    let mut attack = Attacker::new(nginx.address, attacker(host));
    attack.pace = Duration::from_millis(10);
    let outcome = attack.scan();
    assert!(outcome.denied && outcome.served <= SCANNER_MAX, "scanner {host}: {outcome:?}");
    begun.elapsed()
}

/// Runs `events` under load and with a denied source at the door.
fn under_load(nginx: &Nginx, events: impl FnOnce()) {
    let load = Load::default();
    let begun = Instant::now();
    thread::scope(|scope| {
        // Whatever way the events end, the load must, too.
        struct Over<'l>(&'l AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Relaxed);
            }
        }
        let over = Over(&load.over);
        for number in 1..=CLIENTS {
            let load = &load;
            scope.spawn(move || load.ask(nginx, number));
        }
        scope.spawn(|| load.try_to_get_in(nginx));
        thread::sleep(Duration::from_millis(500));
        events();
        thread::sleep(Duration::from_millis(300));
        drop(over);
    });
    let requests = load.requests.load(Relaxed);
    let rate = requests as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{requests} requests, {rate:.0} a second, none failed; {} sent again",
        load.retries.load(Relaxed)
    );
    assert!(requests > 500, "{requests} requests are no load");
}

#[test]
fn killing_the_detecting_worker_loses_no_denial_and_no_detection() {
    let _alone = alone();
    let nginx = site();
    convict(&nginx, 1);
    under_load(&nginx, || {
        for host in 2..=6 {
            let victim = nginx.detecting_pid().expect("a worker that detects");
            nginx.kill9(victim);
            let killed = Instant::now();
            let handed_over = || nginx.detecting_pid().is_some_and(|pid| pid != victim);
            assert!(eventually(SOON, handed_over), "nobody took over");
            let taken = killed.elapsed();
            let convicted = convict(&nginx, host);
            println!("{host}: taken over after {taken:?}, next conviction {convicted:?} later");
            let back = || nginx.worker_pids().len() == 2;
            assert!(eventually(SOON, back), "the worker did not come back");
        }
    });
    let is_up = || (nginx.metrics().total("api_abuse_detector_up") - 1.0).abs() < 1e-9;
    assert!(eventually(SOON, is_up));
    nginx.finish();
}

#[test]
fn a_suspicion_survives_the_death_of_the_detecting_worker() {
    let _alone = alone();
    let nginx = site();
    let mut attack = Attacker::new(nginx.address, attacker(1));
    attack.limit = 5;
    assert!(!attack.scan().denied);
    // Let the detector see them: what only the killed worker knew is lost, and may be.
    let seen = || nginx.metrics().total("api_abuse_requests_total") > 4.5;
    assert!(eventually(SOON, seen));
    let victim = nginx.detecting_pid().expect("a worker that detects");
    nginx.kill9(victim);
    attack.limit = 100;
    let rest = attack.scan();
    assert!(rest.denied && rest.served + 5 <= SCANNER_MAX, "{rest:?}");
}

#[test]
fn ten_reloads_lose_no_denial_and_no_detection() {
    let _alone = alone();
    let nginx = site();
    convict(&nginx, 1);
    under_load(&nginx, || {
        for host in 2..=11 {
            nginx.reload();
            println!("{host}: convicted {:?} after a reload", convict(&nginx, host));
        }
    });
    let mut denied = 0;
    for host in 1..=11 {
        let response = nginx.client_from(attacker(host)).send(&probe("/page.html")).unwrap();
        assert_eq!(response.status, 403, "scanner {host}");
        denied += 1;
    }
    println!("{denied} scanners are still denied after ten reloads");
    let metrics = nginx.metrics();
    let dropped = metrics.total("api_abuse_records_dropped_total");
    println!("{dropped} records dropped");
    assert!(dropped < metrics.total("api_abuse_requests_total") / 10.0, "{dropped}");
    let gone = || nginx.retiring_pids().is_empty();
    assert!(eventually(SOON, gone), "old workers stay: {:?}", nginx.retiring_pids());
    nginx.finish();
}

#[test]
fn every_record_of_a_loaded_server_is_counted() {
    let _alone = alone();
    let nginx = site();
    convict(&nginx, 1);
    under_load(&nginx, || thread::sleep(Duration::from_secs(2)));
    let (mut logged, mut counted, mut dropped) = (0.0, 0.0, 0.0);
    // Both the log and the numbers come after the answers.
    let complete = eventually(SOON, || {
        logged = nginx.access_log().len() as f64;
        let metrics = nginx.metrics();
        counted = metrics.total("api_abuse_requests_total");
        dropped = metrics.total("api_abuse_records_dropped_total");
        (counted + dropped - logged).abs() < 0.5
    });
    println!("{logged} requests logged, {counted} counted, {dropped} dropped");
    // A detector that the machine leaves no time drops records, and says how many.
    assert!(complete && dropped < counted / 10.0);
}
