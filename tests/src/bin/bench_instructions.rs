//! `make bench-instructions`: what the module costs a request, in instructions. With `--check`, whether
//! that is more than it may be.
//!
//! A request of a 1 KiB file over kept connections, as [`callgrind`] counts it. The detector's thread is
//! counted apart: it does not hold up a request.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark fails loudly")]

use std::process::{Command, ExitCode, Stdio};

use api_abuse_tests::callgrind::{self, By, Instructions};
use api_abuse_tests::http::Request;
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
    /// What the request says beside Host. Subjects are compared with the first one that says as much.
    headers: &'static [(&'static str, &'static str)],
    /// The worker that it is measured in.
    by: By,
    /// Instructions that it may add to a request with `--check`: what was measured and 3 %, because
    /// compilers and C libraries differ. `None`: not checked.
    bound: Option<f64>,
}

/// What a browser says when it asks for an image of a page.
const BROWSER: [(&str, &str); 9] = [
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"),
    ("Accept", "image/avif,image/webp,*/*"),
    ("Accept-Language", "en-GB,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Referer", "http://shop.test/page.html"),
    ("Cookie", "theme=dark"),
    ("Sec-Fetch-Dest", "image"),
    ("Sec-Fetch-Mode", "no-cors"),
    ("Sec-Fetch-Site", "same-origin"),
];

const SUBJECTS: [Subject; 8] = [
    Subject {
        name: "bare",
        module: false,
        http: "",
        location: "",
        headers: &[],
        by: By::Serving,
        bound: None,
    },
    Subject {
        name: "limit_req",
        module: false,
        http: "limit_req_zone $binary_remote_addr zone=all:10m rate=1000000r/s;",
        location: "limit_req zone=all burst=1000 nodelay;",
        headers: &[],
        by: By::Serving,
        bound: None,
    },
    Subject {
        name: "module loaded, not used",
        module: true,
        http: "",
        location: "",
        headers: &[],
        by: By::Serving,
        bound: Some(60.0),
    },
    Subject {
        name: "module in monitor mode",
        module: true,
        http: ZONE,
        location: "api_abuse shop; api_abuse_mode monitor;",
        headers: &[],
        by: By::Serving,
        bound: None,
    },
    Subject {
        name: "module in block mode",
        module: true,
        http: ZONE,
        location: "api_abuse shop; api_abuse_mode block;",
        headers: &[],
        by: By::Serving,
        bound: Some(575.0),
    },
    Subject {
        name: "the same, and it detects",
        module: true,
        http: ZONE,
        location: "api_abuse shop; api_abuse_mode block;",
        headers: &[],
        by: By::Detecting,
        bound: None,
    },
    Subject {
        name: "bare, a browser's headers",
        module: false,
        http: "",
        location: "",
        headers: &BROWSER,
        by: By::Serving,
        bound: None,
    },
    Subject {
        name: "block, a browser's headers",
        module: true,
        http: ZONE,
        location: "api_abuse shop; api_abuse_mode block;",
        headers: &BROWSER,
        by: By::Serving,
        bound: None,
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
    println!("{:<26} {:>10} {:>10} {:>12} {:>12}", "", "request", "added", "allocator", "detector");
    let mut bare: Option<(usize, f64)> = None;
    let mut exceeded = false;
    for subject in &SUBJECTS {
        // The first one is what the others are compared with.
        if check && subject.bound.is_none() && bare.is_some() {
            continue;
        }
        let Instructions { request, allocator, others } = measure(subject);
        let headers = subject.headers.len();
        let (_, base) =
            *bare.insert(bare.filter(|of| of.0 == headers).unwrap_or((headers, request)));
        let added = request - base;
        println!(
            "{:<26} {request:>10.0} {added:>+10.0} {allocator:>12.0} {others:>12.0}",
            subject.name
        );
        if let Some(bound) = subject.bound.filter(|bound| check && added > *bound) {
            eprintln!("{}: more than {bound} instructions", subject.name);
            exceeded = true;
        }
    }
    ExitCode::from(u8::from(exceeded))
}

fn measure(subject: &Subject) -> Instructions {
    let Subject { name, module, http, location, .. } = *subject;
    // With room for all records, however slow the detector is under callgrind.
    let http = http.replace("16m", "128m");
    let mut site = Site::new(&format!(
        "access_log off; keepalive_requests 1000000; {http}\n\
         server {{ listen @listen@ reuseport; location / {{ root html; {location} }}\n{} }}",
        callgrind::LOCATION,
    ));
    site.module = module;
    let site = site.file("html/1k.bin", [b'x'; 1024]);
    callgrind::measure(&site, REQUESTS, subject.by, |target, requests| {
        for host in 1..=CLIENTS {
            let mut client = target.client_from(neighbour(host));
            for _ in 0..requests / u64::from(CLIENTS) {
                let request = Request::get("/1k.bin").headers(subject.headers);
                assert_eq!(client.send(&request).unwrap().status, 200, "{name}");
            }
        }
    })
}
