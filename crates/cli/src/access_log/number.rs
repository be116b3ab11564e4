//! Numbers of a log line.

use api_abuse_engine::record::NO_UPSTREAM;

/// A whole number, nothing around it.
pub(crate) fn whole(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0'))
    })
}

/// Seconds with a fraction (`0.123`) as thousandths; digits behind the third are cut.
pub(crate) fn thousandths(text: &[u8]) -> Option<u64> {
    let (seconds, fraction) = match memchr::memchr(b'.', text) {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &b"0"[..]),
    };
    let scale = [100, 10, 1];
    let mut fraction = fraction.iter().enumerate();
    let milliseconds = fraction.try_fold(0, |sum, (place, byte)| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(sum + digit * scale.get(place).copied().unwrap_or(0))
    })?;
    whole(seconds)?.checked_mul(1000)?.checked_add(milliseconds)
}

/// `$request_time` in milliseconds, 0 when unknown.
pub(crate) fn duration_ms(text: Option<&[u8]>) -> u32 {
    text.and_then(thousandths).map_or(0, saturate)
}

/// `$upstream_response_time` in milliseconds: the sum over all upstreams that were asked
/// (`0.1, 0.2 : 0.3`), [`NO_UPSTREAM`] when none was.
pub(crate) fn upstream_ms(text: Option<&[u8]>) -> u32 {
    let Some(text) = text else { return NO_UPSTREAM };
    let times = text.split(|byte| b",:".contains(byte));
    let sum = times.filter_map(|time| thousandths(time.trim_ascii())).reduce(u64::saturating_add);
    sum.map_or(NO_UPSTREAM, |sum| saturate(sum).min(NO_UPSTREAM - 1))
}

/// A count in 32 bits.
pub(crate) fn saturate(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
