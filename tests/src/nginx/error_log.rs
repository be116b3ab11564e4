//! What in an error log fails a test.

/// What a test expects of its error log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected<'a> {
    /// Lines that contain one of these are expected.
    pub fragments: &'a [String],
    /// Processes that the test killed itself.
    pub killed: &'a [u32],
}

/// Words that never stand in the log of a healthy NGINX.
const ALARMS: [&str; 16] = [
    "[alert]",
    "[emerg]",
    "[crit]",
    "exited on signal",
    "exited with fatal code",
    "Sanitizer",
    "runtime error:",
    "panicked at",
    "stack backtrace",
    "corrupted",
    "double free",
    "Invalid read of",
    "Invalid write of",
    "Invalid free",
    "uninitialised value",
    "points to unaddressable",
];

/// The lines of `log` that speak of a failure nobody expected.
pub fn complaints(log: &str, expected: &Expected<'_>) -> Vec<String> {
    let alarming = |line: &&str| ALARMS.iter().any(|alarm| line.contains(alarm));
    let unexpected = |line: &&str| {
        // Valgrind keeps that limit to itself, and serves on.
        let limit = line.contains("setrlimit(RLIMIT_NOFILE");
        let named = expected.fragments.iter().any(|fragment| line.contains(fragment));
        let killed = expected
            .killed
            .iter()
            .any(|pid| line.contains(&format!("process {pid} exited on signal 9")));
        !named && !killed && !limit
    };
    log.lines().filter(alarming).filter(unexpected).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complains_of_what_a_healthy_nginx_never_says() {
        let killed = "2026/01/01 00:00:00 [alert] 1#1: worker process 77 exited on signal 9";
        let crashed = "2026/01/01 00:00:00 [alert] 1#1: worker process 77 exited on signal 11";
        let log = format!(
            "[notice] 1#1: start worker process 78\n{killed}\n{crashed}\n\
             thread '<unnamed>' panicked at src/lib.rs:1:2:\n[emerg] 1#1: wanted\n\
             ==9==ERROR: AddressSanitizer: heap-use-after-free\n[error] 1#1: *1 open() failed"
        );
        let expected = Expected { fragments: &["wanted".into()], killed: &[77] };
        let complaints = complaints(&log, &expected);
        assert_eq!(complaints.len(), 3, "{complaints:#?}");
        assert!(complaints[0].ends_with("signal 11"));
        let strict = super::complaints(&log, &Expected::default());
        assert_eq!(strict.len(), 5, "{strict:#?}");
    }
}
