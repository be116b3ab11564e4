//! Throttling: a source may do a little, and is told when it may do more.

use std::time::Duration;

use api_abuse_tests::access_log::Entry;
use api_abuse_tests::attack::probe;
use api_abuse_tests::eventually;
use api_abuse_tests::http::Client;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::sites::{attacker, guarded, neighbour};

/// Scans until it is told to slow down.
fn scan(nginx: &Nginx, host: u16) {
    let mut client = nginx.client_from(attacker(host));
    let told = (0..200).any(|n| {
        nginx.let_judge(Duration::from_millis(12));
        client.send(&probe(format!("/.env{n}.bak"))).unwrap().status == 429
    });
    assert!(told, "{}", nginx.error_log());
}

#[test]
fn a_throttled_source_may_do_a_little() {
    let server = "root html; location /watched/ { api_abuse_mode monitor; root html; }";
    let mut site = guarded(server).file("html/page.html", "page").file("html/watched/f", "file");
    site.http.insert_str(0, "api_abuse_application shop { threat all reaction=throttle; }\n");
    let mut nginx = site.start();
    for host in [1, 2] {
        scan(&nginx, host);
    }
    // The buckets are full again, and the reaction is part of what survives.
    nginx.restart();
    let before = nginx.access_log().len();
    let get = |client: &mut Client, path: &str| client.send(&probe(path)).unwrap();
    let mut client = nginx.client_from(attacker(1));
    let refused = (0..50).map(|_| get(&mut client, "/page.html")).find(|r| r.status != 200);
    let refused = refused.expect("an end of the burst");
    assert_eq!(refused.status, 429, "{}", nginx.error_log());
    assert_eq!(refused.header("Retry-After"), Some("1"));
    assert_eq!(refused.header("Cache-Control"), Some("no-store"));
    // A token comes back every second.
    let patience = Duration::from_secs(60);
    assert!(eventually(patience, || get(&mut client, "/page.html").status == 200));
    let verdicts = || -> Vec<String> {
        let entries = nginx.access_log().into_iter().skip(before);
        let mine = entries.filter(|entry| entry.from == attacker(1).to_string());
        mine.map(|entry| entry.verdict).collect()
    };
    let known = || {
        let all = verdicts();
        let first = all.iter().position(|verdict| verdict == "THROTTLED");
        // What it may do is no throttled request.
        let burst = first.and_then(|first| all.get(first.checked_sub(5)?..first));
        burst.is_some_and(|burst| burst.iter().all(|verdict| verdict == "PASSED"))
    };
    assert!(eventually(patience, known), "{:?}", verdicts());

    // In monitor mode it is only said, and the bucket is the same in every worker.
    let mut watched = nginx.client_from(attacker(2));
    assert!((0..30).all(|_| get(&mut watched, "/watched/f").status == 200));
    let watched = |entry: &Entry| entry.uri == "/watched/f";
    let mut entries = Vec::new();
    assert!(eventually(patience, || {
        entries = nginx.access_log();
        entries.retain(watched);
        entries.len() == 30
    }));
    assert!(entries.iter().any(|entry| entry.verdict == "THROTTLED_MONITOR"));
    assert!(entries.iter().all(|entry| entry.verdict != "THROTTLED"));
    let mut innocent = nginx.client_from(neighbour(1));
    assert!((0..30).all(|_| innocent.get("/page.html").unwrap().status == 200));
}
