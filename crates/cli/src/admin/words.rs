//! Values of the API in words that people read.

use serde_json::Value;

use crate::access_log::text::printable;

/// Text of the API, which may be hostile, fit for a terminal.
pub(super) fn text(value: &Value, width: usize) -> String {
    value.as_str().map_or_else(|| "-".to_owned(), |text| printable(text.as_bytes(), width))
}

/// A number as the API writes it.
pub(super) fn number(value: &Value) -> String {
    if value.is_number() { value.to_string() } else { "-".to_owned() }
}

/// `2026-11-22 20:14:45`, UTC.
pub(super) fn time(value: &Value) -> String {
    let text = text(value, 40);
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(clock)) => format!("{day} {clock}"),
        _ => text,
    }
}

/// Seconds in the two units that matter.
pub(super) fn duration(value: &Value) -> String {
    let Some(seconds) = value.as_f64() else { return "-".to_owned() };
    let whole = seconds as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if whole < 10 => format!("{seconds:.1} s"),
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Who: the address, or the hash of a session.
pub(super) fn source(key: &Value) -> String {
    if key["type"] == "session" { text(&key["session"], 40) } else { text(&key["address"], 50) }
}

/// An operator's own entries have no threat.
pub(super) fn threat(entry: &Value) -> String {
    if entry["threat"].is_null() { "operator".to_owned() } else { text(&entry["threat"], 30) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_people_read() {
        let cases = [
            (json!(0), "0.0 s"),
            (json!(3.68), "3.7 s"),
            (json!(59), "59 s"),
            (json!(3599), "59 min"),
            (json!(3600), "1 h"),
            (json!(5400), "1 h 30 min"),
            (json!(90_000), "1 d 1 h"),
            (json!(86_400), "1 d"),
            (Value::Null, "-"),
        ];
        for (seconds, words) in cases {
            assert_eq!(duration(&seconds), words);
        }
        assert_eq!(time(&json!("2026-11-22T20:14:45.123Z")), "2026-11-22 20:14:45");
        assert_eq!(time(&Value::Null), "-");
        assert_eq!(text(&json!("a\u{1b}[2Jb"), 99), "a\\u{1b}[2Jb", "no escapes reach a terminal");
        assert_eq!(source(&json!({ "type": "session", "session": "00c2" })), "00c2");
        assert_eq!(threat(&json!({ "threat": null })), "operator");
    }
}
