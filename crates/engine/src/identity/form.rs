//! `application/x-www-form-urlencoded`.

use super::{Fields, Sink};

/// Where in a form the next byte is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    in_value: bool,
    percent: Percent,
}

/// How much of `%40` came.
#[derive(Clone, Copy, Debug, Default)]
enum Percent {
    #[default]
    Nothing,
    Sign,
    Digit(u8),
}

impl Form {
    /// Takes a byte; whether more can be found.
    pub(super) fn byte(&mut self, byte: u8, fields: &Fields, sink: &mut Sink) -> bool {
        match (core::mem::take(&mut self.percent), byte) {
            (Percent::Sign, byte) if byte.is_ascii_hexdigit() => {
                self.percent = Percent::Digit(byte);
            }
            (Percent::Digit(high), low) if low.is_ascii_hexdigit() => {
                self.put(nibble(high) << 4 | nibble(low), sink);
            }
            (cut_off, byte) => {
                self.put_back(cut_off, sink);
                self.plain(byte, fields, sink);
            }
        }
        true
    }

    fn plain(&mut self, byte: u8, fields: &Fields, sink: &mut Sink) {
        match byte {
            b'&' => self.end_pair(sink),
            b'=' if !self.in_value => {
                sink.end_name(fields);
                self.in_value = true;
            }
            b'+' => self.put(b' ', sink),
            b'%' => self.percent = Percent::Sign,
            byte => self.put(byte, sink),
        }
    }

    /// What began like an escape and is none stands for itself.
    fn put_back(&mut self, cut_off: Percent, sink: &mut Sink) {
        match cut_off {
            Percent::Nothing => {}
            Percent::Sign => self.put(b'%', sink),
            Percent::Digit(digit) => {
                self.put(b'%', sink);
                self.put(digit, sink);
            }
        }
    }

    fn put(&mut self, byte: u8, sink: &mut Sink) {
        if self.in_value { sink.value(byte) } else { sink.name(byte) }
    }

    fn end_pair(&mut self, sink: &mut Sink) {
        if core::mem::take(&mut self.in_value) {
            sink.end_value();
        }
        sink.forget();
    }

    /// The body is over.
    pub(super) fn end(&mut self, sink: &mut Sink) {
        let cut_off = core::mem::take(&mut self.percent);
        self.put_back(cut_off, sink);
        self.end_pair(sink);
    }
}

/// The value of a hexadecimal digit.
pub(super) fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a' - 10) & 15,
    }
}
