//! What a client shows of itself: its fingerprint, and what its headers say.
//!
//! The fingerprint tells clients behind one address apart. It must be the same for all requests of
//! a client, whatever it fetches, or its evidence would scatter. So it is made of what a client
//! does not choose for each request: User-Agent, Accept-Language, Accept-Encoding, and the order of
//! the headers that every request has. Not of Accept, whose value and place differ between a page,
//! an image and a script's call; nor of cookies, Referer and Sec-Fetch-*.

use api_abuse_engine::hash::{Seed, combine};
use api_abuse_engine::record::flags;

use crate::ffi::headers::Headers;

/// The client of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Client {
    /// 0 when it sent none of what it is made of.
    pub(crate) fingerprint: u64,
    /// Headers sent.
    pub(crate) header_count: u16,
    /// Those [`flags`] that say what is among them.
    pub(crate) flags: u32,
}

impl Client {
    /// Reads the headers of a request, all of them once.
    pub(crate) fn of(headers: Headers<'_>, seed: Seed) -> Self {
        let (mut header_count, mut found) = (0_u16, 0);
        // One digit of four bits for each header of the fingerprint, in the order in which they
        // came. A client that repeats them pushes the first ones out, and is still itself.
        let mut order = 0_u64;
        let mut values = [0; 3];
        for header in headers {
            header_count = header_count.saturating_add(1);
            let digit = match header.name() {
                b"host" => 1,
                b"connection" => 2,
                b"user-agent" => {
                    values[0] = seed.table(header.value());
                    3
                }
                b"accept-language" => {
                    values[1] = seed.table(header.value());
                    found |= flags::ACCEPT_LANGUAGE;
                    4
                }
                b"accept-encoding" => {
                    values[2] = seed.table(header.value());
                    found |= flags::ACCEPT_ENCODING;
                    5
                }
                name => {
                    found |= meaning(name, header.value());
                    continue;
                }
            };
            order = order << 4 | digit;
        }
        let fingerprint = match order {
            0 => 0,
            order => values.into_iter().fold(combine(order, seed.0[1]), combine).max(1),
        };
        Self { fingerprint, header_count, flags: found }
    }
}

/// What a header says that the fingerprint is not made of.
fn meaning(name: &[u8], value: &[u8]) -> u32 {
    match name {
        b"accept" if accepts_html(value) => flags::ACCEPT | flags::ACCEPTS_HTML,
        b"accept" => flags::ACCEPT,
        b"authorization" => flags::AUTHORIZATION,
        b"cookie" => flags::COOKIE,
        b"range" => flags::CONDITIONAL,
        name if name.starts_with(b"if-") => flags::CONDITIONAL,
        name if name.starts_with(b"sec-fetch-") => flags::SEC_FETCH,
        _ => 0,
    }
}

/// Whether `Accept` names HTML.
fn accepts_html(accept: &[u8]) -> bool {
    const HTML: &[u8] = b"text/html";
    accept.windows(HTML.len()).any(|window| window.eq_ignore_ascii_case(HTML))
}
