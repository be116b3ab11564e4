//! Classes of path segments: what `/users/42` and `/users/43` have in common.

use crate::path::extension;

/// What a path segment looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Token {
    /// A name, taken literally.
    Literal = 0,
    /// Decimal digits.
    Int = 1,
    /// 8-4-4-4-12 hexadecimal digits.
    Uuid = 2,
    /// Eight or more hexadecimal digits with at least one decimal one.
    Hex = 3,
    /// `2026-11-22`.
    Date = 4,
    /// Long and mixed: a random identifier.
    Opaque = 5,
    /// Any name: where a node has too many children to tell them apart.
    Variable = 6,
}

impl Token {
    /// Classifies one segment, its extension aside. Returns the class and the extension, which
    /// stays part of the template: `/img/12.png` is `/img/{int}.png`.
    pub fn of(segment: &[u8]) -> (Self, &[u8]) {
        let (stem, ext) = extension(segment);
        let class = Self::of_stem(stem);
        if class == Self::Literal { (class, &[]) } else { (class, ext) }
    }

    fn of_stem(stem: &[u8]) -> Self {
        let digits = stem.iter().filter(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return if stem.len() >= 24 && looks_random(stem) {
                Self::Opaque
            } else {
                Self::Literal
            };
        }
        if digits == stem.len() {
            return Self::Int;
        }
        let dashes = stem.iter().filter(|&&b| b == b'-').count();
        let hex = stem.iter().filter(|b| b.is_ascii_hexdigit()).count();
        if stem.len() == 36 && dashes == 4 && hex == 32 {
            return Self::Uuid;
        }
        if stem.len() == 10 && dashes == 2 && digits == 8 {
            return Self::Date;
        }
        if hex == stem.len() && stem.len() >= 8 {
            return Self::Hex;
        }
        if stem.len() >= 16 && looks_random(stem) { Self::Opaque } else { Self::Literal }
    }

    /// How a template writes the class.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Literal => "",
            Self::Int => "{int}",
            Self::Uuid => "{uuid}",
            Self::Hex => "{hex}",
            Self::Date => "{date}",
            Self::Opaque => "{token}",
            Self::Variable => "{var}",
        }
    }
}

/// Whether a text without separators switches between letters, cases and digits more often than
/// words do: base64, nano ids, signatures.
fn looks_random(text: &[u8]) -> bool {
    let kind = |b: u8| match b {
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        b'0'..=b'9' => 3,
        _ => 0,
    };
    let separators = text.iter().filter(|&&b| kind(b) == 0).count();
    let switches = text.windows(2).filter(|w| kind(w[0]) != kind(w[1])).count();
    separators * 10 <= text.len() && switches * 4 >= text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        for (segment, class, ext) in [
            ("users", Token::Literal, ""),
            ("42", Token::Int, ""),
            ("12.png", Token::Int, "png"),
            ("v1", Token::Literal, ""),
            ("550e8400-e29b-41d4-a716-446655440000", Token::Uuid, ""),
            ("deadbeef01", Token::Hex, ""),
            ("2026-11-22", Token::Date, ""),
            ("aGVsbG8gd29ybGQhIQ9xY2", Token::Opaque, ""),
            ("how-to-write-an-nginx-module-in-rust", Token::Literal, ""),
            ("jquery-3.7.1.min.js", Token::Literal, ""),
        ] {
            assert_eq!(Token::of(segment.as_bytes()), (class, ext.as_bytes()), "{segment}");
        }
    }
}
