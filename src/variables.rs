//! The variables: one row for each. All are empty (`-` in logs) for requests that belong to no
//! application.

use std::borrow::Cow;

use api_abuse_engine::decision::OPERATOR_INCIDENT;
use api_abuse_engine::record::Verdict;

use crate::ffi::request::Request;
use crate::request_state::RequestState;
use crate::text;
use crate::worker;

/// A variable without its dollar sign.
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) value: fn(&Request<'_>) -> Option<Cow<'static, [u8]>>,
}

/// All variables. `docs/variables.md` has a row for each; a test holds the two together.
pub(crate) static VARIABLES: [Variable; 6] = [
    Variable { name: "api_abuse_status", value: status },
    Variable { name: "api_abuse_threat", value: threat },
    Variable { name: "api_abuse_confidence", value: confidence },
    Variable { name: "api_abuse_incident", value: incident },
    Variable { name: "api_abuse_application", value: application },
    Variable { name: "api_abuse_source", value: source },
];

/// What the access phase left, or what it would say of a request that never came so far. Not
/// remembered: a variable that is asked before the access phase must not take its place.
fn state(request: &Request<'_>) -> Option<RequestState> {
    if !request.is_main() || !request.main_conf().in_use() {
        return None;
    }
    request.state().or_else(|| {
        let judged = RequestState::judge(request, worker::of(request)?);
        judged.map(RequestState::not_enforced)
    })
}

/// The state of a request that met a denial, whether it was enforced or not.
fn denied(request: &Request<'_>) -> Option<RequestState> {
    state(request).filter(|state| state.verdict != Verdict::Passed)
}

/// `PASSED`, `DENIED`, `DENIED_MONITOR`…
fn status(request: &Request<'_>) -> Option<Cow<'static, [u8]>> {
    Some(state(request)?.verdict.name().as_bytes().into())
}

/// For what the source was convicted.
fn threat(request: &Request<'_>) -> Option<Cow<'static, [u8]>> {
    Some(denied(request)?.threat()?.slug().as_bytes().into())
}

/// 0 to 100.
fn confidence(request: &Request<'_>) -> Option<Cow<'static, [u8]>> {
    Some(denied(request)?.met?.confidence.to_string().into_bytes().into())
}

/// Number of the incident that explains the denial, hexadecimal. Nothing explains an operator's own.
fn incident(request: &Request<'_>) -> Option<Cow<'static, [u8]>> {
    let incident = denied(request)?.met?.incident;
    (incident < OPERATOR_INCIDENT).then(|| text::incident(incident).into_bytes().into())
}

/// The application that the request belongs to.
fn application(request: &Request<'_>) -> Option<Cow<'static, [u8]>> {
    Some(state(request)?.name(request).to_vec().into())
}

/// Who the request came from, in the words of [`text::source`]: the key that it was denied by, or
/// else the client.
fn source(request: &Request<'_>) -> Option<Cow<'static, [u8]>> {
    Some(text::source(state(request)?.source()?).into_bytes().into())
}
