//! Instructions that NGINX executes, counted by callgrind.
//!
//! Wall clock measures the machine as much as the code: on a shared one, ten percent up or down. So
//! callgrind counts what NGINX executes for N and for 2N requests; the difference, divided by N, is free
//! of starting and stopping, and repeats within a few instructions.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::nginx::{Nginx, Site};

const COMMAND: [&str; 5] = [
    "valgrind",
    "--quiet",
    "--tool=callgrind",
    "--separate-threads=yes",
    "--callgrind-out-file=@home@/callgrind",
];

/// How long NGINX may take to start when each instruction is counted: with rules to compile or a table to
/// fill, minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Instructions for a request: of the thread that serves, and of all others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Instructions {
    /// The thread that serves: what holds up a request. Without the allocator.
    pub request: f64,
    /// The allocator in that thread. What it takes depends on how its lists happen to lie: a longer path
    /// in the configuration moves it by a hundred instructions either way.
    pub allocator: f64,
    /// All others: the detector.
    pub others: f64,
}

/// Counts what a request costs on this site; `load` makes as many requests as it is told.
pub fn measure(site: &Site, requests: u64, load: impl Fn(&Nginx, u64)) -> Instructions {
    let [short, long] = [1, 2].map(|times| {
        let mut site = site.clone().main("master_process off;").workers(1).under(&COMMAND);
        site.patience = PATIENCE;
        let nginx = site.start();
        load(&nginx, times * requests);
        nginx.finish_and_read(read)
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

/// Instructions that the allocator executed itself, in a file that callgrind wrote.
fn allocator(text: &str) -> f64 {
    let mut names: HashMap<&str, bool> = HashMap::new();
    let (mut inside, mut called, mut sum) = (false, false, 0.0);
    for line in text.lines() {
        // A name is written once, with a number that stands for it from then on.
        let function = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn="));
        if let Some((id, name)) = function.map(|name| name.split_once(' ').unwrap_or((name, ""))) {
            let found = ALLOCATOR.iter().any(|start| name.starts_with(start));
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

/// Reads the totals that callgrind left: one file for each thread, numbered from 1.
fn read(home: &Path) -> Instructions {
    let mut counted = Instructions::default();
    for file in fs::read_dir(home).expect("a directory").flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let Some(thread) = name.strip_prefix("callgrind-") else { continue };
        let text = fs::read_to_string(file.path()).expect("what callgrind wrote");
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
        let count: f64 = totals.unwrap_or("0").trim().parse().expect("a number of instructions");
        if thread == "01" {
            counted.allocator = allocator(&text);
            counted.request = count - counted.allocator;
        } else {
            counted.others += count;
        }
    }
    assert!(counted.request > 0.0, "callgrind counted nothing in {}", home.display());
    counted
}
