//! Whose request it is: every kind of address that a socket has, and proxies that are trusted in one
//! location alone.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::http::Client;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::sites::{attacker, guarded, neighbour};

#[test]
fn ipv6_clients_are_denied_by_their_network() {
    let nginx = guarded("listen [::1]:@port@; root html;").file("html/page.html", "page").start();
    let mut client = Client::new(SocketAddr::from((Ipv6Addr::LOCALHOST, nginx.address.port())));
    assert_eq!(client.send(&probe("/page.html")).unwrap().status, 200);
    let served = (0..60).take_while(|n| {
        nginx.let_judge(Duration::from_millis(10));
        client.send(&probe(format!("/.env{n}.bak"))).unwrap().status != 403
    });
    assert!((1..=25).contains(&served.count()));
    assert_eq!(client.send(&probe("/page.html")).unwrap().status, 403);
    let status = nginx.status()["denylist"].to_string();
    assert!(status.contains("\"::/64\"") || status.contains("\"::1\""), "{status}");
    assert_eq!(nginx.client_from(neighbour(1)).send(&probe("/page.html")).unwrap().status, 200);
}

#[test]
fn ipv4_clients_of_an_ipv6_socket_are_ipv4_clients() {
    let server = "listen [::ffff:127.0.0.7]:@port@ ipv6only=off; root html;";
    let nginx = guarded(server).file("html/page.html", "page").start();
    let mapped = SocketAddr::from(([127, 0, 0, 7], nginx.address.port()));
    let status = |to: SocketAddr, host| {
        Client::new(to).from(attacker(host)).send(&probe("/page.html")).unwrap().status
    };
    // Who is denied on the one socket is on the other.
    assert!(Attacker::new(mapped, attacker(1)).scan().denied);
    assert!(Attacker::new(nginx.address, attacker(2)).scan().denied);
    for host in [1, 2] {
        assert_eq!([status(mapped, host), status(nginx.address, host)], [403, 403]);
    }
    assert_eq!([status(mapped, 3), status(nginx.address, 3)], [200, 200]);
    assert!(nginx.status()["denylist"].to_string().contains("\"127.1.0.1\""));
}

#[test]
fn a_proxy_may_be_trusted_in_one_location_alone() {
    let trusted = "set_real_ip_from 127.2.0.0/16; real_ip_header X-Forwarded-For;";
    let server = format!("root html; location /behind/ {{ {trusted} }}");
    let nginx = guarded(&server).file("html/page.html", "p").file("html/behind/f", "f").start();
    let mut proxy = nginx.client_from(neighbour(1));
    let mut status = |path: &str, client: &str| {
        proxy.send(&probe(path).header("X-Forwarded-For", client)).unwrap().status
    };
    let served = (0..60).take_while(|n| {
        nginx.let_judge(Duration::from_millis(10));
        status(&format!("/behind/.env{n}.bak"), "198.51.100.7") != 403
    });
    assert!((1..=25).contains(&served.count()));
    assert_eq!(status("/behind/f", "198.51.100.7"), 403);
    // Another client of the proxy, and the proxy where nobody trusts what it says.
    assert_eq!(status("/behind/f", "198.51.100.8"), 200);
    assert_eq!(status("/page.html", "198.51.100.7"), 200);
    // Who is no proxy is itself, whatever it says.
    let request = probe("/behind/f").header("X-Forwarded-For", "198.51.100.7");
    assert_eq!(nginx.client_from(attacker(1)).send(&request).unwrap().status, 200);
}

/// NGINX goes through the values of all variables to work out such a `root`, and what the module keeps beside them
/// stays as it is: an address in which `no_cacheable` would be set, and pointers, which lie elsewhere at each start.
#[test]
fn a_root_with_variables_changes_nothing_that_is_remembered() {
    let trusted = "set_real_ip_from 127.2.0.0/16; real_ip_header X-Forwarded-For;";
    let server = format!("{trusted} set $place html; root $place;");
    let mut nginx = guarded(&server).file("html/page.html", "p").start();
    let status = |nginx: &Nginx, path: &str, client: &str| {
        let request = probe(path).header("X-Forwarded-For", client);
        nginx.client_from(neighbour(1)).send(&request).unwrap().status
    };
    let served = (0..60).take_while(|n| {
        nginx.let_judge(Duration::from_millis(10));
        status(&nginx, &format!("/.env{n}.bak"), "2001:db8::7") != 403
    });
    assert!((1..=25).contains(&served.count()));
    assert_eq!(status(&nginx, "/page.html", "2001:db8::8"), 403);
    assert_eq!(status(&nginx, "/page.html", "2001:db8:1::7"), 200);
    assert!(nginx.status()["denylist"].to_string().contains("\"2001:db8::/64\""));
    for _ in 0..6 {
        nginx.restart();
        for _ in 0..3 {
            assert_eq!(status(&nginx, "/page.html", "2001:db8:1::7"), 200);
        }
        assert!(!nginx.error_log().contains("on signal 11"), "{}", nginx.error_log());
    }
}
