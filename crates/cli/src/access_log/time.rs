//! Times of a log line, to epoch milliseconds and back.

use super::number::{thousandths, whole};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// A time in any of the shapes that logs use: `$time_local`, `$time_iso8601` (RFC 3339 and what
/// comes near), or a number of seconds, milliseconds, microseconds or nanoseconds since 1970.
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    match (text.get(2), text.get(4)) {
        (Some(b'/'), _) => local(text),
        (_, Some(b'-')) => iso8601(text),
        _ => number(text),
    }
}

/// `20/Feb/2016:05:00:45 +0100`.
fn local(text: &[u8]) -> Option<u64> {
    let text: &[u8; 26] = text.try_into().ok()?;
    let date = [2, 6].map(|at| text[at]) == *b"//";
    let clock = [11, 14, 17].map(|at| text[at]) == *b":::";
    if !date || !clock || text[20] != b' ' {
        return None;
    }
    let month = match &text[3..6] {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    let days = days(whole(&text[7..11])?, month, whole(&text[..2])?)?;
    let seconds = clock_seconds(&text[12..20])?;
    at_zone(days * DAY_MS + seconds * 1000, &text[21..])
}

/// `2016-02-20T05:00:45.123+01:00`, also with a space, a comma, no zone (UTC) or `Z`.
fn iso8601(text: &[u8]) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, rest) = rest.strip_prefix(b"T").or(rest.strip_prefix(b" "))?.split_at_checked(8)?;
    if date[7] != b'-' || clock[2] != b':' || clock[5] != b':' {
        return None;
    }
    let days = days(whole(&date[..4])?, whole(&date[5..7])?, whole(&date[8..])?)?;
    let mut milliseconds = days * DAY_MS + clock_seconds(clock)? * 1000;
    let mut zone = rest;
    if let Some(fraction) = rest.strip_prefix(b".").or(rest.strip_prefix(b",")) {
        let len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut text = *b"0.000";
        let kept = len.min(3);
        text[2..2 + kept].copy_from_slice(&fraction[..kept]);
        milliseconds += thousandths(&text)?;
        zone = &fraction[len..];
    }
    match zone {
        b"" | b"Z" | b"z" => Some(milliseconds),
        [sign, h1, h2, b':', m1, m2] => at_zone(milliseconds, &[*sign, *h1, *h2, *m1, *m2]),
        zone => at_zone(milliseconds, zone),
    }
}

/// A bare number; its size says its unit.
fn number(text: &[u8]) -> Option<u64> {
    match whole(text) {
        Some(ms @ 100_000_000_000..100_000_000_000_000) => Some(ms),
        Some(us @ 100_000_000_000_000..100_000_000_000_000_000) => Some(us / 1000),
        Some(ns @ 100_000_000_000_000_000..) => Some(ns / 1_000_000),
        _ => thousandths(text).filter(|ms| *ms < 100_000_000_000_000),
    }
}

/// Seconds of `05:00:45`; a leap second counts as the one before.
fn clock_seconds(text: &[u8]) -> Option<u64> {
    let (hour, minute) = (whole(&text[..2])?, whole(&text[3..5])?);
    let second = whole(&text[6..8])?;
    (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// Local milliseconds, and `+0100`, to UTC.
fn at_zone(milliseconds: u64, zone: &[u8]) -> Option<u64> {
    let [sign, digits @ ..] = zone else { return None };
    if digits.len() != 4 {
        return None;
    }
    let offset = (whole(&digits[..2])? * 60 + whole(&digits[2..])?) * 60_000;
    match sign {
        b'+' => milliseconds.checked_sub(offset),
        b'-' => milliseconds.checked_add(offset),
        _ => None,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`).
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// A time as RFC 3339 in UTC, with milliseconds (`civil_from_days` of the same source).
pub(crate) fn rfc3339(ms: u64) -> String {
    let days = ms / DAY_MS + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (second, milli) = (ms % DAY_MS / 1000, ms % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}
