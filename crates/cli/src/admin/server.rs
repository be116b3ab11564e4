//! Calls of the JSON API, and what it means when they fail.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Map, Value, json};
use ureq::Agent;
use ureq::http::{Request, Response};

use super::url::{Url, base64, encoded};
use crate::Failure;

/// NGINX answers a change within two seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// A page of 1,000 entries has less than one.
const LARGEST: u64 = 64 << 20;
/// Entries of a page, at most.
const PAGE: usize = 1000;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody answered.
    Unreachable(String),
    /// Something answered, and refused.
    Refused {
        /// The API's word for it; empty when it was not the API that answered.
        code: String,
        message: String,
    },
}

impl Trouble {
    /// A refusal that is not the API's.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::Refused { code: String::new(), message: message.into() }
    }

    /// Whether the API says so.
    pub(super) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreachable(message) => Self::Unreachable(message),
            Trouble::Refused { message, .. } => Self::Refused(message),
        }
    }
}

/// The API of one console.
pub(super) struct Api {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl Api {
    pub(super) fn new(url: &Url, user: Option<&str>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("api-abuse/", env!("CARGO_PKG_VERSION")))
            .build();
        let user = user.or(url.user.as_deref());
        let authorization = user.map(|user| format!("Basic {}", base64(user.as_bytes())));
        Self { agent: Agent::new_with_config(config), base: url.base.clone(), authorization }
    }

    /// What a call that changes nothing answers. Arguments without a value are left out.
    pub(super) fn get(&self, call: &str, query: &[(&str, Option<&str>)]) -> Result<Value, Trouble> {
        let mut path = format!("api/{call}");
        for (name, value) in query {
            if let Some(value) = value {
                let joint = if path.contains('?') { '&' } else { '?' };
                path = format!("{path}{joint}{name}={}", encoded(value));
            }
        }
        self.send("GET", &path, None)
    }

    /// Everything that a list holds, page by page.
    pub(super) fn all(
        &self,
        call: &str,
        query: &[(&str, Option<&str>)],
        limit: usize,
    ) -> Result<Value, Trouble> {
        let (mut entries, mut seen, mut offset, mut total) = (Vec::new(), HashSet::new(), 0, 0);
        while entries.len() < limit {
            let (from, size) = (offset.to_string(), PAGE.min(limit - entries.len()).to_string());
            let paging = [("offset", Some(from.as_str())), ("limit", Some(size.as_str()))];
            let page = self.get(call, &[query, &paging].concat())?;
            total = page["total"].as_u64().unwrap_or(0);
            let Some(rows) = page["entries"].as_array().filter(|rows| !rows.is_empty()) else {
                break;
            };
            offset += rows.len();
            // The list may change between two pages.
            let new = |row: &&Value| seen.insert(row["id"].as_str().unwrap_or_default().to_owned());
            entries.extend(rows.iter().filter(new).cloned());
            if offset as u64 >= total {
                break;
            }
        }
        Ok(json!({ "entries": entries, "total": total }))
    }

    /// Adds an entry to a list.
    pub(super) fn post(&self, call: &str, members: Map<String, Value>) -> Result<Value, Trouble> {
        self.send("POST", &format!("api/{call}"), Some(&Value::Object(members)))
    }

    /// Takes an entry away.
    pub(super) fn delete(&self, call: &str, id: &str) -> Result<(), Trouble> {
        self.send("DELETE", &format!("api/{call}/{}", encoded(id)), None).map(|_| ())
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if method != "GET" {
            request = request.header("X-API-Abuse", "1");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(text).map_err(|error| self.unreachable(&error.to_string()))?;
        let answer =
            self.agent.run(request).map_err(|error| self.unreachable(&error.to_string()))?;
        self.judge(answer)
    }

    /// Nobody answered: what may be done about it.
    fn unreachable(&self, error: &str) -> Trouble {
        let (base, error) = (&self.base, error.strip_prefix("io: ").unwrap_or(error));
        Trouble::Unreachable(format!(
            "{base}: {error}\nIs NGINX running, does it listen there, and has a location \
             `api_abuse_console`? --url or API_ABUSE_URL say where it is."
        ))
    }

    fn judge(&self, mut answer: Response<ureq::Body>) -> Result<Value, Trouble> {
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let problem = kind.is_some_and(|kind| kind.starts_with("application/problem+json"));
        let text = answer.body_mut().with_config().limit(LARGEST).read_to_vec();
        let text = text.map_err(|error| self.unreachable(&error.to_string()))?;
        let value: Option<Value> = serde_json::from_slice(&text).ok();
        match (status, value) {
            (_, Some(value)) if problem => Err(Trouble::Refused {
                code: value["code"].as_str().unwrap_or_default().to_owned(),
                message: value["detail"].as_str().unwrap_or("refused").to_owned(),
            }),
            (204, _) => Ok(Value::Null),
            (200 | 201, Some(value)) => Ok(value),
            _ => Err(self.stranger(status)),
        }
    }

    /// Something answered that is not the API.
    fn stranger(&self, status: u16) -> Trouble {
        let base = &self.base;
        Trouble::refused(match status {
            401 => format!("{base} wants a name and a password: --user NAME:PASSWORD"),
            403 => format!(
                "{base} refuses this client: what do `allow` and `deny` of the location say?"
            ),
            _ => format!(
                "{base} answered {status}, and not as the API does: is that the location that has \
                 `api_abuse_console`?"
            ),
        })
    }
}
