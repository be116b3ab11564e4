//! Lines a second and memory of `api-abuse replay`, and of `GoAccess` over the same file and `fail2ban-regex` over a
//! sample of it, if they are installed.
//!
//! Run with `cargo bench -p api-abuse` (or `-- LINES`). No assertion: a number is not a test. Beside what
//! the clock says stands what the busiest thread took of a processor, which is what two free cores would
//! give; a machine that does other things as well shows in the first number only.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails loudly")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Lines of the larger of two files.
const LINES: u64 = 2_000_000;
/// Runs of replay; the others, which take their time, have one.
const ROUNDS: usize = 3;
/// Lines of what fail2ban is given, which takes its time.
const SAMPLE: u64 = 50_000;
/// What a jail for those who look for what is not there matches.
const JAIL: &str = "^<HOST> .*\" 404 ";
/// Visitors of the site, and pages and things in it.
const CLIENTS: u64 = 40_000;
const KINDS: [(&str, &str, u64); 6] = [
    ("/products/", ".html", 2000),
    ("/static/img/", ".png", 600),
    ("/api/v1/items/", "", 20_000),
    ("/search?q=lamp+", "", 500),
    ("/help/how-to-", "-a-thing/", 60),
    ("/old/page-", ".php", 4000),
];

fn main() {
    let lines = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(LINES);
    let folder = std::env::temp_dir().join(format!("api-abuse-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    println!(
        "| | lines a second | by its busiest thread | by all of them together | MiB resident |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (lines, peer) in
        [(lines / 4, Peer::GoAccess), (lines, Peer::GoAccess), (SAMPLE, Peer::Fail2ban)]
    {
        let log = folder.join("access.log");
        let bytes = write_log(&log, lines);
        let file = log.to_str().unwrap();
        let what = format!("{lines} lines, {} MiB", bytes >> 20);
        let replay = || run(env!("CARGO_BIN_EXE_api-abuse"), &["replay", "--json", file]);
        report(&format!("`api-abuse replay`, {what}"), lines, ROUNDS, &replay);
        let parse = [file, "--log-format=COMBINED", "--no-global-config", "-o", "/dev/null"];
        let parse = [&parse[..], &["--output-format=json"]].concat();
        let (name, program, arguments) = match peer {
            Peer::GoAccess => ("GoAccess", "goaccess", &parse[..]),
            Peer::Fail2ban => ("`fail2ban-regex`", "fail2ban-regex", &[file, JAIL][..]),
        };
        match Command::new(program).arg("--version").stdout(Stdio::null()).status() {
            Ok(_) => report(&format!("{name}, {what}"), lines, 1, &|| run(program, arguments)),
            Err(_) => eprintln!("{program} is not installed"),
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// What replay is measured beside.
#[derive(Clone, Copy)]
enum Peer {
    GoAccess,
    Fail2ban,
}

/// Wall clock, processor seconds of the busiest thread and of all, most memory (KiB).
type Spent = (Duration, f64, f64, u64);

/// A row of the table: the best of several runs.
fn report(what: &str, lines: u64, rounds: usize, run: &dyn Fn() -> Spent) {
    let least = |a: Spent, b: Spent| (a.0.min(b.0), a.1.min(b.1), a.2.min(b.2), a.3.max(b.3));
    let (wall, busiest, all, kib) = (0..rounds).map(|_| run()).reduce(least).unwrap();
    let a_second = |seconds: f64| lines as f64 / seconds.max(1e-9);
    println!(
        "| {what} | {:.0} | {:.0} | {:.0} | {} |",
        a_second(wall.as_secs_f64()),
        a_second(busiest),
        a_second(all),
        kib >> 10,
    );
}

/// Runs a program.
fn run(program: &str, arguments: &[&str]) -> Spent {
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = format!("/proc/{}", child.id());
    let (mut threads, mut kib) = (HashMap::new(), 0);
    while child.try_wait().unwrap().is_none() {
        for task in fs::read_dir(format!("{process}/task")).into_iter().flatten().flatten() {
            let spent = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            if let Some(spent) = spent.split(' ').next().and_then(|it| it.parse::<u64>().ok()) {
                threads.insert(task.file_name(), spent);
            }
        }
        let status = fs::read_to_string(format!("{process}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|it| it.split_whitespace().next()?.parse().ok());
        kib = peak.unwrap_or(kib).max(kib);
        std::thread::sleep(Duration::from_millis(5));
    }
    let seconds = |ns: u64| ns as f64 / 1e9;
    let busiest = threads.values().copied().max().unwrap_or(0);
    (begin.elapsed(), seconds(busiest), seconds(threads.values().sum()), kib)
}

/// Writes a log of visits; its size.
fn write_log(path: &Path, lines: u64) -> u64 {
    let mut log = BufWriter::new(File::create(path).unwrap());
    for n in 0..lines {
        let random = mixed(n);
        // Three thousand visitors at a time, sixteen requests each.
        let seat = (random >> 8) % 3000;
        let client = mixed((seat << 32) | ((n + seat * 16) / 48_000)) % CLIENTS;
        let kind = [0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5][(random >> 24) as usize % 12];
        let (head, tail, count) = KINDS[kind];
        let popular = (random >> 44) as f64 / (1u64 << 20) as f64;
        let thing = (popular * popular * count as f64) as u64;
        let status = match (kind, random & 7) {
            (5, _) => 404,
            (1, 0..3) => 304,
            _ => 200,
        };
        let (second, version) = (n / 500, 100 + client % 40);
        writeln!(
            log,
            "10.{}.{}.{} - - [{:02}/Mar/2024:{:02}:{:02}:{:02} +0000] \"GET {head}{thing}{tail} \
             HTTP/1.1\" {status} {} \"https://shop.example/products/{}.html\" \"Mozilla/5.0 (Windows NT \
             10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.{}.0 Safari/537.36\"",
            (client >> 16) & 255,
            (client >> 8) & 255,
            client & 255,
            1 + second / 86_400,
            second / 3600 % 24,
            second / 60 % 60,
            second % 60,
            random % 20_000,
            random % 2000,
            mixed(client) % 300,
        )
        .unwrap();
    }
    log.flush().unwrap();
    log.get_ref().metadata().unwrap().len()
}

/// A number from a number.
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    let n = (n ^ (n >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d);
    n ^ (n >> 33)
}
