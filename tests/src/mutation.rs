//! Bytes that are nearly HTTP: well-formed requests, changed in a few places.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use crate::http::{Client, is_closed};
use crate::random::Random;

/// Well-formed requests that the others are made of.
pub const SEEDS: [&[u8]; 18] = [
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
    // The same with `POST`, a length, and DATA that names an account.
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
      \0\0\x0f\x01\x04\0\0\0\x03\x83\x86\x04\x06/login\x41\x01a\x5c\x016\
      \0\0\x06\0\x01\0\0\0\x03user=a",
    b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 80\r\nGET /page.html HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /page.html HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /.env HTTP/1.0\r\n\r\n",
    b"GET /abuse/api/denylist?application=shop&threat=scraping&q=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /abuse/api/denylist HTTP/1.1\r\nHost: a\r\nX-API-Abuse: 1\r\nContent-Type: application/json\r\n\
      Content-Length: 54\r\n\r\n{\"application\":\"shop\",\"address\":\"192.0.2.1\",\"ttl\":\"1s\"}",
    b"GET /status?format=json&x HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
];

/// Bytes that parsers look for.
const LOVED: &[u8] = b"\r\n\0 :/?#%&=;,.\"'{}[]()\\<>@*-+_~\x7f\x80\xff\tGP0:9";

/// One of `pool`, changed in a few places, some of them with pieces of the others.
pub fn mutated<B: AsRef<[u8]>>(random: &mut Random, pool: &[B]) -> Vec<u8> {
    let mut bytes = random.pick(pool).as_ref().to_vec();
    for _ in 0..random.within(0..6) {
        let at = random.within(0..bytes.len() as u64 + 1) as usize;
        let to = (at + random.within(1..24) as usize).min(bytes.len());
        let loved = LOVED[random.within(0..LOVED.len() as u64) as usize];
        match random.within(0..10) {
            0 => bytes.insert(at, loved),
            1 => bytes[at..to].fill(loved),
            2 => drop(bytes.drain(at..to)),
            3 => bytes.truncate(at.max(1)),
            4 => {
                let piece = bytes[at..to].repeat(random.within(1..400) as usize);
                bytes.splice(at..at, piece);
            }
            5 => {
                let other = random.pick(pool).as_ref();
                bytes.splice(at.., other[at.min(other.len())..].iter().copied());
            }
            6 => bytes.extend_from_slice(random.pick(pool).as_ref()),
            7 if at < bytes.len() => bytes[at] ^= 1 << random.within(0..8),
            8 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(random.bits() as u8 % 5),
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

/// Sends all of it on a connection of its own, says that no more comes, and reads until the end, whatever
/// that is.
pub fn send(client: &Client, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = client.connect()?;
    let mut answer = Vec::new();
    let sent = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    match sent.and_then(|()| stream.read_to_end(&mut answer)) {
        Err(error) if !is_closed(&error) && error.kind() != io::ErrorKind::NotConnected => {
            Err(error)
        }
        _ => Ok(answer),
    }
}
