//! LOG: what a finished request tells the detectors.

use api_abuse_engine::hash::Seed;
use api_abuse_engine::identity;
use api_abuse_engine::record::{Method, NO_UPSTREAM, RecordHead, RequestRecord, flags};
use api_abuse_engine::secret;

use crate::ffi::clock;
use crate::ffi::request::{KnownHeader, Request};
use crate::request_state::{self, RequestState};
use crate::text::starts_with;
use crate::worker;

/// Pushes the record of a finished request into the worker's lane.
///
/// A request that ended before the access phase (`return`, a rewrite, an error in the request
/// line) is judged only now, by the location that it got to; the default server's when it got
/// nowhere. It was not denied, but a source that was denied before does not feed the detectors.
pub(crate) fn handle(request: &Request<'_>) {
    if !request.is_main() || !request.main_conf().in_use() {
        return;
    }
    let late;
    let state = match request.state() {
        Some(state) => state,
        None => match judge_late(request) {
            Some(state) => {
                late = state;
                &late
            }
            None => return,
        },
    };
    let without_session = without_session(request, state);
    let uri = without_session.as_deref().unwrap_or_else(|| request.unparsed_uri());
    let (path, query) = split_uri(uri);
    worker::with_mut(|worker| {
        worker.push(&RequestRecord {
            head: head(request, state, path, worker.seed),
            application: state.variable_name.as_ref().map_or(b"", |name| name.of(request)),
            path,
            query,
            user_agent: request.header(KnownHeader::UserAgent).unwrap_or_default(),
        });
    });
}

/// The state of a request that the access phase never saw.
#[cold]
fn judge_late(request: &Request<'_>) -> Option<RequestState> {
    let judged = worker::with(|worker| RequestState::judge(request, worker)).flatten();
    judged.map(RequestState::not_enforced)
}

/// The fixed part of a record. Its text lengths are filled in when it is encoded.
fn head(request: &Request<'_>, state: &RequestState, path: &[u8], seed: Seed) -> RecordHead {
    let authorization = request.header(KnownHeader::Authorization);
    let referer = Referer::of(request);
    let endpoint = state.location.conf(request).endpoint.as_ref();
    let said = endpoint.map_or(0, |endpoint| endpoint.outcomes.flags(request.status()));
    let early = if state.early { flags::EARLY } else { 0 };
    RecordHead {
        time_ms: clock::cached_ms(),
        application: state.application,
        address: state.address,
        fingerprint: state.client.fingerprint,
        session: state.session,
        credential: authorization.map_or(0, |value| seed.secret(value)),
        identity: account(request, state, seed),
        path_hash: seed.table(path),
        referer_hash: referer.path().map_or(0, |path| seed.table(path)),
        incident: state.met.map_or(0, |met| met.incident),
        response_bytes: request.bytes_sent(),
        request_bytes: request.bytes_received(),
        content_length: request.content_length(),
        duration_ms: request.duration_ms(),
        upstream_ms: request.upstream_ms().unwrap_or(NO_UPSTREAM),
        flags: early | said | state.client.flags | referer.flags() | response_flags(request),
        status: request.status(),
        header_count: state.client.header_count,
        method: method(request) as u8,
        protocol: protocol(request),
        verdict: state.verdict as u8,
        blocking: u8::from(state.blocking),
        role: endpoint.map_or(0, |endpoint| endpoint.role as u8),
        ..RecordHead::default()
    }
}

/// The account that the request named, as `api_abuse_identity` has it; 0 for none.
fn account(request: &Request<'_>, state: &RequestState, seed: Seed) -> u64 {
    let Some(conf) = &state.location.conf(request).identity else { return 0 };
    let fields = state.body.map(|body| body.found(request)).unwrap_or_default();
    let variables = conf.variables.iter().filter_map(|value| request.evaluate(*value));
    let variables = variables.map(|value| identity::account(seed, value));
    identity::identity(fields.into_iter().chain(variables))
}

/// The target with the session written over, when it is in it: `/;session=…`, `?s=…`.
fn without_session(request: &Request<'_>, state: &RequestState) -> Option<Vec<u8>> {
    if state.session == 0 {
        return None;
    }
    let uri = request.unparsed_uri();
    // A path alone has a session in a parameter of it, if at all.
    uri.iter().position(|byte| matches!(byte, b'?' | b';'))?;
    let session = request_state::session(request, state)?;
    uri.windows(session.len().max(1)).position(|window| window == session)?;
    let mut uri = uri.to_vec();
    secret::mask(&mut uri, session).then_some(uri)
}

/// Raw path and query of what was asked for.
fn split_uri(uri: &[u8]) -> (&[u8], &[u8]) {
    match uri.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&uri[..mark], &uri[mark + 1..]),
        None => (uri, b""),
    }
}

/// The method that the client sent. An error page turns NGINX's own into GET, so it is taken from
/// the request line.
fn method(request: &Request<'_>) -> Method {
    if request.is_sent_get() && was_understood(request) {
        return Method::Get;
    }
    let line = request.request_line();
    match line.iter().position(|byte| *byte == b' ') {
        Some(space) => Method::from_name(&line[..space]),
        None if was_understood(request) => Method::from_name(request.method_name()),
        None => Method::Other,
    }
}

/// HTTP version as records count it; 0 when the request was not understood far enough to have one.
fn protocol(request: &Request<'_>) -> u8 {
    match request.version() {
        _ if !was_understood(request) => 0,
        9 => 9,
        version => (version / 100 + version % 100) as u8,
    }
}

/// Whether NGINX got as far as the end of the request line. Before that, what it says of a request
/// is what it starts from.
fn was_understood(request: &Request<'_>) -> bool {
    !request.unparsed_uri().is_empty()
}

/// What the response says.
fn response_flags(request: &Request<'_>) -> u32 {
    let content_type = request.response_type();
    // The first letter of the subtype rules out most of the others.
    let html = matches!(content_type.get(5), Some(b'h' | b'H'));
    let json = matches!(content_type.get(12), Some(b'j' | b'J' | b'p' | b'P'));
    let mut found = 0;
    if html && starts_with(content_type, b"text/html") {
        found |= flags::HTML;
    } else if json
        && (starts_with(content_type, b"application/json")
            || starts_with(content_type, b"application/problem+json"))
    {
        found |= flags::JSON;
    }
    for header in request.headers_out().filter(|header| header.is_set()) {
        let name = header.sent_name();
        if name.eq_ignore_ascii_case(b"set-cookie") {
            found |= flags::SETS_COOKIE;
        } else if name.eq_ignore_ascii_case(b"location") && leads_back(request, header.value()) {
            found |= flags::REDIRECTS_BACK;
        }
    }
    found
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
    path == asked || says(b"error") || says(b"fail") || says(b"invalid")
}

/// Where the client says that it comes from.
enum Referer<'r> {
    None,
    /// Another site, or nothing that looks like a URL.
    Elsewhere,
    /// A page of this host, with its path.
    Here(&'r [u8]),
}

impl<'r> Referer<'r> {
    fn of(request: &'r Request<'_>) -> Self {
        let Some(referer) = request.header(KnownHeader::Referer) else { return Self::None };
        let url = [b"https://".as_slice(), b"http://"]
            .into_iter()
            .find_map(|scheme| referer.strip_prefix(scheme));
        let Some(url) = url else { return Self::Elsewhere };
        let end = url.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
        let (host, rest) = url.split_at(end.unwrap_or(url.len()));
        let own = request.header(KnownHeader::Host);
        if !own.is_some_and(|own| own.eq_ignore_ascii_case(host)) {
            return Self::Elsewhere;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'?' | b'#'));
        let path = &rest[..end.unwrap_or(rest.len())];
        Self::Here(if path.is_empty() { b"/" } else { path })
    }

    fn path(&self) -> Option<&'r [u8]> {
        match self {
            Self::Here(path) => Some(path),
            Self::None | Self::Elsewhere => None,
        }
    }

    fn flags(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::Elsewhere => flags::REFERER,
            Self::Here(_) => flags::REFERER | flags::SAME_SITE_REFERER,
        }
    }
}
