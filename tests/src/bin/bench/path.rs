//! The request path: what a request costs, everyone beside everyone.

use std::fmt::Write;
use std::net::Ipv4Addr;

use api_abuse_tests::callgrind::{self, By, Target};
use api_abuse_tests::nginx::{Nginx, Site};

use crate::peers::{self, Subject};
use crate::wrk::{self, HEADERS, Load};
use crate::{cpu, median, setting};

/// How requests come, and what they ask for.
const WORKLOADS: [(&str, &str, bool); 3] = [
    ("A 1 KiB file over kept connections", "/1k.bin", false),
    ("The same from an application, connections to it kept", "/proxied/1k.bin", false),
    ("The file over HTTP/2", "/1k.bin", true),
];

/// Connections that make the load for callgrind.
const CONNECTIONS: u64 = 4;

/// What was measured of one subject.
#[derive(Clone, Default)]
struct Measured {
    instructions: f64,
    cpu_us: f64,
    load: Load,
}

/// The tables. Instructions are counted for the first `BENCH_COUNTED` of them, and for the first one only of
/// who takes minutes to start under callgrind.
pub(crate) fn run() -> String {
    for program in ["valgrind", "wrk", "h2load"] {
        if !wrk::has(program) {
            return format!("Not measured: {program} is not installed (`make deps-bench`).");
        }
    }
    let (subjects, missing) = peers::all();
    let application = application();
    let upstream = application.address.to_string();
    let mut text = String::new();
    for ((title, path, http2), number) in WORKLOADS.into_iter().zip(0..) {
        let mut measured = loads(&subjects, &upstream, path, http2);
        let counts = number < setting("BENCH_COUNTED", 3);
        let counted = subjects.iter().zip(&mut measured);
        for (subject, measured) in
            counted.filter(|(subject, _)| counts && (number == 0 || !subject.slow))
        {
            measured.instructions = instructions(subject, &upstream, path, http2);
            eprintln!("{title}: {}: {:.0} instructions", subject.name, measured.instructions);
        }
        let _ = writeln!(text, "**{title}**\n\n{}", table(&subjects, &measured));
    }
    for line in missing {
        let _ = writeln!(text, "{line}\n");
    }
    text
}

/// What others ask for what they proxy.
fn application() -> Nginx {
    Site::new(
        "access_log off; keepalive_requests 100000000; keepalive_timeout 600;\n\
         server { listen @listen@; root html; }",
    )
    .bare()
    .workers(1)
    .file("html/proxied/1k.bin", [b'x'; 1024])
    .start()
}

/// Alternating rounds of load; the median of each number.
fn loads(subjects: &[Subject], upstream: &str, path: &str, http2: bool) -> Vec<Measured> {
    let seconds = setting("BENCH_SECONDS", 1);
    let running: Vec<Nginx> =
        subjects.iter().map(|subject| subject.site(upstream).workers(1).start()).collect();
    let mut rounds: Vec<Vec<Measured>> = vec![Vec::new(); subjects.len()];
    // The first round warms caches, and is not counted.
    for round in 0..=setting("BENCH_ROUNDS", 5) {
        let mut order: Vec<usize> = (0..subjects.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let nginx = &running[at];
            let pids = nginx.worker_pids();
            let before = cpu::shares(&pids, "abuse-").1;
            let load = if http2 {
                wrk::h2load(nginx.other_address, path, 8_000 * seconds, 16)
            } else {
                wrk::wrk(nginx.address, path, seconds)
            };
            let cpu_us = (cpu::shares(&pids, "abuse-").1 - before) as f64 / 1000.0 / load.requests;
            if round > 0 {
                rounds[at].push(Measured { instructions: 0.0, cpu_us, load });
            }
        }
    }
    rounds.iter().map(|rounds| middle(rounds)).collect()
}

/// Each number's median.
fn middle(rounds: &[Measured]) -> Measured {
    let of = |number: fn(&Measured) -> f64| median(rounds.iter().map(number).collect());
    Measured {
        instructions: 0.0,
        cpu_us: of(|round| round.cpu_us),
        load: Load {
            requests: 0.0,
            per_second: of(|round| round.load.per_second),
            p50: of(|round| round.load.p50),
            p99: of(|round| round.load.p99),
            p999: of(|round| round.load.p999),
        },
    }
}

fn instructions(subject: &Subject, upstream: &str, path: &str, http2: bool) -> f64 {
    // Who is slow has so many for each request that a few of them tell.
    let requests = setting("BENCH_REQUESTS", 600) / if subject.slow { 10 } else { 1 };
    let load = |target: &Target<'_>, requests: u64| {
        if http2 {
            wrk::h2load(target.nginx().other_address, path, requests, CONNECTIONS);
            return;
        }
        for _ in 0..CONNECTIONS {
            let mut client = target.client_from(Ipv4Addr::LOCALHOST);
            for _ in 0..requests / CONNECTIONS {
                // The host is that of the address: the client says it itself.
                let request = api_abuse_tests::http::Request::get(path).headers(&HEADERS[1..]);
                assert_eq!(client.send(&request).unwrap().status, 200, "{}", subject.name);
            }
        }
    };
    let by = if http2 { By::Any } else { By::Serving };
    callgrind::measure(&subject.site(upstream), requests, by, load).request
}

fn table(subjects: &[Subject], measured: &[Measured]) -> String {
    let mut text = String::from(
        "| | instructions | added | CPU | × bare | requests/s | p50 | p99 | p99.9 |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let bare = &measured[0];
    for (subject, of) in subjects.iter().zip(measured) {
        let Measured { instructions, cpu_us, load } = of;
        let counted = if *instructions == 0.0 {
            "– | –".into()
        } else {
            format!("{instructions:.0} | {:+.0}", instructions - bare.instructions)
        };
        let _ = writeln!(
            text,
            "| {} | {counted} | {cpu_us:.2} µs | {:.3} | {:.0} | {:.0} µs | {:.0} µs | {:.0} µs |",
            subject.name,
            cpu_us / bare.cpu_us,
            load.per_second,
            load.p50,
            load.p99,
            load.p999,
        );
    }
    text
}
