//! What a client shows of itself: its fingerprint, and what its headers say.
//!
//! The fingerprint tells clients behind one address apart. It must be the same for all requests of
//! a client, whatever it fetches, or its evidence would scatter. So it is made of what a client
//! does not choose for each request: User-Agent, Accept-Language, Accept-Encoding, and the order of
//! the headers that every request has. Not of Accept, whose value and place differ between a page,
//! an image and a script's call; nor of cookies, Referer and Sec-Fetch-*.

use api_abuse_engine::hash::{Seed, combine};
use api_abuse_engine::record::{flags, words::Answer};

use crate::ffi::headers::{Header, name_hash};
use crate::ffi::request::Request;
use crate::text::starts_with;

/// The client of a request, in two registers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Client {
    /// 0 when it sent none of what it is made of.
    pub(crate) fingerprint: u64,
    /// How many headers it sent, and what is among them: as much of an [`Answer`], as a word.
    pub(crate) facts: u64,
}

/// What fingerprints are made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprints {
    seed: Seed,
    /// The hash of three values that were not sent.
    nothing: u64,
}

impl Fingerprints {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { seed, nothing: seed.table_of([&[]; 3]) }
    }

    /// The client that sent these values.
    #[inline(never)]
    fn of_values(
        &self,
        order: u64,
        [user_agent, language, encoding, accepted]: &[Option<&Header>; VALUES as usize],
        mut facts: u64,
    ) -> Client {
        let values = [user_agent, language, encoding];
        let hash = self.seed.table_of(values.map(|value| value.map_or(&[][..], Header::value)));
        if accepted.is_some_and(|accepted| names_html(accepted.value())) {
            facts |= Answer::said(flags::ACCEPTS_HTML);
        }
        Client { fingerprint: fingerprint(order, hash), facts }
    }
}

impl Request<'_> {
    /// The client, by all of the headers, which are read once.
    // On its own, so that its loop has the registers.
    #[inline(never)]
    pub(crate) fn client(&self, fingerprints: &Fingerprints) -> Client {
        let (mut header_count, mut found) = (0, 0);
        // One digit of four bits for each header of the fingerprint, in the order in which they
        // came. A client that repeats them pushes the first ones out, and is still itself.
        let mut order = 0_u64;
        let mut values = [None; VALUES as usize];
        for part in self.headers_in() {
            header_count += part.len();
            for header in part {
                let hash = header.hash();
                let known = &NAMES[place(hash)];
                if known.hash != hash {
                    continue;
                }
                order = order << known.shift | u64::from(known.digit);
                found |= known.flags;
                if let Some(value) = values.get_mut(usize::from(known.value)) {
                    *value = Some(header);
                }
            }
        }
        let header_count = u16::try_from(header_count).unwrap_or(u16::MAX);
        let facts = Answer { flags: found & !VALUE, status: 0, header_count }.into();
        if found & VALUE != 0 {
            return fingerprints.of_values(order, &values, facts);
        }
        Client { fingerprint: fingerprint(order, fingerprints.nothing), facts }
    }
}

/// Of the order of headers, and the hash of values.
#[inline]
fn fingerprint(order: u64, hash: u64) -> u64 {
    if order == 0 { 0 } else { combine(order, hash).max(1) }
}

/// Marks a name whose value is looked at; no flag of a record.
const VALUE: u32 = 1 << 31;
/// Values that are looked at: those of the fingerprint, and Accept.
const VALUES: u8 = 4;

/// What is made of a header by its name.
#[derive(Clone, Copy)]
struct Name {
    /// NGINX's hash of it, by which it is known. Who sends another name of the same hash says what the
    /// name would have said, and gains nothing.
    hash: usize,
    /// Its digit in the order, and the bits that it takes there; 0: it has none.
    digit: u8,
    shift: u8,
    flags: u32,
    /// Where its value goes; [`VALUES`]: nowhere.
    value: u8,
}

/// The names that mean something.
const KNOWN: [(&[u8], u8, u32, u8); 21] = [
    (b"host", 1, 0, VALUES),
    (b"connection", 2, 0, VALUES),
    (b"user-agent", 3, VALUE, 0),
    (b"accept-language", 4, flags::ACCEPT_LANGUAGE | VALUE, 1),
    (b"accept-encoding", 5, flags::ACCEPT_ENCODING | VALUE, 2),
    (b"accept", 0, flags::ACCEPT | VALUE, 3),
    (b"authorization", 0, flags::AUTHORIZATION, VALUES),
    // Keys of interfaces, which show who asks just as well.
    (b"x-api-key", 0, flags::AUTHORIZATION, VALUES),
    (b"x-auth-token", 0, flags::AUTHORIZATION, VALUES),
    (b"x-access-token", 0, flags::AUTHORIZATION, VALUES),
    (b"cookie", 0, flags::COOKIE, VALUES),
    (b"range", 0, flags::CONDITIONAL, VALUES),
    (b"if-match", 0, flags::CONDITIONAL, VALUES),
    (b"if-modified-since", 0, flags::CONDITIONAL, VALUES),
    (b"if-none-match", 0, flags::CONDITIONAL, VALUES),
    (b"if-range", 0, flags::CONDITIONAL, VALUES),
    (b"if-unmodified-since", 0, flags::CONDITIONAL, VALUES),
    (b"sec-fetch-dest", 0, flags::SEC_FETCH, VALUES),
    (b"sec-fetch-mode", 0, flags::SEC_FETCH, VALUES),
    (b"sec-fetch-site", 0, flags::SEC_FETCH, VALUES),
    (b"sec-fetch-user", 0, flags::SEC_FETCH, VALUES),
];

/// Entries of the table of names: a power of two.
const PLACES: usize = 64;
/// The multiplier that gives each known name a place of its own. So small that it is a part of the
/// instruction.
const MULTIPLIER: u32 = multiplier();
static NAMES: [Name; PLACES] = table();

/// Half of the hash is enough to tell the known names apart.
#[inline]
const fn scattered(hash: usize, multiplier: u32) -> usize {
    ((hash as u32).wrapping_mul(multiplier) >> (u32::BITS - PLACES.trailing_zeros())) as usize
}

#[inline]
const fn place(hash: usize) -> usize {
    scattered(hash, MULTIPLIER)
}

/// Looks for [`MULTIPLIER`]: found when the crate is compiled, or it is not compiled.
const fn multiplier() -> u32 {
    let mut candidate: u32 = 0x9e37_79b1;
    loop {
        let (mut taken, mut at, mut apart) = (0_u64, 0, true);
        while at < KNOWN.len() {
            let bit = 1 << scattered(name_hash(KNOWN[at].0), candidate);
            apart = apart && taken & bit == 0;
            taken |= bit;
            at += 1;
        }
        if apart {
            return candidate;
        }
        candidate = candidate.wrapping_mul(0x5851_f42d).wrapping_add(0x4057_b7ef) | 1;
    }
}

const fn table() -> [Name; PLACES] {
    // No name has the hash 0, so that no header is one of a place that is free.
    let free = Name { hash: 0, digit: 0, shift: 0, flags: 0, value: VALUES };
    let (mut names, mut at) = ([free; PLACES], 0);
    while at < KNOWN.len() {
        let (name, digit, flags, value) = KNOWN[at];
        let (hash, shift) = (name_hash(name), if digit == 0 { 0 } else { 4 });
        names[place(hash)] = Name { hash, digit, shift, flags, value };
        at += 1;
    }
    names
}

/// Whether the value of Accept names HTML.
fn names_html(value: &[u8]) -> bool {
    const HTML: &[u8; 9] = b"text/html";
    // Browsers name it first when they ask for a page.
    starts_with(value, HTML)
        || value.windows(HTML.len()).any(|window| window[4] == b'/' && starts_with(window, HTML))
}
