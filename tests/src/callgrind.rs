//! Instructions that NGINX executes, counted by callgrind.
//!
//! Wall clock measures the machine as much as the code: on a shared one, ten percent up or down. So
//! callgrind counts what NGINX executes for N and for 2N requests; the difference, divided by N, is free
//! of starting and stopping, and repeats within a few instructions.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::eventually;
use crate::http::Client;
use crate::nginx::{Nginx, Site};

/// The allocator neither gives memory back nor asks for more with each request, as it does when the heap
/// happens to end where a request's memory begins.
const COMMAND: [&str; 8] = [
    "env",
    "MALLOC_TRIM_THRESHOLD_=1073741824",
    "MALLOC_TOP_PAD_=4194304",
    "valgrind",
    "--quiet",
    "--tool=callgrind",
    "--separate-threads=yes",
    "--callgrind-out-file=@home@/callgrind.%p",
];

/// How long NGINX may take to start when each instruction is counted: with rules to compile or a table to
/// fill, minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Instructions for a request: of the thread that serves, and of all others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Instructions {
    /// The threads that serve: what holds up a request. Without the allocator.
    pub request: f64,
    /// The allocator in those threads. What it takes depends on how its lists happen to lie: a longer path
    /// in the configuration moves it by a hundred instructions either way.
    pub allocator: f64,
    /// All others: the detector.
    pub others: f64,
}

/// Which of two workers serves the requests that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// One that does nothing else, as all workers but one.
    Serving,
    /// The one that runs the detector: it has threads and one more timer.
    Detecting,
    /// Either, as connections happen to fall.
    Any,
}

/// What a server of a measured site says, so that clients know which worker they talk to.
/// A request's first memory is so large that it never matters whether a few bytes more fit.
pub const LOCATION: &str = "request_pool_size 16k; \
    location = /worker { add_header X-Worker $pid; return 200 worker; }";

/// A running NGINX of two workers, one of which is to serve.
#[derive(Debug)]
pub struct Target<'n> {
    nginx: &'n Nginx,
    worker: u32,
}

impl<'n> Target<'n> {
    /// `detects`: whether one of the workers is to run the detector.
    fn new(nginx: &'n Nginx, by: By, detects: bool) -> Self {
        let threads =
            |pid: &u32| fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        let mut worker = 0;
        let found = eventually(Duration::from_secs(20), || {
            let mut workers = nginx.worker_pids();
            workers.sort_by_key(threads);
            let [fewest, .., most] = workers[..] else { return false };
            worker = if by == By::Detecting { most } else { fewest };
            threads(&fewest) == 1 && (threads(&most) > 1 || !detects)
        });
        assert!(found, "the workers of {} are not two", nginx.master_pid());
        if detects {
            await_detector(nginx);
        }
        Self { nginx, worker }
    }

    /// The NGINX.
    pub fn nginx(&self) -> &'n Nginx {
        self.nginx
    }

    /// A client from this address that talks to the worker.
    ///
    /// # Panics
    /// When NGINX gives it to the other one again and again.
    pub fn client_from(&self, address: Ipv4Addr) -> Client {
        let worker = self.worker.to_string();
        for _ in 0..200 {
            let mut client = self.nginx.client_from(address);
            let response = client.get("/worker").expect("an answer");
            if response.header("x-worker") == Some(&worker) {
                return client;
            }
        }
        panic!("no connection to {worker}");
    }
}

/// Waits until the detector has begun and has nothing to do: it takes a while under callgrind, and what finds
/// no room in a lane meanwhile is not what is to be counted.
fn await_detector(nginx: &Nginx) {
    let ran = || -> Option<u64> {
        let tasks = nginx.worker_pids().into_iter();
        let mut tasks =
            tasks.filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok()).flatten();
        tasks.find_map(|task| {
            let path = task.ok()?.path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            let times = fs::read_to_string(path.join("schedstat")).ok()?;
            let ns = times.split(' ').next()?.parse().ok()?;
            (name.trim() == "abuse-detector").then_some(ns)
        })
    };
    let idle = eventually(PATIENCE, || {
        let before = ran();
        thread::sleep(Duration::from_millis(500));
        before.zip(ran()).is_some_and(|(before, now)| now - before < 25_000_000)
    });
    assert!(idle, "the detector does not begin");
}

/// Counts what a request costs on this site, whose servers have [`LOCATION`] and listen with `reuseport`;
/// `load` makes as many requests as it is told.
pub fn measure(
    site: &Site,
    requests: u64,
    by: By,
    load: impl Fn(&Target<'_>, u64),
) -> Instructions {
    let [short, long] = [1, 2].map(|times| {
        // So that workers may write where callgrind does.
        let mut site = site.clone().main("user root;").workers(2).under(&COMMAND);
        site.patience = PATIENCE;
        let detects = site.http.contains("api_abuse_mode");
        let nginx = site.start();
        let target = Target::new(&nginx, by, detects);
        load(&target, times * requests);
        let only = (by != By::Any).then_some(target.worker);
        nginx.finish_and_read(|home| read(home, only))
    });
    let each = |count: fn(&Instructions) -> f64| (count(&long) - count(&short)) / requests as f64;
    Instructions {
        request: each(|of| of.request),
        allocator: each(|of| of.allocator),
        others: each(|of| of.others),
    }
}

/// Functions of the C library's allocator, as Debian's debugging symbols name them.
const ALLOCATOR: [&str; 13] = [
    "malloc",
    "free",
    "calloc",
    "realloc",
    "posix_memalign",
    "_int_",
    "_mid_memalign",
    "unlink_chunk",
    "systrim",
    "sysmalloc",
    "malloc_consolidate",
    "alloc_perturb",
    "tcache_",
];

/// Functions of the dynamic linker. It works before the first request, but not always as long.
const LINKER: [&str; 3] = ["check_match", "do_lookup_x", "_dl_"];

/// Instructions that functions of these names executed themselves, in a file that callgrind wrote.
fn executed(text: &str, by: &[&str]) -> f64 {
    let mut names: HashMap<&str, bool> = HashMap::new();
    let (mut inside, mut called, mut sum) = (false, false, 0.0);
    for line in text.lines() {
        // A name is written once, with a number that stands for it from then on.
        let function = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn="));
        if let Some((id, name)) = function.map(|name| name.split_once(' ').unwrap_or((name, ""))) {
            let found = by.iter().any(|start| name.starts_with(start));
            let known = *names.entry(id).or_insert(found);
            inside = if line.starts_with("fn=") { known } else { inside };
        } else if line.starts_with("calls=") {
            called = true;
        } else if line.starts_with(|start: char| start.is_ascii_digit() || "+-*".contains(start)) {
            // The line behind a call counts what was called.
            let count = line.split(' ').nth(1).and_then(|count| count.parse::<f64>().ok());
            sum += if inside && !called { count.unwrap_or(0.0) } else { 0.0 };
            called = false;
        }
    }
    sum
}

/// Reads the totals that callgrind left: a file for each thread of each process, numbered from 1. `only`:
/// the process that served; otherwise all did.
fn read(home: &Path, only: Option<u32>) -> Instructions {
    let mut counted = Instructions::default();
    for file in fs::read_dir(home).expect("a directory").flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let Some((pid, thread)) = name.strip_prefix("callgrind.").and_then(|of| of.split_once('-'))
        else {
            continue;
        };
        let text = fs::read_to_string(file.path()).expect("what callgrind wrote");
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
        let count: f64 = totals.unwrap_or("0").trim().parse().expect("a number of instructions");
        let serves = only.is_none_or(|only| pid == only.to_string());
        if thread == "01" && serves {
            let allocator = executed(&text, &ALLOCATOR);
            counted.allocator += allocator;
            counted.request += count - allocator - executed(&text, &LINKER);
        } else {
            counted.others += count;
        }
    }
    assert!(counted.request > 0.0, "callgrind counted nothing in {}", home.display());
    counted
}
