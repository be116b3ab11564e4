//! The console in a browser, in front of a real NGINX: `make test-console` runs it, for it needs Node and
//! Chromium. What is clicked and looked at is in `tests/console`; the same files also run against a mock.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;
use std::process::Command;

use api_abuse_tests::attack::{Login, customers_log_in};
use api_abuse_tests::shop::Shop;
use api_abuse_tests::sites::shipped;

/// Files of tests that need no mock. The first leaves convictions for the second to read.
const FILES: [&str; 2] = ["console.test.js", "api.test.js"];

#[test]
#[ignore = "needs Node and Chromium: make test-console"]
fn an_operator_watches_an_attack_lifts_it_and_allows_its_source() {
    let shop = Shop::open().unwrap();
    let nginx = shipped("demo.conf", shop.address).start();
    customers_log_in(nginx.address, Login::Api, 20).unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    let status = Command::new("node")
        .args(["--test", "--test-reporter=spec", "--test-concurrency=1"])
        .args(FILES)
        .current_dir(directory)
        .env("CONSOLE_URL", format!("http://{}/abuse/", nginx.address))
        .env("SCANNER_STATE", nginx.home().join("scanner"))
        .env("CONSOLE_ATTACK", "./scanner attack")
        .env("CONSOLE_PROBE", "./scanner probe")
        .env("CONSOLE_AGAIN", "./scanner again")
        .status();
    assert!(status.unwrap().success());
    nginx.finish();
}
