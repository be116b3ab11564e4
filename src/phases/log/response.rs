//! What a response says of its request.

use api_abuse_engine::record::flags;

use crate::ffi::headers::Header;
use crate::ffi::request::Request;
use crate::text::starts_with;

/// What the response says.
#[inline(always)]
#[allow(clippy::inline_always, reason = "on the path of every request")]
pub(super) fn response_flags(request: &Request<'_>, status: u16) -> u32 {
    let mut found = type_flags(request.response_type());
    for part in request.headers_out() {
        for header in part {
            if header.name_len() == SET_COOKIE.len() {
                found |= cookie_flags(header);
            }
        }
    }
    if matches!(status, 300..=399) { found | redirect_flags(request) } else { found }
}

const SET_COOKIE: &[u8] = b"set-cookie";

#[inline(never)]
fn cookie_flags(header: &Header) -> u32 {
    if header.is_named(SET_COOKIE) && header.is_set() { flags::SETS_COOKIE } else { 0 }
}

/// What a redirect says.
#[inline(never)]
fn redirect_flags(request: &Request<'_>) -> u32 {
    let mut locations =
        request.headers_out().flatten().filter(|header| header.is_named(b"location"));
    let back = |header: &Header| header.is_set() && leads_back(request, header.value());
    if locations.any(back) { flags::REDIRECTS_BACK } else { 0 }
}

/// What a content type says.
#[inline]
fn type_flags(content_type: &[u8]) -> u32 {
    const HTML: u64 = u64::from_ne_bytes(*b"text/htm");
    const APPLICATION: u64 = u64::from_ne_bytes(*b"applicat");
    let Some(start) = content_type.first_chunk() else { return 0 };
    // In lower case, as far as letters go; the slash stays what it is.
    let start = u64::from_ne_bytes(*start) | 0x2020_2020_2020_2020;
    if start == HTML || start == APPLICATION { type_flags_of(content_type) } else { 0 }
}

#[inline(never)]
fn type_flags_of(content_type: &[u8]) -> u32 {
    let is_file = |content_type| {
        starts_with(content_type, b"application/pdf")
            || starts_with(content_type, b"application/octet-stream")
            || starts_with(content_type, b"application/zip")
            || starts_with(content_type, b"application/msword")
            || starts_with(content_type, b"application/vnd.")
    };
    match content_type {
        html if starts_with(html, b"text/html") => flags::HTML,
        html if starts_with(html, b"application/xhtml+xml") => flags::HTML,
        json if is_json(json) => flags::JSON,
        file if is_file(file) => flags::FILE,
        _ => 0,
    }
}

/// `application/json`, and whatever else is JSON by its suffix: `application/vnd.api+json` (RFC 6839).
fn is_json(content_type: &[u8]) -> bool {
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let suffix = kind.trim_ascii_end().last_chunk::<5>();
    starts_with(kind, b"application/json")
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
}

/// Whether a redirect leads to what was asked for, or says that something was wrong: how forms refuse
/// what was sent. Back to the page that referred is no refusal: that is where a login in a corner of
/// every page leads.
fn leads_back(request: &Request<'_>, location: &[u8]) -> bool {
    let from_root = match location.windows(3).position(|text| text == b"://") {
        Some(scheme) => {
            let rest = &location[scheme + 3..];
            rest.iter().position(|byte| *byte == b'/').map_or(&b"/"[..], |slash| &rest[slash..])
        }
        None => location,
    };
    let (path, query) = split_uri(from_root);
    let (asked, _) = split_uri(request.unparsed_uri());
    let says = |word: &[u8]| query.windows(word.len()).any(|text| text.eq_ignore_ascii_case(word));
    path == asked || says(b"error") || says(b"fail") || says(b"invalid") || names_login(path, asked)
}

/// Whether a login leads to a login: to the form that its credentials came from.
fn names_login(path: &[u8], asked: &[u8]) -> bool {
    const FORMS: [&[u8]; 5] = [b"login", b"logon", b"signin", b"sign_in", b"sign-in"];
    const POSTS: [&[u8]; 2] = [b"session", b"auth"];
    let names = |text: &[u8], words: &[&[u8]]| {
        words.iter().any(|word| text.windows(word.len()).any(|it| it.eq_ignore_ascii_case(word)))
    };
    names(path, &FORMS) && (names(asked, &FORMS) || names(asked, &POSTS))
}

/// Raw path and query of a target.
fn split_uri(uri: &[u8]) -> (&[u8], &[u8]) {
    match uri.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&uri[..mark], &uri[mark + 1..]),
        None => (uri, b""),
    }
}
