//! Which host is the site's own, to tell a Referer of its own pages from others.

/// Candidates that are counted at once.
const CANDIDATES: usize = 16;
/// Referers after which the guess is final.
const ENOUGH: u64 = 100_000;

/// The site's own host: told, or guessed as the host that most Referers of successful requests name
/// (space-saving counters: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and
/// Top-k Elements in Data Streams", 2005). The guess is adaptive: each Referer is held against the
/// most frequent host so far.
#[derive(Debug, Default)]
pub(super) struct Site {
    told: Vec<Vec<u8>>,
    /// Most frequent first.
    candidates: Vec<(Vec<u8>, u64)>,
    seen: u64,
}

/// Host and path of a Referer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Referer<'a> {
    /// Without port, user and `www.`.
    pub(super) host: &'a [u8],
    /// Without query and fragment.
    pub(super) path: &'a [u8],
}

impl Site {
    /// A site with these names; without any it is guessed.
    pub(super) fn named(names: &[String]) -> Self {
        let told = names.iter().map(|name| bare_host(name.as_bytes()).to_vec()).collect();
        Self { told, ..Self::default() }
    }

    /// Whether a Referer's host is the site's; `host` is the request's own, when the log says it.
    pub(super) fn is_own(&mut self, referer: &[u8], host: Option<&[u8]>, succeeded: bool) -> bool {
        if let Some(host) = host {
            return bare_host(host).eq_ignore_ascii_case(referer);
        }
        if !self.told.is_empty() {
            return self.told.iter().any(|name| name.eq_ignore_ascii_case(referer));
        }
        if succeeded && self.seen < ENOUGH {
            self.count(referer);
        }
        self.candidates.first().is_some_and(|(name, _)| name.eq_ignore_ascii_case(referer))
    }

    fn count(&mut self, host: &[u8]) {
        self.seen += 1;
        let known = |(name, _): &(Vec<u8>, u64)| name.eq_ignore_ascii_case(host);
        let mut at = match self.candidates.iter().position(known) {
            Some(at) => at,
            None if self.candidates.len() < CANDIDATES => {
                self.candidates.push((host.to_vec(), 0));
                self.candidates.len() - 1
            }
            None => {
                // The rarest gives way and leaves its count, which bounds the error.
                self.candidates[CANDIDATES - 1].0 = host.to_vec();
                CANDIDATES - 1
            }
        };
        self.candidates[at].1 += 1;
        while at > 0 && self.candidates[at - 1].1 < self.candidates[at].1 {
            self.candidates.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Takes a Referer apart; `None` when it is no http(s) URL.
pub(super) fn referer(text: &[u8]) -> Option<Referer<'_>> {
    let rest = after_scheme(text)?;
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let end = rest.iter().position(|byte| b"?#".contains(byte)).unwrap_or(rest.len());
    let path = if end == 0 { b"/" } else { &rest[..end] };
    let host = bare_host(authority);
    (!host.is_empty()).then_some(Referer { host, path })
}

/// What follows `http://` or `https://`.
pub(super) fn after_scheme(text: &[u8]) -> Option<&[u8]> {
    let at = text.windows(3).take(6).position(|window| window == b"://")?;
    let known = [&b"http"[..], b"https"].iter().any(|known| text[..at].eq_ignore_ascii_case(known));
    known.then(|| &text[at + 3..])
}

/// A host without user, port and `www.`.
pub(super) fn bare_host(authority: &[u8]) -> &[u8] {
    let host = authority.rsplit(|&byte| byte == b'@').next().unwrap_or(authority);
    let end = match host.first() {
        Some(b'[') => host.iter().position(|&byte| byte == b']').map_or(host.len(), |at| at + 1),
        _ => host.iter().position(|&byte| byte == b':').unwrap_or(host.len()),
    };
    let host = &host[..end];
    host.strip_prefix(b"www.").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_referers_apart() {
        let cases: [(&str, Option<(&str, &str)>); 9] = [
            ("http://shop.example/a/b?c=d#e", Some(("shop.example", "/a/b"))),
            ("HTTPS://www.shop.example:8443", Some(("shop.example", "/"))),
            ("http://user:word@shop.example/x", Some(("shop.example", "/x"))),
            ("http://[2001:db8::1]:80/x", Some(("[2001:db8::1]", "/x"))),
            ("http://shop.example?q", Some(("shop.example", "/"))),
            ("android-app://com.example", None),
            ("http:///x", None),
            ("/relative", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = referer(text.as_bytes());
            let expected = expected.map(|(host, path)| (host.as_bytes(), path.as_bytes()));
            assert_eq!(found.map(|found| (found.host, found.path)), expected, "{text}");
        }
    }

    #[test]
    fn the_most_frequent_host_is_the_site() {
        let mut site = Site::default();
        for round in 0..200 {
            let other = format!("search{round}.example");
            site.is_own(other.as_bytes(), None, true);
            site.is_own(b"shop.example", None, true);
            site.is_own(b"spam.example", None, false);
            site.is_own(b"spam.example", None, false);
        }
        assert!(site.is_own(b"Shop.Example", None, false));
        assert!(!site.is_own(b"spam.example", None, false));
        assert!(site.is_own(b"spam.example", Some(b"www.spam.example:80"), false));
    }

    #[test]
    fn a_site_that_is_told_is_not_guessed() {
        let mut site = Site::named(&["www.shop.example".to_owned()]);
        for _ in 0..9 {
            assert!(!site.is_own(b"search.example", None, true));
        }
        assert!(site.is_own(b"shop.example", None, true));
    }
}
