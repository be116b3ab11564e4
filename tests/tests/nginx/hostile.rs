//! Bytes that are nearly HTTP, through NGINX's parser into the module: every worker lives, nothing
//! panics, every record is counted.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::Duration;

use api_abuse_tests::eventually;
use api_abuse_tests::http::{Client, is_closed};
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::random::Random;
use api_abuse_tests::sites::{STATUS, ZONE, attacker};

const SOON: Duration = Duration::from_secs(30);

/// Well-formed requests that the others are made of.
const SEEDS: [&[u8]; 12] = [
    b"GET /page.html HTTP/1.1\r\nHost: a\r\nUser-Agent: x/1.0\r\nAccept: text/html\r\n\r\n",
    b"GET /a/b/../c;d=1/%41%c3%a4?x=1&y=%00&z HTTP/1.0\r\nReferer: http://a/b\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
      Content-Length: 20\r\n\r\nuser=a%40b&password=c",
    b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
      Transfer-Encoding: chunked\r\n\r\n8\r\n{\"user\":\r\n7\r\n\"\\u00e4\"\r\n1;x=y\r\n}\r\n0\r\nA: b\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=f\r\n\
      Content-Length: 70\r\n\r\n--f\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nme\r\n--f--\r\n\r\n",
    b"HEAD /page.html HTTP/1.1\r\nHost: a\r\nCookie: session=1; b=2\r\nAuthorization: Basic YTpi\r\n\r\n",
    b"GET http://b:80/page.html?token=1#f HTTP/1.1\r\nHost: b\r\nX-Forwarded-For: 192.0.2.1, ::1\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nRange: bytes=0-1,2-\r\nIf-None-Match: \"x\", W/\"y\"\r\n\r\n",
    b"GET /page.html HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    b"PUT /status/../x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /9\r\n",
    // HTTP/2: preface, empty SETTINGS, HEADERS of `GET / http a` on stream 1.
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a",
];

/// Bytes that parsers look for.
const LOVED: &[u8] = b"\r\n\0 :/?#%&=;,.\"'{}[]()\\<>@*-+_~\x7f\x80\xff\tGP0:9";

/// One request of many, changed in a few places.
fn mutated(random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(&SEEDS).to_vec();
    for _ in 0..random.within(0..6) {
        let at = random.within(0..bytes.len() as u64 + 1) as usize;
        let to = (at + random.within(1..24) as usize).min(bytes.len());
        let loved = LOVED[random.within(0..LOVED.len() as u64) as usize];
        match random.within(0..9) {
            0 => bytes.insert(at, loved),
            1 => bytes[at..to].fill(loved),
            2 => drop(bytes.drain(at..to)),
            3 => bytes.truncate(at.max(1)),
            4 => {
                let piece = bytes[at..to].repeat(random.within(1..400) as usize);
                bytes.splice(at..at, piece);
            }
            5 => {
                let other = *random.pick(&SEEDS);
                bytes.splice(at.., other[at.min(other.len())..].iter().copied());
            }
            6 => bytes.extend_from_slice(random.pick::<&[u8]>(&SEEDS)),
            7 if at < bytes.len() => bytes[at] ^= 1 << random.within(0..8),
            _ => {
                let number = random.within(0..u64::MAX).to_string();
                bytes.splice(at..to, number.into_bytes());
            }
        }
        if bytes.is_empty() {
            bytes.push(loved);
        }
    }
    bytes
}

/// Sends all of it and reads until the end, whatever it is.
fn send(to: SocketAddr, host: u16, bytes: &[u8]) {
    let mut stream = Client::new(to).from(attacker(host)).connect().unwrap();
    let mut answer = Vec::new();
    let sent = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    match sent.and_then(|()| stream.read_to_end(&mut answer)) {
        Err(error) if !is_closed(&error) && error.kind() != std::io::ErrorKind::NotConnected => {
            panic!("{error}: {}", bytes.escape_ascii())
        }
        _ => {}
    }
}

/// Sends so many from several threads, over HTTP/1 and HTTP/2 sockets.
fn send_all(nginx: &Nginx, count: u64) {
    const THREADS: u64 = 8;
    thread::scope(|scope| {
        for part in 0..THREADS {
            scope.spawn(move || {
                let mut random = Random::new(1000 + part);
                for n in 0..count / THREADS {
                    let bytes = mutated(&mut random);
                    let http_2 = bytes.starts_with(b"PRI") || n % 8 == 0;
                    let address = if http_2 { [127, 0, 0, 5] } else { [127, 0, 0, 1] };
                    let to = SocketAddr::from((address, nginx.address.port()));
                    send(to, random.within(0..500) as u16, &bytes);
                }
            });
        }
    });
}

#[test]
fn mutated_requests_break_nothing_and_are_counted() {
    const COUNT: u64 = 20_000;
    let http = format!(
        "{ZONE} error_log error.log crit;
         server {{ listen @listen@; listen 127.0.0.5:@port@ http2; {STATUS} root html;
           api_abuse shop; api_abuse_mode block; api_abuse_session $cookie_session $arg_token;
           api_abuse_fingerprint $http_accept; api_abuse_bypass $arg_bypass; keepalive_timeout 5s;
           client_header_timeout 5s; client_body_timeout 5s; client_body_buffer_size 1k;
           location /login {{ api_abuse_endpoint login; api_abuse_identity user $arg_user;
             proxy_ignore_client_abort on; proxy_pass http://@other@; }} }}
         server {{ listen @other@; access_log off; location / {{ return 401; }} }}"
    );
    let site = Site::new(&http).file("html/page.html", "page").expect("directive is deprecated");
    let nginx = site.start();
    let workers = nginx.worker_pids();
    send_all(&nginx, COUNT);
    assert_eq!(nginx.worker_pids(), workers, "a worker died");
    let (mut logged, mut counted) = (0, 0.0);
    let complete = eventually(SOON, || {
        logged = nginx.access_log().len();
        let metrics = nginx.metrics();
        assert!(metrics.total("api_abuse_records_dropped_total") < 0.5);
        counted = metrics.total("api_abuse_requests_total");
        (counted - logged as f64).abs() < 0.5
    });
    println!("{COUNT} connections, {logged} requests, {counted} counted");
    assert!(complete, "{logged} requests, {counted} counted");
    assert!(logged as u64 > COUNT / 2);
    let health = nginx.status()["health"].clone();
    assert_eq!((&health["callback_panics"], &health["detector"]["panics"]), (&0.into(), &0.into()));
    assert_eq!(nginx.client_from(attacker(700)).get("/page.html").unwrap().status, 200);
}
