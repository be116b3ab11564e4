//! `make bench-instructions`: what the module costs a request, in instructions. With `--check`, whether
//! that is more than it may be.
//!
//! A request of a 1 KiB file over kept connections, as [`callgrind`] counts it. The detector's thread is
//! counted apart: it does not hold up a request.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark fails loudly")]

use std::process::{Command, ExitCode, Stdio};

use api_abuse_tests::callgrind::{self, Instructions};
use api_abuse_tests::nginx::Site;
use api_abuse_tests::sites::{ZONE, neighbour};

/// Requests that are measured.
const REQUESTS: u64 = 3_000;
/// Clients that share them; each is a source of its own.
const CLIENTS: u16 = 10;

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
        bound: Some(1125.0),
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
        let Instructions { request, others } = measure(subject);
        let added = request - *bare.get_or_insert(request);
        println!("{:<26} {request:>10.0} {added:>+10.0} {others:>12.0}", subject.name);
        if let Some(bound) = subject.bound.filter(|bound| check && added > *bound) {
            eprintln!("{}: more than {bound} instructions", subject.name);
            exceeded = true;
        }
    }
    ExitCode::from(u8::from(exceeded))
}

fn measure(subject: &Subject) -> Instructions {
    let Subject { name, module, http, location, .. } = *subject;
    let mut site = Site::new(&format!(
        "access_log off; keepalive_requests 1000000; {http}\n\
         server {{ listen @listen@; location / {{ root html; {location} }} }}"
    ));
    site.module = module;
    let site = site.file("html/1k.bin", [b'x'; 1024]);
    callgrind::measure(&site, REQUESTS, |nginx, requests| {
        for host in 1..=CLIENTS {
            let mut client = nginx.client_from(neighbour(host));
            for _ in 0..requests / u64::from(CLIENTS) {
                assert_eq!(client.get("/1k.bin").unwrap().status, 200, "{name}");
            }
        }
    })
}
