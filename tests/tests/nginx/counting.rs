//! One record for each request that a client made: never two, never none.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use api_abuse_tests::eventually;
use api_abuse_tests::http::Request;
use api_abuse_tests::nginx::{Nginx, Site, built_with};
use api_abuse_tests::sites::{guarded, neighbour};

const SOON: Duration = Duration::from_secs(30);

/// One worker and an application of its own for a marker: the records of a worker arrive in order,
/// so once the marker is counted, everything before it has been, and nothing is still to come.
pub(crate) fn one_worker(server: &str) -> Site {
    guarded(&format!("location = /marker {{ api_abuse marker; return 204; }}\n{server}")).workers(1)
}

/// Requests counted, besides markers, when everything that was sent so far has arrived.
pub(crate) fn counted(nginx: &Nginx) -> u64 {
    let total = |name| nginx.metrics().sum("api_abuse_requests_total", &[("application", name)]);
    let markers = total("marker");
    assert_eq!(nginx.client_from(neighbour(99)).get("/marker").unwrap().status, 204);
    assert!(eventually(SOON, || total("marker") > markers + 0.5), "the marker was not counted");
    let metrics = nginx.metrics();
    assert!(metrics.total("api_abuse_records_dropped_total") < 0.5);
    let all = metrics.total("api_abuse_requests_total");
    let markers = metrics.sum("api_abuse_requests_total", &[("application", "marker")]);
    (all - markers).round() as u64
}

/// Waits until so many were counted. A request may be over after its answer has arrived: a subrequest
/// behind the client's back goes on, or a connection is closed with care.
pub(crate) fn assert_counted(nginx: &Nginx, expected: u64, what: &str) {
    let mut so_far = 0;
    let complete = eventually(SOON, || {
        so_far = counted(nginx);
        so_far >= expected
    });
    assert!(complete && so_far == expected, "{so_far} instead of {expected} counted: {what}");
    assert_eq!(counted(nginx), expected, "still coming: {what}");
}

/// Waits until `count` requests that match were logged; the log is written when a request is over.
fn logged(nginx: &Nginx, count: usize, matches: impl Fn(u16) -> bool) {
    let found = || nginx.access_log().iter().filter(|entry| matches(entry.code)).count();
    assert!(eventually(SOON, || found() >= count), "{} of {count}: {}", found(), nginx.error_log());
}

/// What is asked for, and with which status it is answered.
const REDIRECTS_AND_SUBREQUESTS: [(&str, u16); 18] = [
    ("/page.html", 200),
    ("/", 200),
    ("/missing", 404),
    ("/page-instead/x", 404),
    ("/unwatched-page-instead/x", 404),
    ("/try/x", 200),
    ("/try-named/x", 200),
    ("/rewritten/x", 200),
    ("/moved/x", 301),
    ("/authorized/x", 200),
    ("/mirrored/x", 200),
    ("/twice/x", 404),
    ("/included.shtml", 200),
    ("/after/x", 200),
    ("/added/x", 200),
    ("/sliced/x", 200),
    ("/stale/x", 200),
    // Served from the cache, and fetched anew behind the client's back.
    ("/stale/x", 200),
];

/// Directives of a module that this NGINX may lack.
fn optional<'d>(module: &str, directives: &'d str) -> &'d str {
    if built_with(module) { directives } else { "" }
}

#[test]
fn redirects_and_subrequests_are_counted_once() {
    let auth = optional("http_auth_request_module", "auth_request /authorize;");
    let addition = optional(
        "http_addition_module",
        "addition_types *; add_before_body /page.html; add_after_body /page.html;",
    );
    let slice = optional(
        "http_slice_module",
        "slice 2; proxy_cache c; proxy_cache_key $uri$slice_range; proxy_cache_valid 206 1h;
         proxy_set_header Range $slice_range; proxy_http_version 1.1;",
    );
    let server = format!(
        "root html; index page.html;
        location /page-instead/ {{ error_page 404 /page.html; }}
        location /unwatched-page-instead/ {{ error_page 404 /unwatched.html; }}
        location = /unwatched.html {{ api_abuse off; }}
        location /try/ {{ try_files $uri /page.html; }}
        location /try-named/ {{ try_files $uri @named; }}
        location @named {{ return 200 named; }}
        location /rewritten/ {{ rewrite ^ /page.html last; }}
        location /moved/ {{ return 301 /page.html; }}
        location /authorized/ {{ {auth} try_files /page.html =404; }}
        location = /authorize {{ internal; return 204; }}
        location /mirrored/ {{ mirror /mirror; try_files /page.html =404; }}
        location = /mirror {{ internal; return 204; }}
        location /twice/ {{ error_page 404 /again/x; recursive_error_pages on; }}
        location /again/ {{ error_page 404 /page.html; }}
        location = /included.shtml {{ ssi on; ssi_types *; }}
        location /after/ {{ post_action /authorize; try_files /page.html =404; }}
        location /added/ {{ {addition} try_files /page.html =404; }}
        location /sliced/ {{ {slice} rewrite ^ /page.html break; proxy_pass http://@other@; }}
        location /stale/ {{ proxy_cache c; proxy_cache_valid 1s; proxy_cache_use_stale updating;
          proxy_cache_background_update on; rewrite ^ /page.html break; proxy_pass http://@other@; }}
        }} server {{ listen @other@; access_log off; root html;"
    );
    let include = r#"<!--#include virtual="/page.html" --><!--#include virtual="/moved/" -->"#;
    let mut site = one_worker(&server)
        .file("html/page.html", "page")
        .file("html/unwatched.html", "unwatched")
        .file("html/included.shtml", include);
    site.http.insert_str(0, "proxy_cache_path cache keys_zone=c:1m;\n");
    let nginx = site.start();
    let mut client = nginx.client_from(neighbour(1));
    for (index, (path, status)) in REDIRECTS_AND_SUBREQUESTS.into_iter().enumerate() {
        assert_eq!(client.get(path).unwrap().status, status, "{path}");
        assert_counted(&nginx, index as u64 + 1, path);
        if path.starts_with("/stale/") {
            thread::sleep(Duration::from_millis(2100));
        }
    }
    let entries = nginx.entries_from(neighbour(1), REDIRECTS_AND_SUBREQUESTS.len());
    for (entry, (path, _)) in entries.iter().zip(REDIRECTS_AND_SUBREQUESTS) {
        assert_eq!((entry.uri.as_str(), entry.application.as_str()), (path, "shop"), "{entry:?}");
        assert_eq!(entry.verdict, "PASSED", "{entry:?}");
    }
}

#[test]
fn requests_that_end_early_are_counted() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!(
        "root html; client_header_timeout 2s; client_body_timeout 2s; client_max_body_size 1k;
        location /silent/ {{ proxy_pass http://{}; }}
        location /closed/ {{ return 444; }}
        location /upload/ {{ proxy_pass http://{}; client_max_body_size 1m; }}",
        silent.local_addr().unwrap(),
        silent.local_addr().unwrap()
    );
    let nginx = one_worker(&server).start();
    let mut client = nginx.client_from(neighbour(1));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000));
    let big =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n{}", "x".repeat(2000));
    let headers = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let cases: [(u16, &str); 11] = [
        (400, "nonsense\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (400, "\x16\x03\x01\x02\r\n\r\n"),
        (400, "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, &headers),
        (405, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (413, &big),
        (414, &long),
        (408, "POST /upload/ HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nless"),
        (444, "GET /closed/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    for (index, (status, bytes)) in cases.into_iter().enumerate() {
        client.raw(bytes.as_bytes()).unwrap();
        let so_far = cases[..=index].iter().filter(|(code, _)| *code == status).count();
        logged(&nginx, so_far, |code| code == status);
        assert_counted(&nginx, index as u64 + 1, &format!("{status}: {bytes:.40?}"));
    }
    // A client that says nothing whole, and one that does not wait.
    client.raw(b"GET / HT").unwrap();
    logged(&nginx, 2, |code| code == 408);
    client.abandon(&Request::get("/silent/"), Duration::from_millis(50)).unwrap();
    logged(&nginx, 1, |code| code == 499);
    assert_counted(&nginx, cases.len() as u64 + 2, "one that does not wait");
    // Connections without a request are no requests.
    drop(client.connect().unwrap());
    assert_counted(&nginx, cases.len() as u64 + 2, "a connection");
}

#[test]
fn early_errors_by_the_hundreds_lose_nothing() {
    let nginx = one_worker("root html;").start();
    let headers = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    let mut sent = 0;
    for round in 0_u16..1000 {
        // An address for each: a thousand clients that cannot speak HTTP are none of them a scanner.
        let mut client = nginx.client_from(neighbour(300 + round));
        let bytes: &[u8] = match round % 50 {
            0 => headers.as_bytes(),
            1..=9 => b"\r\n\r\n\0\0\0\0\r\n\r\n",
            10..=29 => b"GET / HTTP/3.7\r\n\r\n",
            _ => b"GET\r\n\r\n",
        };
        client.raw(bytes).unwrap();
        sent += client.sent;
    }
    logged(&nginx, 1000, |code| code >= 400);
    println!("{sent} requests that were none");
    assert_counted(&nginx, sent, "early errors");
}

#[test]
fn modes_and_applications_that_are_off_count_nothing() {
    let server = "location /off/ { api_abuse off; return 204; }
        location /mode-off/ { api_abuse_mode off; return 204; }
        location /on/ { return 204; }";
    let nginx = one_worker(server).start();
    let mut client = nginx.client_from(neighbour(1));
    for _ in 0..5 {
        for path in ["/off/", "/mode-off/", "/on/"] {
            assert_eq!(client.get(path).unwrap().status, 204);
        }
    }
    assert_counted(&nginx, 5, "/on/");
}
