//! The members of a request's body.

use api_abuse_engine::policy::text::parse_time;
use api_abuse_engine::{Cidr, CidrError};
use serde_json::{Map, Value};

use super::problem::Problem;

/// Bytes of a body.
pub(super) const BODY_MAX: usize = 4096;
/// What a denial lasts that says nothing else.
const TTL_MS: u64 = 3_600_000;
const LONGEST_MS: u64 = 365 * 86_400_000;
/// Bytes of a comment.
const COMMENT_MAX: usize = 128;

/// The members of a body.
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// A body that has all of `needed` and nothing but these and `optional`.
    pub(super) fn parse(body: &[u8], needed: &[&str], optional: &[&str]) -> Result<Self, Problem> {
        let members = match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(Problem::new(400, "bad_json", "The body is JSON, but no object")),
            Err(error) => {
                let detail = format!("The body is no JSON: {error}");
                return Err(Problem::new(400, "bad_json", detail));
            }
        };
        let known = |name: &str| needed.contains(&name) || optional.contains(&name);
        if let Some(name) = members.keys().find(|name| !known(name)) {
            let detail = format!("{name} is not known here; look how it is spelt");
            return Err(Problem::new(422, "unknown_member", detail).of(name));
        }
        if let Some(name) = needed.iter().find(|name| !members.contains_key(**name)) {
            return Err(Problem::new(422, "missing_member", format!("{name} is needed")).of(name));
        }
        Ok(Self(members))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Name of an application, known or not; empty when it is no text.
    pub(super) fn application(&self) -> &str {
        self.text("application").unwrap_or_default()
    }

    /// An address or a network.
    pub(super) fn network(&self) -> Result<Cidr, Problem> {
        let bad = |detail: String| Problem::new(422, "bad_address", detail).of("address");
        let text = self.text("address");
        let text = text.ok_or_else(|| bad("address is a text, as in \"192.0.2.1\"".to_owned()))?;
        text.parse().map_err(|error| match error {
            CidrError::HostBits(meant) => {
                let detail =
                    format!("{text} has bits below its prefix; {} is meant?", written(meant));
                Problem::new(422, "host_bits", detail).of("address")
            }
            error => bad(format!("{text:?} is no address: {error}")),
        })
    }

    /// One source: an IPv4 address, an IPv6 address or /64.
    pub(super) fn source(&self) -> Result<Cidr, Problem> {
        let network = self.network()?;
        let detail = "A denial is of one IPv4 address, or of one IPv6 address or /64";
        let is_source = network.is_source();
        let bad = || Problem::new(422, "bad_address", detail).of("address");
        is_source.then_some(network).ok_or_else(bad)
    }

    /// Milliseconds.
    pub(super) fn ttl_ms(&self) -> Result<u64, Problem> {
        let ttl_ms = match self.0.get("ttl") {
            None => Some(TTL_MS),
            Some(Value::Number(seconds)) => {
                let ms = seconds.as_f64().map(|seconds| seconds * 1000.0);
                // Beyond the range of the integer it becomes its end, which is too long.
                ms.filter(|ms| *ms >= 0.0).map(|ms| ms as u64)
            }
            Some(Value::String(text)) => parse_time(text),
            Some(_) => None,
        };
        let detail =
            "ttl is from 1 second to 365 days: a number of seconds, or a text as in \"1h\"";
        let bad = || Problem::new(422, "bad_ttl", detail).of("ttl");
        ttl_ms.filter(|ttl_ms| (1000..=LONGEST_MS).contains(ttl_ms)).ok_or_else(bad)
    }

    pub(super) fn comment(&self) -> Result<&str, Problem> {
        let comment = match self.0.get("comment") {
            None => Some(""),
            Some(comment) => comment.as_str(),
        };
        let detail = format!("comment is a text of at most {COMMENT_MAX} bytes");
        let bad = || Problem::new(422, "bad_comment", detail).of("comment");
        comment.filter(|comment| comment.len() <= COMMENT_MAX).ok_or_else(bad)
    }
}

/// A network as the API writes it: a single address without its prefix.
pub(super) fn written(network: Cidr) -> String {
    let text = network.to_string();
    match text.split_once('/') {
        Some((address, _)) if network.is_single() => address.to_owned(),
        _ => text,
    }
}
