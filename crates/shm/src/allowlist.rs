//! The run-time allowlist: networks that an operator let through, with a comment.
//!
//! Entries are slots of [`crate::Slots`], and one word counts the changes. A reader keeps what it made
//! of the list and asks that word alone: one load, until something changes. The lease holder writes
//! an entry first and counts it then, so who sees the count sees the entry.

use crate::slots::{Read, Slots, SlotsWriter};
use crate::sync::{AtomicU64, Ordering};

/// Bytes of a network as text: the longest one has 43.
pub const NETWORK_MAX: usize = 48;
/// Bytes of a comment.
pub const COMMENT_MAX: usize = 128;

const NETWORK_WORDS: usize = NETWORK_MAX / 8;
const COMMENT_WORDS: usize = COMMENT_MAX / 8;
/// Data words of an entry.
pub(crate) const ALLOW_WORDS: usize = 1 + NETWORK_WORDS + COMMENT_WORDS;
/// Words in front of the entries: the count of changes, on a line of its own.
pub(crate) const CONTROL_WORDS: usize = 8;

/// Words of a list of `entries`.
#[cfg(not(loom))]
pub(crate) const fn words(entries: usize) -> usize {
    CONTROL_WORDS + entries * crate::slots::stride(ALLOW_WORDS)
}

/// One network that is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowEntry {
    /// The network or address, as its owner writes it; what entries are told apart by. At most
    /// [`NETWORK_MAX`] bytes, not empty.
    pub network: Vec<u8>,
    /// Why; at most [`COMMENT_MAX`] bytes.
    pub comment: Vec<u8>,
    /// Wall clock milliseconds since 1970 when it was added; 48 bits are kept.
    pub since_ms: u64,
}

impl AllowEntry {
    /// The entry as words; `None` when a text is too long, or the network is empty.
    pub fn to_words(&self) -> Option<[u64; ALLOW_WORDS]> {
        let fits = !self.network.is_empty()
            && self.network.len() <= NETWORK_MAX
            && self.comment.len() <= COMMENT_MAX;
        let mut words = [0; ALLOW_WORDS];
        let lengths = (self.network.len() as u64) | (self.comment.len() as u64) << 8;
        words[0] = lengths & 0xffff | self.since_ms << 16;
        let (network, comment) = words[1..].split_at_mut(NETWORK_WORDS);
        write_text(&self.network, network);
        write_text(&self.comment, comment);
        fits.then_some(words)
    }

    /// `None` for a slot that was emptied, or holds no entry.
    pub fn from_words(words: &[u64; ALLOW_WORDS]) -> Option<Self> {
        let [network_len, comment_len, ..] = words[0].to_le_bytes().map(usize::from);
        let sane = (1..=NETWORK_MAX).contains(&network_len) && comment_len <= COMMENT_MAX;
        let (network, comment) = words[1..].split_at(NETWORK_WORDS);
        sane.then(|| Self {
            network: read_text(network, network_len),
            comment: read_text(comment, comment_len),
            since_ms: words[0] >> 16,
        })
    }
}

fn write_text(text: &[u8], words: &mut [u64]) {
    for (piece, word) in text.chunks(8).zip(words) {
        let mut bytes = [0; 8];
        bytes[..piece.len()].copy_from_slice(piece);
        *word = u64::from_le_bytes(bytes);
    }
}

fn read_text(words: &[u64], len: usize) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).take(len).collect()
}

/// The reading side. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Allowlist<'a> {
    changes: &'a AtomicU64,
    slots: Slots<'a>,
}

/// The writing side; only one may be in use at a time, in any process.
#[derive(Debug)]
pub struct AllowlistWriter<'a> {
    list: Allowlist<'a>,
    slots: SlotsWriter<'a>,
}

/// What became of an entry that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// It is in the list.
    Added,
    /// It was in the list, and has a new comment.
    Updated,
    /// All slots are taken, or it is no entry: nothing was written.
    Refused,
}

impl<'a> Allowlist<'a> {
    /// A list over memory that was zero at first; it has as many entries as fit.
    pub fn over(memory: &'a [AtomicU64]) -> Option<Self> {
        let (control, entries) = memory.split_at_checked(CONTROL_WORDS)?;
        Some(Self { changes: &control[0], slots: Slots::over(entries, ALLOW_WORDS) })
    }

    /// The list of a zone, whose geometry was checked.
    #[cfg(not(loom))]
    pub(crate) fn of(memory: &'a [AtomicU64]) -> Self {
        let (control, entries) = memory.split_at(CONTROL_WORDS);
        Self { changes: &control[0], slots: Slots::over(entries, ALLOW_WORDS) }
    }

    /// Entries that fit.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How often the list was changed. Who has seen the entries at this count need not look again.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// All entries; `None` while one of them is being written.
    pub fn entries(&self) -> Option<Vec<AllowEntry>> {
        let mut entries = Vec::new();
        for slot in 0..self.slots.len() {
            let mut words = [0; ALLOW_WORDS];
            match self.slots.try_read(slot, &mut words) {
                Read::Whole => entries.extend(AllowEntry::from_words(&words)),
                // Slots are taken from the first one on.
                Read::Empty => break,
                Read::Torn => return None,
            }
        }
        Some(entries)
    }
}

impl<'a> AllowlistWriter<'a> {
    /// The caller sees to it that no other writer of this list is at work.
    pub fn new(list: Allowlist<'a>) -> Self {
        Self { list, slots: SlotsWriter::new(list.slots) }
    }

    /// The reading side of the same list.
    pub fn reader(&self) -> Allowlist<'a> {
        self.list
    }

    /// Adds an entry, or gives the one of the same network a new comment.
    pub fn insert(&mut self, entry: &AllowEntry) -> Allowed {
        let Some(words) = entry.to_words() else { return Allowed::Refused };
        let (slot, outcome) = match self.find(&entry.network) {
            (Some(slot), _) => (Some(slot), Allowed::Updated),
            (None, free) => (free, Allowed::Added),
        };
        let Some(slot) = slot else { return Allowed::Refused };
        self.slots.write(slot, &words);
        self.count();
        outcome
    }

    /// Takes the entry of a network away; whether there was one.
    pub fn remove(&mut self, network: &[u8]) -> bool {
        let (Some(slot), _) = self.find(network) else { return false };
        self.slots.write(slot, &[]);
        self.count();
        true
    }

    /// Empties what a dead writer left half-written, and has every reader look again. To be called
    /// first by a holder whose lease was recovered.
    pub fn repair(&mut self) {
        for slot in 0..self.slots.reader().len() {
            if self.slots.reader().try_read(slot, &mut [0; ALLOW_WORDS]) == Read::Torn {
                self.slots.write(slot, &[]);
            }
        }
        self.count();
    }

    /// The slot of a network, and the first one that is free.
    fn find(&self, network: &[u8]) -> (Option<usize>, Option<usize>) {
        let mut free = None;
        for slot in 0..self.slots.reader().len() {
            let mut words = [0; ALLOW_WORDS];
            let read = self.slots.reader().try_read(slot, &mut words);
            match AllowEntry::from_words(&words).filter(|_| read == Read::Whole) {
                Some(entry) if entry.network == network => return (Some(slot), free),
                Some(_) => {}
                None => free = free.or(Some(slot)),
            }
            if read == Read::Empty {
                break;
            }
        }
        (None, free)
    }

    fn count(&mut self) {
        let changes = self.list.changes.load(Ordering::Relaxed).wrapping_add(1);
        // The fence inside the slot's write would do: who sees the count finds the entry new or
        // half-written. Release says what is meant.
        self.list.changes.store(changes, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::testing::memory;

    fn entry(network: &str, comment: &str) -> AllowEntry {
        AllowEntry { network: network.into(), comment: comment.into(), since_ms: 7 }
    }

    #[test]
    fn entries_come_and_go() {
        let memory = memory(CONTROL_WORDS + 3 * 24);
        let mut writer = AllowlistWriter::new(Allowlist::over(&memory).unwrap());
        let list = writer.reader();
        assert_eq!((list.capacity(), list.changes(), list.entries()), (3, 0, Some(Vec::new())));
        let longest = entry(&"n".repeat(NETWORK_MAX), &"c".repeat(COMMENT_MAX));
        let all = [entry("192.0.2.0/24", "office"), entry("2001:db8::/32", ""), longest];
        for (i, entry) in all.iter().enumerate() {
            assert_eq!(writer.insert(entry), Allowed::Added);
            assert_eq!(list.changes(), i as u64 + 1);
        }
        assert_eq!(list.entries().unwrap(), all);
        assert_eq!(writer.insert(&entry("192.0.2.1/32", "")), Allowed::Refused, "full");
        assert_eq!(writer.insert(&entry("192.0.2.0/24", "other")), Allowed::Updated);
        assert!(writer.remove(b"2001:db8::/32") && !writer.remove(b"2001:db8::/32"));
        assert_eq!(list.entries().unwrap().len(), 2);
        assert_eq!(writer.insert(&entry("192.0.2.1/32", "")), Allowed::Added, "in the gap");
        assert_eq!(list.entries().unwrap()[0].comment, b"other");
        assert_eq!(list.changes(), 6);
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let memory = memory(CONTROL_WORDS + 24);
        let mut writer = AllowlistWriter::new(Allowlist::over(&memory).unwrap());
        for bad in [entry("", ""), entry(&"n".repeat(49), ""), entry("n", &"c".repeat(129))] {
            assert_eq!(writer.insert(&bad), Allowed::Refused);
        }
        for word in [u64::MAX, 0, 49, 1 | 129 << 8] {
            let mut words = [0; ALLOW_WORDS];
            words[0] = word;
            assert_eq!(AllowEntry::from_words(&words), None);
        }
        assert!(Allowlist::over(&memory[..7]).is_none());
    }

    #[test]
    fn a_half_written_entry_is_emptied_and_everybody_looks_again() {
        let memory = memory(CONTROL_WORDS + 2 * 24);
        let mut writer = AllowlistWriter::new(Allowlist::over(&memory).unwrap());
        writer.insert(&entry("192.0.2.1/32", ""));
        writer.insert(&entry("192.0.2.2/32", ""));
        let before = writer.reader().changes();
        memory[CONTROL_WORDS].store(5, Ordering::Relaxed);
        assert_eq!(writer.reader().entries(), None);
        writer.repair();
        assert_eq!(writer.reader().entries().unwrap(), [entry("192.0.2.2/32", "")]);
        assert!(writer.reader().changes() > before);
        assert_eq!(writer.insert(&entry("192.0.2.3/32", "")), Allowed::Added);
    }
}
