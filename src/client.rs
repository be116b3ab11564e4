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
use crate::text::starts_with;

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
    // On its own, so that its loop has the registers.
    #[inline(never)]
    pub(crate) fn of(headers: Headers<'_>, seed: Seed) -> Self {
        let (mut header_count, mut found) = (0_u32, 0);
        // One digit of four bits for each header of the fingerprint, in the order in which they
        // came. A client that repeats them pushes the first ones out, and is still itself.
        let mut order = 0_u64;
        let mut values = [&b""[..]; 3];
        for header in headers {
            header_count = header_count.wrapping_add(1);
            let name = header.name();
            // Told apart by their lengths first: that leaves one comparison, or two.
            let digit = match name.len() {
                4 if name == b"host" => 1,
                10 if name == b"connection" => 2,
                10 if name == b"user-agent" => {
                    values[0] = header.value();
                    3
                }
                15 if name == b"accept-language" => {
                    values[1] = header.value();
                    found |= flags::ACCEPT_LANGUAGE;
                    4
                }
                15 if name == b"accept-encoding" => {
                    values[2] = header.value();
                    found |= flags::ACCEPT_ENCODING;
                    5
                }
                6 if name == b"accept" => {
                    found |= accept(header.value());
                    continue;
                }
                _ => {
                    found |= meaning(name);
                    continue;
                }
            };
            order = order << 4 | digit;
        }
        let fingerprint = if order == 0 { 0 } else { combine(order, seed.table_of(values)).max(1) };
        let header_count = u16::try_from(header_count).unwrap_or(u16::MAX);
        Self { fingerprint, header_count, flags: found }
    }
}

/// What the name of a header says that the fingerprint is not made of.
fn meaning(name: &[u8]) -> u32 {
    match name {
        b"authorization" => flags::AUTHORIZATION,
        b"cookie" => flags::COOKIE,
        b"range" => flags::CONDITIONAL,
        name if name.starts_with(b"if-") => flags::CONDITIONAL,
        name if name.starts_with(b"sec-fetch-") => flags::SEC_FETCH,
        _ => 0,
    }
}

/// What `Accept` says: whether it names HTML.
fn accept(value: &[u8]) -> u32 {
    const HTML: &[u8; 9] = b"text/html";
    // Browsers name it first when they ask for a page.
    let names_html = starts_with(value, HTML)
        || value.windows(HTML.len()).any(|window| window[4] == b'/' && starts_with(window, HTML));
    if names_html { flags::ACCEPT | flags::ACCEPTS_HTML } else { flags::ACCEPT }
}
