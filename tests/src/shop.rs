//! A small shop to guard: the application behind NGINX in the tests and in the demo.
//!
//! It has what detectors look at and what confuses them: pages with assets, a JSON API, a login for
//! programs (401 on failure) and one for browsers (200 and the form again on failure, 302 on
//! success), links to products that are gone, and answers that take a few milliseconds. Given the
//! same requests it gives the same answers, session tokens included.

pub mod accounts;
mod api;
pub mod catalogue;
mod pages;

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::http::{read_headers, read_line};
use accounts::Accounts;

/// Longest request body that it reads.
const BODY_MAX: usize = 64 * 1024;

/// A request to the shop.
#[derive(Clone, Debug, Default)]
struct Visit {
    method: String,
    path: String,
    query: String,
    version: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Visit {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Whether the client wants the connection closed after the answer.
    fn is_last(&self) -> bool {
        match self.header("connection") {
            Some(wish) => wish.eq_ignore_ascii_case("close"),
            None => self.version != "HTTP/1.1",
        }
    }

    /// A parameter of the query string.
    fn parameter(&self, name: &str) -> Option<String> {
        parameter(&self.query, name)
    }

    /// A field of a form, or a top-level key of a JSON body.
    fn field(&self, name: &str) -> Option<String> {
        if self.header("content-type").is_some_and(|kind| kind.contains("json")) {
            let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
            return Some(body.get(name)?.as_str()?.to_owned());
        }
        parameter(&self.body, name)
    }

    /// The session that the request shows: a bearer token, or the cookie `session`.
    fn session(&self) -> Option<&str> {
        let bearer = self.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let mut cookies = self.header("cookie").unwrap_or_default().split(';');
        bearer.or_else(|| cookies.find_map(|cookie| cookie.trim().strip_prefix("session=")))
    }
}

fn parameter(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|&(key, _)| key == name).map(|(_, value)| decode(value))
}

fn decode(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (decoded, left) = match (byte, escaped) {
            (b'%', Some(escaped)) => (escaped, &after[2..]),
            (b'+', _) => (b' ', after),
            _ => (byte, after),
        };
        bytes.push(decoded);
        rest = left;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the shop answers.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    kind: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// What it costs the shop to make it.
    work: Duration,
}

impl Answer {
    fn new(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let work = Duration::from_millis(2);
        Self { status, kind, headers: Vec::new(), body: body.into(), work }
    }

    fn html(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    fn redirect(to: &str) -> Self {
        Self::html(302, "").header("Location", to.to_owned())
    }

    fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    fn work(mut self, milliseconds: u64) -> Self {
        self.work = Duration::from_millis(milliseconds);
        self
    }

    fn encode(&self, head: bool) -> Vec<u8> {
        let Self { status, kind, body, .. } = self;
        let mut text = format!("HTTP/1.1 {status} Shop\r\nContent-Type: {kind}\r\n");
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut bytes = text.into_bytes();
        if !head {
            bytes.extend_from_slice(body);
        }
        bytes
    }
}

/// A running shop; it closes when dropped.
#[derive(Debug)]
pub struct Shop {
    /// Where it listens.
    pub address: SocketAddr,
    counter: Arc<Counter>,
}

#[derive(Debug)]
struct Counter {
    accounts: Accounts,
    served: AtomicU64,
    closing: AtomicBool,
}

impl Shop {
    /// Opens a shop on a port of its own.
    pub fn open() -> io::Result<Self> {
        Self::open_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Opens a shop on this address.
    pub fn open_at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let counter = Arc::new(Counter {
            accounts: Accounts::default(),
            served: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        });
        let shared = Arc::clone(&counter);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.closing.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                if let Ok(stream) = stream {
                    // NGINX closes connections whenever it likes; that is no failure of the shop.
                    thread::spawn(move || drop(serve(&stream, &shared)));
                }
            }
        });
        Ok(Self { address, counter })
    }

    /// Requests answered so far.
    pub fn served(&self) -> u64 {
        self.counter.served.load(Ordering::Relaxed)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.counter.closing.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(stream: &TcpStream, counter: &Counter) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let visit = read_visit(&mut reader)?;
        let answer = answer(&visit, &counter.accounts);
        thread::sleep(answer.work);
        counter.served.fetch_add(1, Ordering::Relaxed);
        writer.write_all(&answer.encode(visit.method == "HEAD"))?;
        if visit.is_last() {
            return Ok(());
        }
    }
}

fn read_visit(reader: &mut BufReader<&TcpStream>) -> io::Result<Visit> {
    let line = read_line(reader)?;
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target, version) = (word(), word(), word());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let headers = read_headers(reader)?;
    let mut visit = Visit { method, path, query, version, headers, body: String::new() };
    let length = visit.header("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0_usize).min(BODY_MAX)];
    reader.read_exact(&mut body)?;
    visit.body = String::from_utf8_lossy(&body).into_owned();
    Ok(visit)
}

fn answer(visit: &Visit, accounts: &Accounts) -> Answer {
    let answer = match visit.path.strip_prefix("/api/") {
        Some(path) => api::answer(path, visit, accounts),
        None => pages::answer(visit, accounts),
    };
    answer.unwrap_or_else(|| Answer::html(404, "<h1>There is nothing here.</h1>"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Client, Request};

    #[test]
    fn both_logins_answer_as_such_logins_do() {
        let shop = Shop::open().unwrap();
        let mut client = Client::new(shop.address);
        let (email, password) = accounts::credentials(7);
        let form = |password: &str| {
            let body = format!("email={}&password={password}", email.replace('@', "%40"));
            Request::post("/login", "application/x-www-form-urlencoded", body)
        };
        let json = |password: &str| {
            let body = format!(r#"{{"email":"{email}","password":"{password}"}}"#);
            Request::post("/api/login", "application/json", body)
        };
        let failed = client.send(&form("no")).unwrap();
        assert_eq!((failed.status, failed.cookie()), (200, None));
        assert!(failed.text().contains("do not match"));
        let success = client.send(&form(&password)).unwrap();
        assert_eq!(success.status, 302);
        let cookie = success.cookie().unwrap().to_owned();
        let account = client.send(&Request::get("/account").header("Cookie", &cookie)).unwrap();
        assert_eq!(account.status, 200);
        assert_eq!(client.send(&json("no")).unwrap().status, 401);
        let success = client.send(&json(&password)).unwrap();
        assert!(success.status == 200 && success.cookie().is_some());
        assert!(success.text().contains("token"));
        assert_eq!(shop.served(), 5);
    }

    #[test]
    fn decodes_forms() {
        assert_eq!(parameter("a=1&b=x+y%40z%", "b").as_deref(), Some("x y@z%"));
        assert_eq!(parameter("a=1", "b"), None);
    }
}
