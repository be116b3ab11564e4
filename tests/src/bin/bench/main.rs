//! `make bench`: what the module costs, beside what others cost, in one run on one machine. Writes the
//! tables of `docs/performance.md`; arguments choose parts, `--print` writes nothing.
//!
//! Numbers of one run are to be compared with each other: rounds of all subjects alternate, so that
//! whatever else the machine does meets all of them. What is missing is said, and left out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark fails loudly")]

mod cargo;
mod cpu;
mod denylist;
mod detector;
mod enforce;
mod growth;
mod path;
mod peers;
mod wrk;

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// What a part measures, as it stands between its markers on the page.
type Part = fn() -> String;

/// The parts by name.
const PARTS: [(&str, Part); 7] = [
    ("path", path::run),
    ("growth", growth::run),
    ("denylist", denylist::run),
    ("enforce", enforce::run),
    ("detector", detector::run),
    ("engine", cargo::engine),
    ("replay", cargo::replay),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let chosen = |name: &str| arguments.iter().any(|argument| argument == name);
    let print = chosen("--print");
    let all = !PARTS.iter().any(|(name, _)| chosen(name));
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    for (name, run) in PARTS.iter().filter(|(name, _)| all || chosen(name)) {
        let table = run();
        println!("\n{table}");
        if !print {
            let text = fs::read_to_string(&page).expect("docs/performance.md");
            let Some(text) = replaced(&text, name, &table) else {
                eprintln!("docs/performance.md has no markers for {name}");
                return ExitCode::FAILURE;
            };
            fs::write(&page, text).expect("docs/performance.md can be written");
        }
    }
    ExitCode::SUCCESS
}

/// The page with another table between the markers of a part.
fn replaced(page: &str, name: &str, table: &str) -> Option<String> {
    let [begin, end] = ["bench", "/bench"].map(|mark| format!("<!-- {mark}:{name} -->"));
    let start = page.find(&begin)? + begin.len();
    let stop = start + page[start..].find(&end)?;
    Some(format!("{}\n{}\n{}", &page[..start], table.trim(), &page[stop..]))
}

/// The value in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A value that so much of all are not above.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values.get(at.max(1) - 1).copied().unwrap_or(0.0)
}

/// A setting of the run from the environment.
fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
