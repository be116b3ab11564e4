//! How sources, incidents and times are written, in logs, variables and answers alike, and how the
//! text of headers is looked at.

use api_abuse_engine::source::{SourceKey, SourceKind, address_of};
use api_abuse_shm::DenyKey;
use serde_json::{Map, Value};

/// A source: `192.0.2.1` or `2001:db8::/64` for an address, with `#` and the fingerprint for a
/// client, `session#` and its hash for a session.
pub(crate) fn source(key: SourceKey) -> String {
    match key.kind {
        SourceKind::Address => address(key.network),
        SourceKind::Client => format!("{}#{:016x}", address(key.network), key.discriminator),
        SourceKind::Session => format!("session#{:016x}", key.discriminator),
    }
}

/// A source as JSON: its type, and what makes up its key.
pub(crate) fn key(source: SourceKey) -> Value {
    let mut key = Map::new();
    key.insert("type".to_owned(), source.kind.name().into());
    let discriminator = format!("{:016x}", source.discriminator);
    if source.kind == SourceKind::Session {
        key.insert("session".to_owned(), discriminator.into());
    } else {
        key.insert("address".to_owned(), address(source.network).into());
        if source.kind == SourceKind::Client {
            key.insert("fingerprint".to_owned(), discriminator.into());
        }
    }
    key.into()
}

/// The address of a source: IPv4, or the /64 of an IPv6 address.
pub(crate) fn address(network: u64) -> String {
    let address = address_of(network);
    match address.to_ipv4_mapped() {
        Some(v4) => v4.to_string(),
        None if address.is_loopback() => address.to_string(),
        None => format!("{address}/64"),
    }
}

/// An address as it came, IPv4 mapped.
pub(crate) fn full_address(address: [u8; 16]) -> String {
    let address = core::net::Ipv6Addr::from(address);
    address.to_ipv4_mapped().map_or_else(|| address.to_string(), |v4| v4.to_string())
}

/// Number of an incident, at least eight hexadecimal digits.
pub(crate) fn incident(id: u64) -> String {
    format!("{id:08x}")
}

/// A denial in one word, so that it can be named in a URL.
pub(crate) fn denial(key: &DenyKey) -> String {
    let DenyKey { application, kind, network, discriminator } = *key;
    format!("{application:016x}-{kind:x}-{network:016x}-{discriminator:016x}")
}

/// The key that [`denial`] wrote.
pub(crate) fn denial_key(text: &str) -> Option<DenyKey> {
    let mut parts = text.split('-').map(|part| u64::from_str_radix(part, 16).ok());
    let (application, kind) = (parts.next()??, u8::try_from(parts.next()??).ok()?);
    let (network, discriminator) = (parts.next()??, parts.next()??);
    let key = DenyKey { application, kind, network, discriminator };
    parts.next().is_none().then_some(key)
}

/// Bytes from a client as one line: what is not printable ASCII is escaped, quotes and backslashes
/// too.
pub(crate) fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Milliseconds since 1970 as RFC 3339 in UTC.
pub(crate) fn time(unix_ms: u64) -> String {
    let (days, of_day) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, ms) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of the day number `days` since 1970 in the Gregorian calendar: Howard
/// Hinnant's `civil_from_days` for days that are not negative. Years begin in March, so that the
/// leap day is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Whether `text` begins with `prefix`, which is in lower case, in any case of ASCII letters. What does
/// not is mostly told by its first word.
#[inline]
pub(crate) fn starts_with<const N: usize>(text: &[u8], prefix: &[u8; N]) -> bool {
    // The bit in which the cases of a letter differ.
    let word = |text: &[u8; N]| {
        let word = text.first_chunk().map_or(0, |word| u64::from_ne_bytes(*word));
        word | 0x2020_2020_2020_2020
    };
    text.first_chunk().is_some_and(|start: &[u8; N]| {
        word(start) == word(prefix) && start.eq_ignore_ascii_case(prefix)
    })
}
