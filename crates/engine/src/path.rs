//! The path of a request as an application sees it: percent-decoded once, dot segments resolved,
//! repeated slashes merged. Records carry the raw path, because the request path of NGINX has
//! better things to do.

use crate::record::PATH_MAX;

/// Segments looked at; what lies deeper is one tail.
pub const MAX_SEGMENTS: usize = 10;

/// A normalised path: `/a/b/c`. At most [`PATH_MAX`] bytes.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    bytes: [u8; PATH_MAX],
    len: usize,
    /// The raw path climbed above the root (`/../../etc/passwd`).
    pub escapes: bool,
}

impl Path {
    /// Normalises a raw path, bounded by [`PATH_MAX`].
    pub fn new(raw: &[u8]) -> Self {
        let mut path = Self { bytes: [0; PATH_MAX], len: 0, escapes: false };
        path.normalise(absolute(raw));
        path
    }

    fn normalise(&mut self, raw: &[u8]) {
        let path = self;
        // As most are: nothing encoded, no slash followed by a slash or a dot.
        let joined = |pair: &[u8]| pair[0] == b'/' && matches!(pair[1], b'/' | b'.');
        if raw.len() <= PATH_MAX
            && raw.first() == Some(&b'/')
            && !raw.contains(&b'%')
            && !raw.windows(2).any(joined)
        {
            path.bytes[..raw.len()].copy_from_slice(raw);
            path.len = raw.len();
            return;
        }
        let mut at = 0;
        while at < raw.len() && path.len < PATH_MAX {
            let (byte, width) = decode(&raw[at..]);
            at += width;
            if byte == b'/' {
                path.end_segment();
            } else {
                path.bytes[path.len] = byte;
                path.len += 1;
            }
        }
        path.resolve_dots(false);
    }

    /// A slash: finishes a segment and starts the next.
    fn end_segment(&mut self) {
        self.resolve_dots(true);
        if self.len < PATH_MAX && (self.len == 0 || self.bytes[self.len - 1] != b'/') {
            self.bytes[self.len] = b'/';
            self.len += 1;
        }
    }

    /// Removes a `.` or `..` at the end of what has been read so far.
    fn resolve_dots(&mut self, slash: bool) {
        let done = &self.bytes[..self.len];
        if done.ends_with(b"/..") {
            let above = done[..self.len - 3].iter().rposition(|&b| b == b'/');
            self.escapes |= above.is_none();
            self.len = above.map_or(1, |slash| slash + 1);
        } else if done.ends_with(b"/.") {
            self.len -= 1;
        } else if !slash && self.len == 0 {
            self.bytes[0] = b'/';
            self.len = 1;
        }
    }

    /// The normalised bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The non-empty segments.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.as_bytes().split(|&b| b == b'/').filter(|segment| !segment.is_empty())
    }

    /// The last segment, empty for the root.
    pub fn last(&self) -> &[u8] {
        let text = self.as_bytes();
        let end = text.iter().rposition(|&b| b != b'/').map_or(0, |at| at + 1);
        let start = text[..end].iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        &text[start..end]
    }

    /// The extension of the last segment, without the dot; empty for none.
    pub fn extension(&self) -> &[u8] {
        extension(self.last()).1
    }
}

/// A segment without the parameters that it may carry: `42;v=1` is `42`.
pub fn bare(segment: &[u8]) -> &[u8] {
    match segment.iter().position(|&byte| byte == b';') {
        Some(at) if at > 0 => &segment[..at],
        _ => segment,
    }
}

/// Splits `name.ext`; a leading dot starts no extension, nor does one longer than five bytes.
pub fn extension(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&b| b == b'.') {
        Some(dot) if dot > 0 && (2..=6).contains(&(name.len() - dot)) => {
            (&name[..dot], &name[dot + 1..])
        }
        _ => (name, &[]),
    }
}

/// Drops the scheme and authority of an absolute-form target (`http://host/path`).
fn absolute(raw: &[u8]) -> &[u8] {
    if raw.first().is_some_and(|&b| b == b'/') {
        return raw;
    }
    let after_scheme = raw.windows(3).position(|w| w == b"://").map_or(raw, |at| &raw[at + 3..]);
    after_scheme.iter().position(|&b| b == b'/').map_or(raw, |at| &after_scheme[at..])
}

/// The next byte of a percent-encoded text, and how many bytes it took.
pub fn decode(text: &[u8]) -> (u8, usize) {
    let hex = |b: u8| char::from(b).to_digit(16);
    if let [b'%', high, low, ..] = *text {
        if let (Some(high), Some(low)) = (hex(high), hex(low)) {
            return ((high * 16 + low) as u8, 3);
        }
    }
    (text.first().copied().unwrap_or(0), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_as_nginx_does() {
        for (raw, expected) in [
            ("/", "/"),
            ("", "/"),
            ("/a/b", "/a/b"),
            ("//a///b//", "/a/b/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/%61dmin", "/admin"),
            ("/a%2fb", "/a/b"),
            ("/%zz", "/%zz"),
            ("http://shop.test/x", "/x"),
            ("/..", "/"),
        ] {
            assert_eq!(Path::new(raw.as_bytes()).as_bytes(), expected.as_bytes(), "{raw}");
        }
        assert!(Path::new(b"/../etc/passwd").escapes);
        assert!(!Path::new(b"/a/../b").escapes);
    }

    #[test]
    fn bounded_whatever_comes() {
        let long = vec![b'a'; 9000];
        assert_eq!(Path::new(&long).as_bytes().len(), PATH_MAX);
        let slashes = vec![b'/'; 9000];
        assert_eq!(Path::new(&slashes).as_bytes(), b"/");
        assert_eq!(extension(b"index.html"), (&b"index"[..], &b"html"[..]));
        assert_eq!(extension(b".htaccess"), (&b".htaccess"[..], &b""[..]));
    }
}
