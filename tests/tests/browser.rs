//! The console in a browser, in front of a real NGINX: `make test-console` runs it, for it needs Node and
//! Chromium. What is clicked and looked at is in `tests/console`; the same files also run against a mock.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;
use std::process::Command;

use api_abuse_tests::attack::{Login, customers_log_in};
use api_abuse_tests::denials::{deny_all, roomy_site};
use api_abuse_tests::http::Request;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::shop::Shop;
use api_abuse_tests::sites::shipped;

/// These files of tests, on this NGINX.
fn browse(nginx: &Nginx, files: &[&str]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    let status = Command::new("node")
        .args(["--test", "--test-reporter=spec", "--test-concurrency=1"])
        .args(files)
        .current_dir(directory)
        .env("CONSOLE_URL", format!("http://{}/abuse/", nginx.address))
        .env("SCANNER_STATE", nginx.home().join("scanner"))
        .env("CONSOLE_ATTACK", "./scanner attack")
        .env("CONSOLE_PROBE", "./scanner probe")
        .env("CONSOLE_AGAIN", "./scanner again")
        .status();
    assert!(status.unwrap().success(), "{files:?}");
}

#[test]
#[ignore = "needs Node and Chromium: make test-console"]
fn an_operator_watches_an_attack_lifts_it_and_allows_its_source() {
    let shop = Shop::open().unwrap();
    let nginx = shipped("demo.conf", shop.address).start();
    customers_log_in(nginx.address, Login::Api, 20).unwrap();
    // The first leaves convictions for the second to read.
    browse(&nginx, &["console.test.js", "api.test.js"]);
    nginx.finish();
}

#[test]
#[ignore = "needs Node and Chromium: make test-console"]
fn a_hundred_thousand_denials_scroll_and_are_searched() {
    let nginx = roomy_site().start();
    deny_all(&nginx);
    let mut client = nginx.client();
    for (host, times) in [(9, 3), (30, 2), (200, 1)] {
        for _ in 0..times {
            let request =
                Request::get("/page.html").header("X-Forwarded-For", &format!("10.1.7.{host}"));
            assert_eq!(client.send(&request).unwrap().status, 403);
        }
    }
    browse(&nginx, &["long.test.js"]);
    nginx.finish();
}
