//! The request path: what a request costs, everyone beside everyone.

use std::fmt::Write;
use std::net::Ipv4Addr;

use api_abuse_tests::callgrind::{self, By, Target};
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::random::Random;

use crate::peers::{self, Subject};
use crate::wrk::{self, HEADERS, Load, On};
use crate::{cpu, median, setting};

/// How requests come, and what they ask for.
const WORKLOADS: [(&str, &str, bool); 3] = [
    ("A 1 KiB file over kept connections", "/1k.bin", false),
    ("The same from an application, connections to it kept", "/proxied/1k.bin", false),
    ("The file over HTTP/2", "/1k.bin", true),
];

/// Connections that make the load for callgrind.
const CONNECTIONS: u64 = 4;

/// Seconds of a load over HTTP/2, which is a number of requests.
const HTTP2_SECONDS: f64 = 0.6;

/// What was measured of one subject.
#[derive(Clone, Default)]
struct Measured {
    instructions: f64,
    cpu_us: f64,
    /// Time on the processor by that of bare NGINX.
    ratio: Ratio,
    load: Load,
}

/// A ratio: the one in the middle of those of several starts, and between which two of them the true one
/// lies in at least 93 of 100 runs.
#[derive(Clone, Copy, Default)]
struct Ratio {
    middle: f64,
    least: f64,
    greatest: f64,
}

impl Ratio {
    fn of(mut starts: Vec<f64>) -> Self {
        starts.sort_by(f64::total_cmp);
        let count = starts.len();
        // Each is above the true one or below it as a coin falls: so many may be left out on each side.
        let (mut outside, mut falls, mut skip) = (0.0, 2.0 * 0.5_f64.powf(count as f64), 0);
        while skip < count / 2 && outside + falls <= 0.07 {
            outside += falls;
            skip += 1;
            falls *= (count - skip + 1) as f64 / skip as f64;
        }
        let skip = skip.saturating_sub(1);
        let [least, greatest] = [skip, (count - 1).saturating_sub(skip)].map(|at| starts[at]);
        Self { middle: median(starts), least, greatest }
    }
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
            let by = if http2 { By::Any } else { By::Serving };
            measured.instructions = instructions(subject, &upstream, path, http2, by);
            eprintln!("{title}: {}: {:.0} instructions", subject.name, measured.instructions);
        }
        let _ = writeln!(text, "**{title}**\n\n{}", table(&subjects, &measured));
        if number == 0 && counts {
            let block = subjects.iter().find(|subject| subject.name == peers::NOBODY_DENIED);
            let detecting = block.map(|subject| {
                instructions(subject, &upstream, path, http2, By::Detecting)
                    - measured[0].instructions
            });
            let _ = writeln!(text, "{}", beside_lua(&subjects, &measured, detecting));
        }
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
    .main(wrk::beside_load())
    .file("html/proxied/1k.bin", [b'x'; 1024])
    .start()
}

/// Rounds of load in which all subjects come in random order, over several starts of all of them: where a
/// process happens to lie in memory makes some percent. Each number is the median of all rounds; of ratios
/// to bare NGINX in the same round, that of a start is.
fn loads(subjects: &[Subject], upstream: &str, path: &str, http2: bool) -> Vec<Measured> {
    let mut rounds: Vec<Vec<Measured>> = vec![Vec::new(); subjects.len()];
    let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); subjects.len()];
    let mut random = Random::new(1);
    for start in 0..setting("BENCH_STARTS", 9).max(1) {
        eprintln!("{path}{}: start {}", if http2 { " over HTTP/2" } else { "" }, start + 1);
        let mut of_start = start_and_load(subjects, upstream, path, http2, &mut random);
        for (at, of) in of_start.iter().enumerate() {
            let of_bare = of.iter().zip(&of_start[0]);
            ratios[at].push(median(of_bare.map(|(of, bare)| of.cpu_us / bare.cpu_us).collect()));
        }
        rounds.iter_mut().zip(&mut of_start).for_each(|(all, more)| all.append(more));
    }
    let middle = |(rounds, ratios): (&Vec<Measured>, &Vec<f64>)| Measured {
        ratio: Ratio::of(ratios.clone()),
        ..middle(rounds)
    };
    rounds.iter().zip(&ratios).map(middle).collect()
}

/// Starts all subjects, and measures each in each round.
fn start_and_load(
    subjects: &[Subject],
    upstream: &str,
    path: &str,
    http2: bool,
    random: &mut Random,
) -> Vec<Vec<Measured>> {
    let site = |subject: &Subject| subject.site(upstream).main(wrk::worker_alone()).workers(1);
    let running: Vec<Nginx> = subjects.iter().map(|subject| site(subject).start()).collect();
    let mut rounds: Vec<Vec<Measured>> = vec![Vec::new(); subjects.len()];
    let mut requests = vec![1_000; subjects.len()];
    // The first round warms caches, and is not counted.
    for round in 0..=setting("BENCH_ROUNDS", 2) {
        let mut order: Vec<usize> = (0..subjects.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.within(0..at as u64 + 1) as usize);
        }
        for at in order {
            let nginx = &running[at];
            let pids = nginx.worker_pids();
            wrk::move_beside_load(&cpu::ids(&pids, "abuse-"));
            let before = cpu::shares(&pids, "abuse-").1;
            let load = if http2 {
                wrk::h2load(nginx.other_address, path, requests[at], 16)
            } else {
                wrk::wrk(nginx.address, path, setting("BENCH_SECONDS", 1), On::TheOther)
            };
            let cpu_us = (cpu::shares(&pids, "abuse-").1 - before) as f64 / 1000.0 / load.requests;
            if round > 0 {
                rounds[at].push(Measured { cpu_us, load, ..Measured::default() });
            }
            requests[at] = (load.per_second * HTTP2_SECONDS) as u64 + 16;
        }
    }
    rounds
}

/// Each number's median.
fn middle(rounds: &[Measured]) -> Measured {
    let of = |number: fn(&Measured) -> f64| median(rounds.iter().map(number).collect());
    Measured {
        cpu_us: of(|round| round.cpu_us),
        load: Load {
            requests: 0.0,
            per_second: of(|round| round.load.per_second),
            p50: of(|round| round.load.p50),
            p99: of(|round| round.load.p99),
            p999: of(|round| round.load.p999),
        },
        ..Measured::default()
    }
}

/// How many times as much as this module the Lua check adds, in instructions. `detecting`: what the module
/// adds in the worker that detects.
fn beside_lua(subjects: &[Subject], measured: &[Measured], detecting: Option<f64>) -> String {
    let added = |name: &str| {
        let at = subjects.iter().position(|subject| subject.name == name)?;
        Some(measured[at].instructions - measured[0].instructions)
    };
    let all = (added(peers::LUA_CHECK), added(peers::NOBODY_DENIED), detecting);
    let (Some(lua), Some(serving), Some(detecting)) = all else { return String::new() };
    format!(
        "The worker that detects has {detecting:+.0}. What the Lua check adds is {:.1} times what `block` adds in a \
         worker that does not detect, {:.1} times what it adds in the one that does.\n",
        lua / serving,
        lua / detecting,
    )
}

fn instructions(subject: &Subject, upstream: &str, path: &str, http2: bool, by: By) -> f64 {
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
    callgrind::measure(&subject.site(upstream), requests, by, load).request
}

fn table(subjects: &[Subject], measured: &[Measured]) -> String {
    let mut text = String::from(
        "| | instructions | added | CPU | × bare | requests/s | p50 | p99 | p99.9 |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let bare = &measured[0];
    for (subject, of) in subjects.iter().zip(measured) {
        let Measured { instructions, cpu_us, ratio, load } = of;
        let Ratio { middle, least, greatest } = ratio;
        let counted = if *instructions == 0.0 {
            "– | –".into()
        } else {
            format!("{instructions:.0} | {:+.0}", instructions - bare.instructions)
        };
        let _ = writeln!(
            text,
            "| {} | {counted} | {cpu_us:.2} µs | {middle:.3} ({least:.3} – {greatest:.3}) | {:.0} | {:.0} µs | {:.0} µs | {:.0} µs |",
            subject.name, load.per_second, load.p50, load.p99, load.p999,
        );
    }
    text
}
