//! What `cargo bench` measures of the engine and of replay: the tables that it prints.

use std::process::{Command, Stdio};

/// Nanoseconds a record by stage, bytes a source, instructions a record.
pub(crate) fn engine() -> String {
    tables("api-abuse-engine")
}

/// Lines a second, beside those of others.
pub(crate) fn replay() -> String {
    tables("api-abuse")
}

/// The tables that the benchmark of a crate prints.
fn tables(package: &str) -> String {
    let ran = Command::new("cargo")
        .args(["bench", "--quiet", "-p", package])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(ran.status.success(), "cargo bench -p {package}");
    let text = String::from_utf8_lossy(&ran.stdout);
    let of_a_table = |line: &&str| line.is_empty() || line.starts_with('|');
    text.lines().filter(of_a_table).collect::<Vec<_>>().join("\n").trim().to_owned()
}
