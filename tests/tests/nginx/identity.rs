//! The account that a login names, read off the body as it streams by: different accounts are different
//! attempts, the same one again is not, and nobody's name is kept.

use std::io::{BufReader, Write};
use std::process::Command;
use std::thread;
use std::time::Duration;

use api_abuse_tests::eventually;
use api_abuse_tests::http::read_response;
use api_abuse_tests::memory::anonymous_kilobytes;
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{STATUS, ZONE, attacker};

/// An application that reads what it is sent and says 401 to everything, behind locations that read bodies
/// in different ways.
fn site() -> Site {
    let locations = [
        ("/plain", ""),
        ("/spooled", "client_body_buffer_size 1k;"),
        ("/unbuffered", "proxy_request_buffering off; proxy_http_version 1.1;"),
        ("/late", "proxy_request_buffering off;"),
    ];
    let locations = locations.map(|(path, directives)| {
        format!(
            "location = {path} {{ api_abuse_endpoint login; api_abuse_identity user; {directives}
             proxy_pass http://@other@; }}"
        )
    });
    let http = format!(
        "{ZONE}\nserver {{ listen @listen@; listen 127.0.0.5:@port@ http2; api_abuse $arg_application; api_abuse_mode block; {STATUS} {}
         location /by-variable {{ api_abuse_endpoint login; api_abuse_identity $http_x_user;
           proxy_pass http://@other@; }}
         location /unnamed {{ api_abuse_endpoint login; proxy_pass http://@other@; }}
         location /front/ {{ api_abuse_endpoint login; api_abuse_identity user;
           try_files /nothing /plain; }} }}
         server {{ listen @other@; access_log off;
           location / {{ proxy_pass http://@other@/said; }} location /said {{ return 401; }} }}",
        locations.concat()
    );
    // Newer versions ask for a directive that older ones do not know.
    Site::new(&http).expect("directive is deprecated")
}

/// How a body is sent.
#[derive(Clone, Copy, PartialEq)]
enum Framing {
    Whole,
    /// In pieces of so many bytes, with or without chunks around them.
    Pieces(usize),
    Chunks(usize),
}

/// Content type and body of an attempt.
type Body = fn(usize) -> (String, String);

/// One attempt; its status.
fn attempt(nginx: &Nginx, host: u16, path: &str, body: &(String, String), framing: Framing) -> u16 {
    let (content_type, body) = body;
    let mut stream = nginx.client_from(attacker(host)).connect().unwrap();
    let length = match framing {
        Framing::Chunks(_) => "Transfer-Encoding: chunked".to_owned(),
        _ => format!("Content-Length: {}", body.len()),
    };
    let user = if path.contains("by-variable") { body } else { "" };
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: stuff\r\nConnection: close\r\nX-User: {user}\r\n\
         Content-Type: {content_type}\r\n{length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let pieces = match framing {
        Framing::Whole => body.len(),
        Framing::Pieces(size) | Framing::Chunks(size) => size,
    };
    for piece in body.as_bytes().chunks(pieces) {
        let piece = match framing {
            Framing::Chunks(_) => {
                [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
            }
            _ => piece.to_vec(),
        };
        // The application may have answered already.
        let _ = stream.write_all(&piece);
        if framing != Framing::Whole {
            thread::sleep(Duration::from_millis(1));
        }
    }
    if matches!(framing, Framing::Chunks(_)) {
        let _ = stream.write_all(b"0\r\n\r\n");
    }
    read_response(&mut BufReader::new(stream), false).unwrap().status
}

/// Attempts until one is denied, `most` at most; how many were not.
fn attempts(
    nginx: &Nginx,
    host: u16,
    path: &str,
    framing: Framing,
    most: usize,
    body: impl Fn(usize) -> (String, String),
) -> usize {
    // An application for each attacker: what one does must not speak against the next.
    let path = format!("{path}?application=a{host}");
    (0..most)
        .take_while(|n| {
            nginx.let_judge(Duration::from_millis(60));
            attempt(nginx, host, &path, &body(*n), framing) != 403
        })
        .count()
}

fn form(n: usize) -> (String, String) {
    ("application/x-www-form-urlencoded".into(), format!("x=1&user=secret{n:04}%40example.com"))
}

fn json(n: usize) -> (String, String) {
    let body = format!("{{\"deep\":[{{}}],\"us\\u0065r\":\"secret{n:04}@example.com\"}}");
    ("application/json".into(), body)
}

fn multipart(n: usize) -> (String, String) {
    let part = "--frontier\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\n";
    let body = format!("{part}secret{n:04}\r\n--frontier--\r\n");
    ("multipart/form-data; boundary=frontier".into(), body)
}

/// Forty kilobytes, the account at the end.
fn large(n: usize) -> (String, String) {
    (form(n).0, format!("padding={}&user=secret{n:04}", "x".repeat(40_000)))
}

/// Repetitions of one attempt that nobody is denied for, and far more than of different ones.
const SAME: usize = 20;

#[test]
fn different_accounts_are_attempts_and_the_same_again_is_not() {
    let nginx = site().start();
    let cases: [(&str, Framing, Body); 11] = [
        ("/plain", Framing::Whole, form),
        ("/plain", Framing::Pieces(7), form),
        ("/plain", Framing::Chunks(3), form),
        ("/plain", Framing::Whole, json),
        ("/plain", Framing::Chunks(5), json),
        ("/plain", Framing::Pieces(11), multipart),
        ("/spooled", Framing::Whole, large),
        ("/spooled", Framing::Chunks(4000), large),
        ("/unbuffered", Framing::Chunks(9), json),
        ("/by-variable", Framing::Whole, form),
        ("/front/door", Framing::Whole, form),
    ];
    thread::scope(|scope| {
        for (row, (path, framing, body)) in cases.into_iter().enumerate() {
            let nginx = &nginx;
            scope.spawn(move || {
                let host = 100 + 10 * row as u16;
                let distinct = attempts(nginx, host, path, framing, 40, body);
                let same = attempts(nginx, host + 1, path, framing, SAME, |_| body(7));
                println!("{path}: {distinct} attempts with different accounts, {same} with one");
                assert!(distinct <= 25 && same == SAME, "row {row}: {path} {distinct} {same}");
            });
        }
    });
    // All bodies are equally long, so without the account nothing tells the attempts apart.
    assert_eq!(attempts(&nginx, 1, "/unnamed", Framing::Whole, SAME, form), SAME);
    assert_eq!(nginx.denial_of(attacker(100)).threat, "credential_stuffing");
    let said = nginx.error_log() + &nginx.status().to_string();
    assert!(!said.contains("secret0"), "an account was written down");
}

/// Attempt number `n` with curl, which speaks HTTP/2; its status, as the access log has it: NGINX resets
/// the stream of a body that nobody reads, and some versions of curl forget the answer then.
fn attempt_over_http_2(
    nginx: &Nginx,
    host: u16,
    n: usize,
    path: &str,
    body: &(String, String),
) -> u16 {
    let (content_type, body) = body;
    let sent = Command::new("curl")
        .args(["--silent", "--http2-prior-knowledge", "--output", "/dev/null"])
        .args(["--interface", &attacker(host).to_string(), "--header", "Expect:"])
        .args(["--header", &format!("Content-Type: {content_type}"), "--data-binary", body])
        .arg(format!("http://127.0.0.5:{}{path}?application=a{host}", nginx.address.port()))
        .status();
    assert!(sent.is_ok_and(|status| matches!(status.code(), Some(0 | 92))), "{path} {n}");
    nginx.entries_from(attacker(host), n + 1)[n].code
}

#[test]
fn accounts_are_read_from_bodies_of_http_2() {
    let nginx = site().start();
    let cases: [(&str, Body); 5] = [
        ("/plain", form),
        ("/plain", json),
        ("/plain", multipart),
        ("/spooled", large),
        ("/unbuffered", json),
    ];
    for (row, (path, body)) in cases.into_iter().enumerate() {
        let host = 100 + 10 * row as u16;
        let attempts = |host, most, body: &dyn Fn(usize) -> (String, String)| {
            let denied = |n| attempt_over_http_2(&nginx, host, n, path, &body(n)) == 403;
            (0..most).take_while(|n| !denied(*n)).count()
        };
        let distinct = attempts(host, 40, &body);
        let same = attempts(host + 1, SAME, &|_| body(7));
        println!("{path}: {distinct} attempts with different accounts, {same} with one");
        assert!(
            (1..=25).contains(&distinct) && same == SAME,
            "row {row}: {path} {distinct} {same}"
        );
    }
}

/// Sends a body of so many bytes that names an account, or says that it will; its status.
fn upload(nginx: &Nginx, path: &str, length: u64, chunked: bool) -> u16 {
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {length}")
    };
    let mut stream = nginx.client_from(attacker(1)).connect().unwrap();
    let head = format!(
        "POST {path}?application=a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: application/json\r\n{framing}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let piece = vec![b'['; 1 << 20];
    for _ in 0..length / piece.len() as u64 {
        if chunked {
            write!(stream, "{:x}\r\n", piece.len()).unwrap();
        }
        stream.write_all(&piece).unwrap();
        if chunked {
            stream.write_all(b"\r\n").unwrap();
        }
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").unwrap();
    }
    read_response(&mut BufReader::new(stream), false).unwrap().status
}

#[test]
fn a_body_of_a_gibibyte_passes_by_and_stays_nowhere() {
    let mut site = site();
    site.http.insert_str(0, "client_max_body_size 0; log_not_found off; api_abuse_state off;\n");
    // The application answers as it begins to read, and reads on.
    site.http = site.http.replace(
        "location /said { return 401; }",
        "location /said { return 401; }
          client_body_buffer_size 16k; proxy_request_buffering off; proxy_http_version 1.1;",
    );
    let nginx = site.workers(1).start();
    let pid = nginx.worker_pids()[0];
    // What the detector begins with is there, and it writes no state meanwhile.
    let detects = || nginx.detecting_pid() == Some(pid);
    assert!(eventually(Duration::from_secs(30), detects));
    let before = anonymous_kilobytes(pid).unwrap();
    for chunked in [false, true] {
        assert_eq!(upload(&nginx, "/unbuffered", 512 << 20, chunked), 401);
    }
    let grown = anonymous_kilobytes(pid).unwrap().saturating_sub(before);
    println!("a worker grew by {grown} kB");
    assert!(grown < 4096, "{grown} kB");
    assert_eq!(nginx.entries_from(attacker(1), 2).len(), 2);
}

#[test]
fn hostile_bodies_are_only_bodies() {
    let nginx = site().start();
    let json = "application/json".to_owned();
    let bodies = [
        "{".repeat(9000),
        "{\"user\":".repeat(2000),
        "{\"user\":\"\\ud83d\\u".to_owned(),
        format!("{{\"user\":\"{}\"}}", "\\".repeat(500)),
        "\u{0}\u{1}{}%%%&&&===".to_owned(),
        "%".repeat(9000),
    ];
    for body in bodies {
        for content_type in [json.clone(), form(0).0, multipart(0).0, "a/b; c".into()] {
            let status =
                attempt(&nginx, 2, "/plain", &(content_type, body.clone()), Framing::Whole);
            assert!(matches!(status, 401 | 403), "{status}");
        }
    }
    // Who announces a body and leaves is no login.
    let request = b"POST /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nuser=secret0";
    let mut stream = nginx.client_from(attacker(3)).connect().unwrap();
    stream.write_all(request).unwrap();
    drop(stream);
    assert_eq!(nginx.client().get("/plain").unwrap().status, 401);
}
