//! LOG: what a finished request tells the detectors.

mod referer;
mod response;

use std::borrow::Cow;

use api_abuse_engine::hash::Seed;
use api_abuse_engine::identity;
use api_abuse_engine::record::words::{self, Answer, Kinds};
use api_abuse_engine::record::{HEAD_WORDS, Method, NO_UPSTREAM, PATH_MAX, Texts, USER_AGENT_MAX};
use api_abuse_engine::secret;
use api_abuse_shm::Room;

use crate::client::Client;
use crate::conf::LocationConf;
use crate::ffi::body::WatchedBody;
use crate::ffi::clock;
use crate::ffi::remembered::{KeptText, Known, Plain};
use crate::ffi::request::{KnownHeader, Request};
use crate::request_state::{self, RequestState};
use crate::worker::{self, MESSAGE_WORDS};
use referer::Referer;
use response::response_flags;

/// Where a record is written.
type Head<'l> = Room<'l, MESSAGE_WORDS>;

/// What is known of a request when it was judged.
struct Judged<'r> {
    /// What holds where it was.
    conf: &'r LocationConf,
    application: u64,
    variable_name: Option<KeptText>,
    address: [u8; 16],
    client: Client,
    session: u64,
    incident: u64,
    /// Verdict and mode, as a word of the record.
    kinds: u64,
    body: Option<WatchedBody>,
}

impl<'r> Judged<'r> {
    /// Of a request that nothing was to be done about.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "most of it is zero, and known when it is compiled")]
    fn plain(plain: &Plain<'r>) -> Self {
        let Plain { conf, address, client } = *plain;
        Self {
            conf,
            application: conf.plain_key(),
            variable_name: None,
            address,
            client,
            session: 0,
            incident: 0,
            kinds: conf.passed,
            body: None,
        }
    }

    fn of(request: &'r Request<'_>, state: &RequestState) -> Self {
        let (verdict, blocking) = (state.verdict as u8, state.blocking.into());
        let kinds = Kinds { verdict, blocking, ..Kinds::NONE };
        Self {
            conf: state.location.conf(request),
            application: state.application,
            variable_name: state.variable_name,
            address: state.address,
            client: state.client,
            session: state.session,
            incident: state.incident(),
            kinds: kinds.into(),
            body: state.body,
        }
    }
}

/// Pushes the record of a finished request into the worker's lane.
///
/// A request that ended before the access phase and without an answer that could be taken back (an error
/// in the request line, `return 444`) is judged only now, by the location that it got to; the default
/// server's when it got nowhere. It was not denied, but a source that was denied before does not feed the
/// detectors.
#[inline(always)]
#[allow(clippy::inline_always, reason = "on the path of every request")]
pub(crate) fn handle(request: &Request<'_>) {
    if !request.is_main() {
        return;
    }
    match request.known() {
        Some(Known::Plain(plain)) => {
            push(request, &Judged::plain(&plain), request.unparsed_uri());
        }
        Some(Known::Closer(state)) => push_closer(request, state),
        None => push_late(request),
    }
}

#[inline(never)]
fn push_closer(request: &Request<'_>, state: &RequestState) {
    let uri = request.unparsed_uri();
    let uri = match state.session {
        0 => Cow::Borrowed(uri),
        _ => without_session(request, state, uri),
    };
    push(request, &Judged::of(request, state), &uri);
}

/// A request that the access phase never saw.
#[cold]
fn push_late(request: &Request<'_>) {
    let judged = worker::of(request).and_then(|worker| RequestState::judge(request, worker));
    if let Some(state) = judged.map(RequestState::not_enforced) {
        push_closer(request, &state);
    }
}

/// Writes the record of a request that asked for `uri` into the lane: each word as soon as it is
/// known, so that none is moved twice.
#[inline(always)]
#[allow(clippy::inline_always, reason = "of most requests most of it is known when it is compiled")]
fn push(request: &Request<'_>, judged: &Judged<'_>, uri: &[u8]) {
    let Some(worker) = worker::of(request) else { return };
    let Some(record) = worker.record() else { return };
    let head = record.room;
    head.set(words::TIME, clock::cached_ms());
    head.set(words::APPLICATION, judged.application);
    let [front, back] = words::address(judged.address);
    head.set(words::ADDRESS, front);
    head.set(words::ADDRESS + 1, back);
    head.set(words::FINGERPRINT, judged.client.fingerprint);
    head.set(words::SESSION, judged.session);
    head.set(words::CREDENTIAL, 0);
    head.set(words::IDENTITY, 0);
    head.set(words::REFERER_HASH, 0);
    head.set(words::INCIDENT, judged.incident);
    head.set(words::RESPONSE_BYTES, request.bytes_sent());
    head.set(words::SIZES, words::pair(request.bytes_received(), request.content_length()));
    head.set(words::TIMES, words::pair(request.duration_ms(), NO_UPSTREAM));
    head.set(words::KINDS, judged.kinds | spoken(request, !uri.is_empty()));
    let status = request.status();
    let flags = response_flags(request, status);
    let answer = u64::from(Answer { flags, status, header_count: 0 });
    head.set(words::ANSWER, judged.client.facts | answer);
    if judged.conf.says_more || request.says_more() {
        write_more(head, request, judged.conf, judged.body, worker.seed);
    }
    let end = write_texts(head, request, judged.variable_name, uri, worker.seed);
    worker.push(record, end);
}

/// Writes the texts and what is made of them. Returns where the record ends.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
fn write_texts(
    head: Head<'_>,
    request: &Request<'_>,
    variable_name: Option<KeptText>,
    uri: &[u8],
    seed: Seed,
) -> usize {
    let (path, query) = match request.query_start() {
        Some(start) => (&uri[..start - 1], &uri[start..]),
        None => (uri, &b""[..]),
    };
    head.set(words::PATH_HASH, seed.table(path));
    let user_agent = request.header(KnownHeader::UserAgent).unwrap_or_default();
    let long = path.len() > PATH_MAX || user_agent.len() > USER_AGENT_MAX;
    if long || !query.is_empty() || variable_name.is_some() {
        let application = variable_name.as_ref().map_or(&b""[..], |name| name.of(request));
        return write_all_texts(head, [application, path, query, user_agent]);
    }
    head.set(words::LENGTHS, words::lengths([0, path.len() as u16, 0, user_agent.len() as u16]));
    head.text(head.text(HEAD_WORDS, path), user_agent)
}

/// The same of texts that there is more to do for.
#[inline(never)]
fn write_all_texts(head: Head<'_>, texts: [&[u8]; 4]) -> usize {
    let mut room = None;
    let texts = Texts::new(texts, &mut room);
    head.set(words::LENGTHS, words::lengths(texts.lengths()));
    head.add_bits(words::ANSWER, Answer::said(texts.flags));
    texts.kept.into_iter().fold(HEAD_WORDS, |at, text| head.text(at, text))
}

/// Writes what only some requests say.
#[inline(never)]
fn write_more(
    head: Head<'_>,
    request: &Request<'_>,
    conf: &LocationConf,
    body: Option<WatchedBody>,
    seed: Seed,
) {
    if let Some(value) = request.header(KnownHeader::Authorization) {
        head.set(words::CREDENTIAL, seed.secret(value));
    }
    head.set(words::IDENTITY, account(request, conf, body, seed));
    let referer = Referer::of(request);
    if let Some(path) = referer.path() {
        head.set(words::REFERER_HASH, seed.table(path));
    }
    if let Some(upstream_ms) = request.upstream_ms() {
        head.set(words::TIMES, words::pair(request.duration_ms(), upstream_ms));
    }
    let mut flags = referer.flags();
    if let Some(endpoint) = &conf.endpoint {
        flags |= endpoint.outcomes.flags(request.status());
        let kinds = Kinds { role: endpoint.role as u8, ..Kinds::NONE };
        head.add_bits(words::KINDS, kinds.into());
    }
    head.add_bits(words::ANSWER, Answer::said(flags));
}

/// The account that the request named, as `api_abuse_identity` has it; 0 for none.
fn account(
    request: &Request<'_>,
    conf: &LocationConf,
    body: Option<WatchedBody>,
    seed: Seed,
) -> u64 {
    let Some(conf) = &conf.identity else { return 0 };
    let fields = body.map(|body| body.found(request)).unwrap_or_default();
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

/// The method that the client sent, and the HTTP version as records count it, as a word of the record. An
/// error page turns NGINX's own method into GET, so it is taken from the request line.
///
/// Before the end of the request line was understood, what NGINX says of a request is what it starts
/// from; then there is no version.
#[inline]
fn spoken(request: &Request<'_>, understood: bool) -> u64 {
    const fn get(protocol: u8) -> Kinds {
        Kinds { method: Method::Get as u8, protocol, ..Kinds::NONE }
    }
    if understood && request.is_sent_get() {
        match request.version() {
            1001 => return get(11).into(),
            2000 => return get(20).into(),
            _ => {}
        }
    }
    spoken_otherwise(request, understood)
}

#[inline(never)]
fn spoken_otherwise(request: &Request<'_>, understood: bool) -> u64 {
    let protocol = match request.version() {
        _ if !understood => 0,
        9 => 9,
        version => (version / 100 + version % 100) as u8,
    };
    let method = if understood && request.is_sent_get() {
        Method::Get
    } else {
        match sent_method(request) {
            Method::Other if understood && request.request_line().is_empty() => {
                Method::from_name(request.method_name())
            }
            method => method,
        }
    };
    Kinds { method: method as u8, protocol, ..Kinds::NONE }.into()
}

/// The method of the request line.
fn sent_method(request: &Request<'_>) -> Method {
    let line = request.request_line();
    let space = line.iter().position(|byte| *byte == b' ');
    space.map_or(Method::Other, |space| Method::from_name(&line[..space]))
}
