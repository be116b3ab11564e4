//! The number that a request names: of an object, or of a place in a list.

use crate::endpoint::Resolved;
use crate::path::{Path, bare};
use crate::token::Token;

fn digits(text: &[u8]) -> Option<u64> {
    let number = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (&first, rest) = text[..number].split_first()?;
    rest.iter().try_fold(u64::from(first - b'0'), |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// What the last segment of a path is, where it is a number; `Some(None)` when that is too large.
pub fn last_number(path: &Path) -> Option<Option<u64>> {
    let last = bare(path.last());
    (Token::of(last).0 == Token::Int).then(|| digits(last))
}

/// A number that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The number.
    pub number: u64,
    /// It is a place in a list: `?page=3`.
    pub place: bool,
}

/// The identifier that a request names, where it is a number: in the path, whose [`last_number`] this
/// is (`/items/42`, `/products/42.html`), or as the first numeric argument (`?page=3`, `?id=42`).
pub fn number(last: Option<Option<u64>>, query: &[u8], endpoint: &Resolved) -> Option<Named> {
    match last {
        Some(last) if endpoint.object => last.map(|number| Named { number, place: false }),
        _ if query.is_empty() => None,
        _ => argument(query),
    }
}

/// The first argument whose value is a number, and that is no length of a list and no moment.
#[inline(never)]
fn argument(query: &[u8]) -> Option<Named> {
    let (name, number) = arguments(query)
        .filter(|(_, value)| {
            !value.is_empty() && value.len() < 18 && value.iter().all(u8::is_ascii_digit)
        })
        .map(|(name, value)| (word(name), value))
        .find(|(name, _)| !SIZES.contains(name) && !MOMENTS.contains(name))?;
    let number = digits(number)?;
    let number = if COUNTS.contains(&name) { number / length(query).max(1) } else { number };
    Some(Named { number, place: PLACES.contains(&name) })
}

/// How long a list is to be, by what the query says; 1 where it does not.
fn length(query: &[u8]) -> u64 {
    arguments(query)
        .filter(|(name, _)| SIZES.contains(&word(name)))
        .find_map(|(_, value)| digits(value))
        .unwrap_or(1)
}

/// Names and values.
fn arguments(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|&b| b == b'&').filter_map(|argument| {
        let at = argument.iter().position(|&b| b == b'=')?;
        Some((&argument[..at], &argument[at + 1..]))
    })
}

/// The letters of a name, however its words are joined: `lastEventId` is `last_event_id`. All names beyond
/// sixteen letters are one.
const fn word(name: &[u8]) -> u128 {
    let (mut word, mut at) = (0, 0);
    while at < name.len() {
        let letter = name[at].to_ascii_lowercase();
        at += 1;
        if letter == b'_' || letter == b'-' {
            continue;
        }
        if word >> 120 != 0 {
            return u128::MAX;
        }
        word = word << 8 | letter as u128;
    }
    word
}

const fn words<const N: usize>(names: [&[u8]; N]) -> [u128; N] {
    let (mut words, mut at) = ([0; N], 0);
    while at < N {
        words[at] = word(names[at]);
        at += 1;
    }
    words
}

/// Where a list is gone on with.
const PLACES: [u128; 11] = words([
    b"page", b"p", b"pg", b"paged", b"pageno", b"offset", b"skip", b"start", b"from", b"after",
    b"cursor",
]);
/// Those of them that count what was shown: the next one is as many further as the list is long.
const COUNTS: [u128; 4] = words([b"offset", b"skip", b"start", b"from"]);
/// Since when there may be news, and what only keeps an answer from being taken out of a cache (`_`): who
/// waits for what is new asks for nothing in particular.
const MOMENTS: [u128; 10] = words([
    b"since",
    b"seq",
    b"lasteventid",
    b"sinceid",
    b"lastid",
    b"timestamp",
    b"ts",
    b"nocache",
    b"cachebuster",
    b"",
]);
/// Arguments that say how long a list is to be, not what is on it: `?limit=50&offset=400`.
const SIZES: [u128; 8] =
    words([b"limit", b"perpage", b"pagesize", b"size", b"count", b"take", b"rows", b"pagelength"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let object = Resolved {
            template: 1,
            group: 1,
            known: true,
            object: true,
            valued: true,
            siblings: 0,
        };
        let page = Resolved { object: false, ..object };
        let named = |path: &str, query: &str, endpoint| {
            number(last_number(&Path::new(path.as_bytes())), query.as_bytes(), endpoint)
        };
        let of = |path: &str, query: &str, endpoint| {
            named(path, query, endpoint).map(|named| named.number)
        };
        assert_eq!(of("/items/42", "", &object), Some(42));
        assert_eq!(of("/products/7.html", "", &object), Some(7));
        assert_eq!(of("/search", "q=lamp&page=3", &page), Some(3));
        assert_eq!(of("/search", "q=lamp", &page), None);
        assert_eq!(of("/items", "limit=50&offset=400", &page), Some(8));
        assert_eq!(of("/items", "skip=400&take=0", &page), Some(400));
        assert_eq!(of("/items/42;v=7", "", &object), Some(42));
        assert_eq!(of("/events", "since_id=17&_=1764355300", &page), None);
        let place = |path: &str, query: &str, endpoint| {
            named(path, query, endpoint).is_some_and(|named| named.place)
        };
        for (path, query, expected) in [
            ("/items", "perPage=50&page=4", true),
            ("/events", "queue=a&lastEventId=17", false),
            ("/orders", "order_id=17&page=2", false),
            ("/orders", "page=a&id=4", false),
            ("/items", "", false),
        ] {
            assert_eq!(place(path, query, &page), expected, "{path}?{query}");
        }
        assert!(!place("/items/42", "page=3", &object));
        assert_eq!(of("/a", "x=99999999999999999999999", &page), None);
    }
}
