//! The harness itself, on an NGINX without the module: what it says must be true before anything
//! that it says about the module is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use api_abuse_tests::eventually;
use api_abuse_tests::http::Request;
use api_abuse_tests::nginx::Site;

const SOON: Duration = Duration::from_secs(30);

fn bare() -> Site {
    Site::new("server { listen @listen@; root html; }").bare().file("html/page.html", "page")
}

#[test]
fn serves_reloads_and_stops() {
    let nginx = bare().start();
    let mut client = nginx.client_from([127, 2, 9, 9].into());
    assert_eq!(client.get("/page.html").unwrap().text(), "page");
    let before = nginx.worker_pids();
    assert_eq!(before.len(), 2);
    nginx.reload();
    let after = nginx.worker_pids();
    assert!(after.len() == 2 && after.iter().all(|pid| !before.contains(pid)));
    assert_eq!(client.send(&Request::new("HEAD", "/page.html")).unwrap().status, 200);
    let logged = || std::fs::read_to_string(nginx.home().join("access.json")).unwrap();
    assert!(eventually(SOON, || logged().lines().count() == 2), "{}", logged());
    nginx.finish();
}

#[test]
fn a_worker_that_the_test_killed_is_no_failure_and_comes_back() {
    let nginx = bare().start();
    let victim = nginx.worker_pids()[0];
    nginx.kill9(victim);
    let back = eventually(SOON, || {
        let pids = nginx.worker_pids();
        pids.len() == 2 && !pids.contains(&victim)
    });
    assert!(back);
    nginx.finish();
}

#[test]
fn an_alarming_line_fails_the_test_that_did_not_expect_it() {
    let missing =
        "server { listen @listen@; location / { root html; } }\nlimit_req_zone $x zone=a:1;";
    let (accepted, said) = Site::new(missing).bare().test();
    assert!(!accepted && said.contains("[emerg]") && said.contains("nginx.conf:"), "{said}");
    // A rejected configuration on reload is an [emerg] line in the log of a running NGINX.
    let provoke = |mut nginx: api_abuse_tests::nginx::Nginx| {
        nginx.reconfigure(|site| site.http.push_str("nonsense;"));
        nginx.hup();
        let logged = || nginx.error_log().contains("unknown directive \"nonsense\"");
        assert!(eventually(SOON, logged));
        nginx.finish();
    };
    provoke(bare().expect("unknown directive \"nonsense\"").start());
    let careless = bare().start();
    let home = careless.home().to_owned();
    let unexpected = catch_unwind(AssertUnwindSafe(|| provoke(careless)));
    assert!(unexpected.is_err(), "the harness saw nothing");
    assert!(home.join("error.log").exists(), "what a failed test is looked at by is gone");
    std::fs::remove_dir_all(home).unwrap();
}
