//! What `api_abuse_status` serves: the metrics of the contract, in a form that a scraper takes, and
//! JSON that a person reads. And what the variables put into the access log.

use std::time::Duration;

use api_abuse_tests::access_log::Entry;
use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::Request;
use api_abuse_tests::metrics::Metrics;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::sites::{attacker, guarded_files, neighbour};
use serde_json::Value;

/// Name, type and labels of every metric of the contract; `le` is the histogram's own.
const METRICS: [(&str, &str, &[&str]); 10] = [
    ("api_abuse_requests_total", "counter", &["application", "status"]),
    ("api_abuse_decisions_total", "counter", &["action", "application", "threat"]),
    ("api_abuse_denylist_entries", "gauge", &["application"]),
    ("api_abuse_sources", "gauge", &[]),
    ("api_abuse_records_dropped_total", "counter", &[]),
    ("api_abuse_sources_evicted_total", "counter", &[]),
    ("api_abuse_detector_lag_seconds", "gauge", &[]),
    ("api_abuse_detector_up", "gauge", &[]),
    ("api_abuse_enforcement_seconds", "histogram", &[]),
    ("api_abuse_application_state", "gauge", &["application", "state"]),
];

const SOON: Duration = Duration::from_secs(30);

/// The rows of the page: name, type and labels.
fn documented() -> Vec<[String; 3]> {
    let page = include_str!("../../../docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = |row: &str| -> Vec<String> {
        row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    rows.map(cells).map(|cells| [1, 2, 3].map(|at| cells[at].clone())).collect()
}

/// An NGINX that has served a neighbour 20 pages and convicted the scanner at `attacker(1)`.
fn after_an_attack() -> Nginx {
    let nginx = guarded_files().start();
    let mut client = nginx.client_from(neighbour(1));
    for _ in 0..20 {
        assert_eq!(client.get("/page.html").unwrap().status, 200);
    }
    let outcome = Attacker::new(nginx.address, attacker(1)).scan();
    assert!(outcome.denied, "{outcome:?}");
    nginx
}

#[test]
fn metrics_are_those_of_the_contract() {
    let nginx = after_an_attack();
    let shop = ("application", "shop");
    let mut metrics = Metrics::default();
    let mut requests = |status: &str| {
        metrics = nginx.metrics();
        metrics.sum("api_abuse_requests_total", &[shop, ("status", status)])
    };
    // Numbers are published after what they count has happened, and after the entry that holds.
    assert!(eventually(SOON, || requests("DENIED") >= 1.0 && requests("PASSED") >= 21.0));
    let caught_up = || nginx.metrics().total("api_abuse_detector_lag_seconds") < 1.0;
    assert!(eventually(SOON, caught_up));
    for (name, kind, labels) in METRICS {
        assert_eq!(metrics.kind(name), Some(kind), "{name}");
        if kind != "histogram" {
            assert_eq!(metrics.labels(name), labels, "{name}");
        }
    }
    let mut served: Vec<[String; 3]> = Vec::new();
    for name in metrics.names() {
        assert!(name.starts_with("api_abuse_"), "{name}");
        let kind = metrics.kind(name).unwrap();
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        served.push([name.into(), kind.into(), metrics.labels(name).join(", ")]);
    }
    let mut documented = documented();
    for [_, _, labels] in &mut documented {
        let mut names: Vec<_> = labels.split(", ").collect();
        names.sort_unstable();
        *labels = names.join(", ");
    }
    served.sort();
    documented.sort();
    assert_eq!(served, documented, "docs/metrics.md");
    let convictions = [shop, ("threat", "vulnerability_scanning"), ("action", "deny")];
    assert!(metrics.sum("api_abuse_decisions_total", &convictions) >= 1.0);
    assert!(metrics.sum("api_abuse_denylist_entries", &[shop]) >= 1.0);
    assert!(metrics.total("api_abuse_sources") >= 2.0);
    assert!((metrics.total("api_abuse_detector_up") - 1.0).abs() < 1e-9);
    assert!(metrics.total("api_abuse_records_dropped_total") < 0.5);
    assert!(metrics.total("api_abuse_enforcement_seconds_count") >= 1.0);
    let states = metrics.sum("api_abuse_application_state", &[shop]);
    assert!((states - 1.0).abs() < 1e-9, "an application is in one state, not {states}");
}

#[test]
fn metrics_have_the_content_type_and_headers_that_scrapers_and_caches_need() {
    let nginx = guarded_files().start();
    let mut client = nginx.client();
    let text = client.get("/status").unwrap();
    assert!(text.header("content-type").unwrap().starts_with("text/plain"), "{text:?}");
    let json = client.get("/status?format=json").unwrap();
    assert!(json.header("content-type").unwrap().starts_with("application/json"), "{json:?}");
    for response in [text, json] {
        let cached = response.header("cache-control").unwrap_or_default();
        assert!(cached.contains("no-store") || cached.contains("no-cache"), "{response:?}");
    }
    let head = client.send(&Request::new("HEAD", "/status")).unwrap();
    assert!(head.status == 200 && head.body.is_empty());
    assert_eq!(client.send(&Request::post("/status", "text/plain", "x")).unwrap().status, 405);
    let before = nginx.metrics().total("api_abuse_requests_total");
    assert!(before < 0.5, "looking at the status was counted: {before}");
}

#[test]
fn json_says_who_was_denied_and_why() {
    let nginx = after_an_attack();
    let mut status = Value::Null;
    let explained = eventually(SOON, || {
        status = nginx.status();
        // An entry holds before the numbers around it are published.
        let passed = status["applications"][0]["requests"]["PASSED"].as_u64();
        status["denylist"][0]["evidence"].is_object() && passed.is_some_and(|count| count >= 20)
    });
    assert!(explained, "{status:#}");
    assert!(status["version"].is_string(), "{status:#}");
    let shop = &status["applications"][0];
    assert_eq!(shop["name"], "shop", "{shop:#}");
    assert!(["learning", "ready"].contains(&shop["state"].as_str().unwrap()), "{shop:#}");
    assert!(shop["requests"]["PASSED"].as_u64().is_some_and(|count| count >= 20), "{shop:#}");
    for sensitivity in ["safe", "normal", "paranoid"] {
        assert!(shop["would_deny"][sensitivity].is_u64(), "{shop:#}");
    }
    let detector = nginx.detecting_pid().expect("a process that detects");
    assert!(nginx.worker_pids().contains(&detector), "{detector}");

    let entry = &status["denylist"][0];
    assert_eq!(entry["application"], "shop");
    assert_eq!(entry["threat"], "vulnerability_scanning");
    assert_eq!(entry["action"], "deny");
    assert_eq!(entry["key"]["address"], attacker(1).to_string());
    assert!(entry["id"].is_string() && entry["hits"].is_u64(), "{entry:#}");
    assert!(entry["confidence"].as_u64().is_some_and(|c| (1..=100).contains(&c)), "{entry:#}");
    for time in ["since", "expires"] {
        let time = entry[time].as_str().unwrap();
        assert!(time.len() >= 20 && &time[10..11] == "T", "not RFC 3339: {time}");
    }
    let evidence = &entry["evidence"];
    let finding = &evidence["findings"][0];
    assert!(finding["value"].is_number() && finding["normal"].is_string(), "{finding:#}");
    assert!(finding["multiple"].as_str().unwrap().ends_with('x'), "{finding:#}");
    let exemplar = &evidence["exemplars"][0];
    assert_eq!(exemplar["status"], 404, "{exemplar:#}");
    assert!(exemplar["path"].as_str().unwrap().starts_with('/'), "{exemplar:#}");
    assert!(evidence["evidence"].as_f64() >= evidence["threshold"].as_f64(), "{evidence:#}");
}

#[test]
fn variables_tell_the_access_log_what_happened() {
    let nginx = after_an_attack();
    let mut client = nginx.client_from(neighbour(2));
    client.get("/page.html").unwrap();
    let passed = nginx.entries_from(neighbour(2), 1).remove(0);
    assert_eq!((passed.verdict.as_str(), passed.application.as_str()), ("PASSED", "shop"));
    for empty in [&passed.threat, &passed.incident] {
        assert!(empty.is_empty() || empty == "-", "{passed:?}");
    }
    let again = nginx.client_from(attacker(1)).send(&probe("/page.html")).unwrap();
    assert_eq!(again.status, 403);
    let denied = |entries: &[Entry]| {
        entries.iter().find(|entry| entry.denied() && entry.uri == "/page.html").cloned()
    };
    let entries = nginx.entries_until(attacker(1), |entries| denied(entries).is_some());
    let denied = denied(&entries).unwrap();
    assert_eq!((denied.verdict.as_str(), denied.code), ("DENIED", 403));
    assert_eq!(denied.threat, "vulnerability_scanning");
    assert!((1..=100).contains(&denied.confidence.parse::<u32>().unwrap()), "{denied:?}");
    assert!(!denied.incident.is_empty() && denied.incident != "-", "{denied:?}");
    assert!(denied.source.contains("127.1.0.1"), "{denied:?}");
}

#[test]
fn applications_may_come_from_a_variable_and_locations_may_be_left_out() {
    let server = "root html; api_abuse $arg_application;
        location /left-out/ { api_abuse off; }
        location /counted-as-off/ { api_abuse_mode off; }";
    let nginx = guarded_files_with(server).start();
    let mut client = nginx.client_from(neighbour(3));
    for target in ["/page.html?application=one", "/page.html?application=two", "/left-out/x"] {
        client.get(target).unwrap();
    }
    client.get("/counted-as-off/x").unwrap();
    let of = |name| nginx.metrics().sum("api_abuse_requests_total", &[("application", name)]);
    assert!(eventually(SOON, || of("one") + of("two") > 1.5));
    assert!((nginx.metrics().total("api_abuse_requests_total") - 2.0).abs() < 1e-9);
    let applications: Vec<_> =
        nginx.entries_from(neighbour(3), 4).into_iter().map(|entry| entry.application).collect();
    assert_eq!(applications[..2], ["one", "two"]);
}

/// Like [`guarded_files`], but the server says itself which application it is.
fn guarded_files_with(server: &str) -> api_abuse_tests::nginx::Site {
    use api_abuse_tests::sites::{STATUS, ZONE};
    api_abuse_tests::nginx::Site::new(&format!(
        "{ZONE}\nserver {{ listen @listen@; api_abuse_mode block;\n{STATUS}\n{server}\n}}"
    ))
    .file("html/page.html", "page")
}
