//! `api_abuse_status`: metrics for Prometheus, or the state as JSON.
//!
//! Any worker answers: everything that is shown lies in the zone. The page is written piece by
//! piece into buffers of the request's pool.

pub(crate) mod json;
mod metrics;

use std::io;

use crate::conf::MainConf;
use crate::ffi::request::Request;
use crate::ffi::response::{Body, Page};
use crate::snapshot::Snapshot;

/// Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// The page that was asked for; `None` when there is no memory for it.
pub(crate) fn page(request: &Request<'_>) -> Option<Page> {
    let conf: &MainConf = request.main_conf();
    let mut snapshot = Snapshot::take(conf);
    snapshot.count_denials();
    let mut body = Body::new(request);
    let wants_json = request.query().split(|byte| *byte == b'&').any(|arg| arg == b"format=json");
    let (content_type, write): (_, fn(&mut Body, &Snapshot) -> io::Result<()>) =
        if wants_json { (JSON, json::write) } else { (TEXT, metrics::write) };
    write(&mut body, &snapshot).ok()?;
    Some(Page { status: 200, content_type, cache_control: "no-store", etag: None, body })
}
