//! A denial holds wherever it applies, whatever else has a say about access there; and it is NGINX's
//! own 403, with all that people do with one.

use std::fs;
use std::net::TcpListener;

use api_abuse_tests::access_log::Entry;
use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::http::{Client, Request, is_closed};
use api_abuse_tests::nginx::{Nginx, Site, built_with};
use api_abuse_tests::sites::{STATUS, ZONE, attacker, guarded, neighbour};

/// Convicts `attacker(1)` and returns a client that looks like it, and one that is innocent.
fn convict(nginx: &Nginx) -> (Client, Client) {
    let outcome = Attacker::new(nginx.address, attacker(1)).scan();
    assert!(outcome.denied, "{outcome:?}");
    (nginx.client_from(attacker(1)), nginx.client_from(neighbour(1)))
}

/// Locations where others have a say, what an innocent client gets there, and what the request adds.
const LOCATIONS: [(&str, &str, u16); 10] = [
    ("/plain/", "", 200),
    ("/any-allow/", "satisfy any; allow 127.0.0.0/8; deny all;", 200),
    ("/any-basic/", "satisfy any; deny all; auth_basic closed; auth_basic_user_file users;", 200),
    ("/basic/", "auth_basic closed; auth_basic_user_file users;", 200),
    ("/denied-anyway/", "deny all;", 403),
    ("/try/", "try_files /missing /html/ok.txt =404;", 200),
    ("/limited/", "limit_req zone=all burst=9 nodelay;", 200),
    ("/limit-rate/", "limit_rate 100k;", 200),
    ("/static-gone/", "root nowhere;", 404),
    ("/methods/", "limit_except GET { deny all; }", 200),
];

#[test]
fn a_denial_holds_whatever_else_decides_about_access() {
    let mut server = String::from("root site;\n");
    for (path, directives, _) in LOCATIONS {
        server.push_str(&format!("location {path} {{ {directives} }}\n"));
    }
    let mut site = guarded(&server)
        .file("users", "anna:{PLAIN}secret\n")
        .file("site/html/ok.txt", "ok")
        // `deny` says so in the error log, and that is all right.
        .expect("access forbidden by rule");
    site.http.insert_str(0, "limit_req_zone $server_name zone=all:1m rate=1000r/s;\n");
    for (path, _, _) in LOCATIONS {
        site = site.file(&format!("site{path}f"), "file");
    }
    let nginx = site.start();
    let (mut denied, mut innocent) = convict(&nginx);
    for (path, directives, expected) in LOCATIONS {
        let credentials = ("Authorization", "Basic YW5uYTpzZWNyZXQ="); // anna:secret
        let target = format!("{path}f");
        let request = probe(&target).headers(&[credentials]);
        assert_eq!(denied.send(&request).unwrap().status, 403, "{directives}");
        let request = Request::get(&target).headers(&[credentials, ("User-Agent", "Mozilla/5.0")]);
        assert_eq!(innocent.send(&request).unwrap().status, expected, "{directives}");
    }
    // Without its credentials the innocent client is asked for them, not waved through by a module
    // that had nothing against it.
    assert_eq!(innocent.get("/basic/f").unwrap().status, 401);
    assert_eq!(innocent.get("/any-basic/f").unwrap().status, 401);
}

#[test]
fn a_denial_holds_under_auth_request_and_asks_nobody() {
    if !built_with("http_auth_request_module") {
        println!("skipped: this NGINX has no auth_request");
        return;
    }
    let server = "location / { root html; }
        location /guarded/ { auth_request /authorize; root html; }
        location /either/ { satisfy any; deny all; auth_request /authorize; root html; }
        location = /authorize { internal; proxy_pass http://@other@; }
        } server { listen @other@; access_log asked.log; location / { return 204; }";
    let site = guarded(server).file("html/guarded/f", "file").file("html/either/f", "file");
    let nginx = site.start();
    let (mut denied, mut innocent) = convict(&nginx);
    for path in ["/guarded/f", "/either/f"] {
        assert_eq!(innocent.get(path).unwrap().status, 200, "{path}");
        assert_eq!(denied.send(&probe(path)).unwrap().status, 403, "{path}");
    }
    nginx.finish_and_read(|home| {
        let asked = fs::read_to_string(home.join("asked.log")).unwrap();
        assert_eq!(asked.lines().count(), 2, "once for each innocent request: {asked}");
    });
}

#[test]
fn error_pages_work_on_a_denial() {
    let server = "location / { root html; error_page 403 /denied.html; }
        location = /denied.html { root html; }
        location /named/ { error_page 403 = @sorry; }
        location @sorry { return 200 sorry; }
        location /moved/ { error_page 403 =429 /denied.html; }
        location /far/ { error_page 403 http://help.example/; }";
    let nginx = guarded(server).file("html/denied.html", "our own page").start();
    let (mut denied, _) = convict(&nginx);
    for (path, status, body) in [
        ("/x", 403, "our own page"),
        ("/named/x", 200, "sorry"),
        ("/moved/x", 429, "our own page"),
        ("/far/x", 302, "302 Found"),
    ] {
        let response = denied.send(&probe(path)).unwrap();
        assert!(response.status == status && response.text().contains(body), "{path} {response:?}");
    }
    // Asked for directly, the page is denied like anything else, and shown all the same.
    let response = denied.send(&probe("/denied.html")).unwrap();
    assert_eq!(response.status, 403);
}

#[test]
fn the_status_of_a_denial_can_be_chosen() {
    let server = "location / { root html; }
        location /hidden/ { api_abuse_deny_status 404; }
        location /slow-down/ { api_abuse_deny_status 429; }
        location /silent/ { api_abuse_deny_status 444; }
        location /watched/ { api_abuse_mode monitor; root html; }
        location /open/ { api_abuse_mode off; root html; }
        location /foreign/ { api_abuse other; root html; }";
    let mut site = guarded(server);
    for name in ["watched", "open", "foreign"] {
        site = site.file(&format!("html/{name}/f"), "file");
    }
    let nginx = site.start();
    let (mut denied, _) = convict(&nginx);
    for (path, status) in [
        ("/hidden/f", 404),
        ("/slow-down/f", 429),
        ("/watched/f", 200),
        ("/open/f", 200),
        // Another application: its own judgement.
        ("/foreign/f", 200),
        ("/f", 403),
    ] {
        assert_eq!(denied.send(&probe(path)).unwrap().status, status, "{path}");
    }
    let error = denied.send(&probe("/silent/f")).unwrap_err();
    assert!(is_closed(&error), "{error}");
    let verdict = |uri: &str| {
        let of = |entries: &[Entry]| entries.iter().rfind(|entry| entry.uri == uri).cloned();
        let entries = nginx.entries_until(attacker(1), |entries| of(entries).is_some());
        of(&entries).unwrap().verdict
    };
    assert_eq!(verdict("/watched/f"), "DENIED_MONITOR");
    assert_eq!(verdict("/silent/f"), "DENIED");
    assert_ne!(verdict("/open/f"), "DENIED");
    assert_eq!(verdict("/foreign/f"), "PASSED");
}

#[test]
fn a_denied_request_reaches_no_upstream_and_leaves_the_connection_in_order() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    upstream.set_nonblocking(true).unwrap();
    let server = format!(
        "location / {{ root html; }}\nlocation /app/ {{ proxy_pass http://{}; }}",
        upstream.local_addr().unwrap()
    );
    let nginx = guarded(&server).start();
    let (mut denied, _) = convict(&nginx);
    let body = vec![b'x'; 200_000];
    for _ in 0..3 {
        let post = Request::post("/app/", "text/plain", &body);
        let post = post.headers(&[("User-Agent", "scan/1.0"), ("Accept", "*/*")]);
        assert_eq!(denied.send(&post).unwrap().status, 403);
        assert_eq!(denied.send(&probe("/app/")).unwrap().status, 403);
    }
    assert!(upstream.accept().is_err(), "a denied request reached the application");
}

#[test]
fn pipelined_requests_are_denied_one_by_one() {
    let mut site = guarded("root html;").file("html/page.html", "page");
    site.http.insert_str(0, "api_abuse_application shop { deny 127.1.0.0/16; }\n");
    let nginx = site.start();
    let (mut denied, mut innocent) =
        (nginx.client_from(attacker(1)), nginx.client_from(neighbour(1)));
    let one = |version: &str, rest: &str| {
        format!(
            "POST /page.html HTTP/{version}\r\nHost: a\r\nUser-Agent: scan/1.0\r\nAccept: */*\r\n\
             Content-Length: 4\r\n{rest}\r\nbody"
        )
    };
    // HTTP/1.1 keeps the connection, HTTP/1.0 when it is asked to, and the last one ends it.
    let all = [
        one("1.1", "").repeat(20),
        one("1.0", "Connection: keep-alive\r\n").repeat(5),
        one("1.0", ""),
    ];
    let all = all.concat();
    for (client, status) in [(&mut denied, "403"), (&mut innocent, "405")] {
        let answer = String::from_utf8_lossy(&client.raw(all.as_bytes()).unwrap()).into_owned();
        assert_eq!(answer.matches(&format!("HTTP/1.1 {status} ")).count(), 26, "{answer}");
    }
    let entries = nginx.entries_from(attacker(1), 26);
    assert!(entries.iter().all(|entry| entry.verdict == "DENIED"));
}

#[test]
fn several_servers_share_what_is_known_of_an_application() {
    let http = format!(
        "{ZONE}\nserver {{ listen @listen@; api_abuse shop; api_abuse_mode block; {STATUS} root html; }}\n\
         server {{ listen @other@; api_abuse shop; api_abuse_mode block; location / {{ return 200 ok; }}\n\
         location /file {{ root html; }} location = /where {{ return 200 @other@; }} }}"
    );
    let nginx = Site::new(&http).file("html/file", "file").file("html/where", "@other@").start();
    let (mut denied, _) = convict(&nginx);
    assert_eq!(denied.send(&probe("/file")).unwrap().status, 403);
    let other = nginx.other_address;
    let mut elsewhere = Client::new(other).from(attacker(1));
    assert_eq!(elsewhere.send(&probe("/file")).unwrap().status, 403);
    assert_eq!(Client::new(other).from(neighbour(1)).get("/file").unwrap().status, 200);
}
