//! JSON: the strings and numbers at the top-level keys of an object.

use super::form::nibble;
use super::{Fields, Sink};

/// Where in an object the next byte is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Json {
    place: Place,
    /// Objects and arrays that are open inside a value.
    depth: usize,
    text: Text,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the object.
    #[default]
    Before,
    /// Before a key, or the end.
    Key,
    InKey,
    /// After a key.
    Colon,
    Value,
    InString,
    /// In a number, or a word like `null`.
    InToken,
    /// In an object or an array.
    Nested,
    /// In a string there.
    NestedString,
    /// After a value.
    After,
}

impl Json {
    /// Takes a byte; whether more can be found.
    pub(super) fn byte(&mut self, byte: u8, fields: &Fields, sink: &mut Sink) -> bool {
        let next = match (self.place, byte) {
            (Place::InKey, byte) => {
                if self.text.byte(byte, &mut |byte| sink.name(byte)) {
                    return true;
                }
                sink.end_name(fields);
                Some(Place::Colon)
            }
            (Place::InString, byte) => {
                if self.text.byte(byte, &mut |byte| sink.value(byte)) {
                    return true;
                }
                sink.end_value();
                Some(Place::After)
            }
            (Place::NestedString, byte) => {
                let goes_on = self.text.byte(byte, &mut |_| {});
                Some(if goes_on { Place::NestedString } else { Place::Nested })
            }
            (Place::Nested, byte) => Some(self.nested(byte)),
            (Place::InToken, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n') => {
                sink.end_value();
                after(byte)
            }
            (Place::InToken, byte) => {
                sink.value(byte);
                Some(Place::InToken)
            }
            (place, b' ' | b'\t' | b'\r' | b'\n') => Some(place),
            // A mark of the byte order, as some send it in front.
            (Place::Before, 0xef | 0xbb | 0xbf) => Some(Place::Before),
            (Place::Before, b'{') => Some(Place::Key),
            (Place::Key, b'"') => Some(Place::InKey),
            (Place::Colon, b':') => Some(Place::Value),
            (Place::Value, byte) => Some(self.value(byte, sink)),
            (Place::After, byte) => after(byte),
            _ => None,
        };
        match next {
            Some(next) => self.place = next,
            None => sink.forget(),
        }
        next.is_some()
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8, sink: &mut Sink) -> Place {
        match byte {
            b'"' => Place::InString,
            b'{' | b'[' => {
                sink.forget();
                self.depth = 1;
                Place::Nested
            }
            b'-' | b'0'..=b'9' => {
                sink.value(byte);
                Place::InToken
            }
            _ => {
                // `null`, `true` and `false` name nobody.
                sink.forget();
                Place::InToken
            }
        }
    }

    /// Which brackets match does not matter to where the value ends.
    fn nested(&mut self, byte: u8) -> Place {
        match byte {
            b'"' => return Place::NestedString,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        if self.depth == 0 { Place::After } else { Place::Nested }
    }
}

/// What follows a value: another key, white space, or the end of the object.
fn after(byte: u8) -> Option<Place> {
    match byte {
        b',' => Some(Place::Key),
        b'}' => None,
        _ if byte.is_ascii_whitespace() => Some(Place::After),
        _ => None,
    }
}

/// Where in a string the next byte is.
#[derive(Clone, Copy, Debug, Default)]
struct Text {
    escape: Escape,
    /// The first half of a pair of surrogates, until its second half comes.
    high: u16,
}

#[derive(Clone, Copy, Debug, Default)]
enum Escape {
    #[default]
    None,
    Backslash,
    /// So many digits of `\u0061`, and their value.
    Unicode(u8, u16),
}

impl Text {
    /// Takes a byte and hands on what it stands for; false for the quote that ends the string.
    fn byte(&mut self, byte: u8, put: &mut dyn FnMut(u8)) -> bool {
        match (core::mem::take(&mut self.escape), byte) {
            (Escape::None, b'"') => {
                self.end_pair(put);
                return false;
            }
            (Escape::None, b'\\') => self.escape = Escape::Backslash,
            (Escape::None, byte) => self.plain(byte, put),
            (Escape::Backslash, b'u') => self.escape = Escape::Unicode(0, 0),
            (Escape::Backslash, byte) => {
                let meant = match byte {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    byte => byte,
                };
                self.plain(meant, put);
            }
            (Escape::Unicode(digits, value), byte) if byte.is_ascii_hexdigit() => {
                let value = value << 4 | u16::from(nibble(byte));
                match digits {
                    3 => self.unit(value, put),
                    _ => self.escape = Escape::Unicode(digits + 1, value),
                }
            }
            // No escape after all: what follows is taken as it is.
            (Escape::Unicode(..), byte) => {
                self.unit(REPLACEMENT, put);
                return self.byte(byte, put);
            }
        }
        true
    }

    fn plain(&mut self, byte: u8, put: &mut dyn FnMut(u8)) {
        self.end_pair(put);
        put(byte);
    }

    /// A unit of UTF-16.
    fn unit(&mut self, unit: u16, put: &mut dyn FnMut(u8)) {
        if let (0xdc00..=0xdfff, high @ 0xd800..=0xdbff) = (unit, self.high) {
            self.high = 0;
            let point = 0x1_0000 + (u32::from(high - 0xd800) << 10) + u32::from(unit - 0xdc00);
            write(point, put);
            return;
        }
        self.end_pair(put);
        match unit {
            0xd800..=0xdbff => self.high = unit,
            unit => write(unit.into(), put),
        }
    }

    /// A first half that its second half does not follow stands for nothing.
    fn end_pair(&mut self, put: &mut dyn FnMut(u8)) {
        if core::mem::take(&mut self.high) != 0 {
            write(REPLACEMENT.into(), put);
        }
    }
}

/// What stands for what is no character.
const REPLACEMENT: u16 = 0xfffd;

/// Writes a code point as UTF-8.
fn write(point: u32, put: &mut dyn FnMut(u8)) {
    let character = char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
    character.encode_utf8(&mut [0; 4]).bytes().for_each(put);
}
