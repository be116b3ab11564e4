//! LOG: what a finished request tells the detectors.

use std::borrow::Cow;

use api_abuse_engine::hash::Seed;
use api_abuse_engine::identity;
use api_abuse_engine::record::words::{self, Answer, Kinds};
use api_abuse_engine::record::{
    HEAD_WORDS, Method, NO_UPSTREAM, PATH_MAX, RECORD_WORDS, Texts, USER_AGENT_MAX, flags,
};
use api_abuse_engine::secret;
use api_abuse_shm::Room;

use crate::ffi::clock;
use crate::ffi::request::{KnownHeader, Request};
use crate::request_state::{self, RequestState};
use crate::text::starts_with;
use crate::worker;

/// Where a record is written.
type Head<'l> = Room<'l, RECORD_WORDS>;

/// Pushes the record of a finished request into the worker's lane.
///
/// A request that ended before the access phase and without an answer that could be taken back (an error
/// in the request line, `return 444`) is judged only now, by the location that it got to; the default
/// server's when it got nowhere. It was not denied, but a source that was denied before does not feed the
/// detectors.
pub(crate) fn handle(request: &Request<'_>) {
    if !request.is_main() {
        return;
    }
    match request.state() {
        Some(state) if state.session == 0 => push(request, state, request.unparsed_uri()),
        Some(state) => push_in_session(request, state),
        None => push_late(request),
    }
}

#[inline(never)]
fn push_in_session(request: &Request<'_>, state: &RequestState) {
    push(request, state, &without_session(request, state, request.unparsed_uri()));
}

/// A request that the access phase never saw.
#[cold]
fn push_late(request: &Request<'_>) {
    let judged = worker::of(request, |worker| RequestState::judge(request, worker)).flatten();
    if let Some(state) = judged.map(RequestState::not_enforced) {
        push_in_session(request, &state);
    }
}

/// Writes the record of a request that asked for `uri` into the lane: each word as soon as it is
/// known, so that none is moved twice.
#[inline(never)]
fn push(request: &Request<'_>, state: &RequestState, uri: &[u8]) {
    worker::of_mut(request, |worker| {
        worker.push(|head, seed| {
            let (end, cut) = write_texts(head, request, state, uri, seed);
            let conf = state.location.conf(request);
            let status = request.status();
            head.set(words::TIME, clock::cached_ms());
            head.set(words::APPLICATION, state.application);
            let [front, back] = words::address(state.address);
            head.set(words::ADDRESS, front);
            head.set(words::ADDRESS + 1, back);
            head.set(words::FINGERPRINT, state.client.fingerprint);
            head.set(words::SESSION, state.session);
            head.set(words::INCIDENT, state.incident());
            head.set(words::RESPONSE_BYTES, request.bytes_sent());
            head.set(words::SIZES, words::pair(request.bytes_received(), request.content_length()));
            head.set(words::TIMES, words::pair(request.duration_ms(), NO_UPSTREAM));
            let (method, protocol) = spoken(request, !uri.is_empty());
            let mut kinds = Kinds {
                method: method as u8,
                protocol,
                verdict: state.verdict as u8,
                blocking: u8::from(state.blocking),
                ..Kinds::default()
            };
            let mut flags = cut | response_flags(request, status);
            head.set(words::CREDENTIAL, 0);
            head.set(words::IDENTITY, 0);
            head.set(words::REFERER_HASH, 0);
            if conf.says_more || request.says_more() {
                let more = write_more(head, request, state, seed);
                flags |= more.flags;
                kinds.role = more.role;
            }
            let answer = Answer { flags, status, header_count: 0 };
            head.set(words::ANSWER, state.client.facts | u64::from(answer));
            head.set(words::KINDS, kinds.into());
            end
        });
    });
}

/// Writes the texts and what is made of them. Returns where the record ends, and which flags say what
/// was cut.
#[inline]
fn write_texts(
    head: Head<'_>,
    request: &Request<'_>,
    state: &RequestState,
    uri: &[u8],
    seed: Seed,
) -> (usize, u32) {
    let (path, query) = match request.query_start() {
        Some(start) => (&uri[..start - 1], &uri[start..]),
        None => (uri, &b""[..]),
    };
    head.set(words::PATH_HASH, seed.table(path));
    let user_agent = request.header(KnownHeader::UserAgent).unwrap_or_default();
    let short = path.len() <= PATH_MAX && user_agent.len() <= USER_AGENT_MAX;
    if !short || !query.is_empty() || state.variable_name.is_some() {
        let application = state.variable_name.as_ref().map_or(&b""[..], |name| name.of(request));
        return write_all_texts(head, [application, path, query, user_agent]);
    }
    head.set(words::LENGTHS, words::lengths([0, path.len() as u16, 0, user_agent.len() as u16]));
    (head.text(head.text(HEAD_WORDS, path), user_agent), 0)
}

/// The same of texts that there is more to do for.
#[inline(never)]
fn write_all_texts(head: Head<'_>, texts: [&[u8]; 4]) -> (usize, u32) {
    let mut room = None;
    let texts = Texts::new(texts, &mut room);
    head.set(words::LENGTHS, words::lengths(texts.lengths()));
    let end = texts.kept.into_iter().fold(HEAD_WORDS, |at, text| head.text(at, text));
    (end, texts.flags)
}

/// What only some requests say.
struct More {
    flags: u32,
    role: u8,
}

#[inline(never)]
fn write_more(head: Head<'_>, request: &Request<'_>, state: &RequestState, seed: Seed) -> More {
    if let Some(value) = request.header(KnownHeader::Authorization) {
        head.set(words::CREDENTIAL, seed.secret(value));
    }
    head.set(words::IDENTITY, account(request, state, seed));
    let referer = Referer::of(request);
    if let Some(path) = referer.path() {
        head.set(words::REFERER_HASH, seed.table(path));
    }
    if let Some(upstream_ms) = request.upstream_ms() {
        head.set(words::TIMES, words::pair(request.duration_ms(), upstream_ms));
    }
    let endpoint = state.location.conf(request).endpoint.as_ref();
    let said = endpoint.map_or(0, |endpoint| endpoint.outcomes.flags(request.status()));
    let role = endpoint.map_or(0, |endpoint| endpoint.role as u8);
    More { flags: said | referer.flags(), role }
}

/// The account that the request named, as `api_abuse_identity` has it; 0 for none.
fn account(request: &Request<'_>, state: &RequestState, seed: Seed) -> u64 {
    let Some(conf) = &state.location.conf(request).identity else { return 0 };
    let fields = state.body.map(|body| body.found(request)).unwrap_or_default();
    let variables = conf.variables.iter().filter_map(|value| request.evaluate(*value));
    let variables = variables.map(|value| identity::account(seed, value));
    identity::identity(fields.into_iter().chain(variables))
}

/// The target with the session written over, when it is in it: `/;session=…`, `?s=…`. It is as long as
/// it was.
#[cold]
fn without_session<'u>(
    request: &Request<'_>,
    state: &RequestState,
    uri: &'u [u8],
) -> Cow<'u, [u8]> {
    // A path alone has a session in a parameter of it, if at all.
    let session = if uri.iter().any(|byte| matches!(byte, b'?' | b';')) {
        request_state::session(request, state)
    } else {
        None
    };
    let holds =
        |session: &&[u8]| uri.windows(session.len().max(1)).any(|window| window == *session);
    let mut masked = Cow::Borrowed(uri);
    if let Some(session) = session.filter(holds) {
        secret::mask(masked.to_mut(), session);
    }
    masked
}

/// Raw path and query of a target.
fn split_uri(uri: &[u8]) -> (&[u8], &[u8]) {
    match uri.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&uri[..mark], &uri[mark + 1..]),
        None => (uri, b""),
    }
}

/// The method that the client sent, and the HTTP version as records count it. An error page turns
/// NGINX's own method into GET, so it is taken from the request line.
///
/// Before the end of the request line was understood, what NGINX says of a request is what it starts
/// from; then there is no version.
#[inline]
fn spoken(request: &Request<'_>, understood: bool) -> (Method, u8) {
    if !understood {
        return (sent_method(request), 0);
    }
    let protocol = match request.version() {
        1001 => 11,
        9 => 9,
        version => (version / 100 + version % 100) as u8,
    };
    if request.is_sent_get() {
        return (Method::Get, protocol);
    }
    match sent_method(request) {
        Method::Other if request.request_line().is_empty() => {
            (Method::from_name(request.method_name()), protocol)
        }
        method => (method, protocol),
    }
}

/// The method of the request line.
#[inline(never)]
fn sent_method(request: &Request<'_>) -> Method {
    let line = request.request_line();
    let space = line.iter().position(|byte| *byte == b' ');
    space.map_or(Method::Other, |space| Method::from_name(&line[..space]))
}

/// What the response says.
#[inline]
fn response_flags(request: &Request<'_>, status: u16) -> u32 {
    let mut found = type_flags(request.response_type());
    let redirects = matches!(status, 300..=399);
    for part in request.headers_out() {
        for header in part {
            if header.is_named(b"set-cookie") && header.is_set() {
                found |= flags::SETS_COOKIE;
            } else if redirects && header.is_named(b"location") && header.is_set() {
                found |=
                    if leads_back(request, header.value()) { flags::REDIRECTS_BACK } else { 0 };
            }
        }
    }
    found
}

/// What a content type says.
#[inline]
fn type_flags(content_type: &[u8]) -> u32 {
    const HTML: u64 = u64::from_ne_bytes(*b"text/htm");
    const APPLICATION: u64 = u64::from_ne_bytes(*b"applicat");
    let Some(start) = content_type.first_chunk() else { return 0 };
    // In lower case, as far as letters go; the slash stays what it is.
    match u64::from_ne_bytes(*start) | 0x2020_2020_2020_2020 {
        HTML if starts_with(content_type, b"text/html") => flags::HTML,
        APPLICATION if is_json(content_type) => flags::JSON,
        _ => 0,
    }
}

#[inline(never)]
fn is_json(content_type: &[u8]) -> bool {
    starts_with(content_type, b"application/json")
        || starts_with(content_type, b"application/problem+json")
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
        let own = request.header(KnownHeader::Host).unwrap_or_default();
        let Some((host, rest)) = url.split_at_checked(own.len()) else { return Self::Elsewhere };
        let ends = matches!(rest.first(), None | Some(b'/' | b'?' | b'#'));
        // Mostly it is written as the client always writes it.
        if own.is_empty() || !ends || host != own && !host.eq_ignore_ascii_case(own) {
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
