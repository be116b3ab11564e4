//! ACCESS: is this request's source denied?

use api_abuse_engine::identity::Reader;
use api_abuse_engine::record::Verdict;

use crate::ffi::body::WatchedBody;
use crate::ffi::request::{KnownHeader, Request};
use crate::request_state::{RequestState, plain_address};
use crate::worker::{self, Worker};

/// Status of an answer to a throttled source.
const TOO_MANY_REQUESTS: u16 = 429;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The other access modules have their say.
    Pass,
    /// It ends with this.
    Deny(Denial),
}

/// What a source is answered that is denied or throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) status: u16,
    /// When a throttled source may come again.
    retry_after_s: Option<u64>,
}

impl Denial {
    /// Adds its headers to the answer.
    pub(crate) fn announce(&self, request: &Request<'_>) {
        request.add_header("Cache-Control", "no-store");
        if let Some(seconds) = self.retry_after_s {
            request.add_header("Retry-After", &seconds.to_string());
        }
    }
}

/// Judges a request at its first pass through an enabled location. Later passes are those of
/// internal redirects, the page that says why a request was denied among them: they pass.
#[inline(always)]
#[allow(clippy::inline_always, reason = "on the path of every request")]
pub(crate) fn handle(request: &Request<'_>) -> Outcome {
    let conf = request.location_conf();
    let place = request.unknown(conf).filter(|_| request.is_main());
    let (Some(place), Some(worker)) = (place, worker::of(request)) else { return Outcome::Pass };
    match plain_address(request, conf, worker) {
        Some(address) => {
            place.remember(conf, address, || request.client(&worker.fingerprints));
            Outcome::Pass
        }
        None => look_closer(request, worker),
    }
}

#[inline(never)]
fn look_closer(request: &Request<'_>, worker: &Worker) -> Outcome {
    let Some(state) = RequestState::judge_here(request, worker) else { return Outcome::Pass };
    if state.verdict == Verdict::Passed && request.location_conf().identity.is_none() {
        request.remember(state);
        return Outcome::Pass;
    }
    let outcome = act(request, state, worker);
    if let Outcome::Deny(denial) = outcome {
        denial.announce(request);
    }
    outcome
}

/// Does what there is to do about a request, but for the answer.
#[inline(never)]
pub(crate) fn act(request: &Request<'_>, mut state: RequestState, worker: &Worker) -> Outcome {
    let mut wait_ms = 0;
    if matches!(state.verdict, Verdict::Throttled | Verdict::ThrottledMonitor) {
        wait_ms = slow_down(&mut state, worker);
    }
    if state.verdict == Verdict::Passed {
        state.body = watch_body(request, worker);
    }
    request.remember(state);
    match state.verdict {
        Verdict::Denied => {
            let status = request.location_conf().deny_status();
            Outcome::Deny(Denial { status, retry_after_s: None })
        }
        Verdict::Throttled => {
            let retry_after_s = Some(wait_ms.div_ceil(1000).max(1));
            Outcome::Deny(Denial { status: TOO_MANY_REQUESTS, retry_after_s })
        }
        _ => Outcome::Pass,
    }
}

/// Has the body looked at as it comes, where `api_abuse_identity` names fields of it.
#[inline]
fn watch_body(request: &Request<'_>, worker: &Worker) -> Option<WatchedBody> {
    let identity = request.location_conf().identity.as_ref()?;
    if identity.fields.is_empty() || request.content_length() == 0 {
        return None;
    }
    let content_type = request.header(KnownHeader::ContentType).unwrap_or_default();
    request.watch_body(&Reader::new(content_type, worker.seed))
}

/// Lets a throttled source do what its rate allows, in `monitor` mode as in `block` mode. What is
/// beyond waits for so many milliseconds.
#[cold]
fn slow_down(state: &mut RequestState, worker: &Worker) -> u64 {
    if let Some(Err(wait_ms)) = state.met_key().map(|key| worker.take_token(&key)) {
        return wait_ms;
    }
    state.verdict = Verdict::Passed;
    0
}
