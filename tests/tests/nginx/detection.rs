//! Attackers are denied, in time and for the right reason; their neighbours are not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use api_abuse_tests::access_log::fate;
use api_abuse_tests::attack::{Attacker, Login, Outcome, customers_log_in, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::Request;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::people::{Crowd, PEOPLE};
use api_abuse_tests::shop::Shop;
use api_abuse_tests::sites::{attacker, guarded, guarded_application, guarded_files, neighbour};

const SOON: Duration = Duration::from_secs(30);

/// Requests that may be served to a scanner, and to a credential stuffer.
const SCANNER_MAX: usize = 25;
const STUFFER_MAX: usize = 40;

fn guarded_shop(mode: &str) -> (Shop, Nginx) {
    let shop = Shop::open().unwrap();
    let nginx = guarded_application(shop.address, mode).start();
    (shop, nginx)
}

#[test]
fn scanners_are_denied_and_their_neighbours_are_not() {
    let nginx = guarded_files().start();
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let neighbours: Vec<_> = (1..=3)
            .map(|host| {
                let (nginx, over, served) = (&nginx, &over, &served);
                scope.spawn(move || {
                    let mut client = nginx.client_from(neighbour(host));
                    while !over.load(Ordering::Relaxed) {
                        assert_eq!(client.get("/page.html").unwrap().status, 200);
                        served.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_millis(20));
                    }
                })
            })
            .collect();
        for host in 1..=8 {
            let outcome = Attacker::new(nginx.address, attacker(host)).scan();
            println!("scanner {host}: {outcome:?}");
            assert!(outcome.denied && outcome.served <= SCANNER_MAX, "{outcome:?}");
        }
        over.store(true, Ordering::Relaxed);
        for neighbour in neighbours {
            neighbour.join().unwrap();
        }
    });
    for host in 1..=8 {
        assert_eq!(nginx.denial_of(attacker(host)).threat, "vulnerability_scanning");
    }
    println!("{} requests of neighbours", served.load(Ordering::Relaxed));
    assert!(served.load(Ordering::Relaxed) > 20);
}

fn stuff(login: Login) {
    let (_shop, nginx) = guarded_shop("block");
    customers_log_in(nginx.address, login, 12).unwrap();
    let mut served = Vec::new();
    for host in 1..=4 {
        let outcome = Attacker::new(nginx.address, attacker(host)).stuff(login);
        println!("stuffer {host}: {outcome:?}");
        assert!(outcome.denied && outcome.served <= STUFFER_MAX, "{outcome:?}");
        served.push(outcome.served);
        let logged = nginx.entries_from(attacker(host), outcome.served + 1);
        assert_eq!(logged.last().unwrap().threat, "credential_stuffing");
    }
    // The customers still can.
    let requests = customers_log_in(nginx.address, login, 12).unwrap();
    assert!(nginx.access_log().iter().all(|e| !e.denied() || e.from.starts_with("127.1.")));
    println!("{served:?} attempts served, {requests} requests of customers afterwards");
}

#[test]
fn stuffing_the_login_of_the_api_is_denied() {
    stuff(Login::Api);
}

#[test]
fn stuffing_the_login_that_answers_200_on_failure_is_denied() {
    stuff(Login::Form);
}

#[test]
fn monitor_mode_says_what_it_would_do_and_does_not_do_it() {
    let (_shop, nginx) = guarded_shop("monitor");
    let mut attack = Attacker::new(nginx.address, attacker(1));
    attack.limit = 80;
    let outcome = attack.scan();
    assert!(!outcome.denied, "monitor mode changed a response: {outcome:?}");
    let entries = nginx.entries_from(attacker(1), 80);
    let would = entries.iter().position(|entry| entry.verdict == "DENIED_MONITOR");
    assert!(would.is_some_and(|first| first <= SCANNER_MAX), "{would:?}");
    assert!(entries.iter().all(|entry| matches!(entry.code, 200 | 404)));
    assert!(entries[would.unwrap()].threat == "vulnerability_scanning", "{:?}", entries[20]);
    let counted = || {
        let labels = [("status", "DENIED_MONITOR")];
        nginx.metrics().sum("api_abuse_requests_total", &labels) > 0.5
    };
    assert!(eventually(SOON, counted));
    println!("{} requests, all served; block mode would have served {would:?}", entries.len());
}

#[test]
fn loopback_is_denied_only_when_it_is_allowed_to_be() {
    let mut site = guarded_files();
    site.http = site.http.replace("api_abuse_deny_loopback on;", "");
    let nginx = site.start();
    let mut attack = Attacker::new(nginx.address, attacker(1));
    attack.limit = 60;
    assert!(!attack.scan().denied);
}

#[test]
fn an_attackers_neighbours_at_its_address_keep_their_access() {
    let (_shop, nginx) = guarded_shop("block");
    let address = attacker(1);
    // Three colleagues, each with a browser of their own, who were there first.
    let agents = ["Firefox/143.0", "Chrome/141.0.0.0", "Safari/604.1"];
    let mut colleagues: Vec<_> = agents.iter().map(|_| nginx.client_from(address)).collect();
    let mut browse = |rounds: usize| {
        for round in 0..rounds {
            for (client, agent) in colleagues.iter_mut().zip(agents) {
                let path = ["/", "/about", "/department/mugs", "/product/3"][round % 4];
                let request = Request::get(path).headers(&[
                    ("User-Agent", &format!("Mozilla/5.0 {agent}")),
                    ("Accept", "text/html"),
                    ("Accept-Language", "en"),
                ]);
                assert_eq!(client.send(&request).unwrap().status, 200, "{agent} in {round}");
            }
        }
    };
    browse(8);
    let outcome = Attacker::new(nginx.address, address).scan();
    assert!(outcome.denied && outcome.served <= SCANNER_MAX, "{outcome:?}");
    browse(8);
    assert_eq!(nginx.client_from(address).send(&probe("/")).unwrap().status, 403);
}

/// A login that answers every mistake with a redirect to its form, which has another address. NGINX makes
/// a relative one absolute before it sends it.
#[test]
fn a_login_that_redirects_to_its_form_says_no() {
    let application = "server { listen @other@; absolute_redirect off; \
         location = /session { return 302 /account/login; } location / { return 200 page; } }";
    let server = "location / { proxy_pass http://@other@; }";
    let mut site = guarded(server);
    site.http.push_str(application);
    let nginx = site.start();
    let mut client = nginx.client_from(attacker(1));
    let attempt = |n: usize| {
        let password = &"correcthorsebattery"[n * 5 % 13..];
        let body = format!("email=person{n}%40example.net&password={password}");
        Request::post("/session", "application/x-www-form-urlencoded", body)
            .header("User-Agent", "Mozilla/5.0 (stuff)")
    };
    let denied = (0..STUFFER_MAX).find(|&n| {
        nginx.let_judge(Duration::from_millis(25));
        client.send(&attempt(n)).unwrap().status == 403
    });
    let attempts = denied.expect("never denied");
    assert!(attempts > 5, "{attempts}");
    let fate = fate(&nginx.entries_from(attacker(1), attempts + 1), attacker(1));
    assert_eq!(fate.threat, "credential_stuffing", "{fate:?}");
}

#[test]
fn benign_clients_that_look_bad_are_never_denied() {
    let (shop, nginx) = guarded_shop("block");
    // Five times as fast as real people. Faster ones would not be like people any more: some threats
    // are told by haste.
    let crowd = Crowd::enter(nginx.address, 11, 0.2);
    assert!(eventually(SOON, || crowd.visits().requests > 150), "{:?}", crowd.visits());
    let Outcome { denied, served } = Attacker::new(nginx.address, attacker(1)).scan();
    assert!(denied && served <= SCANNER_MAX, "{served}");
    let busy = || {
        let log = nginx.access_log();
        let did_something = PEOPLE.iter().all(|person| fate(&log, person.address).served > 2);
        did_something && crowd.visits().requests > 500
    };
    assert!(eventually(2 * SOON, busy), "{:?}", crowd.visits());
    let visits = crowd.leave();
    let log = nginx.access_log();
    for person in PEOPLE {
        let fate = fate(&log, person.address);
        assert_eq!(fate.denied, 0, "{} was denied: {fate:?}", person.name);
    }
    println!("{visits:?}, the shop served {}", shop.served());
    assert_eq!(visits.refused, 0);
}
