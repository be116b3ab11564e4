//! Growth: what a request costs as the tables behind it fill.

use std::fmt::Write;

use api_abuse_tests::callgrind::{self, By, Target};
use api_abuse_tests::http::Request;
use api_abuse_tests::nginx::Site;
use api_abuse_tests::sites::neighbour;

use crate::peers::{self, BLOCK};
use crate::setting;
use crate::wrk::has;

/// What grows, and how far.
const DENIALS: [usize; 5] = [0, 1_000, 10_000, 100_000, 1_000_000];
const SOURCES: [u64; 4] = [1, 100, 1_000, 10_000];
const APPLICATIONS: [usize; 4] = [1, 10, 100, 1_000];
const PATHS: [u64; 4] = [1, 100, 1_000, 10_000];

/// The table.
pub(crate) fn run() -> String {
    if !has("valgrind") {
        return "Not measured: valgrind is not installed.".into();
    }
    let mut text = String::from("| | instructions a request |\n| --- | --- |\n");
    let mut row = |what: &str, numbers: Vec<(u64, f64)>| {
        let numbers: Vec<_> =
            numbers.iter().map(|(of, count)| format!("{count:.0} at {of}")).collect();
        let _ = writeln!(text, "| {what} | {} |", numbers.join(", "));
    };
    row("denials", DENIALS.map(|n| (n as u64, request(n, 1, 1, 1))).to_vec());
    row("addresses", SOURCES.map(|n| (n, request(0, n, 1, 1))).to_vec());
    row("applications", APPLICATIONS.map(|n| (n as u64, request(0, 1, n, 1))).to_vec());
    // Asked for by as many as it takes: one alone would be convicted of scraping, and denied.
    row("paths", PATHS.map(|n| (n, request(0, n.min(1_000), 1, n))).to_vec());
    text
}

/// Instructions of a request when so many denials are there, and after so many addresses have come, to
/// so many applications, for so many paths.
fn request(denials: usize, sources: u64, applications: usize, paths: u64) -> f64 {
    let mut servers = String::new();
    for n in 1..applications {
        let _ =
            writeln!(servers, "server {{ listen @listen@; server_name s{n}; api_abuse app{n}; }}");
    }
    let http = peers::zone(denials);
    let mut site = Site::new(&format!(
        "access_log off; keepalive_requests 100000000; server_names_hash_max_size 4096;\n{http}\n\
         set_real_ip_from 127.0.0.0/8; real_ip_header X-Real-IP;\n\
         server {{ listen @listen@ default_server reuseport; {} location / {{ return 200 found; }} {BLOCK}\n\
         location /file/ {{ alias html/; }} location = /1k.bin {{ root html; }} }}\n{servers}",
        callgrind::LOCATION,
    ))
    .file("html/1k.bin", [b'x'; 1024]);
    if denials > 0 {
        site = site.file("api_abuse_state/lists.state", peers::lists(denials));
    }
    let load = |target: &Target<'_>, requests: u64| {
        let mut client = target.client_from(neighbour(1));
        // What has come before: the same in both runs.
        for n in 0..sources.max(paths) {
            let (source, path) = (n % sources, n % paths);
            let address = format!("172.16.{}.{}", source >> 8, source & 255);
            let request = Request::get(format!("/p{path}/{path}")).header("X-Real-IP", &address);
            assert_eq!(client.send(&request).unwrap().status, 200);
        }
        for n in 0..requests {
            let source = n % sources;
            let address = format!("172.16.{}.{}", source >> 8, source & 255);
            let request = Request::get("/1k.bin").header("X-Real-IP", &address);
            assert_eq!(client.send(&request).unwrap().status, 200);
        }
    };
    let counted =
        callgrind::measure(&site, setting("BENCH_REQUESTS", 600), By::Serving, load).request;
    eprintln!(
        "{denials} denials, {sources} addresses, {applications} applications, {paths} paths: {counted:.0}"
    );
    counted
}
