//! The JSON API below `api_abuse_console`: `docs/api.md`.
//!
//! Any worker answers from the zone. What may take long (a list of a hundred thousand entries) is done
//! in turns ([`list`]), and changes go to the lease holder ([`change`]); a request waits for either
//! without holding up its worker.

mod allowlist;
mod change;
mod denylist;
mod history;
mod incidents;
mod list;
mod members;
mod problem;
mod query;
mod search;
mod status;

use std::io::Write;

use api_abuse_shm::Zone;
use serde_json::Value;

use crate::ffi::content::{Step, TooLong};
use crate::ffi::request::Request;
use crate::ffi::response::{Body, Reply};
use crate::snapshot::Snapshot;
use members::BODY_MAX;
use problem::Problem;
use query::Query;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Status,
    Denylist,
    Deny,
    Extend,
    Lift,
    Allowlist,
    Allow,
    Disallow,
    Incidents,
    Incident,
    History,
}

/// The calls of one path, whether an id follows it, by method.
type Calls = (&'static [u8], bool, &'static [(&'static str, Call)]);

const CALLS: [Calls; 8] = [
    (b"status", false, &[("GET", Call::Status)]),
    (b"denylist", false, &[("GET", Call::Denylist), ("POST", Call::Deny)]),
    (b"denylist", true, &[("PATCH", Call::Extend), ("DELETE", Call::Lift)]),
    (b"allowlist", false, &[("GET", Call::Allowlist), ("POST", Call::Allow)]),
    (b"allowlist", true, &[("DELETE", Call::Disallow)]),
    (b"incidents", false, &[("GET", Call::Incidents)]),
    (b"incidents", true, &[("GET", Call::Incident)]),
    (b"history", false, &[("GET", Call::History)]),
];

impl Call {
    fn changes(self) -> bool {
        self.has_body() || matches!(self, Self::Lift | Self::Disallow)
    }

    fn has_body(self) -> bool {
        matches!(self, Self::Deny | Self::Extend | Self::Allow)
    }
}

/// A request for `path` below `api/` has come.
pub(crate) fn begin(request: &Request<'_>, path: &[u8]) -> Step {
    let step = route(path, request.method_name()).and_then(|(call, id)| {
        if call.changes() {
            may_change(request)?;
        }
        if call.has_body() {
            check_body(request)?;
            return Ok(Step::ReadBody);
        }
        run(request, call, id, &[])
    });
    step.unwrap_or_else(|problem| problem.step(request))
}

/// Its body was read.
pub(crate) fn with_body(request: &Request<'_>, path: &[u8]) -> Step {
    let step = route(path, request.method_name()).and_then(|(call, id)| {
        let body = request.body(BODY_MAX).map_err(|TooLong| too_large())?;
        run(request, call, id, &body)
    });
    step.unwrap_or_else(|problem| problem.step(request))
}

fn route<'p>(path: &'p [u8], method: &[u8]) -> Result<(Call, &'p str), Problem> {
    let mut parts = path.splitn(2, |byte| *byte == b'/');
    let (name, id) = (parts.next().unwrap_or_default(), parts.next());
    let found = CALLS.iter().find(|(known, has_id, _)| *known == name && *has_id == id.is_some());
    let unknown = || Problem::new(404, "unknown_call", "There is no such call; see docs/api.md");
    let (_, _, methods) = found.ok_or_else(unknown)?;
    let method = if method == b"HEAD" { b"GET" } else { method };
    let call = methods.iter().find(|(known, _)| known.as_bytes() == method);
    // An id that is no text is nobody's.
    let id = std::str::from_utf8(id.unwrap_or_default()).unwrap_or_default();
    call.map(|(_, call)| (*call, id)).ok_or_else(|| {
        let names: Vec<_> =
            methods.iter().map(|(name, _)| name.replace("GET", "GET, HEAD")).collect();
        Problem::method(&names.join(", "))
    })
}

/// Whether the request was sent on purpose: a form of another site cannot set the header, and a script
/// of another site would be asked for leave first.
fn may_change(request: &Request<'_>) -> Result<(), Problem> {
    let header = |name: &[u8]| {
        let found = request.headers_in().flatten().find(|header| header.is_named(name));
        found.map(crate::ffi::headers::Header::value)
    };
    let ours = header(b"x-api-abuse") == Some(b"1");
    let near =
        header(b"sec-fetch-site").is_none_or(|site| matches!(site, b"same-origin" | b"none"));
    let detail = "A change needs the header X-API-Abuse: 1, and may not come from another site";
    (ours && near).then_some(()).ok_or_else(|| Problem::new(403, "header_missing", detail))
}

/// Whether its body is worth reading.
fn check_body(request: &Request<'_>) -> Result<(), Problem> {
    let content_type =
        request.headers_in().flatten().find(|header| header.is_named(b"content-type"));
    let content_type = content_type.map_or(&[][..], crate::ffi::headers::Header::value);
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    if !essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        let detail = "The body has to be application/json: set Content-Type";
        return Err(Problem::new(415, "wrong_type", detail));
    }
    // The length of a chunked body is not known yet.
    let length = request.content_length();
    if length != u32::MAX && length as usize > BODY_MAX { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> Problem {
    Problem::new(413, "too_large", format!("A body has at most {BODY_MAX} bytes"))
}

fn run(request: &Request<'_>, call: Call, id: &str, body: &[u8]) -> Result<Step, Problem> {
    let view = View { snapshot: Snapshot::take(request.main_conf()) };
    let query = Query::parse(request.query());
    match call {
        Call::Status => Ok(status::get(view)),
        Call::Denylist => denylist::get(view, &query, request),
        Call::Deny => denylist::post(&view, body, request),
        Call::Extend => denylist::patch(&view, id, body),
        Call::Lift => denylist::delete(&view, id),
        Call::Allowlist => allowlist::get(&view, &query, request),
        Call::Allow => allowlist::post(&view, body),
        Call::Disallow => allowlist::delete(&view, id, request),
        Call::Incidents => incidents::list(view, &query, request),
        Call::History => history::get(view, &query, request),
        Call::Incident => incidents::get(&view, id, request),
    }
}

/// The zone as a call sees it.
struct View {
    snapshot: Snapshot,
}

impl View {
    fn zone(&self) -> Result<Zone, Problem> {
        self.snapshot.ready.map(|ready| ready.shared.zone).ok_or_else(Problem::no_zone)
    }

    /// A moment of the monotonic clock, as the API writes it.
    fn time(&self, monotonic_ms: u64) -> String {
        crate::text::time(self.snapshot.wall_ms(monotonic_ms))
    }
}

/// An object, and the members of another.
fn with(mut object: Value, more: Value) -> Value {
    if let (Some(members), Value::Object(more)) = (object.as_object_mut(), more) {
        members.extend(more);
    }
    object
}

/// An answer in one piece.
fn json(request: &Request<'_>, status: u16, value: &Value) -> Reply {
    let mut body = Body::new(request);
    match write!(body, "{value}") {
        Ok(()) => problem::page(status, "application/json", body),
        Err(_) => Reply::Status(500),
    }
}

/// 204.
fn nothing(request: &Request<'_>) -> Reply {
    problem::page(204, "application/json", Body::new(request))
}
