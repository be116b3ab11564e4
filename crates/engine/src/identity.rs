//! The account that a login or a registration names: a field of the request body, found while the body
//! streams by.
//!
//! Nothing of the body is kept but the state of the parser and of the hash: a [`Reader`] is fed the body
//! in whatever pieces it comes, and the result does not depend on the pieces. Forms (urlencoded and
//! multipart) and the top-level keys of JSON objects are understood; the first [`BODY_MAX`] bytes are
//! looked at. Accounts are compared as people write them: without regard to ASCII case, and to white
//! space around them.
//!
//! A field that occurs twice counts with all its values, because applications differ in which of them
//! they take: whoever hides the account that is tried behind a constant one gains nothing.

use siphasher::sip::SipHasher13;

use core::hash::Hasher;

use crate::hash::{Seed, combine};

mod form;
mod json;
mod multipart;

use form::Form;
use json::Json;
use multipart::Multipart;

/// Bytes of a body that are looked at.
pub const BODY_MAX: usize = 64 << 10;
/// Fields that a [`Reader`] looks for at most.
pub const FIELDS_MAX: usize = 8;
/// Bytes of a field's name at most.
pub const NAME_MAX: usize = 64;

/// The names of the fields to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<Box<[u8]>>);

impl Fields {
    /// Adds a field and returns its place; `None` when there are [`FIELDS_MAX`] already, or the name is
    /// empty or longer than [`NAME_MAX`].
    pub fn add(&mut self, name: &[u8]) -> Option<usize> {
        let fits = self.0.len() < FIELDS_MAX && (1..=NAME_MAX).contains(&name.len());
        fits.then(|| {
            self.0.push(name.into());
            self.0.len() - 1
        })
    }

    /// Whether no field is looked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this field is looked for.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.position(name).is_some()
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.0.iter().position(|known| **known == *name)
    }
}

/// The hash of an account; 0 for one that is empty.
pub fn account(seed: Seed, name: &[u8]) -> u64 {
    let mut digest = Digest::new(seed);
    for byte in name {
        digest.push(*byte);
    }
    digest.finish()
}

/// One identity of the hashes of all that was found; 0 for none.
pub fn identity(found: impl IntoIterator<Item = u64>) -> u64 {
    found.into_iter().fold(0, together)
}

fn together(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, hash) | (hash, 0) => hash,
        (one, other) => combine(one, other).max(1),
    }
}

/// Looks for fields in one body. Plain data, about 600 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    format: Format,
    /// Bytes that are still looked at.
    left: usize,
    sink: Sink,
}

/// What the body is.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "it lies where no heap is")]
enum Format {
    /// Not said: the first byte tells.
    Unknown,
    Form(Form),
    Json(Json),
    Multipart(Multipart),
    /// Nothing more can be found.
    Done,
}

impl Reader {
    /// A reader for a body with this `Content-Type`.
    pub fn new(content_type: &[u8], seed: Seed) -> Self {
        let end = content_type.iter().position(|byte| *byte == b';');
        let (media, parameters) = content_type.split_at(end.unwrap_or(content_type.len()));
        let media = media.trim_ascii().to_ascii_lowercase();
        let format = match &*media {
            b"application/x-www-form-urlencoded" => Format::Form(Form::default()),
            b"multipart/form-data" => {
                Multipart::new(parameters).map_or(Format::Done, Format::Multipart)
            }
            media if media.ends_with(b"/json") || media.ends_with(b"+json") => {
                Format::Json(Json::default())
            }
            _ => Format::Unknown,
        };
        Self { format, left: BODY_MAX, sink: Sink::new(seed) }
    }

    /// Takes the next bytes of the body. `fields` are the same for the whole body.
    pub fn feed(&mut self, fields: &Fields, bytes: &[u8]) {
        for byte in &bytes[..bytes.len().min(self.left)] {
            self.byte(fields, *byte);
        }
        if bytes.len() > self.left {
            // A value that is cut off is not what was sent.
            self.format = Format::Done;
        }
        self.left -= bytes.len().min(self.left);
    }

    fn byte(&mut self, fields: &Fields, byte: u8) {
        match &mut self.format {
            Format::Unknown if byte.is_ascii_whitespace() => return,
            Format::Unknown if byte == b'{' => self.format = Format::Json(Json::default()),
            Format::Unknown => self.format = Format::Form(Form::default()),
            _ => {}
        }
        let goes_on = match &mut self.format {
            Format::Form(form) => form.byte(byte, fields, &mut self.sink),
            Format::Json(json) => json.byte(byte, fields, &mut self.sink),
            Format::Multipart(multipart) => multipart.byte(byte, fields, &mut self.sink),
            Format::Unknown | Format::Done => return,
        };
        if !goes_on {
            self.format = Format::Done;
        }
    }

    /// What was found, by the places of the fields; 0: nothing. The body is over.
    pub fn finish(mut self) -> [u64; FIELDS_MAX] {
        if let Format::Form(mut form) = self.format {
            form.end(&mut self.sink);
        }
        self.sink.found
    }
}

/// What the parsers of all formats write to: names and values, byte by byte.
#[derive(Clone, Copy, Debug)]
struct Sink {
    name: [u8; NAME_MAX],
    /// Bytes of the name; more than [`NAME_MAX`]: too long for any field.
    name_len: usize,
    /// The field whose value comes.
    field: Option<u8>,
    seed: Seed,
    value: Digest,
    found: [u64; FIELDS_MAX],
}

impl Sink {
    fn new(seed: Seed) -> Self {
        let value = Digest::new(seed);
        Self { name: [0; NAME_MAX], name_len: 0, field: None, seed, value, found: [0; FIELDS_MAX] }
    }

    /// A byte of a name.
    fn name(&mut self, byte: u8) {
        if let Some(to) = self.name.get_mut(self.name_len) {
            *to = byte;
        }
        self.name_len = (self.name_len + 1).min(NAME_MAX + 1);
    }

    /// The name is complete, its value begins.
    fn end_name(&mut self, fields: &Fields) {
        let name = self.name.get(..self.name_len);
        self.field = name.and_then(|name| fields.position(name)).map(|field| field as u8);
        self.name_len = 0;
        self.value = Digest::new(self.seed);
    }

    /// A byte of a value.
    fn value(&mut self, byte: u8) {
        if self.field.is_some() {
            self.value.push(byte);
        }
    }

    /// The value is complete.
    fn end_value(&mut self) {
        if let Some(field) = self.field.take() {
            let found = &mut self.found[usize::from(field)];
            *found = together(*found, self.value.finish());
        }
    }

    /// What was begun is no value.
    fn forget(&mut self) {
        (self.field, self.name_len) = (None, 0);
    }
}

/// The hash of one value, as [`Seed::secret`] makes it of the account.
#[derive(Clone, Copy, Debug)]
struct Digest {
    hasher: SipHasher13,
    /// Something came.
    any: bool,
    /// White space came after it, and counts if more comes.
    gap: bool,
}

impl Digest {
    fn new(seed: Seed) -> Self {
        Self { hasher: seed.hasher(), any: false, gap: false }
    }

    fn push(&mut self, byte: u8) {
        if byte.is_ascii_whitespace() {
            self.gap = self.any;
            return;
        }
        if core::mem::take(&mut self.gap) {
            self.hasher.write(b" ");
        }
        self.any = true;
        self.hasher.write(&[byte.to_ascii_lowercase()]);
    }

    fn finish(self) -> u64 {
        if self.any { self.hasher.finish().max(1) } else { 0 }
    }
}

#[cfg(test)]
mod tests;
