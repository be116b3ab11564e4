//! `log_format` strings, compiled to alternating literals and variables.
//!
//! A value ends where the literal that follows it begins. Between double quotes a backslash
//! protects the next byte (Apache writes `\"`, NGINX `\x22`), so a quote inside a User-Agent does
//! not end it. Text behind the last variable's end is not looked at: `combined` reads lines that go
//! on with fields of their own.

use memchr::{memchr, memchr_iter, memchr2};

use super::{Expected, Field, Line};

/// A compiled `log_format` string.
#[derive(Debug)]
pub(super) struct Template {
    /// What a line begins with.
    prefix: Box<[u8]>,
    prefix_expected: String,
    steps: Vec<Step>,
}

/// A variable and the literal that ends it.
#[derive(Debug)]
struct Step {
    /// `None`: a variable of no interest.
    field: Option<Field>,
    end: End,
    /// What to say when the end is not found.
    expected: String,
}

/// Where a value ends.
#[derive(Debug)]
enum End {
    /// At this literal.
    Literal(Box<[u8]>),
    /// At this literal, which begins with a quote that no backslash protects.
    Quote(Box<[u8]>),
    /// At the end of the line.
    Line,
    /// At the next space, or the end of the line.
    Word,
}

/// A piece of a format string.
enum Piece<'t> {
    Literal(&'t str),
    Variable(&'t str),
}

impl Template {
    /// Compiles a format; the message says what is wrong with it.
    pub(super) fn compile(format: &str) -> Result<Self, String> {
        let mut pieces = pieces(format)?.into_iter().peekable();
        let prefix = match pieces.next_if(|piece| matches!(piece, Piece::Literal(_))) {
            Some(Piece::Literal(text)) => text,
            _ => "",
        };
        let mut steps = Vec::new();
        let mut before = prefix;
        while let Some(piece) = pieces.next() {
            let Piece::Variable(name) = piece else { continue };
            let field = Field::of_variable(name);
            let after = match pieces.peek() {
                Some(Piece::Variable(next)) => {
                    return Err(format!(
                        "log format: nothing between ${name} and ${next} says where one ends"
                    ));
                }
                Some(Piece::Literal(text)) => *text,
                None => "",
            };
            let quoted = before.ends_with('"') && after.starts_with('"');
            steps.push(Step::new(name, field, after, quoted));
            before = after;
        }
        let has = |wanted: &[Field]| {
            steps.iter().any(|step| step.field.is_some_and(|field| wanted.contains(&field)))
        };
        for (wanted, names) in REQUIRED {
            if !has(wanted) {
                return Err(format!("log format: it has no {names}"));
            }
        }
        let prefix_expected = format!("{prefix:?} at the start");
        Ok(Self { prefix: prefix.as_bytes().into(), prefix_expected, steps })
    }

    /// Whether it has this field.
    pub(super) fn has(&self, field: Field) -> bool {
        self.steps.iter().any(|step| step.field == Some(field))
    }

    /// Finds the values of a line.
    pub(super) fn parse<'a>(&self, line: &'a [u8]) -> Result<Line<'a>, Expected<'_>> {
        let mut found = Line::empty();
        let Some(mut rest) = line.strip_prefix(&*self.prefix) else {
            return Err(Expected { what: &self.prefix_expected, at: 0 });
        };
        for step in &self.steps {
            let Some((value, after)) = step.end.split(rest) else {
                return Err(Expected { what: &step.expected, at: line.len() - rest.len() });
            };
            if let Some(field) = step.field {
                found.set(field, value);
            }
            rest = after;
        }
        Ok(found)
    }
}

/// What a format must have to be of any use.
const REQUIRED: [(&[Field], &str); 4] = [
    (&[Field::Address], "$remote_addr"),
    (&[Field::Time, Field::Msec], "$time_local, $time_iso8601 or $msec"),
    (&[Field::Request, Field::RequestUri, Field::Uri], "$request, $request_uri or $uri"),
    (&[Field::Status], "$status"),
];

impl Step {
    fn new(name: &str, field: Option<Field>, after: &str, quoted: bool) -> Self {
        let literal = after.as_bytes().into();
        let end = match (after.is_empty(), quoted) {
            (false, true) => End::Quote(literal),
            (false, false) => End::Literal(literal),
            (true, _) if field.is_some_and(Field::is_word) => End::Word,
            (true, _) => End::Line,
        };
        Self { field, end, expected: format!("{after:?} after ${name}") }
    }
}

impl End {
    /// The value that `rest` begins with, and what comes after its end.
    fn split<'a>(&self, rest: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        match self {
            Self::Literal(literal) => {
                let first = *literal.first()?;
                let at = memchr_iter(first, rest).find(|&at| rest[at..].starts_with(literal))?;
                Some((&rest[..at], &rest[at + literal.len()..]))
            }
            Self::Quote(literal) => {
                let mut from = 0;
                loop {
                    let at = from + memchr2(b'"', b'\\', rest.get(from..)?)?;
                    if rest[at] == b'\\' {
                        from = at + 2;
                    } else if rest[at..].starts_with(literal) {
                        return Some((&rest[..at], &rest[at + literal.len()..]));
                    } else {
                        from = at + 1;
                    }
                }
            }
            Self::Line => Some((rest, b"")),
            Self::Word => Some(rest.split_at(memchr(b' ', rest).unwrap_or(rest.len()))),
        }
    }
}

/// Cuts a format string into literals and variables (`$name` or `${name}`), as NGINX does.
fn pieces(format: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while !rest.is_empty() {
        let Some(after) = rest.strip_prefix('$') else {
            let (literal, after) = rest.split_at(rest.find('$').unwrap_or(rest.len()));
            pieces.push(Piece::Literal(literal));
            rest = after;
            continue;
        };
        let (name, after) = if let Some(braced) = after.strip_prefix('{') {
            braced.split_once('}').ok_or("log format: the closing bracket of ${ is missing")?
        } else {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()))
        };
        if name.is_empty() {
            return Err("log format: invalid variable name after $".to_owned());
        }
        pieces.push(Piece::Variable(name));
        rest = after;
    }
    Ok(pieces)
}
