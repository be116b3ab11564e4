//! Bytes that are nearly HTTP, through NGINX's parser into the module: every worker lives, nothing
//! panics, every record is counted.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use api_abuse_tests::eventually;
use api_abuse_tests::http::Client;
use api_abuse_tests::mutation::{SEEDS, mutated, send};
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::random::Random;
use api_abuse_tests::sites::{STATUS, ZONE, attacker};

const SOON: Duration = Duration::from_secs(30);

/// Sends so many from several threads, over HTTP/1 and HTTP/2 sockets.
fn send_all(nginx: &Nginx, count: u64) {
    const THREADS: u64 = 8;
    thread::scope(|scope| {
        for part in 0..THREADS {
            scope.spawn(move || {
                let mut random = Random::new(1000 + part);
                for n in 0..count / THREADS {
                    let bytes = mutated(&mut random, &SEEDS);
                    let http_2 = bytes.starts_with(b"PRI") || n % 8 == 0;
                    let address = if http_2 { [127, 0, 0, 5] } else { [127, 0, 0, 1] };
                    let to = SocketAddr::from((address, nginx.address.port()));
                    let client = Client::new(to).from(attacker(random.within(0..500) as u16));
                    let sent = send(&client, &bytes);
                    assert!(sent.is_ok(), "{sent:?}: {}", bytes.escape_ascii());
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
        // A detector that the machine leaves no time drops records, and says how many.
        let dropped = metrics.total("api_abuse_records_dropped_total");
        counted = metrics.total("api_abuse_requests_total");
        counted > dropped && (counted + dropped - logged as f64).abs() < 0.5
    });
    println!("{COUNT} connections, {logged} requests, {counted} counted");
    assert!(complete, "{logged} requests, {counted} counted");
    assert!(logged as u64 > COUNT / 2);
    let health = nginx.status()["health"].clone();
    assert_eq!((&health["callback_panics"], &health["detector"]["panics"]), (&0.into(), &0.into()));
    assert_eq!(nginx.client_from(attacker(700)).get("/page.html").unwrap().status, 200);
}
