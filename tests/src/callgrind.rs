//! Instructions that NGINX executes, counted by callgrind.
//!
//! Wall clock measures the machine as much as the code: on a shared one, ten percent up or down. So
//! callgrind counts what NGINX executes for N and for 2N requests; the difference, divided by N, is free
//! of starting and stopping, and repeats within a few instructions.

use std::fs;
use std::path::Path;

use crate::nginx::{Nginx, Site};

const COMMAND: [&str; 5] = [
    "valgrind",
    "--quiet",
    "--tool=callgrind",
    "--separate-threads=yes",
    "--callgrind-out-file=@home@/callgrind",
];

/// Instructions for a request: of the thread that serves, and of all others.
#[derive(Clone, Copy, Debug)]
pub struct Instructions {
    /// The thread that serves: what holds up a request.
    pub request: f64,
    /// All others: the detector.
    pub others: f64,
}

/// Counts what a request costs on this site; `load` makes as many requests as it is told.
pub fn measure(site: &Site, requests: u64, load: impl Fn(&Nginx, u64)) -> Instructions {
    let [short, long] = [1, 2].map(|times| {
        let site = site.clone().main("master_process off;").workers(1).under(&COMMAND);
        let nginx = site.start();
        load(&nginx, times * requests);
        nginx.finish_and_read(read)
    });
    Instructions {
        request: (long.request - short.request) / requests as f64,
        others: (long.others - short.others) / requests as f64,
    }
}

/// Reads the totals that callgrind left: one file for each thread, numbered from 1.
fn read(home: &Path) -> Instructions {
    let mut counted = Instructions { request: 0.0, others: 0.0 };
    for file in fs::read_dir(home).expect("a directory").flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let Some(thread) = name.strip_prefix("callgrind-") else { continue };
        let text = fs::read_to_string(file.path()).expect("what callgrind wrote");
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
        let count: f64 = totals.unwrap_or("0").trim().parse().expect("a number of instructions");
        if thread == "01" { counted.request += count } else { counted.others += count }
    }
    assert!(counted.request > 0.0, "callgrind counted nothing in {}", home.display());
    counted
}
