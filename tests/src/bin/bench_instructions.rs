//! `make bench-instructions`: what the module costs a request, in instructions. With `--check`, whether
//! that is more than it may be.
//!
//! Wall clock measures the machine as much as the code: on a shared one, ten percent up or down. So
//! callgrind counts what NGINX executes for N and for 2N requests of a 1 KiB file over kept
//! connections; the difference, divided by N, is free of starting and stopping, and repeats within a
//! few instructions. The detector's thread is counted apart: it does not hold up a request.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark fails loudly")]

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use api_abuse_tests::nginx::Site;
use api_abuse_tests::sites::{ZONE, neighbour};

/// Requests of the shorter run; the longer one makes twice as many.
const REQUESTS: u64 = 3_000;
/// Clients that share them; each is a source of its own.
const CLIENTS: u16 = 10;

const CALLGRIND: [&str; 5] = [
    "valgrind",
    "--quiet",
    "--tool=callgrind",
    "--separate-threads=yes",
    "--callgrind-out-file=@home@/callgrind",
];

/// An NGINX to measure.
struct Subject {
    name: &'static str,
    /// Whether the module is loaded.
    module: bool,
    http: &'static str,
    location: &'static str,
    /// Instructions that it may add to a request with `--check`: what was measured and 3 %, because
    /// compilers and C libraries differ. `None`: not checked.
    bound: Option<f64>,
}

const SUBJECTS: [Subject; 5] = [
    Subject { name: "bare", module: false, http: "", location: "", bound: None },
    Subject {
        name: "limit_req",
        module: false,
        http: "limit_req_zone $binary_remote_addr zone=all:10m rate=1000000r/s;",
        location: "limit_req zone=all burst=1000 nodelay;",
        bound: None,
    },
    Subject {
        name: "module loaded, not used",
        module: true,
        http: "",
        location: "",
        bound: Some(60.0),
    },
    Subject {
        name: "module in monitor mode",
        module: true,
        http: ZONE,
        location: "api_abuse shop; api_abuse_mode monitor;",
        bound: None,
    },
    Subject {
        name: "module in block mode",
        module: true,
        http: ZONE,
        location: "api_abuse shop; api_abuse_mode block;",
        bound: Some(1913.0),
    },
];

fn main() -> ExitCode {
    let valgrind = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if valgrind.is_err() {
        eprintln!("valgrind is missing: apt-get install --no-install-recommends valgrind");
        return ExitCode::from(2);
    }
    let check = std::env::args().any(|argument| argument == "--check");
    println!("instructions for a request of a 1 KiB file, {REQUESTS} requests\n");
    println!("{:<26} {:>10} {:>10} {:>12}", "", "request", "added", "detector");
    let mut bare = None;
    let mut exceeded = false;
    for subject in &SUBJECTS {
        // The first one is what the others are compared with.
        if check && subject.bound.is_none() && bare.is_some() {
            continue;
        }
        let (short, long) = (measure(subject, REQUESTS), measure(subject, 2 * REQUESTS));
        let request = (long.request - short.request) / REQUESTS as f64;
        let others = (long.others - short.others) / REQUESTS as f64;
        let added = request - *bare.get_or_insert(request);
        println!("{:<26} {request:>10.0} {added:>+10.0} {others:>12.0}", subject.name);
        if let Some(bound) = subject.bound.filter(|bound| check && added > *bound) {
            eprintln!("{}: more than {bound} instructions", subject.name);
            exceeded = true;
        }
    }
    ExitCode::from(u8::from(exceeded))
}

/// Instructions of the thread that serves, and of all others.
struct Measured {
    request: f64,
    others: f64,
}

fn measure(subject: &Subject, requests: u64) -> Measured {
    let Subject { name, module, http, location, .. } = *subject;
    let mut site = Site::new(&format!(
        "access_log off; keepalive_requests 1000000; {http}\n\
         server {{ listen @listen@; location / {{ root html; {location} }} }}"
    ));
    site.module = module;
    let nginx = site
        .main("master_process off;")
        .workers(1)
        .under(&CALLGRIND)
        .file("html/1k.bin", [b'x'; 1024])
        .start();
    for host in 1..=CLIENTS {
        let mut client = nginx.client_from(neighbour(host));
        for _ in 0..requests / u64::from(CLIENTS) {
            assert_eq!(client.get("/1k.bin").unwrap().status, 200, "{name}");
        }
    }
    nginx.finish_and_read(read_counts)
}

/// Reads the totals that callgrind left: one file for each thread, numbered from 1.
fn read_counts(home: &Path) -> Measured {
    let mut measured = Measured { request: 0.0, others: 0.0 };
    for file in fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let Some(thread) = name.strip_prefix("callgrind-") else { continue };
        let text = fs::read_to_string(&file).unwrap();
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap_or("0");
        let count: f64 = totals.trim().parse().unwrap();
        if thread == "01" { measured.request += count } else { measured.others += count }
    }
    assert!(measured.request > 0.0, "callgrind counted nothing in {}", home.display());
    measured
}
