//! Names and payloads that say something by themselves, whatever the application.
//!
//! These are conventions of the web, not a signature feed: the detectors work on the behaviour, and
//! a name here only weighs more than another name that nobody serves.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use crate::path::{Path, decode};
use crate::role::{Looks, Role, Roles};

/// Parts of normalised, lower-cased paths that are looked for where they are not: configuration,
/// backups, repositories, consoles, shells. They count when the application does not serve them.
const PROBES: &str = include_str!("patterns/probes.txt");

/// What such names end in: copies, dumps, keys.
const ENDINGS: &str = include_str!("patterns/endings.txt");

/// Parts of decoded, lower-cased targets that are attacks wherever they stand.
const PAYLOADS: &str = include_str!("patterns/payloads.txt");

/// Files that browsers, phones, crawlers and feed readers ask every site for.
const COURTESY: &str = include_str!("patterns/courtesy.txt");
static COURTESY_NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| COURTESY.lines().collect());

/// The compiled patterns.
#[derive(Debug)]
pub struct Patterns {
    probes: AhoCorasick,
    payloads: AhoCorasick,
    endings: Vec<&'static str>,
    roles: Roles,
}

impl Patterns {
    /// Compiles the tables.
    pub fn new() -> Result<Self, BuildError> {
        let compile = |list: &'static str| {
            let builder = &mut AhoCorasick::builder();
            let builder = builder.kind(Some(AhoCorasickKind::DFA)).ascii_case_insensitive(true);
            builder.build(list.lines())
        };
        Ok(Self {
            probes: compile(PROBES)?,
            payloads: compile(PAYLOADS)?,
            endings: ENDINGS.lines().collect(),
            roles: Roles::new()?,
        })
    }

    /// The role that a path names.
    pub fn role_of(&self, path: &Path, looks: Looks) -> Role {
        self.roles.of(path, looks)
    }

    /// The role that a query names.
    pub fn role_of_query(&self, query: &[u8]) -> Role {
        self.roles.of_query(query)
    }

    /// A name that is looked for rather than linked to.
    pub fn is_probe(&self, path: &Path) -> bool {
        let text = path.as_bytes();
        // A whole name, or the head of one: `/shell.php` but not `/shells-of-the-sea`.
        let whole = |end: usize| {
            let boundary = |at: usize| text.get(at).is_none_or(|b| !b.is_ascii_alphanumeric());
            boundary(end) || boundary(end - 1)
        };
        let ends = |ending: &str| {
            let start = text.len().saturating_sub(ending.len());
            text[start..].eq_ignore_ascii_case(ending.as_bytes())
        };
        self.endings.iter().any(|ending| ends(ending))
            || self.probes.find_overlapping_iter(text).any(|found| whole(found.end()))
    }

    /// The same of the last segment, wherever it lies.
    pub fn is_probe_by_name(&self, raw: &[u8]) -> bool {
        let path = Path::new(raw);
        let text = path.as_bytes();
        let end = text.iter().rposition(|&byte| byte != b'/').unwrap_or(0);
        let start = text[..end].iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        self.is_probe(&Path::new(&text[start..]))
    }

    /// An attack in the path.
    pub fn is_attacked_path(&self, path: &Path, raw: &[u8]) -> bool {
        path.as_bytes().contains(&0) || self.is_attack(raw)
    }

    /// An attack in the User-Agent.
    pub fn is_attacking_agent(&self, user_agent: &[u8]) -> bool {
        let odd = |b: &u8| matches!(b, b'<' | b'{' | b'$' | b'`');
        user_agent.iter().any(odd) && self.is_attack(user_agent)
    }

    /// Whether a text holds an attack, decoded where it is encoded.
    pub fn is_attack(&self, text: &[u8]) -> bool {
        if text.len() < self.payloads.min_pattern_len() {
            // Decoding makes it no longer.
            return false;
        }
        let encoded = |b: &u8| matches!(b, b'%' | b'+' | b'*');
        if text.iter().any(encoded) {
            let text = decoded(text);
            self.payloads.is_match(&text) || compares_numbers(&text)
        } else {
            self.payloads.is_match(text)
        }
    }
}

/// Asked of every site by honest software.
pub fn is_courtesy(path: &Path) -> bool {
    COURTESY_NAMES.iter().any(|name| {
        path.as_bytes()
            .get(..name.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// A page of another site as a path of this one: what becomes of a link that a page forgot to make
/// absolute, and every honest program follows.
pub fn is_misplaced_link(path: &Path) -> bool {
    [&b"/http:/"[..], b"/https:/"]
        .into_iter()
        .any(|scheme| path.as_bytes().windows(scheme.len()).any(|window| window == scheme))
}

/// Whether a User-Agent says that it is a crawler, by its name or by the address of its operator: a link, or
/// a host name that is all of it.
pub fn declares_crawler(user_agent: &[u8]) -> bool {
    const MARKS: [&[u8]; 6] = [b"bot", b"crawl", b"spider", b"slurp", b"http://", b"https://"];
    let begins = |at: usize| {
        let rest = &user_agent[at..];
        let is = |mark: &[u8]| rest.get(..mark.len()).is_some_and(|w| w.eq_ignore_ascii_case(mark));
        matches!(rest[0] | 0x20, b'b' | b'c' | b's' | b'h') && MARKS.into_iter().any(is)
    };
    (0..user_agent.len()).any(begins) || is_host(user_agent)
}

/// Whether a text is a host name: labels with dots between, the last of letters.
fn is_host(text: &[u8]) -> bool {
    let letters = |label: &[u8]| label.len() >= 2 && label.iter().all(u8::is_ascii_alphabetic);
    let label = |label: &[u8]| {
        !label.is_empty() && label.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let top = text.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    top.len() < text.len() && letters(top) && text.split(|&byte| byte == b'.').all(label)
}

/// Percent-decoded twice (attacks hide behind double encoding), plus signs as spaces, comments that
/// stand for spaces removed.
fn decoded(text: &[u8]) -> Vec<u8> {
    let once = |text: &[u8]| {
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let (byte, width) = decode(&text[at..]);
            at += width;
            out.push(if byte == b'+' { b' ' } else { byte });
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

/// `… and 4711=4711`: a condition that is there for its truth alone.
fn compares_numbers(text: &[u8]) -> bool {
    let joins = |head: &[u8]| {
        let end = head.iter().rposition(u8::is_ascii_alphabetic).map_or(0, |at| at + 1);
        let gap = &head[end..];
        let spaced = gap.contains(&b' ') && gap.iter().all(|b| b" '\"(".contains(b));
        spaced
            && [&b" and"[..], b" or", b")and", b")or"].iter().any(|word| {
                end >= word.len() && head[end - word.len()..end].eq_ignore_ascii_case(word)
            })
    };
    let equals = text.iter().enumerate().filter(|(_, byte)| **byte == b'=');
    equals.map(|(at, _)| at).any(|at| {
        let number = text[..at].iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let follows = text.get(at + 1).is_some_and(u8::is_ascii_digit);
        number > 0 && follows && joins(&text[..at - number])
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
            let (raw, query) = (path.as_bytes(), query.as_bytes());
            patterns.is_attacked_path(&Path::new(raw), raw) || patterns.is_attack(query)
        };
        assert!(payload("/search?q=%3Cscript%3Ealert(1)%3C/script%3E"));
        assert!(payload("/item?id=1'+union/**/select+1,2"));
        assert!(payload("/item?id=1%29%20AND%205472%3D5472"));
        assert!(payload("/item?id=7+or+%283=4"));
        assert!(!payload("/search?q=salt+and+pepper&page=2"));
        assert!(!payload("/search?q=size%3D7+and+more&page=2"));
        assert!(payload("/..%252f..%252fetc/passwd"));
        assert!(payload("/../../x"));
        assert!(!payload("/search?q=blue+union+jack+select+edition&page=2"));
        assert!(!payload("/a/../b?next=%2Faccount%2Forders"));
    }

    #[test]
    fn names_of_their_own_and_of_their_directory() {
        let patterns = Patterns::new().unwrap();
        let by_name = |path: &str| patterns.is_probe_by_name(path.as_bytes());
        assert!(by_name("/WP-admin/") && by_name("/wp-login.php"));
        assert!(by_name("/blog/wp-login.php") && by_name("/a/b.sql"));
        assert!(!by_name("/wp-includes/js/player.js") && !by_name("/") && !by_name(""));
    }

    #[test]
    fn crawlers_say_so() {
        for agent in ["GoodBot/2.1", "Links (+https://links.example/)", "search.example.com"] {
            assert!(declares_crawler(agent.as_bytes()), "{agent}");
        }
        for agent in
            ["curl/7.88.1", "Mozilla/5.0 Firefox/140.0", "a.b/1", "x..y", "1.2.3", "", "com"]
        {
            assert!(!declares_crawler(agent.as_bytes()), "{agent}");
        }
    }

    #[test]
    fn courtesy() {
        assert!(is_courtesy(&Path::new(b"/apple-touch-icon-120x120-precomposed.png")));
        assert!(is_courtesy(&Path::new(b"/.well-known/assetlinks.json")));
        assert!(!is_courtesy(&Path::new(b"/admin")));
        assert!(is_misplaced_link(&Path::new(b"/news/https://example.com/a")));
        assert!(!is_misplaced_link(&Path::new(b"/https-explained/http/")));
    }
}
