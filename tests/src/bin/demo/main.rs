//! `make demo`: a real NGINX guards a shop while people use it and real tools attack it.
//!
//! gobuster, hydra and curl come through relays that give them an address and the round trip of an
//! attacker on the Internet. Everything said about requests is read from NGINX's access log, and
//! everything said about evidence from the module's own status; the demo only compares it with what
//! was promised. With `--check` it ends then, and its exit code is the answer; otherwise everything
//! runs on until Ctrl-C. Its [`parts`] can also be run one by one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a demo that cannot go on says why")]

mod attackers;
mod parts;
mod report;

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::access_log::fate;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::people::Crowd;
use api_abuse_tests::shop::Shop;
use api_abuse_tests::sites::shipped;
use attackers::{ATTACKERS, Attack};
use signal_hook::consts::{SIGINT, SIGTERM};

/// People hurry here: seven seconds of theirs pass in one.
const PACE: f64 = 0.15;
/// The shop has some customers before somebody attacks it.
const PEACE: Duration = Duration::from_secs(6);
/// How long an attack may last at the very most, on a machine that does something else besides: it is over
/// when everybody was denied. The tools give up, or are given up on.
const ATTACK: Duration = Duration::from_secs(120);
/// Denied attackers are watched for so long: a denial has to hold.
const WATCH: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let part = match words.as_slice() {
        [name, address] => parts::named(name).zip(address.parse().ok()),
        _ => None,
    };
    if !matches!(words.as_slice(), [] | ["--check"]) && part.is_none() {
        eprintln!("usage: demo [--check | shop ADDRESS | people ADDRESS | attackers ADDRESS]");
        return ExitCode::from(2);
    }
    let attacked = !matches!(words.first(), Some(&"shop" | &"people"));
    if let Some(missing) = attackers::missing_tools().filter(|_| attacked) {
        eprintln!("{missing} is missing: apt-get install --no-install-recommends {missing}");
        return ExitCode::from(2);
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).expect("signals can be caught");
    }
    let well = match part {
        Some((part, address)) => part(address, &stop),
        None => run(!words.is_empty(), &stop),
    };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the demo; true when everything that was promised held.
fn run(check: bool, stop: &AtomicBool) -> bool {
    let shop = Shop::open().expect("a port for the shop");
    let nginx = shipped("demo.conf", shop.address).start();
    println!(
        "NGINX with {} workers on http://{} guards a shop; {} people come in.",
        nginx.worker_pids().len(),
        nginx.address,
        api_abuse_tests::people::PEOPLE.len(),
    );
    let crowd = Crowd::enter(nginx.address, 20_261_122, PACE);
    let begun = Instant::now();
    let progress = Progress { begun, shown: stderr().is_terminal() };
    while begun.elapsed() < PEACE && !stop.load(Ordering::Relaxed) {
        progress.show(&nginx, &crowd);
    }
    println!("{} attackers begin, 60 ms away.", ATTACKERS.len());
    let mut attacks: Vec<Attack> =
        ATTACKERS.iter().map(|attacker| attacker.start(nginx.address)).collect();
    let attacked = Instant::now();
    let mut all_denied: Option<Instant> = None;
    while attacked.elapsed() < ATTACK && !stop.load(Ordering::Relaxed) {
        progress.show(&nginx, &crowd);
        let log = nginx.access_log();
        if ATTACKERS.iter().all(|attacker| fate(&log, attacker.address).denied > 0) {
            all_denied.get_or_insert_with(Instant::now);
        }
        if all_denied.is_some_and(|since| since.elapsed() > WATCH) {
            break;
        }
    }
    for attack in &mut attacks {
        attack.end();
    }
    progress.clear();
    let held = report::print(&nginx, &ATTACKERS);
    println!(
        "{:.0} s, {} requests reached the shop.",
        begun.elapsed().as_secs_f64(),
        shop.served()
    );
    if !check && !stop.load(Ordering::Relaxed) {
        leave_open(&nginx, stop);
    }
    crowd.leave();
    nginx.finish();
    held
}

/// Leaves everything running until Ctrl-C.
fn leave_open(nginx: &Nginx, stop: &AtomicBool) {
    let address = nginx.address;
    println!("\nStill running, people are still shopping. Have a look:");
    println!("  http://{address}/                    the shop");
    println!("  http://{address}/abuse/              the console: who is denied, and why");
    println!("  http://{address}/status              metrics");
    println!("  http://{address}/status?format=json  the same, for programs");
    println!("  {}", nginx.home().join("access.json").display());
    println!("Ctrl-C ends it.");
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
    }
    println!();
}

/// One line on a terminal, nothing anywhere else.
struct Progress {
    begun: Instant,
    shown: bool,
}

impl Progress {
    /// Shows what is going on and waits a little.
    fn show(&self, nginx: &Nginx, crowd: &Crowd) {
        if self.shown {
            let log = nginx.access_log();
            let denied = log.iter().filter(|entry| entry.denied()).count();
            let attacks = log.iter().filter(|entry| entry.from.starts_with("127.1.")).count();
            eprint!(
                "\r{:3.0} s  people: {} requests, {} refused   attackers: {} requests, {denied} denied ",
                self.begun.elapsed().as_secs_f64(),
                crowd.visits().requests,
                crowd.visits().refused,
                attacks,
            );
            let _ = stderr().flush();
        }
        thread::sleep(Duration::from_millis(250));
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r{:100}\r", "");
        }
    }
}
