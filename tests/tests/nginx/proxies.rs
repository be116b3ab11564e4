//! Who is never denied by the detectors: proxies that are trusted, and who comes through a unix socket;
//! and where applications come from when a variable names them.

use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use api_abuse_tests::attack::probe;
use api_abuse_tests::eventually;
use api_abuse_tests::http::{Request, read_response};
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{STATUS, ZONE, guarded, neighbour};

const SOON: Duration = Duration::from_secs(30);

/// Scans in the name of `client`, as a proxy forwards it; whether that was denied.
fn scan_for(nginx: &Nginx, client: &str) -> bool {
    let mut proxy = nginx.client_from(neighbour(1));
    (0..60).any(|n| {
        nginx.let_judge(Duration::from_millis(8));
        let request = probe(format!("/.env{n}.bak")).header("X-Forwarded-For", client);
        proxy.send(&request).unwrap().status == 403
    })
}

#[test]
fn trusted_proxies_are_never_denied_wherever_they_are_named() {
    let http = format!(
        "{ZONE} set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;
         server {{ listen @other@; set_real_ip_from 192.0.2.0/25; set_real_ip_from unix:;
           location /a/ {{ set_real_ip_from 198.51.100.7; }}
           location /b/ {{ location /b/c/ {{ set_real_ip_from 2001:db8:1::/48; }} }} }}
         server {{ listen @listen@; api_abuse shop; api_abuse_mode block; {STATUS} root html;
           location /all/ {{ set_real_ip_from 0.0.0.0/0; set_real_ip_from ::/0; }} }}"
    );
    let nginx = Site::new(&http).start();
    for named in ["192.0.2.9", "198.51.100.7", "2001:db8:1:2::3"] {
        assert!(!scan_for(&nginx, named), "{named} is a proxy");
    }
    for other in ["192.0.2.129", "198.51.100.8", "2001:db8:2::3"] {
        assert!(scan_for(&nginx, other), "{other} is nobody's proxy");
    }
}

#[test]
fn a_reload_that_trusts_a_proxy_lifts_its_denial() {
    let mut site = guarded("root html;").file("html/page.html", "page");
    site.http.push_str("set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;");
    let mut nginx = site.start();
    assert!(scan_for(&nginx, "192.0.2.9"));
    nginx.reconfigure(|site| site.http.push_str("set_real_ip_from 192.0.2.0/24;"));
    nginx.reload();
    let status = || {
        let request = probe("/page.html").header("X-Forwarded-For", "192.0.2.9");
        nginx.client_from(neighbour(1)).send(&request).unwrap().status
    };
    assert!(eventually(SOON, || status() == 200), "{}", nginx.error_log());
}

#[test]
fn who_comes_through_a_unix_socket_is_never_denied() {
    let nginx = guarded("listen unix:@home@/socket; root html; api_abuse_session $http_x;").start();
    for n in 0..80 {
        let mut stream = UnixStream::connect(nginx.home().join("socket")).unwrap();
        let request =
            format!("GET /.env{n} HTTP/1.1\r\nHost: a\r\nX: 1\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_response(&mut BufReader::new(stream), false).unwrap().status, 404);
        nginx.let_judge(Duration::from_millis(4));
    }
}

/// Requests belong to the application that they name.
fn named_by_requests() -> Nginx {
    let mut site = guarded("root html; api_abuse $http_x_shop;").file("html/page.html", "page");
    site.http = site.http.replacen("api_abuse shop;", "", 1);
    site.start()
}

#[test]
fn applications_that_a_variable_names_are_told_apart_when_they_are_shown() {
    let nginx = named_by_requests();
    let mut client = nginx.client_from(neighbour(1));
    let bytes: [&[u8]; 4] = [b"\xff", b"\xfe", b"(other)", b"a\"b\\c"];
    for name in bytes {
        let head = b"GET /page.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Shop: ";
        let answer = client.raw(&[head, name, b"\r\n\r\n"].concat()).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
    }
    // Another worker may have answered: they are to be there before all places are taken.
    let counted = |least: f64| {
        eventually(SOON, || nginx.metrics().total("api_abuse_requests_total") > least - 0.5)
    };
    assert!(counted(4.0));
    for n in 0..70 {
        let request = Request::get("/page.html").header("X-Shop", &format!("shop{n:02}"));
        assert_eq!(client.send(&request).unwrap().status, 200);
    }
    assert!(counted(74.0));
    let status = nginx.status();
    let applications = status["applications"].as_array().unwrap();
    let mut names: Vec<_> =
        applications.iter().map(|known| known["name"].as_str().unwrap()).collect();
    for shown in ["\u{fffd}", "\u{fffd}#", "(other)", "(other)#", "a\"b\\c"] {
        assert!(names.iter().any(|name| name.starts_with(shown)), "{shown}: {names:?}");
    }
    let many = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), many, "two are called alike: {names:?}");
}

#[test]
fn applications_that_a_variable_names_are_bounded() {
    let nginx = named_by_requests();
    let mut client = nginx.client_from(neighbour(1));
    for n in 0..100 {
        let request = Request::get("/page.html").header("X-Shop", &format!("shop{n:02}"));
        assert_eq!(client.send(&request).unwrap().status, 200);
    }
    // No value, no application.
    client.send(&Request::get("/page.html").header("X-Shop", "")).unwrap();
    client.get("/page.html").unwrap();
    let of = |name: &str| nginx.metrics().sum("api_abuse_requests_total", &[("application", name)]);
    assert!(eventually(SOON, || nginx.metrics().total("api_abuse_requests_total") > 99.5));
    assert!((of("shop00") - 1.0).abs() < 0.5 && of("(other)") > 35.5, "{}", of("(other)"));
    assert!((nginx.metrics().total("api_abuse_requests_total") - 100.0).abs() < 0.5);
    let known = nginx.status()["applications"].as_array().unwrap().len();
    assert!((60..=64).contains(&known), "{known}");
    let last = nginx.entries_from(neighbour(1), 102).pop().unwrap();
    assert!(matches!(last.application.as_str(), "" | "-"), "{last:?}");
}
