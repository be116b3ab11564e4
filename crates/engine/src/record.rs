//! What one finished request tells the detectors, and how it travels through shared memory.
//!
//! A record is a fixed head of [`HEAD_WORDS`] words, followed by the bounded texts (application
//! name, path, query, User-Agent), each padded to whole words. It is written by NGINX's log phase
//! and may have been written by an older worker or cut short by a kill: [`RequestRecord::decode`]
//! takes any words and either understands them or says no.

pub mod words;

use crate::secret;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes kept of an application's name; a longer one is refused by the configuration, and cut when
/// it comes from a variable.
pub const APPLICATION_MAX: usize = 64;
/// Bytes kept of the raw request path; the hash is of the whole.
pub const PATH_MAX: usize = 256;
/// Bytes kept of the query string.
pub const QUERY_MAX: usize = 128;
/// Bytes kept of the User-Agent.
pub const USER_AGENT_MAX: usize = 128;
/// 64-bit words of the fixed head.
pub const HEAD_WORDS: usize = size_of::<RecordHead>() / 8;
/// 64-bit words of the longest record.
pub const RECORD_WORDS: usize =
    HEAD_WORDS + (APPLICATION_MAX + PATH_MAX + QUERY_MAX + USER_AGENT_MAX) / 8;
/// `upstream_ms` of a request that no upstream answered.
pub const NO_UPSTREAM: u32 = u32::MAX;

/// One bit for each yes-or-no fact of a request.
pub mod flags {
    /// The path was longer than [`super::PATH_MAX`].
    pub const PATH_TRUNCATED: u32 = 1 << 0;
    /// The query was longer than [`super::QUERY_MAX`].
    pub const QUERY_TRUNCATED: u32 = 1 << 1;
    /// The User-Agent was longer than [`super::USER_AGENT_MAX`].
    pub const USER_AGENT_TRUNCATED: u32 = 1 << 2;
    /// The request had a Referer.
    pub const REFERER: u32 = 1 << 3;
    /// The Referer's host is the request's host; `referer_hash` is set.
    pub const SAME_SITE_REFERER: u32 = 1 << 4;
    /// The request carried a cookie.
    pub const COOKIE: u32 = 1 << 5;
    /// The request carried an Authorization header.
    pub const AUTHORIZATION: u32 = 1 << 6;
    /// The response set a cookie.
    pub const SETS_COOKIE: u32 = 1 << 7;
    /// The response is HTML.
    pub const HTML: u32 = 1 << 8;
    /// The response is JSON.
    pub const JSON: u32 = 1 << 9;
    /// The request failed before NGINX knew its location (400, 408, 414, …).
    pub const EARLY: u32 = 1 << 10;
    /// `response` facts come from an access log which does not say cookies and content types.
    pub const FROM_LOG: u32 = 1 << 11;
    /// The request accepts HTML (`Accept: text/html`): a navigation.
    pub const ACCEPTS_HTML: u32 = 1 << 12;
    /// The request has an Accept-Language.
    pub const ACCEPT_LANGUAGE: u32 = 1 << 13;
    /// The request has an Accept-Encoding.
    pub const ACCEPT_ENCODING: u32 = 1 << 14;
    /// The request has an Accept header.
    pub const ACCEPT: u32 = 1 << 15;
    /// The request has Sec-Fetch-* headers (every current browser sends them over TLS).
    pub const SEC_FETCH: u32 = 1 << 16;
    /// A conditional or range request (If-*, Range).
    pub const CONDITIONAL: u32 = 1 << 17;
    /// A redirect to the path that was requested, or to one whose query says that something was
    /// wrong: how many forms say that they were not accepted.
    pub const REDIRECTS_BACK: u32 = 1 << 18;
    /// The configuration says that this answer means yes ([`crate::outcome`]).
    pub const SUCCEEDED: u32 = 1 << 19;
    /// The configuration says that this answer means no.
    pub const FAILED: u32 = 1 << 20;
    /// The response is a file to keep: a PDF, an office document, an archive, or of no type in particular.
    pub const FILE: u32 = 1 << 21;
}

/// Request methods, as far as detectors tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Method {
    Other = 0,
    Get = 1,
    Head = 2,
    Post = 3,
    Put = 4,
    Delete = 5,
    Patch = 6,
    Options = 7,
    /// PROPFIND, MKCOL, LOCK, …
    WebDav = 8,
}

impl Method {
    /// The method with this name, as it stands in the request line.
    pub fn from_name(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"OPTIONS" => Self::Options,
            b"PROPFIND" | b"PROPPATCH" | b"MKCOL" | b"COPY" | b"MOVE" | b"LOCK" | b"UNLOCK"
            | b"REPORT" | b"SEARCH" => Self::WebDav,
            _ => Self::Other,
        }
    }

    /// The name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "OTHER",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
            Self::WebDav => "WEBDAV",
        }
    }

    /// The method with this discriminant, [`Method::Other`] for anything unknown.
    pub const fn from_u8(value: u8) -> Self {
        match value {
            1 => Self::Get,
            2 => Self::Head,
            3 => Self::Post,
            4 => Self::Put,
            5 => Self::Delete,
            6 => Self::Patch,
            7 => Self::Options,
            8 => Self::WebDav,
            _ => Self::Other,
        }
    }
}

/// What the access phase made of a request: `$api_abuse_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Judged, nothing against it.
    Passed = 0,
    /// `api_abuse_bypass` said not to judge it.
    Bypassed = 1,
    /// The source is allowlisted.
    Allowed = 2,
    /// Denied.
    Denied = 3,
    /// Throttled.
    Throttled = 4,
    /// `monitor` mode: block mode would have denied it.
    DeniedMonitor = 5,
    /// `monitor` mode: block mode would have throttled it.
    ThrottledMonitor = 6,
}

impl Verdict {
    /// All verdicts, in the order of their discriminants.
    pub const ALL: [Self; 7] = [
        Self::Passed,
        Self::Bypassed,
        Self::Allowed,
        Self::Denied,
        Self::Throttled,
        Self::DeniedMonitor,
        Self::ThrottledMonitor,
    ];

    /// The value of `$api_abuse_status` and of the metrics' `status` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Bypassed => "BYPASSED",
            Self::Allowed => "ALLOWED",
            Self::Denied => "DENIED",
            Self::Throttled => "THROTTLED",
            Self::DeniedMonitor => "DENIED_MONITOR",
            Self::ThrottledMonitor => "THROTTLED_MONITOR",
        }
    }

    /// The verdict with this discriminant.
    pub fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.get(usize::from(value)).copied()
    }
}

/// The fixed part of a record. All bit patterns are valid.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct RecordHead {
    /// Milliseconds of the monotonic clock when the request finished.
    pub time_ms: u64,
    /// [`crate::hash::Seed::table`] of the application's name.
    pub application: u64,
    /// Client address as IPv6; IPv4 is mapped (`::ffff:a.b.c.d`). Zero: none (a unix socket).
    pub address: [u8; 16],
    /// Hash of the client's fingerprint; 0 when nothing was known.
    pub fingerprint: u64,
    /// Keyed hash of the session, 0 for none.
    pub session: u64,
    /// Keyed hash of the credential shown (Authorization), 0 for none.
    pub credential: u64,
    /// Keyed hash of the account that a login or a registration names ([`crate::identity`]), 0 for none.
    pub identity: u64,
    /// Hash of the whole raw path, without the query.
    pub path_hash: u64,
    /// Hash of the path of a same-site Referer, 0 for none.
    pub referer_hash: u64,
    /// Incident of the denylist entry that this request hit, 0 for none.
    pub incident: u64,
    /// Response bytes sent, headers included.
    pub response_bytes: u64,
    /// Request bytes, headers included.
    pub request_bytes: u32,
    /// Content-Length of the request; `u32::MAX` when chunked.
    pub content_length: u32,
    /// Milliseconds from the first byte of the request to the end of the response.
    pub duration_ms: u32,
    /// Milliseconds spent waiting for upstreams; [`NO_UPSTREAM`] for none.
    pub upstream_ms: u32,
    /// [`flags`].
    pub flags: u32,
    /// Final response status.
    pub status: u16,
    /// Number of request headers.
    pub header_count: u16,
    /// Length of the stored texts, in this order.
    pub application_len: u16,
    /// See `application_len`.
    pub path_len: u16,
    /// See `application_len`.
    pub query_len: u16,
    /// See `application_len`.
    pub user_agent_len: u16,
    /// [`Method`].
    pub method: u8,
    /// HTTP version: 9, 10, 11, 20, 30; 0 when the request never had one.
    pub protocol: u8,
    /// [`Verdict`].
    pub verdict: u8,
    /// 1 when the location is in `block` mode, 0 in `monitor` mode.
    pub blocking: u8,
    /// Role of the endpoint, as configured ([`crate::role::Role`]); 0: to be found out.
    pub role: u8,
    /// Not used, zero.
    pub reserved: [u8; 3],
}

impl RecordHead {
    /// A head of zeros.
    pub(crate) const ZERO: Self = zerocopy::transmute!([0u64; HEAD_WORDS]);
}

/// One request, as the detectors see it.
#[derive(Clone, Copy, Debug)]
pub struct RequestRecord<'a> {
    /// The fixed part. The `*_len` fields and the truncation flags are set by [`Self::encode`].
    pub head: RecordHead,
    /// Name of the application; empty when the engine's configuration knows it.
    pub application: &'a [u8],
    /// Raw path as requested, not decoded, without the query.
    pub path: &'a [u8],
    /// Query without the question mark.
    pub query: &'a [u8],
    /// User-Agent.
    pub user_agent: &'a [u8],
}

/// The texts of a record as they travel: as much as is kept of each, and the query with its secrets
/// written over ([`secret`]).
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    /// Application, path, query, User-Agent.
    pub kept: [&'a [u8]; 4],
    /// The [`flags`] that say what was cut.
    pub flags: u32,
}

impl<'a> Texts<'a> {
    /// `room` is where the query is written over. Without a query there is nothing to write.
    #[inline]
    pub fn new(texts: [&'a [u8]; 4], room: &'a mut Option<[u8; QUERY_MAX]>) -> Self {
        let [application, path, query, user_agent] = texts;
        let fit = application.len() <= APPLICATION_MAX
            && path.len() <= PATH_MAX
            && user_agent.len() <= USER_AGENT_MAX;
        if fit && query.is_empty() { Self { kept: texts, flags: 0 } } else { cut(texts, room) }
    }

    /// Their lengths, which all fit.
    #[inline]
    pub fn lengths(&self) -> [u16; 4] {
        self.kept.map(|text| text.len() as u16)
    }
}

/// Cuts what is too long, and writes over the secrets of the query.
#[inline(never)]
fn cut<'a>(texts: [&'a [u8]; 4], room: &'a mut Option<[u8; QUERY_MAX]>) -> Texts<'a> {
    let bounds = [APPLICATION_MAX, PATH_MAX, QUERY_MAX, USER_AGENT_MAX];
    let marks = [0, flags::PATH_TRUNCATED, flags::QUERY_TRUNCATED, flags::USER_AGENT_TRUNCATED];
    let (mut kept, mut flags) = (texts, 0);
    for ((text, max), mark) in kept.iter_mut().zip(bounds).zip(marks) {
        if text.len() > max {
            *text = &text[..max];
            flags |= mark;
        }
    }
    let query = &mut room.insert([0; QUERY_MAX])[..kept[2].len()];
    query.copy_from_slice(kept[2]);
    secret::mask_query(query);
    kept[2] = query;
    Texts { kept, flags }
}

impl<'a> RequestRecord<'a> {
    /// Writes the record into `words` and returns how many it took.
    pub fn encode(&self, words: &mut [u64; RECORD_WORDS]) -> usize {
        let mut room = None;
        let texts = [self.application, self.path, self.query, self.user_agent];
        let texts = Texts::new(texts, &mut room);
        let [application_len, path_len, query_len, user_agent_len] = texts.lengths();
        let flags = self.head.flags | texts.flags;
        let head =
            RecordHead { flags, application_len, path_len, query_len, user_agent_len, ..self.head };
        let head: [u64; HEAD_WORDS] = zerocopy::transmute!(head);
        words[..HEAD_WORDS].copy_from_slice(&head);
        let mut at = HEAD_WORDS;
        for text in texts.kept {
            let end = at + text.len().div_ceil(8);
            let (whole, padding) = words[at..end].as_mut_bytes().split_at_mut(text.len());
            whole.copy_from_slice(text);
            padding.fill(0);
            at = end;
        }
        at
    }

    /// Reads a record from the words of one message; `None` when they are no record.
    pub fn decode(words: &'a [u64]) -> Option<Self> {
        let (head, mut texts) = RecordHead::read_from_prefix(words.as_bytes()).ok()?;
        let mut text = |len: u16| {
            let len = usize::from(len);
            let (padded, rest) = texts.split_at_checked(len.next_multiple_of(8))?;
            texts = rest;
            Some(&padded[..len])
        };
        let application = text(head.application_len)?;
        let path = text(head.path_len)?;
        let query = text(head.query_len)?;
        let user_agent = text(head.user_agent_len)?;
        Some(Self { head, application, path, query, user_agent })
    }

    /// Whether `flag` (one of [`flags`]) is set.
    pub fn has(&self, flag: u32) -> bool {
        self.head.flags & flag != 0
    }

    /// Whether it was made with this method.
    #[inline]
    pub fn is(&self, method: Method) -> bool {
        self.head.method == method as u8
    }

    /// The request method.
    pub fn method(&self) -> Method {
        Method::from_u8(self.head.method)
    }
}
