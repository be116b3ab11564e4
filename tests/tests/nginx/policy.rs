//! What `api_abuse_application` says is done, in the request path and by the running engine.

use std::thread;
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::Request;
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{attacker, guarded, neighbour};

const SOON: Duration = Duration::from_secs(30);

/// A server with files in block mode, and this policy.
fn with_policy(policy: &str) -> Site {
    let server = "root html; location /watched/ { api_abuse_mode monitor; }
        location /abuse/ { api_abuse off; api_abuse_console; access_log off; }";
    let mut site = guarded(server).file("html/page.html", "page").file("html/watched/f", "file");
    site.http = format!("api_abuse_application shop {{ {policy} }}\n{}", site.http);
    site
}

fn scan(nginx: &Nginx, host: u16) -> bool {
    Attacker::new(nginx.address, attacker(host)).scan().denied
}

fn requests(nginx: &Nginx, status: &str) -> f64 {
    nginx.metrics().sum("api_abuse_requests_total", &[("status", status)])
}

#[test]
fn allowed_addresses_are_never_judged_and_denied_ones_always_are() {
    let nginx = with_policy("allow 127.1.0.1 2001:db8::/32; deny 127.1.0.2 127.1.0.1/32;").start();
    // Allowed, although an entry denies it, too: `allow` wins.
    assert!(!scan(&nginx, 1));
    let mut refused = nginx.client_from(attacker(2));
    assert_eq!(refused.get("/page.html").unwrap().status, 403);
    assert_eq!(refused.get("/watched/f").unwrap().status, 200);
    let entries = nginx.entries_from(attacker(2), 2);
    assert_eq!((entries[0].verdict.as_str(), entries[0].code), ("DENIED", 403));
    assert_eq!((entries[1].verdict.as_str(), entries[1].code), ("DENIED_MONITOR", 200));
    assert!(entries.iter().all(|entry| matches!(entry.threat.as_str(), "" | "-")), "{entries:?}");
    assert!(entries[0].source.contains("127.1.0.2"), "{entries:?}");
    let allowed = nginx.entries_from(attacker(1), 200);
    assert!(allowed.iter().all(|entry| entry.verdict == "ALLOWED"));
    assert!(scan(&nginx, 3), "everybody else is judged");
    for (status, least) in [("ALLOWED", 199.5), ("DENIED", 1.5), ("DENIED_MONITOR", 0.5)] {
        assert!(eventually(SOON, || requests(&nginx, status) > least), "{status}");
    }
}

#[test]
fn a_reload_with_another_policy_takes_effect_at_once_and_forgets_nothing() {
    let mut nginx = with_policy("learning 1h;").start();
    assert!(scan(&nginx, 1) && scan(&nginx, 2));
    let status = |host| nginx_status(&nginx, host);
    assert_eq!((status(1), status(2)), (403, 403));
    nginx.reconfigure(|site| site.http = site.http.replace("learning 1h;", "allow 127.1.0.1;"));
    nginx.reload();
    let status = |host| nginx_status(&nginx, host);
    assert_eq!((status(1), status(2)), (200, 403));
    // What was lifted stays lifted, also in the list.
    let entries = || nginx.status()["denylist"].to_string();
    assert!(eventually(SOON, || !entries().contains("127.1.0.1\"")), "{}", entries());
    assert!(entries().contains("127.1.0.2\""), "{}", entries());
    nginx.reconfigure(|site| site.http = site.http.replace("allow 127.1.0.1;", ""));
    nginx.reload();
    let status = |host| nginx_status(&nginx, host);
    assert_eq!((status(1), status(2)), (200, 403));
}

/// What the scanner at this host is answered.
fn nginx_status(nginx: &Nginx, host: u16) -> u16 {
    nginx.client_from(attacker(host)).send(&probe("/page.html")).unwrap().status
}

#[test]
fn reactions_and_times_are_the_policys() {
    let nginx = with_policy("threat all reaction=off; threat scraping reaction=deny;").start();
    assert!(!scan(&nginx, 1), "switched off");
    drop(nginx);
    let nginx = with_policy("threat vulnerability_scanning reaction=monitor;").start();
    assert!(!scan(&nginx, 1), "only said");
    assert!(eventually(SOON, || nginx.error_log().contains("would deny")));
    drop(nginx);
    let nginx = with_policy("threat all ttl=2s;\ninclude repeat.conf;")
        .file("repeat.conf", "repeat 100 max=1h;")
        .start();
    assert!(scan(&nginx, 1));
    assert!(eventually(SOON, || nginx_status(&nginx, 1) == 200), "two seconds are over");
    assert!(scan(&nginx, 1));
    let log = || nginx.error_log();
    // Two hundred seconds, give or take a tenth.
    let longer = || {
        log().lines().any(|line| {
            line.contains(" denied ") && line.contains("for 1")
                || line.contains("for 2") && !line.contains("for 2s")
        })
    };
    assert!(eventually(SOON, longer), "{}", log());
}

#[test]
fn a_policy_that_nothing_enables_and_one_for_the_value_of_a_variable() {
    let mut site = guarded("root html;").file("html/page.html", "page");
    site.http = site.http.replace("api_abuse shop;", "api_abuse $http_x_shop;");
    site.http.insert_str(
        0,
        "api_abuse_application nobody { } api_abuse_application b { deny 127.2.0.0/16; }\n",
    );
    let nginx = site.start();
    let mut client = nginx.client_from(neighbour(1));
    let mut status = |shop: &str| {
        let request = Request::get("/page.html").header("X-Shop", shop);
        client.send(&request).unwrap().status
    };
    assert_eq!(["a", "b", "nobody", "off"].map(&mut status), [200, 403, 200, 200]);
}

/// Addresses that attack in the flood.
const BOTNET: u16 = 420;

/// So many scanners, from addresses of their own, that the budget of an application is spent.
pub(crate) fn flood(nginx: &Nginx) {
    thread::scope(|scope| {
        for part in 0..6 {
            scope.spawn(move || {
                for host in (1000 + part..1000 + BOTNET).step_by(6) {
                    let mut attack = Attacker::new(nginx.address, attacker(host));
                    (attack.pace, attack.limit, attack.waits) =
                        (Duration::from_millis(1), 40, false);
                    attack.scan();
                }
            });
        }
    });
}

#[test]
fn an_application_whose_budget_is_spent_denies_nobody() {
    let nginx = with_policy("budget 1%;").expect("falls back to monitor").start();
    assert!(scan(&nginx, 1));
    flood(&nginx);
    assert!(eventually(SOON, || nginx_status(&nginx, 1) == 200), "{}", nginx.error_log());
    nginx.entries_until(attacker(1), |entries| {
        entries.iter().any(|entry| entry.code == 200 && entry.verdict == "DENIED_MONITOR")
    });
    let tripped = [("application", "shop"), ("state", "tripped")];
    let is_tripped = || nginx.metrics().sum("api_abuse_application_state", &tripped) > 0.5;
    assert!(eventually(SOON, is_tripped));
    assert!(eventually(SOON, || nginx.error_log().contains("falls back to monitor")));
    // The breaker is there for what detectors do, not for what an operator does.
    let body = format!(r#"{{"application":"shop","address":"{}"}}"#, attacker(1));
    let deny = Request::post("/abuse/api/denylist", "application/json", body);
    let made = nginx.client().send(&deny.header("X-API-Abuse", "1")).unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(is_tripped());
    let other = nginx.client_from(attacker(1)).get("/page.html").unwrap();
    assert_eq!(other.status, 403, "who was never convicted, at that address");
}
