//! What NGINX answers before it asks about access: `return`, redirects of `rewrite`, locations that are
//! internal. A denied source is denied there, too, and everybody else is answered as ever.

use std::process::Command;

use api_abuse_tests::access_log::Entry;
use api_abuse_tests::attack::probe;
use api_abuse_tests::http::{Client, Request, is_closed};
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{attacker, guarded, neighbour};

use crate::counting::assert_counted;

/// Path of a location, its directives, and what the innocent and the denied are answered.
type Row = (&'static str, &'static str, u16, u16);

const ROWS: [Row; 12] = [
    ("/text", "return 200 text;", 200, 403),
    ("/nothing", "return 204;", 204, 403),
    ("/moved", "return 301 /page.html;", 301, 403),
    ("/refused", "return 404;", 404, 403),
    ("/rewritten", "rewrite ^ /page.html redirect;", 302, 403),
    ("/if", "if ($request_method = GET) { return 410; }", 410, 403),
    ("/inside", "internal;", 404, 403),
    ("/hidden", "api_abuse_deny_status 404; return 200 text;", 200, 404),
    ("/slower", "api_abuse_deny_status 429; return 301 /page.html;", 301, 429),
    ("/watched", "api_abuse_mode monitor; return 200 text;", 200, 200),
    ("/off", "api_abuse off; return 200 text;", 200, 200),
    ("/other", "api_abuse other; return 200 text;", 200, 200),
];

/// One worker; attackers are denied by the policy of `shop`. The second server has nothing but an answer.
fn site() -> Site {
    let mut locations = String::new();
    for (path, directives, ..) in ROWS {
        locations.push_str(&format!("location = {path} {{ {directives} }}\n"));
    }
    let server = format!(
        "listen 127.0.0.5:@port@ http2; root html;
         location = /marker {{ api_abuse marker; return 204; }}
         location = /paged {{ error_page 404 /page.html; return 404; }}
         location = /closed {{ api_abuse_deny_status 444; return 200 text; }} {locations} }}
         server {{ listen @other@; api_abuse shop; api_abuse_mode block; add_header X-Said yes always;
           return 301 https://elsewhere.example$request_uri;"
    );
    let mut site = guarded(&server).file("html/page.html", "page").workers(1);
    site.http.insert_str(0, "api_abuse_application shop { deny 127.1.0.0/16; }\n");
    site.expect("directive is deprecated")
}

fn verdict(nginx: &Nginx, host: std::net::Ipv4Addr, path: &str) -> String {
    let of = |entries: &[Entry]| entries.iter().find(|entry| entry.uri == path).cloned();
    let entries = nginx.entries_until(host, |entries| of(entries).is_some());
    of(&entries).unwrap().verdict
}

#[test]
fn what_is_answered_before_access_is_asked_about_is_denied_too() {
    let nginx = site().start();
    let mut denied = nginx.client_from(attacker(1));
    let mut innocent = nginx.client_from(neighbour(1));
    for (path, directives, expected, refused) in ROWS {
        assert_eq!(innocent.get(path).unwrap().status, expected, "{directives}");
        let response = denied.send(&probe(path)).unwrap();
        assert_eq!(response.status, refused, "{directives}");
        if refused == expected {
            continue;
        }
        assert_eq!(response.header("cache-control"), Some("no-store"), "{directives}");
        assert_eq!((response.header("location"), response.body.len()), (None, 0), "{directives}");
        let head = Request::new("HEAD", path);
        assert_eq!(denied.send(&head).unwrap().status, refused, "{directives}");
        assert_eq!(verdict(&nginx, attacker(1), path), "DENIED", "{directives}");
    }
    assert_eq!((denied.sent, denied.resent), (21, 0), "on one connection");
    assert_eq!(verdict(&nginx, attacker(1), "/watched"), "DENIED_MONITOR");
    for path in ["/text", "/moved", "/inside"] {
        assert_eq!(verdict(&nginx, neighbour(1), path), "PASSED");
    }
    // A page for the answer is a request for that page.
    assert_eq!(innocent.get("/paged").unwrap().text(), "page");
    assert_eq!(denied.send(&probe("/paged")).unwrap().status, 403);
    let error = nginx.client_from(attacker(1)).send(&probe("/closed")).unwrap_err();
    assert!(is_closed(&error), "{error}");
    // Of each of the two applications all but those that nobody watches.
    assert_counted(&nginx, 11 + 20 + 2 + 1, "each once");
}

#[test]
fn a_server_that_only_redirects_denies_and_so_do_other_versions() {
    let nginx = site().start();
    let ask = |host| Client::new(nginx.other_address).from(host).get("/x").unwrap();
    let moved = ask(neighbour(1));
    assert_eq!((moved.status, moved.header("x-said")), (301, Some("yes")));
    let refused = ask(attacker(1));
    assert_eq!((refused.status, refused.header("x-said")), (403, Some("yes")));
    assert_eq!(refused.header("location"), None);
    let old = |host| {
        let answer = nginx.client_from(host).raw(b"GET /text HTTP/1.0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(old(neighbour(1)).ends_with("text"));
    assert!(
        old(attacker(1)).starts_with("HTTP/1.1 403 ") && old(attacker(1)).ends_with("\r\n\r\n")
    );
    assert_eq!(nginx.client_from(attacker(1)).raw(b"GET /text\r\n").unwrap(), b"");
    for (host, status) in [(attacker(1), "403"), (neighbour(1), "200")] {
        let url = format!("http://127.0.0.5:{}/text", nginx.address.port());
        let output = Command::new("curl")
            .args(["--silent", "--http2-prior-knowledge", "--interface", &host.to_string()])
            .args(["--output", "/dev/null", "--write-out", "%{http_code}", &url, &url])
            .output()
            .expect("curl is installed");
        assert_eq!(String::from_utf8_lossy(&output.stdout)[..3], *status);
    }
}
