//! Names and payloads that say something by themselves, whatever the application.
//!
//! These are conventions of the web, not a signature feed: the detectors work on the behaviour, and
//! a name here only weighs more than another name that nobody serves.

use aho_corasick::{AhoCorasick, BuildError};

use crate::path::{Path, decode};

/// Parts of normalised, lower-cased paths that are looked for where they are not: configuration,
/// backups, repositories, consoles, shells. They count when the application does not serve them.
const PROBES: &str = include_str!("patterns/probes.txt");

/// What such names end in: copies, dumps, keys.
const ENDINGS: &str = include_str!("patterns/endings.txt");

/// Parts of decoded, lower-cased targets that are attacks wherever they stand.
const PAYLOADS: &str = include_str!("patterns/payloads.txt");

/// Files that browsers, phones, crawlers and feed readers ask every site for.
const COURTESY: &str = include_str!("patterns/courtesy.txt");

/// Extensions of what pages pull in; a miss is somebody's broken link.
const RESOURCES: &str = include_str!("patterns/resources.txt");

/// Words that a login's path is made of.
const LOGIN: &str = include_str!("patterns/logins.txt");

/// The compiled patterns.
#[derive(Debug)]
pub struct Patterns {
    probes: AhoCorasick,
    payloads: AhoCorasick,
}

impl Patterns {
    /// Compiles the tables.
    pub fn new() -> Result<Self, BuildError> {
        Ok(Self {
            probes: AhoCorasick::new(PROBES.lines())?,
            payloads: AhoCorasick::new(PAYLOADS.lines())?,
        })
    }

    /// A name that is looked for rather than linked to.
    pub fn is_probe(&self, path: &Path) -> bool {
        let text = path.as_bytes().to_ascii_lowercase();
        // A whole name, or the head of one: `/shell.php` but not `/shells-of-the-sea`.
        let whole = |end: usize| {
            let boundary = |at: usize| text.get(at).is_none_or(|b| !b.is_ascii_alphanumeric());
            boundary(end) || boundary(end - 1)
        };
        ENDINGS.lines().any(|ending| text.ends_with(ending.as_bytes()))
            || self.probes.find_overlapping_iter(&text).any(|found| whole(found.end()))
    }

    /// An attack in the query or in the raw path.
    pub fn has_payload(&self, path: &Path, raw_path: &[u8], query: &[u8]) -> bool {
        let attack = |text: &[u8]| self.payloads.is_match(&decoded(text));
        path.escapes
            || path.as_bytes().contains(&0)
            || attack(raw_path)
            || (!query.is_empty() && attack(query))
    }
}

/// Asked of every site by honest software.
pub fn is_courtesy(path: &Path) -> bool {
    COURTESY.lines().any(|name| {
        path.as_bytes()
            .get(..name.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// Pulled in by a page rather than visited.
pub fn is_resource(path: &Path) -> bool {
    let extension = path.extension();
    RESOURCES.lines().any(|known| extension.eq_ignore_ascii_case(known.as_bytes()))
}

/// One of the last two segments is a word for logging in: `/account/login`, `/users/sign_in`,
/// `/wp-login.php`, `/rest/user/login`.
pub fn is_login(path: &Path) -> bool {
    let text = path.as_bytes();
    let start = text.iter().rposition(|&b| b == b'/').unwrap_or(0);
    let start = text[..start].iter().rposition(|&b| b == b'/').unwrap_or(start);
    let tail = text[start..].to_ascii_lowercase();
    let mut words = tail
        .split(|b| !b.is_ascii_alphanumeric() && *b != b'_')
        .flat_map(|word| word.split(|&b| b == b'_').chain(core::iter::once(word)));
    let joined = |a: &str| tail.windows(a.len()).any(|w| w == a.as_bytes());
    words.any(|word| LOGIN.lines().any(|login| login.as_bytes() == word))
        || ["log-in", "log_in", "sign-in", "sign_in", "userlogin", "dologin"]
            .iter()
            .any(|a| joined(a))
}

/// The path of a programming interface, where 2xx is success and nothing is a form.
pub fn is_interface(path: &Path) -> bool {
    path.segments().any(|segment| {
        let segment = segment.to_ascii_lowercase();
        let version = segment.len() <= 3
            && segment.first() == Some(&b'v')
            && segment[1..].iter().all(u8::is_ascii_digit);
        version
            || [
                &b"api"[..],
                b"rest",
                b"oauth",
                b"oauth2",
                b"graphql",
                b"token",
                b"tokens",
                b"rpc",
                b"json",
            ]
            .contains(&segment.as_slice())
    })
}

/// Percent-decoded twice (attacks hide behind double encoding), plus signs as spaces, lower case,
/// comments that stand for spaces removed.
fn decoded(text: &[u8]) -> Vec<u8> {
    let once = |text: &[u8]| {
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let (byte, width) = decode(&text[at..]);
            at += width;
            out.push(if byte == b'+' { b' ' } else { byte.to_ascii_lowercase() });
        }
        out
    };
    let decoded = once(text);
    let decoded = if decoded.contains(&b'%') { once(&decoded) } else { decoded };
    let mut out = Vec::with_capacity(decoded.len());
    for byte in decoded {
        out.push(byte);
        if out.ends_with(b"/**/") {
            out.truncate(out.len() - 4);
            out.push(b' ');
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn logins_by_name() {
        for path in [
            "/login",
            "/account/login",
            "/users/sign_in",
            "/wp-login.php",
            "/rest/user/login",
            "/api/auth",
            "/oauth/token",
            "/api/v1/sessions",
            "/Account/LogOn",
            "/auth/local",
            "/user/login_check",
        ] {
            assert!(is_login(&Path::new(path.as_bytes())), "{path}");
        }
        for path in [
            "/",
            "/authors",
            "/blogging/in",
            "/catalogue/login-screens-of-1999/page/2/x",
            "/tokenizer",
        ] {
            assert!(!is_login(&Path::new(path.as_bytes())), "{path}");
        }
    }

    #[test]
    fn probes_and_payloads() {
        let patterns = Patterns::new().unwrap();
        for path in ["/.env", "/backup/db.sql", "/.git/HEAD", "/WP-ADMIN/", "/index.php~"] {
            assert!(patterns.is_probe(&Path::new(path.as_bytes())), "{path}");
        }
        for path in [
            "/",
            "/products/12.html",
            "/api/items/7",
            "/environment",
            "/shells-of-the-sea",
            "/x.keynote",
        ] {
            assert!(!patterns.is_probe(&Path::new(path.as_bytes())), "{path}");
        }
        let payload = |target: &str| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            patterns.has_payload(&Path::new(path.as_bytes()), path.as_bytes(), query.as_bytes())
        };
        assert!(payload("/search?q=%3Cscript%3Ealert(1)%3C/script%3E"));
        assert!(payload("/item?id=1'+union/**/select+1,2"));
        assert!(payload("/..%252f..%252fetc/passwd"));
        assert!(payload("/../../x"));
        assert!(!payload("/search?q=blue+union+jack+select+edition&page=2"));
        assert!(!payload("/a/../b?next=%2Faccount%2Forders"));
    }

    #[test]
    fn courtesy_and_resources() {
        assert!(is_courtesy(&Path::new(b"/apple-touch-icon-120x120-precomposed.png")));
        assert!(is_courtesy(&Path::new(b"/.well-known/assetlinks.json")));
        assert!(!is_courtesy(&Path::new(b"/admin")));
        assert!(is_resource(&Path::new(b"/static/app.9f2.JS")));
        assert!(
            is_interface(&Path::new(b"/api/v2/login"))
                && !is_interface(&Path::new(b"/account/login"))
        );
    }
}
