//! What a line can say that a record wants to know, and the names it goes by.

/// A value of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Field {
    Address,
    Time,
    /// Epoch seconds with milliseconds; wins over `Time`, which mostly has seconds only.
    Msec,
    Request,
    Method,
    /// As requested, with the query.
    RequestUri,
    /// Normalised by NGINX, without the query: only when there is nothing rawer.
    Uri,
    Args,
    Status,
    BodyBytes,
    BytesSent,
    RequestLength,
    ContentLength,
    RequestTime,
    UpstreamTime,
    Referer,
    UserAgent,
    Host,
    Protocol,
}

/// NGINX's variables.
const VARIABLES: [(&str, Field); 23] = [
    ("remote_addr", Field::Address),
    ("time_local", Field::Time),
    ("time_iso8601", Field::Time),
    ("msec", Field::Msec),
    ("request", Field::Request),
    ("request_method", Field::Method),
    ("request_uri", Field::RequestUri),
    ("uri", Field::Uri),
    ("document_uri", Field::Uri),
    ("args", Field::Args),
    ("query_string", Field::Args),
    ("status", Field::Status),
    ("body_bytes_sent", Field::BodyBytes),
    ("bytes_sent", Field::BytesSent),
    ("request_length", Field::RequestLength),
    ("content_length", Field::ContentLength),
    ("request_time", Field::RequestTime),
    ("upstream_response_time", Field::UpstreamTime),
    ("http_referer", Field::Referer),
    ("http_user_agent", Field::UserAgent),
    ("host", Field::Host),
    ("http_host", Field::Host),
    ("server_protocol", Field::Protocol),
];

/// What JSON logs of other programs call the same things, in lower case.
const ALIASES: [(&str, Field); 40] = [
    ("ip", Field::Address),
    ("from", Field::Address),
    ("client", Field::Address),
    ("client_ip", Field::Address),
    ("clientip", Field::Address),
    ("remote_ip", Field::Address),
    ("remote_address", Field::Address),
    ("addr", Field::Address),
    ("time", Field::Time),
    ("ts", Field::Time),
    ("timestamp", Field::Time),
    ("@timestamp", Field::Time),
    ("datetime", Field::Time),
    ("method", Field::Method),
    ("verb", Field::Method),
    ("path", Field::RequestUri),
    ("url", Field::RequestUri),
    ("query", Field::Args),
    ("code", Field::Status),
    ("status_code", Field::Status),
    ("response", Field::Status),
    ("bytes", Field::BodyBytes),
    ("size", Field::BodyBytes),
    ("request_size", Field::RequestLength),
    ("request_bytes", Field::RequestLength),
    ("duration", Field::RequestTime),
    ("seconds", Field::RequestTime),
    ("upstream_time", Field::UpstreamTime),
    ("referer", Field::Referer),
    ("referrer", Field::Referer),
    ("http_referrer", Field::Referer),
    ("ua", Field::UserAgent),
    ("user_agent", Field::UserAgent),
    ("user-agent", Field::UserAgent),
    ("useragent", Field::UserAgent),
    ("agent", Field::UserAgent),
    ("server_name", Field::Host),
    ("vhost", Field::Host),
    ("protocol", Field::Protocol),
    ("proto", Field::Protocol),
];

impl Field {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Protocol as usize + 1;

    /// The field that an NGINX variable (without the dollar sign) fills.
    pub(crate) fn of_variable(name: &str) -> Option<Self> {
        VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
    }

    /// The field that a key of a JSON log fills: an NGINX variable's name or an alias.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        let known = |(name, _): &&(&str, Self)| name.as_bytes().eq_ignore_ascii_case(key);
        VARIABLES.iter().find(known).or_else(|| ALIASES.iter().find(known)).map(|(_, field)| *field)
    }

    /// Whether the value holds no space.
    pub(crate) fn is_word(self) -> bool {
        !matches!(self, Self::Time | Self::Request | Self::UpstreamTime | Self::UserAgent)
    }
}
