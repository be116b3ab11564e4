//! A small blocking HTTP/1.1 client that can choose its source address and say anything.
//!
//! Not a general client: the tests need a source address in `127.0.0.0/8`, byte-exact requests,
//! responses that end in odd ways, and to know which connection a request went over. What they need
//! of HTTP/2 is asked of curl.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How long a client waits for anything, unless told otherwise. Far beyond what a loaded machine
/// needs: reaching it is a failure, not a slow test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A response, read to its end.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Status of the response.
    pub status: u16,
    /// Header fields in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, decoded when it was chunked.
    pub body: Vec<u8>,
}

impl Response {
    /// First value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `name=value` of the first cookie it sets.
    pub fn cookie(&self) -> Option<&str> {
        self.header("set-cookie")?.split(';').next()
    }
}

/// A request under construction.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: Vec<u8>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without headers; the client adds Host and, with a body, Content-Length.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        let target = target.as_ref().to_vec();
        Self { method: method.into(), target, headers: Vec::new(), body: Vec::new() }
    }

    /// GET of this target.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// POST of `body` with this content type.
    pub fn post(target: impl AsRef<[u8]>, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", target).body(content_type, body)
    }

    /// Adds a body of this content type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self.header("Content-Type", content_type)
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds many header fields.
    #[must_use]
    pub fn headers(mut self, headers: &[(&str, &str)]) -> Self {
        self.headers.extend(headers.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())));
        self
    }

    fn encode(&self, host: SocketAddr) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512 + self.body.len());
        bytes.extend_from_slice(self.method.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(format!(" HTTP/1.1\r\nHost: {host}\r\n").as_bytes());
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if !self.body.is_empty() || self.method == "POST" {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A client with a source address and one connection, kept alive.
#[derive(Debug)]
pub struct Client {
    to: SocketAddr,
    from: Option<Ipv4Addr>,
    patience: Duration,
    connection: Option<BufReader<TcpStream>>,
    /// Requests sent; tests print it to prove that they ran.
    pub sent: u64,
    /// Requests sent again because a kept connection turned out to be closed.
    pub resent: u64,
}

impl Client {
    /// A client of the server at `to`.
    pub fn new(to: SocketAddr) -> Self {
        Self { to, from: None, patience: PATIENCE, connection: None, sent: 0, resent: 0 }
    }

    /// Connects from this address.
    #[must_use]
    pub fn from(mut self, address: Ipv4Addr) -> Self {
        self.from = Some(address);
        self
    }

    /// Waits so long for each read and write.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The server that it talks to.
    pub fn server(&self) -> SocketAddr {
        self.to
    }

    /// GET over the kept connection.
    pub fn get(&mut self, target: impl AsRef<[u8]>) -> io::Result<Response> {
        self.send(&Request::get(target))
    }

    /// Sends a request over the kept connection and reads the response. A kept connection that
    /// turns out to be closed is replaced once, as every HTTP client does (RFC 9112, 9.3.1).
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        let reused = self.connection.is_some();
        match self.attempt(request) {
            Err(error) if reused && is_closed(&error) => {
                self.resent += 1;
                self.attempt(request)
            }
            result => result,
        }
    }

    /// Sends without reading the response, then closes: a client that loses patience.
    pub fn abandon(&mut self, request: &Request, after: Duration) -> io::Result<()> {
        let mut stream = self.connect()?;
        stream.write_all(&request.encode(self.to))?;
        self.sent += 1;
        std::thread::sleep(after);
        Ok(())
    }

    /// Writes `bytes` on a connection of their own and reads whatever comes until it closes.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = self.connect()?;
        self.sent += 1;
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if !is_closed(&error) => Err(error),
            _ => Ok(answer),
        }
    }

    /// Closes the kept connection; the next request opens another.
    pub fn close(&mut self) {
        self.connection = None;
    }

    /// A fresh connection from the client's address.
    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = connect(self.from, self.to)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        Ok(stream)
    }

    fn attempt(&mut self, request: &Request) -> io::Result<Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(self.connect()?),
        };
        self.sent += 1;
        connection.get_mut().write_all(&request.encode(self.to))?;
        let response = read_response(&mut connection, request.method == "HEAD")?;
        let close = response.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        if !close {
            self.connection = Some(connection);
        }
        Ok(response)
    }
}

/// Whether the other side closed or reset the connection.
pub fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}

/// Connects to `to`, from `from` when one is given.
pub fn connect(from: Option<Ipv4Addr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into())?;
    }
    socket.connect_timeout(&to.into(), PATIENCE)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// Reads one response; `head` says that it has no body, whatever its headers promise.
pub fn read_response(reader: &mut impl BufRead, head: bool) -> io::Result<Response> {
    let mut response = Response { status: read_status(reader)?, ..Response::default() };
    response.headers = read_headers(reader)?;
    if head || matches!(response.status, 204 | 304) {
        return Ok(response);
    }
    if response.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        response.body = read_chunks(reader)?;
    } else if let Some(length) = response.header("content-length") {
        let length = length.parse().map_err(|_| malformed("Content-Length"))?;
        response.body = vec![0; length];
        reader.read_exact(&mut response.body)?;
    } else {
        reader.read_to_end(&mut response.body)?;
        response.headers.push(("Connection".into(), "close".into()));
    }
    Ok(response)
}

fn read_status(reader: &mut impl BufRead) -> io::Result<u16> {
    let line = read_line(reader)?;
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    status.and_then(|digits| digits.parse().ok()).ok_or_else(|| malformed(&line))
}

/// Reads header fields up to and including the empty line.
pub fn read_headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(|_| malformed(&line))?;
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        read_line(reader)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Reads one line without its line end; the end of the stream is an error.
pub fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("malformed response: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_end_where_their_framing_says() {
        let cases: [(&str, bool, &str); 4] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", false, "abc"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                false,
                "abc",
            ),
            ("HTTP/1.0 200 OK\r\n\r\nabc", false, "abc"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, ""),
        ];
        for (text, head, body) in cases {
            let response = read_response(&mut text.as_bytes(), head).unwrap();
            assert_eq!((response.status, response.text().as_str()), (200, body), "{text:?}");
        }
    }

    #[test]
    fn a_cut_response_is_an_error() {
        for text in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na"] {
            let error = read_response(&mut text.as_bytes(), false).unwrap_err();
            assert!(is_closed(&error), "{text:?}: {error}");
        }
    }
}
