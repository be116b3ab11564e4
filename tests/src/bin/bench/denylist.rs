//! The denylist by itself, which the benchmark of its crate measures.

use std::process::Command;

/// The table.
pub(crate) fn run() -> String {
    let mut command = Command::new("cargo");
    command.args(["bench", "--quiet", "-p", "api-abuse-shm", "--bench", "denylist"]);
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
