//! Exchanges that are more than a request and its answer: upgrades, long polls, ranges, 100-continue,
//! gRPC, caches, redirects that an application asks for, and other modules that refuse. Each is served
//! and counted once, and a denial holds in front of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::{Client, Request, read_headers, read_line, read_response};
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{attacker, neighbour};

use crate::counting::{assert_counted, counted, one_worker};

const SOON: Duration = Duration::from_secs(30);

/// One worker, with attackers whom the policy denies, whatever their requests look like.
fn site(server: &str) -> Site {
    let mut site = one_worker(server);
    site.http.insert_str(0, "api_abuse_application shop { deny 127.1.0.0/16; }\n");
    site
}

/// An application on a port of its own that answers each connection with `answer`.
fn application(answer: impl Fn(&mut BufReader<TcpStream>) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, mut stream) = (Arc::clone(&answer), BufReader::new(stream));
            thread::spawn(move || {
                if read_line(&mut stream).is_ok() && read_headers(&mut stream).is_ok() {
                    answer(&mut stream);
                }
            });
        }
    });
    address
}

const UPGRADE: &[u8] =
    b"GET /socket HTTP/1.1\r\nHost: a\r\nUser-Agent: scan/1.0\r\nAccept: */*\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// An application that upgrades, then says everything that it hears.
fn echo() -> String {
    application(|stream| {
        let accepted = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\n\r\n";
        stream.get_mut().write_all(accepted).unwrap();
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if stream.get_mut().write_all(&line).is_err() {
                return;
            }
            line.clear();
        }
    })
}

const UPGRADES: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;";

/// Upgrades, and hears what it says.
fn upgrade(client: &Client) -> BufReader<TcpStream> {
    let mut stream = BufReader::new(client.connect().unwrap());
    stream.get_mut().write_all(UPGRADE).unwrap();
    assert!(read_line(&mut stream).unwrap().contains(" 101 "));
    read_headers(&mut stream).unwrap();
    say(&mut stream, "hello");
    stream
}

fn say(stream: &mut BufReader<TcpStream>, words: &str) {
    writeln!(stream.get_mut(), "{words}").unwrap();
    assert_eq!(read_line(stream).unwrap(), words);
}

#[test]
fn an_upgraded_connection_is_one_request() {
    let server =
        format!("root html; location /socket {{ proxy_pass http://{}; {UPGRADES} }}", echo());
    let nginx = site(&server).start();
    let mut denied = nginx.client_from(attacker(1));
    let mut stream = upgrade(&nginx.client_from(neighbour(1)));
    assert_counted(&nginx, 0, "it is not over");
    say(&mut stream, "still here");
    drop(stream);
    let entry = nginx.entries_from(neighbour(1), 1).remove(0);
    assert_eq!((entry.code, entry.verdict.as_str()), (101, "PASSED"));
    assert_counted(&nginx, 1, "it is over");
    let answer = denied.raw(&[UPGRADE, b"GET / HTTP/1.0\r\n\r\n"].concat()).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 403 "), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn workers_that_are_told_to_hurry_lose_no_record() {
    let server =
        format!("root html; location /socket {{ proxy_pass http://{}; {UPGRADES} }}", echo());
    let nginx = site(&server).main("worker_shutdown_timeout 300ms;").start();
    let mut open: Vec<_> =
        (1..=5).map(|host| upgrade(&nginx.client_from(neighbour(host)))).collect();
    for _ in 0..2 {
        nginx.reload();
    }
    assert!(eventually(SOON, || nginx.retiring_pids().is_empty()), "{:?}", nginx.retiring_pids());
    let mut rest = Vec::new();
    assert!(open.iter_mut().all(|stream| !matches!(stream.read_to_end(&mut rest), Ok(1..))));
    assert_counted(&nginx, 5, "upgraded");
}

#[test]
fn a_long_poll_waits_while_others_are_served_and_denied() {
    let (news, told) = channel();
    let told = Mutex::new(told);
    let application = application(move |stream| {
        let _ = told.lock().unwrap().recv();
        let _ = stream.get_mut().write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nnews");
    });
    let server = format!("root html; location /poll {{ proxy_pass http://{application}; }}");
    let nginx = one_worker(&server).start();
    // The one who polls is convicted meanwhile: what was let in is answered.
    let mut poll = BufReader::new(nginx.client_from(attacker(1)).connect().unwrap());
    let request = b"GET /poll HTTP/1.1\r\nHost: a\r\nUser-Agent: scan/1.0\r\nAccept: */*\r\n\r\n";
    poll.get_mut().write_all(request).unwrap();
    let mut denied = nginx.client_from(attacker(1));
    let outcome = Attacker::new(nginx.address, attacker(1)).scan();
    assert!(outcome.denied, "{outcome:?}");
    assert_eq!(denied.send(&probe("/poll")).unwrap().status, 403);
    let before = counted(&nginx);
    news.send(()).unwrap();
    assert_eq!(read_response(&mut poll, false).unwrap().text(), "news");
    assert_counted(&nginx, before + 1, "/poll");
}

#[test]
fn a_body_that_waits_to_be_asked_for_is_not_asked_for_when_denied() {
    let server = "root html; location /upload { proxy_pass http://@other@/; }
        } server { listen @other@; access_log off; location / { return 200 thanks; }";
    let nginx = site(server).start();
    let denied = nginx.client_from(attacker(1));
    let ask = |client: &Client| {
        let mut stream = BufReader::new(client.connect().unwrap());
        let head = b"POST /upload HTTP/1.1\r\nHost: a\r\nUser-Agent: scan/1.0\r\nAccept: */*\r\n\
            Expect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        stream.get_mut().write_all(head).unwrap();
        let first = read_line(&mut stream).unwrap();
        if first.contains(" 100 ") {
            read_headers(&mut stream).unwrap();
            stream.get_mut().write_all(b"body").unwrap();
            assert_eq!(read_response(&mut stream, false).unwrap().text(), "thanks");
        }
        first
    };
    assert!(ask(&nginx.client_from(neighbour(1))).contains(" 100 "));
    assert!(ask(&denied).contains(" 403 "));
    assert_counted(&nginx, 2, "/upload");
}

/// A location and its directives, what the request adds, and what an innocent client is answered when it
/// asks twice.
type Answer = (&'static str, &'static str, (&'static str, &'static str), [u16; 2]);

const ANSWERS: [Answer; 12] = [
    ("/whole", "", ("Accept", "*/*"), [200; 2]),
    ("/range", "", ("Range", "bytes=1-2"), [206; 2]),
    ("/ranges", "", ("Range", "bytes=0-0,2-3"), [206; 2]),
    ("/unsatisfiable", "", ("Range", "bytes=900-"), [416; 2]),
    ("/unchanged", "", ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"), [200; 2]),
    (
        "/changed",
        "if_modified_since before;",
        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
        [304; 2],
    ),
    (
        "/cached",
        "proxy_cache c; proxy_cache_valid 1h; proxy_pass http://@other@;",
        ("Accept", "*/*"),
        [200; 2],
    ),
    ("/accelerated", "proxy_pass http://@other@;", ("Accept", "*/*"), [200; 2]),
    ("/inside/f", "internal;", ("Accept", "*/*"), [404; 2]),
    ("/limited", "limit_req zone=one;", ("Accept", "*/*"), [200, 503]),
    ("/many", "limit_conn all 100;", ("Accept", "*/*"), [200; 2]),
    ("/large-headers", "error_page 494 =431 /whole;", ("Accept", "*/*"), [200; 2]),
];

#[test]
fn every_answer_is_counted_once_and_denied_alike() {
    let mut server = String::from("root html; index f;\n");
    for (path, directives, _, _) in ANSWERS {
        server.push_str(&format!("location = {path} {{ {directives} }}\n"));
    }
    server.push_str(
        "} server { listen @other@; access_log off; root html;
         location = /accelerated { add_header X-Accel-Redirect /inside/f; return 200; }",
    );
    let mut site = site(&server).file("html/inside/f", "inside");
    site.http.insert_str(
        0,
        "limit_req_zone $arg_who zone=one:1m rate=1r/m; limit_conn_zone $server_name zone=all:1m;
         proxy_cache_path cache keys_zone=c:1m;\n",
    );
    for (path, ..) in ANSWERS.iter().filter(|(path, ..)| *path != "/inside/f") {
        site = site.file(&format!("html{path}"), "file");
    }
    let nginx = site.expect("limiting requests").start();
    let mut denied = nginx.client_from(attacker(1));
    let mut innocent = nginx.client_from(neighbour(1));
    let mut sent = 0;
    for (path, directives, (name, value), expected) in ANSWERS {
        // The denied one first: what it is answered is in no cache, and takes nobody's share.
        let request = probe(format!("{path}?who=a")).header(name, value);
        assert_eq!(denied.send(&request).unwrap().status, 403, "{path} {directives}");
        for status in expected {
            let response =
                innocent.send(&Request::get(format!("{path}?who=b")).header(name, value));
            assert_eq!(response.unwrap().status, status, "{path} {directives}");
        }
        assert_eq!(denied.send(&request).unwrap().status, 403, "{path} {directives}");
        sent += 4;
        assert_counted(&nginx, sent, path);
    }
    let entries = nginx.entries_from(neighbour(1), 2 * ANSWERS.len());
    assert!(entries.iter().all(|entry| entry.verdict == "PASSED" && entry.application == "shop"));
    assert!(entries[14].uri.starts_with("/accelerated"), "{:?}", entries[14]);
}

#[test]
fn headers_that_are_too_large_are_counted_with_the_status_that_is_chosen() {
    let nginx =
        site("root html; error_page 494 =431 @large; location @large { return 431; }").start();
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let answer = nginx.client_from(neighbour(1)).raw(head.as_bytes()).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    assert_counted(&nginx, 1, "431");
    assert_eq!(nginx.entries_from(neighbour(1), 1)[0].code, 431);
}

/// Asks with curl, which speaks HTTP/2; the status of HTTP.
fn over_http_2(nginx: &Nginx, host: &str, path: &str) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--http2-prior-knowledge", "--interface", host])
        .args(["--header", "Content-Type: application/grpc", "--header", "TE: trailers"])
        .args(["--request", "POST", "--output", "/dev/null", "--write-out", "%{http_code}"])
        .args(["--user-agent", "scan/1.0", "--header", "Accept: */*"])
        .arg(format!("http://127.0.0.5:{}{path}", nginx.address.port()))
        .output()
        .expect("curl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn grpc_is_passed_on_and_denied() {
    let server = "listen 127.0.0.5:@port@ http2; root html; location /shop.Shop/ { grpc_pass grpc://@other@; }
        } server { listen @other@ http2; access_log off; location / { return 200; }";
    let nginx = site(server).expect("directive is deprecated").start();
    assert_eq!(over_http_2(&nginx, "127.2.200.1", "/shop.Shop/Get"), "200");
    assert_eq!(over_http_2(&nginx, "127.1.0.1", "/shop.Shop/Get"), "403");
    assert_counted(&nginx, 2, "gRPC");
}
