//! What arrives at a port: every HTTP version, hostile bytes, and the ways to say whose request
//! this is.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe, until_judged};
use api_abuse_tests::http::{Client, Request};
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::random::Random;
use api_abuse_tests::sites::{STATUS, attacker, guarded, guarded_files, neighbour};

#[test]
fn http_0_9_is_served_recorded_and_denied() {
    let nginx = guarded_files().start();
    let mut client = nginx.client_from(neighbour(1));
    assert_eq!(client.raw(b"GET /page.html\r\n").unwrap(), b"page");
    let entry = nginx.entries_from(neighbour(1), 1).remove(0);
    assert_eq!((entry.verdict.as_str(), entry.uri.as_str()), ("PASSED", "/page.html"));
    let mut scanner = nginx.client_from(attacker(1));
    let mut random = Random::new(9);
    let denied = (0..100).find(|_| {
        nginx.let_judge(Duration::from_millis(12));
        let request = format!("GET /{}\r\n", random.word(8));
        String::from_utf8_lossy(&scanner.raw(request.as_bytes()).unwrap()).contains("403 Forbidden")
    });
    assert!(denied.is_some_and(|served| served <= 25), "{denied:?}");
}

#[test]
fn http_2_is_served_recorded_and_denied() {
    let mut site = guarded_files();
    site.http = site.http.replace("listen @listen@;", "listen @listen@ http2;");
    // Newer versions ask for a directive that older ones do not know.
    let nginx = site.expect("directive is deprecated").start();
    let mut random = Random::new(2);
    let denied = (0..60).find(|_| {
        let output = Command::new("curl")
            .args(["--silent", "--http2-prior-knowledge", "--interface", "127.1.0.1"])
            .args(["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"])
            .arg(format!("http://{}/{}", nginx.address, random.word(9)))
            .output()
            .expect("curl is installed");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(["2 404", "2 403"].contains(&said.as_ref()), "{said}");
        said == "2 403"
    });
    println!("HTTP/2: denied after {denied:?}");
    let denied = denied.filter(|served| (1..=25).contains(served)).expect("a denial in time");
    let entries = nginx.entries_from(attacker(1), denied + 1);
    assert_eq!(entries.len(), denied + 1);
    let entry = nginx.denial_of(attacker(1));
    assert_eq!((entry.verdict.as_str(), entry.code), ("DENIED", 403));
}

#[test]
fn hostile_targets_are_recorded_and_break_nothing() {
    let nginx = guarded_files().start();
    let long = [b"/".to_vec(), vec![b'a'; 8000]].concat();
    let segments = b"/x".repeat(4000);
    let query = [b"/page.html?".to_vec(), b"%ff=\xff&".repeat(900)].concat();
    let targets: [&[u8]; 12] = [
        b"/\xff\xfe\xfd",
        b"/%00",
        b"/%ff%fe",
        b"/a/../../../../etc/passwd",
        b"//page.html",
        b"/page.html?\"quoted\\\x01",
        b"/\xc3\xa4\xe2\x82\xac",
        b"http://elsewhere.example/page.html",
        b"*",
        &long,
        &segments,
        &query,
    ];
    for (number, target) in targets.into_iter().enumerate() {
        // Somebody else each time: this is about what is recorded, not about who is denied.
        let address = neighbour(number as u16 + 1);
        let method = if target == b"*" { "OPTIONS" } else { "GET" };
        let response = nginx.client_from(address).send(&Request::new(method, target)).unwrap();
        let entry = nginx.entries_from(address, 1).remove(0);
        assert_eq!(entry.code, response.status, "{entry:?}");
    }
    let agent = "\u{1}\u{ff}".repeat(600);
    let mut client = nginx.client_from(neighbour(50));
    let request = Request::get("/page.html").header("User-Agent", &agent).header("Cookie", "=;=");
    assert_eq!(client.send(&request).unwrap().status, 200);
    // Many at once on one connection, with bodies nobody reads.
    let pipelined = b"POST /page.html HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    let last = b"GET /page.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let bytes = [pipelined.repeat(20), last.to_vec()].concat();
    let answer = nginx.client_from(neighbour(51)).raw(&bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1 ").count(), 21);
    nginx.entries_from(neighbour(51), 21);
    assert!(nginx.metrics().total("api_abuse_records_dropped_total") < 0.5);
}

/// Behind a proxy that is trusted; loopback may not be denied, so only named addresses can be.
fn behind_a_proxy(header: &str, listen: &str) -> Nginx {
    let site = Site::new(&format!(
        "api_abuse_zone abuse:16m; set_real_ip_from 127.0.0.0/8; real_ip_header {header};\n\
         server {{ listen @listen@ {listen}; api_abuse shop; api_abuse_mode block; root html; {STATUS} }}\n\
         server {{ listen @other@; {STATUS} }}"
    ));
    site.file("html/page.html", "page").start()
}

fn scan_as(nginx: &Nginx, address: &str) -> usize {
    let mut client = nginx.client();
    let mut random = Random::new(4);
    let served = (0..100).find(|_| {
        nginx.let_judge(Duration::from_millis(12));
        let request = probe(format!("/{}", random.word(9))).header("X-Forwarded-For", address);
        client.send(&request).unwrap().status == 403
    });
    served.unwrap_or_else(|| panic!("{address} was not denied"))
}

#[test]
fn the_client_is_whom_a_trusted_proxy_names() {
    let nginx = behind_a_proxy("X-Forwarded-For", "");
    let mut client = nginx.client();
    let mut status = |address: &str| {
        client.send(&probe("/page.html").header("X-Forwarded-For", address)).unwrap().status
    };
    assert!(scan_as(&nginx, "198.51.100.7") <= 25);
    assert_eq!((status("198.51.100.7"), status("198.51.100.8")), (403, 200));
    assert_eq!(status("127.0.0.1"), 200, "the proxy itself");
    // An IPv4 address is the same in IPv6 clothes; an IPv6 client owns a /64.
    assert_eq!(status("::ffff:198.51.100.7"), 403);
    assert!(scan_as(&nginx, "2001:db8:1:2::1") <= 25);
    assert_eq!(status("2001:db8:1:2:ffff:ffff:ffff:ffff"), 403);
    assert_eq!(status("2001:db8:1:3::1"), 200);
}

#[test]
fn the_client_is_whom_the_proxy_protocol_names() {
    let nginx = behind_a_proxy("proxy_protocol", "proxy_protocol");
    let mut random = Random::new(5);
    let ask = |address: &str, target: &str| {
        let request = format!(
            "PROXY TCP4 {address} 192.0.2.1 1000 80\r\nGET {target} HTTP/1.1\r\nHost: a\r\n\
             User-Agent: scan/1.0\r\nConnection: close\r\n\r\n"
        );
        let answer = nginx.client().raw(request.as_bytes()).unwrap();
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let served = (0..100).find(|_| {
        thread::sleep(Duration::from_millis(12));
        until_judged(nginx.other_address);
        ask("198.51.100.9", &format!("/{}", random.word(9))) == "403"
    });
    assert!(served.is_some_and(|served| served <= 25), "{served:?}");
    assert_eq!(ask("198.51.100.9", "/page.html"), "403");
    assert_eq!(ask("198.51.100.10", "/page.html"), "200");
}

#[test]
fn unix_sockets_have_no_address_to_deny() {
    let server = "listen unix:@home@/socket; root html;";
    let nginx = guarded(server).file("html/page.html", "page").start();
    let mut random = Random::new(6);
    let ask = |target: &str| {
        let mut stream = UnixStream::connect(nginx.home().join("socket")).unwrap();
        write!(stream, "GET {target} HTTP/1.0\r\nUser-Agent: scan/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    for _ in 0..60 {
        assert_eq!(ask(&format!("/{}", random.word(9))), "404");
    }
    assert_eq!(ask("/page.html"), "200");
    // And what came over it convicts nobody else.
    assert_eq!(Client::new(nginx.address).get("/page.html").unwrap().status, 200);
    let outcome = Attacker::new(nginx.address, attacker(1)).scan();
    assert!(outcome.denied && outcome.served <= 25, "{outcome:?}");
}
