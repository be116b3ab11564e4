//! JSON lines. A flat walk that copies nothing: nesting only matters for where the line ends, a
//! value goes by the key nearest to it (`{"request":{"headers":{"User-Agent":["curl"]}}}` has a
//! `User-Agent`), and the first value of a field wins. Strings may hold any bytes: NGINX's
//! `escape=json` lets through what is no UTF-8.

use memchr::memchr2;

use super::{Expected, Field, Line};

/// Nesting that is followed; deeper is no access log.
const MAX_DEPTH: usize = 32;

/// Finds the values of a line.
pub(super) fn parse(line: &[u8]) -> Result<Line<'_>, Expected<'static>> {
    let mut scanner = Scanner { line, at: 0 };
    let mut found = Line::empty();
    scanner.walk(&mut found).map_err(|what| Expected { what, at: scanner.at })?;
    // As a log_format must have them: without, nobody could be judged.
    let missing = NEEDED.into_iter().find(|(any, _)| any.iter().all(|it| found.get(*it).is_none()));
    missing.map_or(Ok(found), |(_, what)| Err(Expected { what, at: 0 }))
}

/// What a line must have, each in one of these fields, and what is said of one that has not.
const NEEDED: [(&[Field], &str); 4] = [
    (&[Field::Address], "a client address, as \"remote_addr\" or \"ip\""),
    (&[Field::Time, Field::Msec], "a time, as \"time\" or \"msec\""),
    (&[Field::Status], "a status, as \"status\" or \"code\""),
    (
        &[Field::Request, Field::RequestUri, Field::Uri],
        "what was asked for, as \"request\" or \"request_uri\"",
    ),
];

struct Scanner<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Walks over the object that the line is.
    fn walk(&mut self, found: &mut Line<'a>) -> Result<(), &'static str> {
        // What is open, innermost in the lowest bit: 1 for an object, 0 for an array.
        let mut open = 0u32;
        let mut depth = 0usize;
        let mut field = None;
        self.expect(b'{', "a JSON object")?;
        (open, depth) = (open << 1 | 1, depth + 1);
        while depth > 0 {
            let byte = self.peek().ok_or("the end of the JSON object")?;
            match byte {
                b'}' | b']' => {
                    if (byte == b'}') != (open & 1 == 1) {
                        return Err("brackets that match");
                    }
                    self.at += 1;
                    (open, depth) = (open >> 1, depth - 1);
                    continue;
                }
                b',' => {
                    self.at += 1;
                    continue;
                }
                _ => {}
            }
            if open & 1 == 1 {
                field = Field::of_key(self.string()?);
                self.expect(b':', "\":\" after a JSON key")?;
            }
            let first = self.peek().ok_or("a JSON value")?;
            if first == b'{' || first == b'[' {
                if depth == MAX_DEPTH {
                    return Err("less nesting");
                }
                self.at += 1;
                (open, depth) = (open << 1 | u32::from(first == b'{'), depth + 1);
                continue;
            }
            let value = self.value()?;
            if let Some(field) = field.filter(|&field| found.get(field).is_none()) {
                found.set(field, value);
            }
        }
        Ok(())
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.line[self.at..];
        self.at += rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        self.line.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), &'static str> {
        if self.peek() != Some(byte) {
            return Err(what);
        }
        self.at += 1;
        Ok(())
    }

    /// A string's inside, escapes as they stand.
    fn string(&mut self) -> Result<&'a [u8], &'static str> {
        self.expect(b'"', "a JSON string")?;
        let start = self.at;
        loop {
            let rest = self.line.get(self.at..).unwrap_or_default();
            let Some(offset) = memchr2(b'"', b'\\', rest) else {
                // Behind a backslash that ends the line there is nothing either.
                self.at = self.at.min(self.line.len());
                return Err("the end of a JSON string");
            };
            self.at += offset + 1;
            if rest[offset] == b'"' {
                return Ok(&self.line[start..self.at - 1]);
            }
            self.at += 1;
        }
    }

    /// A string, a number, or a word (which is nothing of interest: true, false, null).
    fn value(&mut self) -> Result<&'a [u8], &'static str> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        let rest = &self.line[self.at..];
        let is_scalar = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let len = rest.iter().position(|byte| !is_scalar(byte)).unwrap_or(rest.len());
        if len == 0 {
            return Err("a JSON value");
        }
        self.at += len;
        let value = &rest[..len];
        Ok(if value[0].is_ascii_alphabetic() { b"" } else { value })
    }
}
