//! The console and its API in a real NGINX: what is shown is what happened, what is changed holds, what
//! is refused changes nothing. `tests/console` asks the same of every field, with a browser.

use std::fs;
use std::path::Path;
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::{Request, Response};
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{attacker, guarded, neighbour};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
const POLICY: &str = "Content-Security-Policy";

fn site() -> Site {
    let server = "root html;
        location /abuse { api_abuse off; api_abuse_console; access_log off; }";
    guarded(server).file("html/page.html", "page").workers(2)
}

fn start() -> Nginx {
    site().start()
}

fn get(nginx: &Nginx, path: &str) -> Value {
    let response = nginx.client().get(format!("/abuse/api/{path}")).unwrap();
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    assert_eq!(response.header("cache-control"), Some("no-store"));
    serde_json::from_slice(&response.body).unwrap()
}

fn change(nginx: &Nginx, method: &str, path: &str, body: &Value) -> Response {
    let path = format!("/abuse/api/{path}");
    let request = Request::new(method, path);
    let request =
        if body.is_null() { request } else { request.body("application/json", body.to_string()) };
    nginx.client().send(&request.header("X-API-Abuse", "1")).unwrap()
}

fn parsed(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

#[test]
fn a_scanner_is_seen_explained_lifted_and_served() {
    let nginx = start();
    let outcome = Attacker::new(nginx.address, attacker(1)).scan();
    assert!(outcome.denied, "{outcome:?}");
    // An entry holds before the numbers around it are published.
    let mut status = Value::Null;
    let known = eventually(SOON, || {
        status = get(&nginx, "status");
        status["applications"][0]["denied_sources"] == 1
            && status["health"]["detector"]["up"] == true
    });
    assert!(known, "{status:#}");
    let shop = &status["applications"][0];
    assert_eq!((&shop["name"], &shop["mode"]), (&json!("shop"), &json!("block")));
    let list = get(&nginx, &format!("denylist?q={}", attacker(1)));
    assert_eq!(list["total"], 1, "{list}");
    let entry = &list["entries"][0];
    assert_eq!(entry["threat"], "vulnerability_scanning");
    assert_eq!((&entry["action"], &entry["origin"]), (&json!("deny"), &json!("detector")));
    let incident = get(&nginx, &format!("incidents/{}", entry["incident"].as_str().unwrap()));
    assert_eq!(incident["denylist"], entry["id"]);
    assert_eq!(incident["address"], attacker(1).to_string());
    assert_eq!(incident["evidence"]["user_agent"], "scan/1.0");
    assert!(!incident["evidence"]["exemplars"].as_array().unwrap().is_empty());
    let convictions = || -> u64 {
        let history = get(&nginx, "history?days=1");
        let hours = history["hours"].as_array().unwrap().iter();
        hours.filter_map(|row| row["threats"]["vulnerability_scanning"].as_u64()).sum()
    };
    assert!(eventually(SOON, || convictions() == 1), "{}", convictions());
    let top = || get(&nginx, "history")["top"].clone();
    let host = attacker(1).to_string();
    assert!(eventually(SOON, || top()["sources"][0]["address"] == host), "{}", top());
    let finding = &incident["evidence"]["findings"][0];
    assert_eq!(
        top()["detectors"][0]["measure"],
        finding["measure"],
        "what explanations begin with"
    );
    let path = format!("denylist/{}", entry["id"].as_str().unwrap());
    let lifted = change(&nginx, "DELETE", &path, &Value::Null);
    assert_eq!((lifted.status, lifted.body.len()), (204, 0));
    let mut client = nginx.client_from(attacker(1));
    assert_eq!(client.send(&probe("/page.html")).unwrap().status, 200, "the answer waited");
    assert_eq!(change(&nginx, "DELETE", &path, &Value::Null).status, 404);
    assert_eq!(get(&nginx, "denylist")["total"], 0);
    let incident = get(&nginx, &format!("incidents/{}", incident["id"].as_str().unwrap()));
    assert_eq!(incident["denylist"], Value::Null, "the incident stays, its entry does not");
}

#[test]
fn what_an_operator_denies_and_allows_holds_when_it_is_answered() {
    let nginx = start();
    let address = neighbour(1);
    let entry = json!({ "application": "shop", "address": address.to_string(), "ttl": "10m" });
    let made = change(&nginx, "POST", "denylist", &entry);
    assert_eq!(made.status, 201, "{}", made.text());
    let mut client = nginx.client_from(address);
    assert_eq!(client.get("/page.html").unwrap().status, 403);
    assert_eq!(parsed(&made)["ttl_seconds"], 600.0);
    // No incident explains it, wherever one would be named.
    let denied = nginx.denial_of(address);
    assert_eq!((denied.confidence.as_str(), denied.incident.as_str()), ("100", ""));
    assert_eq!(parsed(&made)["incident"], Value::Null);
    let path = format!("denylist/{}", parsed(&made)["id"].as_str().unwrap());
    let longer = change(&nginx, "PATCH", &path, &json!({ "ttl": 7200 }));
    assert_eq!((longer.status, &parsed(&longer)["origin"]), (200, &json!("operator")));
    let network = json!({ "address": "127.2.0.0/16", "comment": "<script>alert(1)</script>" });
    let allowed = change(&nginx, "POST", "allowlist", &network);
    assert_eq!(allowed.status, 201, "{}", allowed.text());
    assert_eq!(client.get("/page.html").unwrap().status, 200);
    assert_eq!(get(&nginx, "denylist")["total"], 0);
    assert_eq!(get(&nginx, "allowlist")["entries"][0]["comment"], network["comment"]);
    let refused = change(&nginx, "POST", "denylist", &entry);
    assert_eq!((refused.status, &parsed(&refused)["code"]), (409, &json!("allowlisted")));
    let path = format!("allowlist/{}", parsed(&allowed)["id"].as_str().unwrap());
    assert_eq!(change(&nginx, "DELETE", &path, &Value::Null).status, 204);
    // An IPv6 source is a /64: who is allowed in it keeps it from being denied, before and after.
    let source = json!({ "application": "shop", "address": "2001:db8::/64" });
    assert_eq!(change(&nginx, "POST", "denylist", &source).status, 201);
    let one = json!({ "address": "2001:db8::5" });
    assert_eq!(change(&nginx, "POST", "allowlist", &one).status, 201);
    assert_eq!(get(&nginx, "denylist")["total"], 0);
    let refused = change(&nginx, "POST", "denylist", &source);
    assert_eq!((refused.status, &parsed(&refused)["code"]), (409, &json!("allowlisted")));
    assert_eq!(change(&nginx, "POST", "denylist", &entry).status, 201);
    assert_eq!(client.get("/page.html").unwrap().status, 403);
}

#[test]
fn what_an_operator_denies_holds_where_detectors_may_deny_nobody() {
    let mut site = site();
    // Everybody here is loopback, and so exempt from detection.
    site.http = site.http.replacen("api_abuse_deny_loopback on;", "", 1);
    let mut nginx = site.start();
    let entry = json!({ "application": "shop", "address": neighbour(1).to_string() });
    assert_eq!(change(&nginx, "POST", "denylist", &entry).status, 201);
    let served = |nginx: &Nginx| nginx.client_from(neighbour(1)).get("/page.html").unwrap().status;
    assert_eq!(served(&nginx), 403);
    let before = nginx.detecting_pid();
    nginx.reload();
    let detects = || nginx.detecting_pid().is_some_and(|pid| Some(pid) != before);
    assert!(eventually(SOON, detects), "a detector under the new configuration");
    // It answers when it has lifted what it lifts.
    let network = json!({ "address": "192.0.2.1" });
    assert!(eventually(SOON, || change(&nginx, "POST", "allowlist", &network).status < 300));
    assert_eq!(served(&nginx), 403, "{}", nginx.error_log());
    // Whom a policy allows nobody denies.
    let policy = format!("api_abuse_application shop {{ allow {}; }}\n", neighbour(1));
    nginx.reconfigure(|site| site.http.insert_str(0, &policy));
    nginx.reload();
    let lifted = || get(&nginx, "denylist")["total"] == 0;
    assert!(eventually(SOON, lifted), "{}", nginx.error_log());
    assert_eq!(served(&nginx), 200);
}

#[test]
fn what_is_refused_says_why_and_keeps_the_connection() {
    let nginx = start();
    let mut client = nginx.client();
    let ours = |request: Request| request.header("X-API-Abuse", "1");
    let body = r#"{"address":"192.0.2.1"}"#;
    let post = |body: &str| Request::post("/abuse/api/allowlist", "application/json", body);
    let refused = [
        (post(body), 403, "header_missing"),
        (ours(post(body)).header("Sec-Fetch-Site", "cross-site"), 403, "header_missing"),
        (ours(post("{\"address\"")), 400, "bad_json"),
        (ours(post(&" ".repeat(4097))), 413, "too_large"),
        (ours(post(r#"{"address":"192.0.2.7/24"}"#)), 422, "host_bits"),
        (ours(post(r#"{"address":"192.0.2.7","tll":1}"#)), 422, "unknown_member"),
        (ours(Request::post("/abuse/api/allowlist", "text/plain", body)), 415, "wrong_type"),
        (ours(Request::new("PUT", "/abuse/api/denylist")), 405, "wrong_method"),
        (ours(Request::new("DELETE", "/abuse/api/denylist/1-1-1-1")), 404, "unknown_id"),
        (Request::get("/abuse/api/denylist?limit=0"), 400, "bad_query"),
        (Request::get("/abuse/api/incidents/+1"), 404, "unknown_id"),
        (Request::get("/abuse/api/nothing"), 404, "unknown_call"),
    ];
    for (request, status, code) in refused {
        let response = client.send(&request).unwrap();
        assert_eq!(response.status, status, "{request:?}: {}", response.text());
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        assert_eq!(
            (&parsed(&response)["code"], response.header(POLICY).is_some()),
            (&json!(code), true)
        );
    }
    assert_eq!(get(&nginx, "allowlist")["total"], 0);
    // Longer than its length says, or without any: what was not read is not taken for a request.
    let chunked = "POST /abuse/api/allowlist HTTP/1.1\r\nHost: h\r\nX-API-Abuse: 1\r\n\
        Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
        17\r\n{\"address\":\"192.0.2.1\"}\r\n0\r\n\r\nGET /page.html HTTP/1.0\r\n\r\n";
    let answers = String::from_utf8(client.raw(chunked.as_bytes()).unwrap()).unwrap();
    assert!(answers.starts_with("HTTP/1.1 201") && answers.contains("HTTP/1.1 200"), "{answers}");
    assert_eq!(get(&nginx, "allowlist")["total"], 1);
}

#[test]
fn the_files_are_those_of_the_repository() {
    let nginx = start();
    let mut client = nginx.client();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../console");
    for file in fs::read_dir(directory).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let response = client.get(format!("/abuse/{name}")).unwrap();
        assert_eq!(response.status, 200, "{name}");
        assert_eq!(response.body, fs::read(file.path()).unwrap(), "{name}");
        assert!(response.header(POLICY).unwrap().contains("default-src 'none'"));
        let etag = response.header("etag").unwrap().to_owned();
        let again = Request::get(format!("/abuse/{name}")).header("If-None-Match", &etag);
        assert_eq!(client.send(&again).unwrap().status, 304, "{name}");
    }
    assert_eq!(client.get("/abuse/").unwrap().body, client.get("/abuse/index.html").unwrap().body);
    let redirect = client.get("/abuse?x=1").unwrap();
    assert_eq!((redirect.status, redirect.header("location")), (301, Some("/abuse/?x=1")));
    for name in ["nothing.js", "api", "../nginx.conf", "%2e%2e/nginx.conf"] {
        assert_eq!(client.get(format!("/abuse/{name}")).unwrap().status, 404, "{name}");
    }
    assert_eq!(
        client.send(&Request::post("/abuse/app.js", "text/plain", "x")).unwrap().status,
        405
    );
    assert_eq!(client.send(&Request::new("HEAD", "/abuse/api/status")).unwrap().status, 200);
}

#[test]
fn hostile_texts_are_shown_as_texts() {
    let nginx = start();
    let agent = "</script><img src=x onerror=alert(1)>\"\\";
    let mut client = nginx.client_from(attacker(2));
    let denied = eventually(SOON, || {
        let n = client.sent;
        let path = format!("/%3Cscript%3E{n}%22.php?<b>");
        let request = Request::get(path).header("User-Agent", agent);
        client.send(&request).unwrap().status == 403
    });
    assert!(denied);
    let list = get(&nginx, "incidents");
    let id = list["entries"][0]["id"].as_str().unwrap();
    let incident = get(&nginx, &format!("incidents/{id}"));
    assert_eq!(incident["evidence"]["user_agent"], agent);
    let path = incident["evidence"]["exemplars"][0]["path"].as_str().unwrap();
    assert!(path.ends_with("?<b>"), "{path}");
}

#[test]
fn history_survives_a_restart_and_is_counted_once() {
    let mut nginx = start();
    let mut client = nginx.client_from(neighbour(2));
    let requests = |nginx: &Nginx| -> u64 {
        let history = get(nginx, "history?application=shop");
        let hours = history["hours"].as_array().unwrap();
        hours.iter().map(|row| row["requests"].as_u64().unwrap()).sum()
    };
    for _ in 0..30 {
        assert_eq!(client.get("/page.html").unwrap().status, 200);
    }
    assert!(eventually(SOON, || requests(&nginx) == 30), "{}", requests(&nginx));
    nginx.reload();
    let holder = |but: Option<u32>| {
        let pid = nginx.detecting_pid().filter(|pid| nginx.worker_pids().contains(pid));
        pid.filter(|pid| Some(*pid) != but)
    };
    assert!(eventually(SOON, || holder(None).is_some()));
    let killed = holder(None).unwrap();
    nginx.kill9(killed);
    assert!(eventually(SOON, || holder(Some(killed)).is_some()));
    nginx.restart();
    let mut client = nginx.client_from(neighbour(2));
    assert_eq!(client.get("/page.html").unwrap().status, 200);
    assert!(eventually(SOON, || requests(&nginx) == 31), "{}", requests(&nginx));
}
