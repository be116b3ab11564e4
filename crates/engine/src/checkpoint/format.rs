//! The bytes of a checkpoint: a head, sections, a trailer. Numbers are those of the machine; another
//! byte order does not find its magic.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::CheckpointError;
use super::read::READERS;

const MAGIC: u64 = 0x6b63_6863_6573_7562;
/// Key of the checksum: it finds damage, not forgery.
const CHECKSUM_KEY: (u64, u64) = (0x6170_695f_6162_7573, 0x6365_6b70_6f69_6e74);
/// Bytes of a batch of records.
const BATCH: usize = 1 << 18;

/// How a checkpoint begins.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Head {
    magic: u64,
    pub(super) version: u32,
    reserved: u32,
    pub(super) seed: [u64; 2],
    pub(super) wall_ms: u64,
    pub(super) now_ms: u64,
}

/// How a section begins.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct SectionHead {
    tag: u32,
    /// Bytes of one record, or of the whole when it is a table.
    element: u32,
    layout: u64,
    bytes: u64,
}

/// What is in a section. The discriminants are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Tag {
    End = 0,
    Numbers = 1,
    Applications = 2,
    Sources = 3,
    Nodes = 4,
    Groups = 5,
    Logins = 6,
    Campaigns = 7,
    Incidents = 8,
    Suspects = 9,
    Counts = 10,
    Owners = 11,
    Served = 12,
    Missed = 13,
    Generations = 14,
    Profiles = 15,
    Habits = 16,
    Budgets = 17,
}

/// Writes a checkpoint.
pub(super) struct Writer<'o> {
    out: &'o mut dyn FnMut(&[u8]),
    checksum: SipHasher13,
    bytes: u64,
}

impl<'o> Writer<'o> {
    pub(super) fn new(
        out: &'o mut dyn FnMut(&[u8]),
        seed: [u64; 2],
        wall_ms: u64,
        now_ms: u64,
    ) -> Self {
        let checksum = SipHasher13::new_with_keys(CHECKSUM_KEY.0, CHECKSUM_KEY.1);
        let mut writer = Self { out, checksum, bytes: 0 };
        let version = super::VERSION;
        let head = Head { magic: MAGIC, version, reserved: 0, seed, wall_ms, now_ms };
        writer.put(head.as_bytes());
        writer
    }

    fn put(&mut self, bytes: &[u8]) {
        self.checksum.write(bytes);
        self.bytes += bytes.len() as u64;
        (self.out)(bytes);
    }

    /// A table as it lies in memory. `layout` must change with what its bytes mean.
    pub(super) fn table(&mut self, tag: Tag, layout: u64, element: usize, bytes: &[u8]) {
        let (element, length) = (element as u32, bytes.len() as u64);
        self.put(SectionHead { tag: tag as u32, element, layout, bytes: length }.as_bytes());
        self.put(bytes);
        self.put(&[0; 8][..bytes.len().next_multiple_of(8) - bytes.len()]);
    }

    /// Records, in as many sections as it takes.
    pub(super) fn records<T: IntoBytes + Immutable>(
        &mut self,
        tag: Tag,
        layout: u64,
        records: impl Iterator<Item = T>,
    ) {
        let mut batch = Vec::new();
        for record in records {
            batch.extend_from_slice(record.as_bytes());
            if batch.len() >= BATCH {
                self.table(tag, layout, size_of::<T>(), &batch);
                batch.clear();
            }
        }
        if !batch.is_empty() {
            self.table(tag, layout, size_of::<T>(), &batch);
        }
    }

    /// The trailer.
    pub(super) fn end(mut self) {
        let total = self.bytes + (size_of::<SectionHead>() + 16) as u64;
        let head = SectionHead { tag: Tag::End as u32, element: 16, layout: 0, bytes: 16 };
        self.put(head.as_bytes());
        self.put(total.as_bytes());
        let checksum = self.checksum.finish();
        (self.out)(checksum.as_bytes());
    }
}

/// A section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    tag: u32,
    pub(super) layout: u64,
    pub(super) element: usize,
    pub(super) data: &'a [u8],
}

impl<'a> Section<'a> {
    /// Its records. Longer ones than expected are cut, shorter ones are none.
    pub(super) fn records<T: FromBytes>(self) -> impl Iterator<Item = T> + use<'a, T> {
        let element = self.element.max(1);
        let records = self.data.chunks_exact(element);
        records.filter_map(|record| T::read_from_prefix(record).ok().map(|(record, _)| record))
    }

    /// How many records it has.
    pub(super) fn count(self) -> u64 {
        (self.data.len() / self.element.max(1)) as u64
    }
}

/// An intact checkpoint.
pub(super) struct Checkpoint<'a> {
    pub(super) head: Head,
    sections: Vec<Section<'a>>,
}

impl<'a> Checkpoint<'a> {
    /// The sections with this tag.
    pub(super) fn sections(&self, tag: Tag) -> impl Iterator<Item = Section<'a>> + use<'_, 'a> {
        self.sections.iter().copied().filter(move |section| section.tag == tag as u32)
    }
}

/// Checks the whole and finds its sections.
pub(super) fn parse(bytes: &[u8]) -> Result<Checkpoint<'_>, CheckpointError> {
    let (head, mut rest) = Head::read_from_prefix(bytes).map_err(|_| CheckpointError::Foreign)?;
    if head.magic != MAGIC {
        return Err(CheckpointError::Foreign);
    }
    if !READERS.iter().any(|(version, _)| *version == head.version) {
        return Err(CheckpointError::Version(head.version));
    }
    let torn = CheckpointError::Torn(bytes.len() as u64);
    let trailer = bytes.len().checked_sub(16).map(|at| &bytes[at..]).ok_or(torn)?;
    let [total, checksum] = <[u64; 2]>::read_from_bytes(trailer).map_err(|_| torn)?;
    if total != bytes.len() as u64 {
        return Err(torn);
    }
    if checksum_of(bytes) != checksum {
        return Err(CheckpointError::Checksum);
    }
    let mut sections = Vec::new();
    loop {
        let at = (bytes.len() - rest.len()) as u64;
        let malformed = CheckpointError::Malformed(at);
        let (section, data) = SectionHead::read_from_prefix(rest).map_err(|_| malformed)?;
        if section.tag == Tag::End as u32 {
            let ends = data.len() == 16;
            return if ends { Ok(Checkpoint { head, sections }) } else { Err(malformed) };
        }
        let length = usize::try_from(section.bytes).map_err(|_| malformed)?;
        let padded = length.checked_next_multiple_of(8).ok_or(malformed)?;
        let (data, left) = data.split_at_checked(padded).ok_or(malformed)?;
        let (element, layout) = (section.element as usize, section.layout);
        sections.push(Section { tag: section.tag, layout, element, data: &data[..length] });
        rest = left;
    }
}

/// The checksum of everything but itself, the last eight bytes.
fn checksum_of(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(CHECKSUM_KEY.0, CHECKSUM_KEY.1);
    hasher.write(&bytes[..bytes.len().saturating_sub(8)]);
    hasher.finish()
}

/// Gives changed bytes the trailer that they would have been written with.
pub(super) fn seal(bytes: &mut [u8]) {
    let Some(at) = bytes.len().checked_sub(16) else { return };
    let total = bytes.len() as u64;
    bytes[at..at + 8].copy_from_slice(total.as_bytes());
    let checksum = checksum_of(bytes);
    bytes[at + 8..].copy_from_slice(checksum.as_bytes());
}
