//! Access logs: from a line to the values it holds.
//!
//! A [`Format`] is `combined`, `common`, `json`, or an NGINX `log_format` string. It is compiled
//! once; a line is then a walk over it that copies nothing: a [`Line`] holds slices. What the values
//! mean (numbers, times, addresses) is for the modules below.

pub(crate) mod address;
mod field;
mod json;
pub(crate) mod number;
mod template;
#[cfg(test)]
mod tests;
pub(crate) mod text;
pub(crate) mod time;

pub(crate) use field::Field;
use template::Template;

/// NGINX's predefined format.
const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status \
                        $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";
/// The Common Log Format.
const COMMON: &str =
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent";

/// How the lines of a log are written.
#[derive(Debug)]
pub(crate) struct Format(Kind);

#[derive(Debug)]
enum Kind {
    Template(Template),
    Json,
}

/// Why a line is none of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected<'f> {
    /// What should have stood there.
    pub(crate) what: &'f str,
    /// From which byte of the line on.
    pub(crate) at: usize,
}

/// The values of one line, as they stand in it (escapes included).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    values: [&'a [u8]; Field::COUNT],
}

impl Format {
    /// Compiles a format: one of the known names, or an NGINX `log_format` string.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let template = match text {
            "json" => return Ok(Self(Kind::Json)),
            "combined" => COMBINED,
            "common" => COMMON,
            text if text.contains('$') => text,
            _ => {
                return Err(format!(
                    "unknown log format \"{text}\": expected combined, common, json, or an NGINX \
                     log_format string with $variables"
                ));
            }
        };
        Ok(Self(Kind::Template(Template::compile(template)?)))
    }

    /// The predefined format that a line is in, if it is in any.
    pub(crate) fn name_of(line: &[u8]) -> Option<&'static str> {
        let reads =
            |name: &&str| Self::compile(name).is_ok_and(|format| format.parse(line).is_ok());
        ["combined", "common", "json"].into_iter().find(reads)
    }

    /// Whether lines may have this field.
    pub(crate) fn has(&self, field: Field) -> bool {
        match &self.0 {
            Kind::Template(template) => template.has(field),
            Kind::Json => true,
        }
    }

    /// Finds the values of a line (without its line end).
    pub(crate) fn parse<'a>(&self, line: &'a [u8]) -> Result<Line<'a>, Expected<'_>> {
        match &self.0 {
            Kind::Template(template) => template.parse(line),
            Kind::Json => json::parse(line),
        }
    }
}

/// When the request was over, epoch milliseconds.
pub(crate) fn time_of(line: &Line<'_>) -> Option<u64> {
    line.get(Field::Msec).or(line.get(Field::Time)).and_then(time::parse)
}

impl<'a> Line<'a> {
    fn empty() -> Self {
        Self { values: [b""; Field::COUNT] }
    }

    fn set(&mut self, field: Field, value: &'a [u8]) {
        self.values[field as usize] = value;
    }

    /// The value of a field; `None` when the line has none (absent, empty or `-`).
    pub(crate) fn get(&self, field: Field) -> Option<&'a [u8]> {
        Some(self.values[field as usize]).filter(|value| !matches!(*value, b"" | b"-"))
    }
}
