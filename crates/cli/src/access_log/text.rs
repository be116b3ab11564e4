//! Texts: escapes undone, and made harmless for a terminal.

use std::fmt::Write as _;

use memchr::memchr;

/// Undoes the escapes of a log (`\x22`, `\"`, `\\`, `\n`, `\u0022`). Text without any comes back as
/// it is; other text is written to `scratch`.
pub(crate) fn unescape<'a>(raw: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(mut next) = memchr(b'\\', raw) else { return raw };
    scratch.clear();
    let mut rest = raw;
    loop {
        scratch.extend_from_slice(&rest[..next]);
        rest = escape(&rest[next + 1..], scratch);
        match memchr(b'\\', rest) {
            Some(found) => next = found,
            None => break,
        }
    }
    scratch.extend_from_slice(rest);
    scratch
}

/// Writes what the escape that `rest` begins with (the backslash is gone) stands for, and returns
/// what follows. An unknown escape stands for itself.
fn escape<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Some((&kind, after)) = rest.split_first() else {
        out.push(b'\\');
        return rest;
    };
    let plain = match kind {
        b'x' => {
            if let Some(byte) = hex(after, 2) {
                out.push(byte as u8);
                return &after[2..];
            }
            None
        }
        b'u' => {
            if let Some(unit) = hex(after, 4) {
                let letter = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                return &after[4..];
            }
            None
        }
        b'"' | b'\\' | b'/' => Some(kind),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'b' => Some(8),
        b'f' => Some(12),
        b'v' => Some(11),
        _ => None,
    };
    match plain {
        Some(byte) => out.push(byte),
        None => out.extend_from_slice(&[b'\\', kind]),
    }
    after
}

/// The number that the first `digits` hexadecimal digits of `text` write.
fn hex(text: &[u8], digits: usize) -> Option<u32> {
    let digits = text.get(..digits)?.iter().map(|&byte| char::from(byte).to_digit(16));
    digits.into_iter().try_fold(0, |value, digit| Some(value << 4 | digit?))
}

/// Text from a log, fit for a terminal: control characters and what is no UTF-8 are escaped, and at
/// most `width` characters are kept.
pub(crate) fn printable(text: &[u8], width: usize) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out = String::with_capacity(text.len().min(width * 2));
    let mut room = width;
    for letter in text.chars() {
        if room == 0 {
            out.pop();
            out.push('…');
            break;
        }
        room -= 1;
        if letter.is_control() {
            let _ = write!(out, "{}", letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}
