//! From the values of a line to the record that NGINX's log phase would have written.

use api_abuse_engine::RequestRecord;
use api_abuse_engine::hash::Seed;
use api_abuse_engine::record::{Method, RecordHead, flags};
use api_abuse_engine::source::network_of;
use hashbrown::HashSet;
use memchr::{memchr, memchr2, memrchr};

use super::batch::Batch;
use super::clock::Clock;
use super::nginx_config::Roles;
use super::site::{self, Site};
use crate::access_log::address::{self, Client};
use crate::access_log::number::{duration_ms, saturate, upstream_ms, whole};
use crate::access_log::text::unescape;
use crate::access_log::{Field, Line, time_of};

/// Host names of clients that are kept for the report; those that come later are told by number.
const NAMES: usize = 1 << 16;
/// Addresses that are told apart; beyond, the number is a lower bound.
const ADDRESSES: usize = 1 << 20;

/// Which application a request belongs to.
#[derive(Clone, Debug)]
pub(super) enum Application {
    /// All to this one.
    Fixed { name: Vec<u8>, key: u64 },
    /// Each host is one.
    Host,
}

impl Application {
    /// The application with this name, or one for each host when it is `$host`.
    pub(super) fn named(name: &str, seed: Seed) -> Self {
        if Self::is_variable(name) {
            return Self::Host;
        }
        Self::Fixed { name: name.into(), key: seed.table(name.as_bytes()) }
    }

    /// Whether requests say themselves which application they belong to.
    pub(super) fn is_variable(name: &str) -> bool {
        matches!(name, "$host" | "$http_host")
    }

    /// The names that the engine is told at the start.
    pub(super) fn configured(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Fixed { name, .. } => vec![name.clone()],
            Self::Host => Vec::new(),
        }
    }
}

/// Translates lines.
#[derive(Debug)]
pub(super) struct Translator {
    seed: Seed,
    application: Application,
    roles: Roles,
    site: Site,
    pub(super) clock: Clock,
    names: HashSet<u64>,
    /// Networks that were seen, and the one of the last line.
    seen: HashSet<u64>,
    last: u64,
    /// The last time that was read, and what it says: most lines have the time of the one before.
    second: (Vec<u8>, u64),
    scratch: Scratch,
}

/// Where texts are written whose escapes had to be undone.
#[derive(Debug, Default)]
struct Scratch {
    request: Vec<u8>,
    referer: Vec<u8>,
    user_agent: Vec<u8>,
    host: Vec<u8>,
}

impl Translator {
    /// A translator for one replay; `hosts` are the site's own.
    pub(super) fn new(
        seed: Seed,
        application: Application,
        hosts: &[String],
        roles: Roles,
    ) -> Self {
        let site = Site::named(hosts);
        let (clock, names) = (Clock::default(), HashSet::new());
        let (seen, last, second) = (HashSet::new(), 0, (Vec::new(), 0));
        let scratch = Scratch::default();
        Self { seed, application, roles, site, clock, names, seen, last, second, scratch }
    }

    /// Adds the record of a line to `batch`, or says what the line does not have.
    pub(super) fn translate(
        &mut self,
        line: &Line<'_>,
        batch: &mut Batch,
    ) -> Result<(), &'static str> {
        let seed = self.seed;
        let address = self.address(line, batch)?;
        let time = self.time(line).ok_or("a time")?;
        let status = status(line)?;
        self.see(network_of(address));
        let time_ms = self.clock.at(time);
        let Scratch { request, referer, user_agent, host } = &mut self.scratch;
        let request = Request::of(line, request);
        let user_agent =
            line.get(Field::UserAgent).map_or(&b""[..], |raw| unescape(raw, user_agent));
        let host = line.get(Field::Host).map(|raw| unescape(raw, host));
        let mut flags = flags::FROM_LOG;
        let mut referer_hash = 0;
        if let Some(referer) = line.get(Field::Referer).map(|raw| unescape(raw, referer)) {
            flags |= flags::REFERER;
            let succeeded = (200..300).contains(&status) || status == 304;
            let parts = site::referer(referer);
            if let Some(parts) = parts.filter(|it| self.site.is_own(it.host, host, succeeded)) {
                flags |= flags::SAME_SITE_REFERER;
                referer_hash = seed.table(parts.path);
            }
        }
        if request.malformed || NO_LOCATION.contains(&status) {
            flags |= flags::EARLY;
        }
        let of_host;
        let (application, name) = match &self.application {
            Application::Fixed { key, .. } => (*key, &b""[..]),
            Application::Host => {
                of_host = site::bare_host(host.unwrap_or(b"-")).to_ascii_lowercase();
                (seed.table(&of_host), &of_host[..])
            }
        };
        let count = |field| line.get(field).and_then(whole);
        let head = RecordHead {
            time_ms,
            application,
            address,
            fingerprint: if user_agent.is_empty() { 0 } else { seed.table(user_agent) },
            path_hash: seed.table(request.path),
            referer_hash,
            response_bytes: count(Field::BytesSent).or(count(Field::BodyBytes)).unwrap_or(0),
            request_bytes: saturate(count(Field::RequestLength).unwrap_or(0)),
            content_length: saturate(count(Field::ContentLength).unwrap_or(0)),
            duration_ms: duration_ms(line.get(Field::RequestTime)),
            upstream_ms: upstream_ms(line.get(Field::UpstreamTime)),
            flags,
            status,
            method: Method::from_name(request.method) as u8,
            protocol: protocol(request.protocol),
            role: self.roles.of(request.path) as u8,
            ..RecordHead::default()
        };
        let (path, query) = (request.path, request.query);
        batch.push(&RequestRecord { head, application: name, path, query, user_agent });
        Ok(())
    }

    /// When the request was over, epoch milliseconds.
    fn time(&mut self, line: &Line<'_>) -> Option<u64> {
        let Some(text) = line.get(Field::Time).filter(|_| line.get(Field::Msec).is_none()) else {
            return time_of(line);
        };
        let (known, time) = &mut self.second;
        if known != text {
            *time = time_of(line)?;
            known.clear();
            known.extend_from_slice(text);
        }
        Some(*time)
    }

    fn see(&mut self, network: u64) {
        if self.seen.len() < ADDRESSES && (network != self.last || self.seen.is_empty()) {
            self.seen.insert(network);
            self.last = network;
        }
    }

    /// How many addresses the lines came from, and whether there were more than could be counted.
    pub(super) fn addresses(&self) -> (u64, bool) {
        (self.seen.len() as u64, self.seen.len() >= ADDRESSES)
    }

    /// Who the line came from.
    fn address(&mut self, line: &Line<'_>, batch: &mut Batch) -> Result<[u8; 16], &'static str> {
        let Some(text) = line.get(Field::Address) else { return Ok([0; 16]) };
        match address::parse(text, self.seed) {
            Some(Client::Address(address)) => Ok(address),
            Some(Client::Name(address)) => {
                let network = network_of(address);
                if self.names.len() < NAMES && self.names.insert(network) {
                    batch.names.push((network, String::from_utf8_lossy(text).into_owned()));
                }
                Ok(address)
            }
            None => Err("a client address"),
        }
    }
}

/// Statuses of requests that failed before NGINX knew their location.
const NO_LOCATION: [u16; 6] = [408, 414, 494, 495, 496, 497];

/// The response status, 0 when the line has none.
fn status(line: &Line<'_>) -> Result<u16, &'static str> {
    match line.get(Field::Status).map(whole) {
        None => Ok(0),
        Some(Some(status @ 0..1000)) => Ok(status as u16),
        Some(_) => Err("a status of three digits"),
    }
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    method: &'a [u8],
    path: &'a [u8],
    query: &'a [u8],
    protocol: &'a [u8],
    /// It is no HTTP request: TLS on a plain port, garbage, nothing at all.
    malformed: bool,
}

impl<'a> Request<'a> {
    /// From the request line, or from its parts when the log has them apart.
    fn of(line: &Line<'a>, scratch: &'a mut Vec<u8>) -> Self {
        if let Some(raw) = line.get(Field::Request) {
            return Self::parse(unescape(raw, scratch));
        }
        let method = line.get(Field::Method).unwrap_or_default();
        let target = line.get(Field::RequestUri).or(line.get(Field::Uri)).unwrap_or_default();
        let protocol = line.get(Field::Protocol).unwrap_or_default();
        let mut request = Self::new(method, unescape(target, scratch), protocol);
        if request.query.is_empty() {
            request.query = line.get(Field::Args).unwrap_or_default();
        }
        request
    }

    /// `GET /path?query HTTP/1.1`; a target with spaces in it is taken as it is.
    fn parse(text: &'a [u8]) -> Self {
        let space = memchr(b' ', text).unwrap_or(text.len());
        let (method, rest) = text.split_at(space);
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let (target, protocol) = match memrchr(b' ', rest) {
            Some(at) if rest[at + 1..].starts_with(b"HTTP/") => (&rest[..at], &rest[at + 1..]),
            _ => (rest, &b"HTTP/0.9"[..]),
        };
        Self::new(method, target, protocol)
    }

    fn new(method: &'a [u8], target: &'a [u8], protocol: &'a [u8]) -> Self {
        // A proxy's form names scheme and host first; NGINX judges what follows.
        let target = match site::after_scheme(target) {
            Some(rest) => memchr2(b'/', b'?', rest).map_or(&b"/"[..], |at| &rest[at..]),
            None => target,
        };
        let (path, query) = match memchr(b'?', target) {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, &b""[..]),
        };
        let is_method = |byte: &u8| byte.is_ascii_uppercase() || b"-_".contains(byte);
        let well_formed = path.starts_with(b"/")
            || (path == b"*" && method == b"OPTIONS")
            || (method == b"CONNECT" && !path.is_empty());
        let malformed = !well_formed || !method.iter().all(is_method);
        if malformed {
            return Self { method: b"", path: b"", query: b"", protocol: b"", malformed };
        }
        Self { method, path, query, protocol, malformed }
    }
}

/// The number that records have for `HTTP/1.1`; 0 for none.
fn protocol(name: &[u8]) -> u8 {
    match name.strip_prefix(b"HTTP/") {
        Some(b"0.9") => 9,
        Some(b"1.0") => 10,
        Some(b"1.1") => 11,
        Some(b"2.0" | b"2") => 20,
        Some(b"3.0" | b"3") => 30,
        _ => 0,
    }
}
