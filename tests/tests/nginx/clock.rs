//! A wall clock that jumps, for NGINX alone: denials last as long as they were to, detection goes on, and
//! what is read after a restart ends when it would have ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{attacker, guarded_files, neighbour};

use crate::policy::flood;

const PATIENCE: Duration = Duration::from_secs(60);

/// The library that `make deps` installs.
fn library() -> PathBuf {
    let places = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let mut libraries = places.map(|place| place.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.is_file()).expect("libfaketime is installed: make deps")
}

fn site() -> Site {
    let preload = format!("LD_PRELOAD={}", library().display());
    let environment = [
        "env",
        &preload,
        "FAKETIME_TIMESTAMP_FILE=@home@/faketime",
        "FAKETIME_CACHE_DURATION=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ];
    guarded_files().file("faketime", "+0").under(&environment).main(
        "env LD_PRELOAD; env FAKETIME_TIMESTAMP_FILE; env FAKETIME_CACHE_DURATION; \
         env FAKETIME_DONT_FAKE_MONOTONIC;",
    )
}

fn set_clock(home: &Path, offset: &str) {
    fs::write(home.join("faketime"), offset).unwrap();
}

fn convict(nginx: &Nginx, host: u16) {
    let outcome = Attacker::new(nginx.address, attacker(host)).scan();
    assert!(outcome.denied && outcome.served <= 25, "{outcome:?}");
}

fn is_denied(nginx: &Nginx, host: u16) -> bool {
    nginx.client_from(attacker(host)).send(&probe("/page.html")).unwrap().status == 403
}

/// Seconds by which NGINX's own clock, in the last line of its access log, is ahead of ours.
fn ahead(nginx: &Nginx) -> f64 {
    assert_eq!(nginx.client_from(neighbour(1)).get("/page.html").unwrap().status, 200);
    let entry = nginx.entries_from(neighbour(1), 1).pop().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    entry.time - now.as_secs_f64()
}

#[test]
fn a_clock_that_jumps_shortens_and_lengthens_nothing() {
    let mut nginx = site().start();
    convict(&nginx, 1);
    for (host, (offset, seconds)) in (2..).zip([
        ("+3d", 259_200.0),
        ("-2d", -172_800.0),
        ("+0", 0.0),
        ("-10y", -315_360_000.0),
        ("+1h", 3_600.0),
    ]) {
        set_clock(nginx.home(), offset);
        let jumped =
            || (ahead(&nginx) - seconds).abs() < 100_000_f64.min(seconds.abs() / 2.0 + 60.0);
        assert!(eventually(PATIENCE, jumped), "{offset}: {}", ahead(&nginx));
        assert!((1..host).all(|host| is_denied(&nginx, host)), "{offset}");
        convict(&nginx, host);
        nginx.reload();
        assert!((1..=host).all(|host| is_denied(&nginx, host)), "{offset}");
    }
    assert!(nginx.metrics().total("api_abuse_detector_up") > 0.5);
    // Back, and an hour is not over yet: half of it while NGINX is down.
    set_clock(nginx.home(), "+0");
    assert!(eventually(PATIENCE, || ahead(&nginx).abs() < 60.0));
    convict(&nginx, 20);
    nginx.restart_with(|home| set_clock(home, "+30m"));
    assert!(is_denied(&nginx, 20), "{}", nginx.error_log());
    // Then all of it: a denial ends by the wall clock while nobody counts.
    nginx.restart_with(|home| set_clock(home, "+90m"));
    assert!(!is_denied(&nginx, 20), "{}", nginx.error_log());
    // A clock that went back meanwhile makes no denial longer than it was to be.
    convict(&nginx, 21);
    nginx.restart_with(|home| set_clock(home, "-5d"));
    assert!(is_denied(&nginx, 21), "{}", nginx.error_log());
    let entries = nginx.status()["denylist"].clone();
    let entry =
        entries.as_array().unwrap().iter().find(|entry| entry["key"]["address"] == "127.1.0.21");
    let times = ["since", "expires"].map(|time| entry.unwrap()[time].as_str().unwrap().to_owned());
    println!("{times:?}");
    assert!(nginx.client_from(neighbour(2)).get("/page.html").unwrap().status == 200);
}

/// An open circuit breaker closes by itself after ten quiet minutes. They pass by the wall clock here, while
/// NGINX is down: its state knows when it opened, and since when it is quiet.
#[test]
fn a_circuit_breaker_closes_when_it_was_quiet_for_long_enough() {
    let mut site = site();
    let policy = "api_abuse_application shop { budget 1%; deny 127.2.201.0/24; }\n";
    site.http.insert_str(0, policy);
    let mut nginx = site.expect("falls back to monitor").start();
    let is_tripped = |nginx: &Nginx| {
        let tripped = [("application", "shop"), ("state", "tripped")];
        nginx.metrics().sum("api_abuse_application_state", &tripped) > 0.5
    };
    convict(&nginx, 1);
    flood(&nginx);
    assert!(eventually(PATIENCE, || is_tripped(&nginx)), "{}", nginx.error_log());
    for minutes in ["+0m", "+25m"] {
        // Who was denied before is served, too; not whom the operator denies.
        if minutes != "+0m" {
            nginx.restart_with(|home| set_clock(home, minutes));
        }
        let is_open = || is_tripped(&nginx) && !is_denied(&nginx, 1);
        assert!(eventually(PATIENCE, is_open), "{minutes}: {}", nginx.status()["applications"]);
        let refused = nginx.client_from(neighbour(0x101)).get("/page.html").unwrap();
        assert_eq!(refused.status, 403, "{minutes}");
        let unlucky = Attacker { limit: 60, ..Attacker::new(nginx.address, attacker(2)) };
        assert!(!unlucky.scan().denied, "{minutes}");
    }
    // What was counted is old by now, so it is quiet since the last start, a quarter of an hour ago.
    nginx.restart_with(|home| set_clock(home, "+40m"));
    assert!(eventually(PATIENCE, || ahead(&nginx) > 2000.0 && !is_tripped(&nginx)));
    let said = || nginx.error_log().contains("is protected again");
    assert!(eventually(PATIENCE, said), "{}", nginx.error_log());
    assert!(eventually(PATIENCE, || is_denied(&nginx, 1)), "its hour is not over");
    convict(&nginx, 3);
}
