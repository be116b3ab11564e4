//! `api_abuse_console`: the page, its files, and below them the API.

use std::io::Write;

use crate::api;
use crate::ffi::content::Step;
use crate::ffi::request::Request;
use crate::ffi::response::{Body, Page, Reply};

/// What every answer of the location carries, so that a page which shows hostile texts cannot be made to
/// run them, and no other site can show or read it.
const ALWAYS: [(&str, &str); 3] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
struct File {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
    /// Of the content.
    hash: u64,
}

macro_rules! file {
    ($name:literal, $content_type:expr) => {{
        const CONTENT: &str = include_str!(concat!("../console/", $name));
        const HASH: u64 = fnv1a(CONTENT.as_bytes());
        File { name: $name, content_type: $content_type, content: CONTENT, hash: HASH }
    }};
}

/// All files; a test holds them and the directory together.
static FILES: [File; 20] = [
    file!("index.html", HTML),
    file!("base.css", CSS),
    file!("views.css", CSS),
    file!("icon.svg", SVG),
    file!("actions.js", SCRIPT),
    file!("allowlist.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("app.js", SCRIPT),
    file!("charts.js", SCRIPT),
    file!("denylist.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("health.js", SCRIPT),
    file!("history.js", SCRIPT),
    file!("incident.js", SCRIPT),
    file!("incidents.js", SCRIPT),
    file!("overview.js", SCRIPT),
    file!("theme.js", SCRIPT),
    file!("ui.js", SCRIPT),
    file!("virtual.js", SCRIPT),
];

/// The FNV-1a hash (Fowler, Noll, Vo) of a content: tells versions of a file apart.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// A request has come.
pub(crate) fn begin(request: &Request<'_>) -> Step {
    for (name, value) in ALWAYS {
        request.add_header(name, value);
    }
    let Some(rest) = rest(request) else { return status(404) };
    if let Some(path) = rest.strip_prefix(b"api/") {
        return api::begin(request, path);
    }
    if rest.is_empty() && !request.uri().ends_with(b"/") {
        return redirect(request);
    }
    let name = if rest.is_empty() { b"index.html" } else { rest };
    match FILES.iter().find(|file| file.name.as_bytes() == name) {
        None => status(404),
        Some(_) if !request.is_get_or_head() => {
            request.add_header("Allow", "GET, HEAD");
            status(405)
        }
        Some(file) => send(request, file),
    }
}

/// Its body was read.
pub(crate) fn with_body(request: &Request<'_>) -> Step {
    let path = rest(request).and_then(|rest| rest.strip_prefix(b"api/"));
    path.map_or_else(|| status(404), |path| api::with_body(request, path))
}

/// What follows the name of the location, without a slash in front.
fn rest<'r>(request: &'r Request<'_>) -> Option<&'r [u8]> {
    let rest = request.uri().strip_prefix(request.location_name())?;
    Some(rest.strip_prefix(b"/").unwrap_or(rest))
}

fn status(status: u16) -> Step {
    Step::Reply(Reply::Status(status))
}

/// To the same address with a slash behind it: the page's relative addresses need one.
fn redirect(request: &Request<'_>) -> Step {
    let uri = String::from_utf8_lossy(request.unparsed_uri());
    let (path, query) = uri.split_at(uri.find('?').unwrap_or(uri.len()));
    request.add_header("Location", &format!("{path}/{query}"));
    status(301)
}

fn send(request: &Request<'_>, file: &File) -> Step {
    let mut body = Body::new(request);
    if body.write_all(file.content.as_bytes()).is_err() {
        return status(500);
    }
    let etag = format!("\"{}-{:016x}\"", env!("CARGO_PKG_VERSION"), file.hash);
    let content_type = file.content_type;
    let (etag, cache_control) = (Some(etag), "no-cache");
    Step::Reply(Reply::Page(Page { status: 200, content_type, cache_control, etag, body }))
}
