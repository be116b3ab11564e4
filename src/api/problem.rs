//! What a call is refused with: RFC 9457.

use std::io::Write;

use serde_json::json;

use crate::ffi::content::Step;
use crate::ffi::request::Request;
use crate::ffi::response::{Body, Page, Reply};

/// Why a call is refused.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: u16,
    /// For programs.
    code: &'static str,
    /// One sentence for people, which says what to do.
    detail: String,
    /// The argument or member that is wrong.
    field: Option<String>,
    /// Methods that the call has.
    allow: Option<String>,
}

impl Problem {
    pub(super) fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), field: None, allow: None }
    }

    /// The same, and names what is wrong.
    pub(super) fn of(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }

    /// A method that the call does not have.
    pub(super) fn method(allow: &str) -> Self {
        let detail = format!("This call has no such method; it has {allow}");
        let problem = Self::new(405, "wrong_method", detail);
        Self { allow: Some(allow.to_owned()), ..problem }
    }

    pub(super) fn unknown_id() -> Self {
        Self::new(404, "unknown_id", "There is no such entry any more")
    }

    pub(super) fn no_zone() -> Self {
        let detail = "The configuration has no api_abuse_zone: add one to the http block";
        Self::new(503, "no_zone", detail)
    }

    pub(super) fn unavailable() -> Self {
        let detail = "The detector took no notice within two seconds; look whether the change holds, \
                      and at the health of the detector";
        Self::new(503, "detector_unavailable", detail)
    }

    /// As JSON.
    pub(super) fn reply(&self, request: &Request<'_>) -> Reply {
        let mut problem = json!({
            "type": "about:blank",
            "title": title(self.status),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        });
        if let (Some(field), Some(problem)) = (&self.field, problem.as_object_mut()) {
            problem.insert("field".to_owned(), field.as_str().into());
        }
        if let Some(allow) = &self.allow {
            request.add_header("Allow", allow);
        }
        let mut body = Body::new(request);
        match write!(body, "{problem}") {
            Ok(()) => page(self.status, "application/problem+json", body),
            Err(_) => Reply::Status(500),
        }
    }

    pub(super) fn step(&self, request: &Request<'_>) -> Step {
        Step::Reply(self.reply(request))
    }
}

/// An answer of the API.
pub(super) fn page(status: u16, content_type: &'static str, body: Body) -> Reply {
    Reply::Page(Page { status, content_type, cache_control: "no-store", etag: None, body })
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}
