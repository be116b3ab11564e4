//! `multipart/form-data`: what browsers send for forms with files.

use super::{Fields, Sink};

/// Bytes of a boundary at most (RFC 2046).
const BOUNDARY_MAX: usize = 70;
/// Bytes kept of a header line; a longer one names no field.
const LINE_MAX: usize = 192;
/// What precedes the boundary.
const DASHES: &[u8] = b"\r\n--";

/// Where in the body the next byte is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Multipart {
    /// `\r\n--` and the boundary.
    delimiter: [u8; DASHES.len() + BOUNDARY_MAX],
    delimiter_len: u8,
    /// Bytes of the delimiter that came.
    matched: u8,
    place: Place,
    /// The header line that comes; longer than [`LINE_MAX`]: too long.
    line: [u8; LINE_MAX],
    line_len: usize,
    /// The headers so far name a field.
    named: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a part, or before the first.
    Content,
    /// Behind a delimiter: so many dashes came.
    Delimited(u8),
    /// On the rest of a delimiter's line.
    DelimiterLine,
    Headers,
}

impl Multipart {
    /// For a body whose boundary stands in these parameters; `None` when there is none.
    pub(super) fn new(parameters: &[u8]) -> Option<Self> {
        let boundary = parameter(parameters, b"boundary")?;
        if !(1..=BOUNDARY_MAX).contains(&boundary.len()) {
            return None;
        }
        let delimiter_len = DASHES.len() + boundary.len();
        let mut delimiter = [0; DASHES.len() + BOUNDARY_MAX];
        delimiter[..DASHES.len()].copy_from_slice(DASHES);
        delimiter[DASHES.len()..delimiter_len].copy_from_slice(boundary);
        Some(Self {
            delimiter,
            delimiter_len: delimiter_len as u8,
            // The first one may stand at the very start.
            matched: 2,
            place: Place::Content,
            line: [0; LINE_MAX],
            line_len: 0,
            named: false,
        })
    }

    /// Takes a byte; whether more can be found.
    pub(super) fn byte(&mut self, byte: u8, fields: &Fields, sink: &mut Sink) -> bool {
        match (self.place, byte) {
            (Place::Content, byte) => self.content(byte, sink),
            // Two dashes: that was the last part.
            (Place::Delimited(1), b'-') => return false,
            (Place::Delimited(0), b'-') => self.place = Place::Delimited(1),
            (Place::Delimited(_) | Place::DelimiterLine, b'\n') => {
                (self.place, self.line_len, self.named) = (Place::Headers, 0, false);
            }
            (Place::Delimited(_) | Place::DelimiterLine, _) => self.place = Place::DelimiterLine,
            (Place::Headers, b'\n') => self.header(fields, sink),
            (Place::Headers, byte) => {
                if let Some(to) = self.line.get_mut(self.line_len) {
                    *to = byte;
                }
                self.line_len = (self.line_len + 1).min(LINE_MAX + 1);
            }
        }
        true
    }

    /// A byte of a part, or of the delimiter behind it. The delimiter begins with a CR and has no other:
    /// when it does not go on, only the byte at hand may begin it anew.
    fn content(&mut self, byte: u8, sink: &mut Sink) {
        let matched = usize::from(self.matched);
        if byte == self.delimiter[matched] {
            self.matched += 1;
            if self.matched == self.delimiter_len {
                sink.end_value();
                (self.place, self.matched) = (Place::Delimited(0), 0);
            }
            return;
        }
        self.delimiter[..matched].iter().for_each(|byte| sink.value(*byte));
        self.matched = u8::from(byte == b'\r');
        if byte != b'\r' {
            sink.value(byte);
        }
    }

    /// The end of a header line; an empty one ends the headers.
    fn header(&mut self, fields: &Fields, sink: &mut Sink) {
        let line = self.line.get(..self.line_len);
        let line = line.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        self.line_len = 0;
        if line == Some(b"") {
            if self.named {
                sink.end_name(fields);
            } else {
                sink.forget();
            }
            self.place = Place::Content;
        } else if let Some(name) = line.and_then(field_name) {
            sink.forget();
            for byte in name {
                sink.name(*byte);
            }
            self.named = true;
        }
    }
}

/// The name of the field, if this is the header that says it. A file is no field.
fn field_name(line: &[u8]) -> Option<&[u8]> {
    const HEADER: &[u8] = b"content-disposition:";
    let (header, parameters) = line.split_at_checked(HEADER.len())?;
    let is_file = parameter(parameters, b"filename").or(parameter(parameters, b"filename*"));
    let is_field = header.eq_ignore_ascii_case(HEADER) && is_file.is_none();
    is_field.then(|| parameter(parameters, b"name")).flatten()
}

/// The value of a parameter: `; name=value` or `; name="value"`.
fn parameter<'t>(text: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let mut rest = text;
    loop {
        let next = rest.iter().position(|byte| *byte == b';')?;
        rest = rest[next + 1..].trim_ascii_start();
        let equals = rest.iter().position(|byte| matches!(byte, b'=' | b';'))?;
        let key = rest[..equals].trim_ascii_end();
        let value = rest[equals..].strip_prefix(b"=").map(<[u8]>::trim_ascii_start);
        let Some(value) = value else { continue };
        let (value, after) = match value.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = quoted.iter().position(|byte| *byte == b'"').unwrap_or(quoted.len());
                quoted.split_at(end)
            }
            None => value.split_at(value.iter().position(|b| *b == b';').unwrap_or(value.len())),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.trim_ascii_end());
        }
        rest = after;
    }
}
