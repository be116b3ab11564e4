//! How requests are looked at: endpoints, sessions, fingerprints, bypasses.

use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::Request;
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{attacker, guarded, neighbour};

const SOON: Duration = Duration::from_secs(30);

fn files(server: &str) -> Site {
    guarded(&format!("root html; {server}"))
        .file("html/page.html", "page")
        .file("html/help/page.html", "page")
        .file("html/news/items/page.html", "page")
        .file("html/team/page.html", "page")
}

/// Attempts to log in at `path`, each with a credential of its own, until one is denied; how many were
/// not.
fn attempts(nginx: &Nginx, host: u16, path: &str) -> usize {
    let mut client = nginx.client_from(attacker(host));
    (0..60)
        .take_while(|n| {
            let request = Request::post(path, "text/plain", "x")
                .header("Authorization", &format!("Bearer {host}-{n}"));
            nginx.let_judge(Duration::from_millis(10));
            client.send(&request).unwrap().status != 403
        })
        .count()
}

#[test]
fn an_endpoint_may_say_what_its_answers_mean() {
    // NGINX answers 405 to a POST for a file: nothing that a login usually says.
    let server = "location = /a/ { api_abuse_endpoint login; }
        location = /b/ { api_abuse_endpoint login failure=405; }
        location = /c/ { api_abuse_endpoint login success=2xx,302; }
        location = /d/ { api_abuse_endpoint login success=405; }
        location = /e/ { api_abuse_endpoint ignore failure=405; }";
    let mut site = files(server);
    for name in ["a", "b", "c", "d", "e"] {
        site = site.file(&format!("html/{name}/index.html"), "login");
        site.http = site.http.replace(&format!("= /{name}/"), &format!("= /{name}/index.html"));
    }
    let nginx = site.start();
    let served = |host, name| attempts(&nginx, host, &format!("/{name}/index.html"));
    assert_eq!(served(1, "a"), 60, "405 says nothing");
    assert!(served(2, "b") <= 25);
    assert!(served(3, "c") <= 25, "what is no success is a failure");
    assert_eq!(served(4, "d"), 60);
    assert_eq!(served(5, "e"), 60);
    assert_eq!(nginx.denial_of(attacker(2)).threat, "credential_stuffing");
    // Who is denied elsewhere is denied at an ignored endpoint, too.
    let request = Request::post("/e/index.html", "text/plain", "x");
    let denied = nginx.client_from(attacker(2)).send(&request.header("Authorization", "x"));
    assert_eq!(denied.unwrap().status, 403);
}

#[test]
fn ignored_endpoints_are_neither_judged_nor_learned() {
    let nginx = files("location /in/ { api_abuse_endpoint ignore; }").start();
    let mut client = nginx.client_from(attacker(1));
    for n in 0..100 {
        assert_eq!(client.send(&probe(format!("/in/.env{n}"))).unwrap().status, 404);
    }
    let counted =
        || nginx.metrics().sum("api_abuse_requests_total", &[("status", "PASSED")]) > 99.5;
    assert!(eventually(SOON, counted), "they are counted");
    let shop = nginx.status()["applications"][0].clone();
    assert_eq!(shop["state"], "no_traffic", "{shop:#}");
}

/// Users of one address and one program, told apart by `header` alone: the one who scans is denied, the
/// others are not. Several others, over several pages, because what tells users and pages apart are a few
/// bits of their hashes. Returns the sources as the log has them.
fn told_apart_by(nginx: &Nginx, header: &str) -> [String; 2] {
    let mut client = nginx.client_from(attacker(1));
    let mut send =
        |who: &str, path: &str| client.send(&probe(path).header(header, who)).unwrap().status;
    for who in ["one", "two", "three", "four", "good"] {
        for path in ["/page.html", "/help/page.html", "/news/items/page.html", "/team/page.html"] {
            assert_eq!([send(who, path), send(who, path)], [200, 200]);
        }
    }
    let served = (0..60).take_while(|n| {
        nginx.let_judge(Duration::from_millis(10));
        send("bad", &format!("/.env{n}.bak")) == 404
    });
    assert!(served.count() <= 30);
    assert_eq!([send("good", "/page.html"), send("bad", "/page.html")], [200, 403]);
    let entries = nginx.entries_from(attacker(1), client.sent as usize);
    let mut last = entries.into_iter().rev().map(|entry| entry.source);
    let bad = last.next().unwrap();
    [last.next().unwrap(), bad]
}

#[test]
fn a_session_is_denied_where_others_share_its_client() {
    let server = "api_abuse_session $http_x_nothing $http_x_session;";
    let nginx = files(server).start();
    let [good, bad] = told_apart_by(&nginx, "X-Session");
    assert!(good.starts_with("127.1.0.1#") && bad.starts_with("session#"), "{good} {bad}");
    // It is denied wherever it comes from, and only there where its application is.
    let from_elsewhere = |who: &str| {
        let mut client = nginx.client_from(neighbour(9));
        client.send(&Request::get("/page.html").header("X-Session", who)).unwrap().status
    };
    assert_eq!([from_elsewhere("good"), from_elsewhere("bad")], [200, 403]);
    let status = nginx.status()["denylist"].to_string();
    assert!(status.contains("\"session\""), "{status}");
}

#[test]
fn a_fingerprint_may_be_made_of_more() {
    let nginx = files("api_abuse_fingerprint $http_x_ja4 $http_x_other;").start();
    let [good, bad] = told_apart_by(&nginx, "X-JA4");
    let is_client = |source: &str| source.starts_with("127.1.0.1#");
    assert!(is_client(&good) && is_client(&bad) && good != bad, "{good} {bad}");
}

#[test]
fn a_bypass_is_counted_and_neither_judged_nor_denied() {
    let server = "api_abuse_bypass $http_x_nothing $http_x_monitor;
        location /strict/ { api_abuse_bypass $http_x_nothing; }";
    let nginx = files(server).file("html/strict/f", "file").start();
    let mut client = nginx.client_from(attacker(1));
    let mut send = |path: &str, value: &str| {
        client.send(&probe(path).header("X-Monitor", value)).unwrap().status
    };
    for n in 0..100 {
        assert_eq!(send(&format!("/.env{n}.bak"), "yes"), 404, "never judged");
    }
    assert!(Attacker::new(nginx.address, attacker(1)).scan().denied);
    assert_eq!([send("/page.html", "1"), send("/page.html", "0")], [200, 403]);
    assert_eq!([send("/page.html", ""), send("/strict/f", "1")], [403, 403]);
    let bypassed = || nginx.metrics().sum("api_abuse_requests_total", &[("status", "BYPASSED")]);
    assert!(eventually(SOON, || (bypassed() - 101.0).abs() < 0.5), "{}", bypassed());
}

/// A till's orders: by the header that interfaces take their keys in, and by none.
#[test]
fn a_key_of_an_interface_shows_who_asks() {
    let server = "location = /orders { proxy_pass http://@other@; }
        }
        server { listen @other@; return 201 made;";
    let nginx = guarded(server).start();
    let orders = |host: u16, key: &[(&str, &str)]| {
        let mut client = nginx.client_from(attacker(host));
        let order = Request::post("/orders", "application/json", "{\"sku\":7}");
        let order = order.header("User-Agent", "till/2.0").headers(key);
        (0..40)
            .take_while(|_| {
                nginx.let_judge(Duration::from_millis(10));
                client.send(&order).unwrap().status != 403
            })
            .count()
    };
    assert_eq!([orders(1, &[("X-Api-Key", "k")]), orders(2, &[("X-Auth-Token", "k")])], [40, 40]);
    assert!(orders(3, &[("X-Api-Kind", "k")]) < 40);
}
