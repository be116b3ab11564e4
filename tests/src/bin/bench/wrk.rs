//! The programs that make the load: wrk for HTTP/1.1, h2load for HTTP/2.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::percentile;

/// What every request says, as a plain client would: the peers look at it.
pub(crate) const HEADERS: [(&str, &str); 3] = [
    ("Host", "shop.test"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"),
    ("Accept", "*/*"),
];

/// Connections at a time.
const CONNECTIONS: &str = "16";

/// Has wrk say what it measured in a form that is easy to read.
const SCRIPT: &str = "done = function(summary, latency, requests)\n\
    io.write(string.format('RESULT %d %d %d %d %d %d\\n', summary.requests, summary.duration,\n\
    summary.errors.status, latency:percentile(50), latency:percentile(99),\n\
    latency:percentile(99.9)))\nend\n";

/// Whether there is a processor for the worker that is measured and one for the load.
fn has_two_processors() -> bool {
    std::thread::available_parallelism().is_ok_and(|count| count.get() > 1) && has("taskset")
}

/// Directives that keep the worker that is measured on a processor of its own.
pub(crate) fn worker_alone() -> &'static str {
    if has_two_processors() { "worker_cpu_affinity 01;\n" } else { "" }
}

/// Directives for the worker of what is proxied: it is beside the load.
pub(crate) fn beside_load() -> &'static str {
    if has_two_processors() { "worker_cpu_affinity 10;\n" } else { "" }
}

/// Has threads of a worker run beside the load: where the worker is alone on its processor, they would be
/// kept there with it, although another one has time for them.
pub(crate) fn move_beside_load(threads: &[String]) {
    for id in threads.iter().filter(|_| has_two_processors()) {
        // A thread may have ended meanwhile.
        let _ = Command::new("taskset").args(["-cp", "1", id]).stdout(Stdio::null()).status();
    }
}

/// Where the load runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// Beside a worker that is alone on its processor.
    TheOther,
    Any,
}

/// A program that makes load.
fn load(program: &str, on: On) -> Command {
    if on == On::Any || !has_two_processors() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", "1", program]);
    command
}

/// What was measured of a load: times in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// Whether a program is there.
pub(crate) fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// wrk for so many seconds.
pub(crate) fn wrk(to: SocketAddr, path: &str, seconds: u64, on: On) -> Load {
    let script = env::temp_dir().join(format!("api-abuse-bench-{}.lua", std::process::id()));
    fs::write(&script, SCRIPT).unwrap();
    let mut command = load("wrk", on);
    command.args(["-t1", "-c", CONNECTIONS, "-d", &format!("{seconds}s"), "-s"]).arg(&script);
    for (name, value) in HEADERS {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let output = command.arg(format!("http://{to}{path}")).output().expect("wrk runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = said.lines().find_map(|line| line.strip_prefix("RESULT ")).expect("wrk's result");
    let numbers: Vec<f64> = result.split(' ').map(|number| number.parse().unwrap()).collect();
    let [requests, us, errors, p50, p99, p999] = numbers.try_into().expect("six numbers");
    assert!(errors == 0.0, "{errors} of {requests} requests were refused");
    Load { requests, per_second: requests / us * 1e6, p50, p99, p999 }
}

/// h2load: so many requests over HTTP/2.
pub(crate) fn h2load(to: SocketAddr, path: &str, requests: u64, connections: u64) -> Load {
    let log = env::temp_dir().join(format!("api-abuse-bench-{}.log", std::process::id()));
    let _ = fs::remove_file(&log);
    let mut command = load("h2load", On::TheOther);
    command.args(["-n", &requests.to_string(), "-c", &connections.to_string(), "-m", "1"]);
    for (name, value) in HEADERS {
        let name = if name == "Host" { ":authority" } else { name };
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let begun = Instant::now();
    let output = command
        .arg(format!("--log-file={}", log.display()))
        .arg(format!("http://{to}{path}"))
        .output()
        .expect("h2load runs");
    let took = begun.elapsed().max(Duration::from_micros(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("{requests} 2xx")), "{said}");
    let text = fs::read_to_string(&log).expect("h2load's log");
    let mut times: Vec<f64> =
        text.lines().filter_map(|line| line.split('\t').nth(2)?.trim().parse().ok()).collect();
    let requests = requests as f64;
    Load {
        requests,
        per_second: requests / took.as_secs_f64(),
        p50: percentile(&mut times, 0.5),
        p99: percentile(&mut times, 0.99),
        p999: percentile(&mut times, 0.999),
    }
}
