//! What stays flat: memory, descriptors and threads over many reloads, and what is known of suspects
//! while a million strangers come by. The whole of it takes minutes: `make endurance`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_push_string,
    reason = "a test fails loudly, and is in no hurry"
)]

use std::fs;
use std::io::{BufReader, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::{Client, read_response};
use api_abuse_tests::memory::anonymous_kilobytes;
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::random::Random;
use api_abuse_tests::sites::{STATUS, attacker, guarded_files, neighbour};

const PATIENCE: Duration = Duration::from_secs(30);

/// Kilobytes that the worker which detects takes to write the state of such a zone, once it does.
const STATE_BUFFERS: u64 = 6 * 1024;

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    kilobytes: u64,
    descriptors: usize,
    threads: usize,
    mappings: usize,
}

impl Holdings {
    fn of(pid: u32) -> Self {
        let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
        Self {
            kilobytes: anonymous_kilobytes(pid).unwrap(),
            descriptors: count("fd"),
            threads: count("task"),
            mappings: fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines().count(),
        }
    }

    /// Whether this is no more than before, but for `spare` kilobytes.
    fn is_no_more_than(&self, before: &Self, spare: u64) -> bool {
        self.kilobytes <= before.kilobytes + spare
            && self.descriptors <= before.descriptors + 2
            && self.threads <= before.threads
            && self.mappings <= before.mappings + 8
    }
}

/// The master, and the largest of each among the workers that detect or may, after some requests.
fn holdings(nginx: &Nginx) -> [Holdings; 2] {
    for host in 1..20 {
        assert_eq!(nginx.client_from(neighbour(host)).get("/page.html").unwrap().status, 200);
    }
    let alone = || nginx.retiring_pids().is_empty() && nginx.detecting_pid().is_some();
    assert!(eventually(PATIENCE, alone), "{:?} still there", nginx.retiring_pids());
    let workers: Vec<_> = nginx.worker_pids().into_iter().map(Holdings::of).collect();
    let most = |what: fn(&Holdings) -> usize| workers.iter().map(what).max().unwrap();
    let workers = Holdings {
        kilobytes: most(|worker| worker.kilobytes as usize) as u64,
        descriptors: most(|worker| worker.descriptors),
        threads: most(|worker| worker.threads),
        mappings: most(|worker| worker.mappings),
    };
    [Holdings::of(nginx.master_pid()), workers]
}

/// Reloads so many times after a tenth of them to settle in, with a policy, a state and a log.
fn reload(times: usize) {
    let mut site = guarded_files();
    site.http.insert_str(
        0,
        "api_abuse_log d.json; api_abuse_application shop { allow 192.0.2.0/24; deny 2001:db8::/32; }\n",
    );
    let nginx = site.start();
    assert!(Attacker::new(nginx.address, attacker(1)).scan().denied);
    for _ in 0..(times / 10).max(3) {
        nginx.reload();
    }
    let before = holdings(&nginx);
    let begun = Instant::now();
    for _ in 0..times {
        nginx.reload();
    }
    let took = begun.elapsed();
    let mut after = holdings(&nginx);
    let flat = eventually(PATIENCE, || {
        after = holdings(&nginx);
        after[0].is_no_more_than(&before[0], 256)
            && after[1].is_no_more_than(&before[1], STATE_BUFFERS)
    });
    println!("{times} reloads in {took:?}\nmaster {:?}\n    to {:?}", before[0], after[0]);
    println!("worker {:?}\n    to {:?}", before[1], after[1]);
    assert!(flat, "from {before:?} to {after:?}");
    let refused = nginx.client_from(attacker(1)).send(&probe("/page.html")).unwrap();
    assert_eq!(refused.status, 403);
    assert!(nginx.metrics().total("api_abuse_records_dropped_total") < 0.5);
}

#[test]
fn some_reloads_leak_nothing() {
    reload(10);
}

#[test]
#[ignore = "a minute: make endurance"]
fn two_hundred_reloads_leak_nothing() {
    reload(200);
}

/// The address of stranger number `n`: half of them IPv6 networks, half IPv4.
fn stranger(n: u32) -> String {
    let mixed = n.wrapping_mul(0x9e37_79b1);
    let (high, low) = (mixed >> 16, mixed & 0xffff);
    match n % 2 {
        0 => format!("2001:db8:{high:x}:{low:x}::{n:x}"),
        _ => format!("{}.{}.{}.{}", 11 + (high >> 8) % 100, high & 255, low >> 8, low & 255),
    }
}

/// Requests of strangers, each from an address of its own, many at once on one connection.
fn come_by(nginx: &Nginx, next: &AtomicU32, count: u32) {
    const BATCH: u32 = 100;
    let connect = || BufReader::new(Client::new(nginx.address).connect().unwrap());
    let mut stream = connect();
    for round in 1_u32.. {
        let first = next.fetch_add(BATCH, Ordering::Relaxed);
        if first >= count {
            return;
        }
        let mut batch = String::new();
        for n in first..(first + BATCH).min(count) {
            // One in ten goes astray, as people do.
            let path = if n % 10 == 0 { "/missing.html" } else { "/page.html" };
            batch += &format!(
                "GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nX-Forwarded-For: {}\r\n\r\n",
                stranger(n)
            );
        }
        stream.get_mut().write_all(batch.as_bytes()).unwrap();
        for _ in first..(first + BATCH).min(count) {
            let response = read_response(&mut stream, false).unwrap();
            assert!(matches!(response.status, 200 | 404), "a stranger was denied: {response:?}");
        }
        if round % 100 == 0 {
            stream = connect();
        }
    }
}

/// One request for `address`, which a trusted proxy names; its status.
fn ask(nginx: &Nginx, address: &str, path: &str) -> u16 {
    let request = probe(path).header("X-Forwarded-For", address);
    nginx.client().send(&request).unwrap().status
}

fn scan(nginx: &Nginx, address: &str, limit: usize) -> usize {
    let mut random = Random::new(address.len() as u64);
    let served = (0..limit).take_while(|_| {
        nginx.let_judge(Duration::from_millis(12));
        ask(nginx, address, &format!("/{}", random.word(9))) != 403
    });
    served.count()
}

/// Lets so many addresses come by while some are denied and one is half convicted.
fn spray(count: u32) {
    let http = format!(
        "api_abuse_zone abuse:16m; access_log off; keepalive_requests 100000; log_not_found off;
         set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;
         server {{ listen @listen@; api_abuse shop; api_abuse_mode block; {STATUS} root html; }}"
    );
    let nginx = Site::new(&http).file("html/page.html", "page").start();
    let denied = ["198.51.100.1", "198.51.100.2", "2001:db9::1", "2001:db9:0:1::1"];
    for address in denied {
        assert!(scan(&nginx, address, 60) <= 25, "{address}");
    }
    let suspect = "203.0.113.7";
    assert_eq!(scan(&nginx, suspect, 5), 5);
    // As many as the table of the zone holds first: it may fill memory that it has.
    come_by(&nginx, &AtomicU32::new(0), count / 10);
    let before = holdings_by_proxy(&nginx);
    let (next, begun) = (AtomicU32::new(count / 10), Instant::now());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| come_by(&nginx, &next, count));
        }
    });
    let took = begun.elapsed();
    // A worker hears of a connection that its client closed, and lets go of it, when it next looks.
    let mut after = holdings_by_proxy(&nginx);
    let flat = eventually(PATIENCE, || {
        after = holdings_by_proxy(&nginx);
        after.is_no_more_than(&before, STATE_BUFFERS)
    });
    let metrics = nginx.metrics();
    let total = |name: &str| metrics.total(name);
    println!("{count} addresses, {:.0} a second", f64::from(count) * 0.9 / took.as_secs_f64());
    println!(
        "{} sources kept, {} evicted with something against them, {} denied, {} records dropped",
        total("api_abuse_sources"),
        total("api_abuse_sources_evicted_total"),
        total("api_abuse_denylist_entries"),
        total("api_abuse_records_dropped_total"),
    );
    println!("worker {before:?}\n    to {after:?}");
    for address in denied {
        assert_eq!(ask(&nginx, address, "/page.html"), 403, "{address} was forgotten");
    }
    let rest = scan(&nginx, suspect, 60);
    println!("the suspect was denied after {rest} requests more");
    assert!(rest + 5 <= 25, "{rest}");
    assert!((total("api_abuse_denylist_entries") - denied.len() as f64).abs() < 0.5);
    assert!(total("api_abuse_sources") > 1000.0);
    assert!(flat, "from {before:?} to {after:?}");
}

/// The largest worker.
fn holdings_by_proxy(nginx: &Nginx) -> Holdings {
    let workers = nginx.worker_pids().into_iter().map(Holdings::of);
    workers.max_by_key(|worker| worker.kilobytes).unwrap()
}

#[test]
fn some_thousand_strangers_hide_nobody() {
    spray(60_000);
}

#[test]
#[ignore = "minutes: make endurance"]
fn a_million_strangers_hide_nobody() {
    spray(1_000_000);
}
