//! `make fuzz-http`: mutated bytes through NGINX's parsers into the module, for as long as one likes.
//!
//! NGINX and the module have the address sanitizer in them (or are what `NGINX_BINARY` and `API_ABUSE_MODULE`
//! say). Every connection carries well-formed requests that were changed in a few places, over HTTP/1,
//! HTTP/2, and behind the PROXY protocol. What was answered in a way that no input before was is kept
//! and changed further. At the end every worker must still be there, nothing may have panicked, nothing
//! alarming may have been logged, and each request that NGINX logged must have been counted once.
//!
//! `FUZZ_SECONDS` says how long (60), `FUZZ_SEED` where the randomness starts. The inputs of the moment
//! when a worker died are written to `target/fuzz-http`; `FUZZ_INPUT=FILE` sends one again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a fuzzer fails loudly")]

use std::collections::{HashSet, VecDeque};
use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::eventually;
use api_abuse_tests::http::Client;
use api_abuse_tests::mutation::{SEEDS, mutated, send};
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::random::Random;
use api_abuse_tests::sites::{STATUS, ZONE, attacker};

const THREADS: u64 = 6;
/// Inputs that are kept because their answers were new.
const POOL_MAX: usize = 4_000;
/// Inputs of each thread that are written down when a worker dies.
const RECENT: usize = 40;

/// HTTP/1 and HTTP/2 on one server, the PROXY protocol on another; all that looks into requests is in use.
fn site() -> Site {
    let looks = "api_abuse_session $cookie_session $arg_token; api_abuse_bypass $arg_bypass;
        api_abuse_fingerprint $http_accept $http_referer; api_abuse_mode block; root html;";
    let http = format!(
        "{ZONE} error_log error.log crit; api_abuse_log decisions.json; keepalive_timeout 3s;
         client_header_timeout 3s; client_body_timeout 3s; client_body_buffer_size 1k;
         set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;
         api_abuse_application shop {{ threat all ttl=2s; threat scraping reaction=throttle; }}
         server {{ listen @listen@; listen 127.0.0.5:@port@ http2; {STATUS} {looks} api_abuse shop;
           location /abuse/ {{ api_abuse off; access_log off; api_abuse_console; }}
           location /login {{ api_abuse_endpoint login success=2xx; api_abuse_identity user $arg_user;
             error_page 401 /page.html; proxy_ignore_client_abort on; proxy_pass http://@backend@; }}
           location /missing/ {{ try_files $uri @named; }} location @named {{ return 404; }} }}
         server {{ listen 127.0.0.6:@port@ proxy_protocol; real_ip_header proxy_protocol;
           {STATUS} {looks} api_abuse host-$host; }}
         server {{ listen @other@; access_log off; location / {{ return 401; }} }}"
    );
    let http = http.replace("@backend@", "@other@");
    Site::new(&http).file("html/page.html", "page").expect("directive is deprecated")
}

/// What all threads share.
struct Fuzzer<'n> {
    nginx: &'n Nginx,
    over: AtomicBool,
    sent: AtomicU64,
    failed: Mutex<Vec<String>>,
    pool: Mutex<(Vec<Vec<u8>>, HashSet<u64>)>,
    recent: Mutex<Vec<VecDeque<Vec<u8>>>>,
}

impl Fuzzer<'_> {
    fn work(&self, part: u64, seed: u64) {
        let mut random = Random::new(seed.wrapping_mul(1000) + part);
        let mut pool: Vec<Vec<u8>> = SEEDS.iter().map(|bytes| bytes.to_vec()).collect();
        for round in 0_u64.. {
            if self.over.load(Relaxed) {
                return;
            }
            if round % 256 == 0 {
                pool.clone_from(&self.pool.lock().unwrap_or_else(PoisonError::into_inner).0);
            }
            let bytes = mutated(&mut random, &pool);
            self.remember(part, &bytes);
            let host = address(&bytes, round);
            let from = attacker(random.within(0..500) as u16);
            match send(&client(self.nginx, host).from(from), &bytes) {
                Ok(answer) => self.keep_if_new(bytes, host, &answer),
                // A worker that is gone is found out about below.
                Err(error) => {
                    let text = format!("{error}: {}", bytes.escape_ascii());
                    self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                }
            }
            self.sent.fetch_add(1, Relaxed);
        }
    }

    fn remember(&self, part: u64, bytes: &[u8]) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = &mut recent[part as usize];
        mine.truncate(RECENT - 1);
        mine.push_front(bytes.to_vec());
    }

    /// Keeps an input that was answered as no other was.
    fn keep_if_new(&self, bytes: Vec<u8>, host: Ipv4Addr, answer: &[u8]) {
        let shape = shape(host, answer);
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.0.len() < POOL_MAX && bytes.len() < 20_000 && pool.1.insert(shape) {
            pool.0.push(bytes);
        }
    }
}

fn client(nginx: &Nginx, host: Ipv4Addr) -> Client {
    Client::new(SocketAddr::from((host, nginx.address.port())))
}

/// Where an input goes: mostly to where it fits.
fn address(bytes: &[u8], round: u64) -> Ipv4Addr {
    match (bytes, round % 16) {
        ([b'P', b'R', b'I', ..], 1..) | (_, 2) => Ipv4Addr::new(127, 0, 0, 5),
        ([b'P', b'R', b'O', ..], 1..) | (_, 3) => Ipv4Addr::new(127, 0, 0, 6),
        _ => Ipv4Addr::LOCALHOST,
    }
}

/// What an answer looks like, without what differs each time: statuses and names of headers, or the types
/// and flags of HTTP/2's frames, as a hash (FNV).
fn shape(host: Ipv4Addr, answer: &[u8]) -> u64 {
    let mut pieces: Vec<Vec<u8>> = vec![host.octets().to_vec()];
    if answer.starts_with(b"HTTP/1") {
        let lines = answer.split(|byte| *byte == b'\n').take(80);
        pieces.extend(lines.map(|line| {
            let end = line.iter().position(|byte| *byte == b':').unwrap_or(line.len()).min(24);
            line[..end].to_vec()
        }));
    } else {
        let mut rest = answer;
        while let [a, b, c, kind, flags, ..] = rest {
            pieces.push(vec![*kind, *flags]);
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            rest = rest.get(9 + length..).unwrap_or_default();
        }
    }
    let bytes = pieces.iter().flat_map(|piece| piece.iter().chain([&0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn main() -> ExitCode {
    let (seconds, seed) = (number("FUZZ_SECONDS", 60), number("FUZZ_SEED", 1));
    let nginx = site().start();
    if let Ok(file) = env::var("FUZZ_INPUT") {
        let bytes = fs::read(file).unwrap();
        let answer = send(&client(&nginx, address(&bytes, 1)), &bytes);
        println!("{}", answer.unwrap_or_default().escape_ascii());
    }
    let workers = nginx.worker_pids();
    let fuzzer = Fuzzer {
        nginx: &nginx,
        over: AtomicBool::new(false),
        sent: AtomicU64::new(0),
        failed: Mutex::default(),
        pool: Mutex::new((SEEDS.iter().map(|bytes| bytes.to_vec()).collect(), HashSet::new())),
        recent: Mutex::new(vec![VecDeque::new(); THREADS as usize]),
    };
    let begun = Instant::now();
    thread::scope(|scope| {
        for part in 0..THREADS {
            let fuzzer = &fuzzer;
            scope.spawn(move || fuzzer.work(part, seed));
        }
        let whole = || nginx.worker_pids() == workers;
        while whole() && begun.elapsed() < Duration::from_secs(seconds) {
            thread::sleep(Duration::from_millis(100));
        }
        fuzzer.over.store(true, Relaxed);
    });
    report(&fuzzer, &workers, begun.elapsed())
}

/// Prints what was seen, and says whether it is as it must be.
fn report(fuzzer: &Fuzzer<'_>, workers: &[u32], took: Duration) -> ExitCode {
    let nginx = fuzzer.nginx;
    let alive = nginx.worker_pids() == workers;
    if !alive {
        write_down(fuzzer);
    }
    let (mut logged, mut counted) = (0, 0.0);
    let complete = eventually(Duration::from_secs(30), || {
        logged = nginx.access_log().len();
        let metrics = nginx.metrics();
        let dropped = metrics.total("api_abuse_records_dropped_total");
        counted = metrics.total("api_abuse_requests_total") + dropped;
        (counted - logged as f64).abs() < 0.5
    });
    let health = nginx.status()["health"].clone();
    let panics = [&health["callback_panics"], &health["detector"]["panics"]];
    let failed = fuzzer.failed.lock().unwrap_or_else(PoisonError::into_inner);
    let pool = fuzzer.pool.lock().unwrap_or_else(PoisonError::into_inner).0.len();
    let sent = fuzzer.sent.load(Relaxed);
    println!(
        "{sent} connections in {:.0} s, {pool} inputs answered in ways of their own; {logged} requests \
         logged, {counted} counted; {} connections failed",
        took.as_secs_f64(),
        failed.len()
    );
    for text in failed.iter().take(5) {
        println!("  {text:.300}");
    }
    let checks = [
        ("every worker lives", alive),
        ("each logged request was counted once", complete),
        ("nothing panicked", panics.iter().all(|count| **count == 0)),
        ("every connection was answered or closed", failed.is_empty()),
        ("requests got through", logged as u64 > sent / 3),
    ];
    for (what, holds) in checks {
        println!("{} {what}", if holds { "ok    " } else { "FAILED" });
    }
    // That nothing alarming was logged is what the end of NGINX finds out.
    if checks.iter().all(|(_, holds)| *holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes what was sent last.
fn write_down(fuzzer: &Fuzzer<'_>) {
    let directory = PathBuf::from("target/fuzz-http");
    fs::create_dir_all(&directory).unwrap();
    let recent = fuzzer.recent.lock().unwrap_or_else(PoisonError::into_inner);
    for (part, inputs) in recent.iter().enumerate() {
        for (age, bytes) in inputs.iter().enumerate() {
            fs::write(directory.join(format!("{part}-{age}")), bytes).unwrap();
        }
    }
    println!("what was sent last is in {}", directory.display());
}
