//! Every configuration that people are given works as it stands.

use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::http::Request;
use api_abuse_tests::random::Random;
use api_abuse_tests::shop::Shop;
use api_abuse_tests::sites::{attacker, shipped, shipped_directory};

/// Included by the others, no configuration of its own.
const INCLUDED: [&str; 1] = ["log_format.conf"];

#[test]
fn each_starts_and_serves() {
    let shop = Shop::open().unwrap();
    let mut names: Vec<_> = std::fs::read_dir(shipped_directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".conf") && !INCLUDED.contains(&name.as_str()))
        .collect();
    names.sort();
    assert!(names.contains(&"minimal.conf".to_owned()), "{names:?}");
    for name in &names {
        let nginx = shipped(name, shop.address).start();
        assert_eq!(nginx.client().get("/product/1").unwrap().status, 200, "{name}");
        nginx.finish();
    }
    println!("{names:?}");
}

#[test]
fn the_demo_denies_a_scanner_and_says_so() {
    let shop = Shop::open().unwrap();
    let nginx = shipped("demo.conf", shop.address).start();
    let outcome = Attacker::new(nginx.address, attacker(1)).scan();
    assert!(outcome.denied && outcome.served <= 25, "{outcome:?}");
    let entry = nginx.denial_of(attacker(1));
    assert_eq!((entry.verdict.as_str(), entry.application.as_str()), ("DENIED", "shop"));
    assert!(nginx.metrics().total("api_abuse_denylist_entries") >= 1.0);
}

#[test]
fn behind_a_load_balancer_the_real_client_is_denied_politely() {
    let shop = Shop::open().unwrap();
    // The load balancer of this test is on this machine.
    let nginx = shipped("shop.conf", shop.address).set("10.0.0.0/8", &"127.0.0.1/32").start();
    let mut client = nginx.client();
    let mut random = Random::new(3);
    let denied = (0..60).find_map(|_| {
        nginx.let_judge(Duration::from_millis(12));
        let request = probe(format!("/{}", random.word(9)));
        let response = client.send(&request.header("X-Forwarded-For", "203.0.113.5")).unwrap();
        (response.status == 403).then_some(response)
    });
    assert!(denied.expect("a denial").text().contains("help@example.com"));
    let other = Request::get("/product/1").header("X-Forwarded-For", "203.0.113.6");
    assert_eq!(client.send(&other).unwrap().status, 200);
    assert_eq!(client.get("/denied").unwrap().status, 404, "it is for error_page alone");
}
