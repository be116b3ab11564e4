//! Where the console is.

use std::fmt::Write as _;

/// A location that serves the console.
#[derive(Clone, Debug)]
pub(crate) struct Url {
    /// With a slash at the end, without name and password.
    pub(super) base: String,
    /// `NAME:PASSWORD` of the address.
    pub(super) user: Option<String>,
}

/// Reads an address as people write it: with or without the slash at the end, `index.html`, `api/`
/// or a view of the page.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let Some(rest) = text.strip_prefix("http://") else {
        let why = if text.starts_with("https://") {
            "this program speaks plain HTTP only: call it on the server itself, or through \
             `ssh -L 8080:127.0.0.1:80 SERVER` with --url http://127.0.0.1:8080/…"
        } else {
            "an address begins with http://, as in http://127.0.0.1/abuse/"
        };
        return Err(why.to_owned());
    };
    let end = rest.find(['#', '?']).unwrap_or(rest.len());
    let (authority, path) = rest[..end].split_once('/').unwrap_or((&rest[..end], ""));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(decoded(user)?), host),
        None => (None, authority),
    };
    if host.is_empty() {
        return Err("the address names no host".to_owned());
    }
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix("index.html").unwrap_or(path).trim_end_matches('/');
    let path = if path == "api" { "" } else { path.strip_suffix("/api").unwrap_or(path) };
    let slash = if path.is_empty() { "" } else { "/" };
    Ok(Url { base: format!("http://{host}/{path}{slash}"), user })
}

/// `%40` as `@`.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.ok_or("a % in the name or password is written %25")?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| "the name or password is no UTF-8".to_owned())
}

/// Text as an argument of a query or a segment of a path.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Base64, for `Authorization`.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * digit) & 63) as usize];
            out.push(if digit <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        let cases = [
            ("http://127.0.0.1/abuse/", "http://127.0.0.1/abuse/"),
            ("http://127.0.0.1/abuse", "http://127.0.0.1/abuse/"),
            ("http://[::1]:8080/abuse/#/denylist", "http://[::1]:8080/abuse/"),
            ("http://h:81/a/b/index.html?x=1", "http://h:81/a/b/"),
            ("http://h/abuse/api/", "http://h/abuse/"),
            ("http://h", "http://h/"),
            ("http://h/api", "http://h/"),
        ];
        for (text, base) in cases {
            let url = parse(text).unwrap();
            assert_eq!((url.base.as_str(), url.user), (base, None), "{text}");
        }
        let url = parse("http://ada:p%40ss:%25@h/abuse").unwrap();
        assert_eq!(url.base, "http://h/abuse/");
        assert_eq!(url.user.as_deref(), Some("ada:p@ss:%"));
        for text in ["", "127.0.0.1", "ftp://h/", "http:///abuse", "http://a%:b@h/", "http://a%é@h"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("https://h/").unwrap_err().contains("ssh -L"));
    }

    #[test]
    fn texts_for_addresses_and_headers() {
        assert_eq!(encoded("2001:db8::/32 é"), "2001%3Adb8%3A%3A%2F32%20%C3%A9");
        let cases =
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("ada:?>~", "YWRhOj8+fg==")];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded, "{plain}");
        }
    }
}
