//! What a level says holds below it, unless that says something else: http, server, location, location
//! in a location, `if`, `limit_except`, named locations.

use api_abuse_tests::access_log::Entry;
use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::Client;
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{STATUS, ZONE, attacker, neighbour};

use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// `http { }` says everything once. The first server says nothing; its locations take it back piece by
/// piece. The second server takes everything back; its locations ask for it again.
fn site() -> Site {
    let http = format!(
        "{ZONE} api_abuse shop; api_abuse_mode block; api_abuse_deny_status 410; root html;
         api_abuse_bypass $arg_bypass;
         server {{ listen @listen@; {STATUS}
           location /off/ {{ api_abuse off;
             location /off/still/ {{ }}
             location /off/on/ {{ api_abuse shop; }} }}
           location /monitor/ {{ api_abuse_mode monitor;
             location /monitor/still/ {{ }}
             location /monitor/block/ {{ api_abuse_mode block; }} }}
           location /status/ {{ api_abuse_deny_status 418;
             location /status/still/ {{ }} }}
           location /if/ {{ if ($arg_never) {{ return 500; }} }}
           location /in-if/ {{ api_abuse_mode monitor; if ($arg_page) {{ expires 1h; }} }}
           location /methods/ {{ api_abuse_mode monitor; limit_except GET {{ deny all; }} }}
           location /named/ {{ try_files /nothing @named; }}
           location @named {{ api_abuse_mode monitor; }}
           location /bypass/ {{ api_abuse_bypass $arg_other; location /bypass/still/ {{ }} }} }}
         server {{ listen @other@; api_abuse other; api_abuse_mode monitor; api_abuse_deny_status 420;
           location /shop/ {{ api_abuse shop; }}
           location /block/ {{ api_abuse shop; api_abuse_mode block; }} }}"
    );
    let directories = [
        "off/",
        "off/still/",
        "off/on/",
        "monitor/",
        "monitor/still/",
        "monitor/block/",
        "status/",
        "status/still/",
        "if/",
        "in-if/",
        "methods/",
        "named/",
        "bypass/",
        "bypass/still/",
        "shop/",
        "block/",
        "",
    ];
    let add = |site: Site, directory: &str| site.file(&format!("html/{directory}f"), "file");
    directories.into_iter().fold(Site::new(&http), add)
}

/// Target, what the denied source is answered, and what the log says of it.
type Row = (&'static str, u16, &'static str);

const FIRST: [Row; 18] = [
    ("/f", 410, "DENIED"),
    ("/off/f", 200, ""),
    ("/off/still/f", 200, ""),
    ("/off/on/f", 410, "DENIED"),
    ("/monitor/f", 200, "DENIED_MONITOR"),
    ("/monitor/still/f", 200, "DENIED_MONITOR"),
    ("/monitor/block/f", 410, "DENIED"),
    ("/status/f", 418, "DENIED"),
    ("/status/still/f", 418, "DENIED"),
    ("/if/f", 410, "DENIED"),
    ("/in-if/f?page=1", 200, "DENIED_MONITOR"),
    ("/methods/f", 200, "DENIED_MONITOR"),
    // Judged where it comes in, not where it is sent to.
    ("/named/f", 410, "DENIED"),
    ("/f?bypass=1", 200, "BYPASSED"),
    ("/bypass/f?bypass=1", 410, "DENIED"),
    ("/bypass/f?other=1", 200, "BYPASSED"),
    ("/bypass/still/f?other=1", 200, "BYPASSED"),
    ("/bypass/still/f?bypass=1", 410, "DENIED"),
];

const SECOND: [Row; 4] = [
    // Another application, where nobody is known.
    ("/f", 200, "PASSED"),
    ("/shop/f", 200, "DENIED_MONITOR"),
    ("/block/f", 420, "DENIED"),
    ("/block/f?bypass=1", 200, "BYPASSED"),
];

fn check(nginx: &Nginx, client: &mut Client, rows: &[Row]) {
    // Both servers write one log.
    let of = |entries: &[Entry], target: &str| -> Vec<Entry> {
        entries.iter().filter(|entry| entry.uri == target).cloned().collect()
    };
    for (target, status, verdict) in rows {
        let before = of(&nginx.access_log(), target).len();
        assert_eq!(client.send(&probe(target)).unwrap().status, *status, "{target}");
        let is_there = |entries: &[Entry]| of(entries, target).len() > before;
        let entries = nginx.entries_until(attacker(1), is_there);
        let entry = of(&entries, target).pop().unwrap();
        let said = if entry.verdict == "-" { "" } else { entry.verdict.as_str() };
        assert_eq!(said, *verdict, "{target}");
    }
}

#[test]
fn what_a_level_says_holds_below_it() {
    let nginx = site().start();
    assert!((0..200).any(|n| {
        nginx.let_judge(Duration::from_millis(10));
        let request = probe(format!("/.env{n}.bak"));
        nginx.client_from(attacker(1)).send(&request).unwrap().status == 410
    }));
    check(&nginx, &mut nginx.client_from(attacker(1)), &FIRST);
    let mut elsewhere = Client::new(nginx.other_address).from(attacker(1));
    check(&nginx, &mut elsewhere, &SECOND);
    let mut innocent = nginx.client_from(neighbour(1));
    for (target, ..) in FIRST {
        assert_eq!(innocent.get(target).unwrap().status, 200, "{target}");
    }
}

#[test]
fn what_a_request_is_looked_at_by_is_inherited_too() {
    // Endpoint and identity of the server hold in its locations; a list of a level replaces the one above.
    let server = "api_abuse_endpoint ignore; api_abuse_session $http_x_token;
        location /login/ { api_abuse_endpoint login failure=404; }
        location /inside/ { location /inside/more/ { } }
        location /replaced/ { api_abuse_session $http_x_other; }";
    let http = format!(
        "{ZONE} server {{ listen @listen@; api_abuse shop; api_abuse_mode block; root html; {STATUS} {server} }}"
    );
    let nginx = Site::new(&http).file("html/f", "file").file("html/replaced/f", "file").start();
    // Nothing under `ignore` convicts, also not two levels below.
    let mut client = nginx.client_from(attacker(1));
    for n in 0..60 {
        let target = format!("/inside/more/.env{n}");
        assert_eq!(client.send(&probe(target)).unwrap().status, 404);
    }
    let passed = || nginx.metrics().sum("api_abuse_requests_total", &[("status", "PASSED")]);
    assert!(eventually(SOON, || passed() > 59.5));
    assert_eq!(client.send(&probe("/f")).unwrap().status, 200);
    // The location's own role holds there.
    let denied = (0..80).any(|n| {
        nginx.let_judge(Duration::from_millis(10));
        let request = probe("/login/x").header("Authorization", &format!("Bearer {n}"));
        nginx.client_from(attacker(2)).send(&request).unwrap().status == 403
    });
    assert!(denied, "{}", nginx.error_log());
    let outcome = Attacker::new(nginx.address, attacker(3)).scan();
    assert!(!outcome.denied, "ignored all over the server: {outcome:?}");
}
