//! A message that is written straight into its lane.

use super::{MESSAGE_HEADER_WORDS, PUSHED, Producer, TAIL, message_header};
use crate::sync::{AtomicU64, Edge, Ordering, add_own, release};

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// Room for one message behind the tail, where the consumer does not look yet. It is written from its
/// first word to its last and then published; what is dropped before was never there.
#[derive(Debug)]
pub struct Message<'p, 'a> {
    producer: &'p mut Producer<'a>,
    header: &'a AtomicU64,
    /// The room that is left: up to the end of the ring, and from its start on.
    rest: [&'a [AtomicU64]; 2],
    /// Words of the whole room; 0 when it turned out to be too small.
    room: u32,
}

impl<'p, 'a> Message<'p, 'a> {
    /// A message of at most `room` words, which are free behind a header.
    #[inline]
    pub(super) fn new(producer: &'p mut Producer<'a>, header: &'a AtomicU64, room: u32) -> Self {
        let rest = producer.lane.pieces(producer.tail + MESSAGE_HEADER_WORDS, room as usize);
        Self { producer, header, rest, room }
    }

    /// Writes the next words. A message that gets more than it has room for is not published.
    #[inline]
    pub fn words(&mut self, words: &[u64]) {
        match self.rest[0].split_at_checked(words.len()) {
            Some((to, rest)) => {
                store(to, words);
                self.rest[0] = rest;
            }
            None => self.words_across_the_end(words),
        }
    }

    #[cold]
    fn words_across_the_end(&mut self, words: &[u64]) {
        let [before, after] = self.rest;
        let (first, second) = words.split_at(before.len());
        store(before, first);
        if let Some((to, rest)) = after.split_at_checked(second.len()) {
            store(to, second);
            self.rest = [rest, &[]];
        } else {
            self.room = 0;
            self.rest = [&[], &[]];
        }
    }

    /// Writes the next words as bytes, with zeros up to a whole word.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let whole = bytes.chunks_exact(WORD);
        match self.rest[0].split_at_checked(bytes.len().div_ceil(WORD)) {
            Some((to, rest)) => {
                if let (Some(to), false) = (to.last(), whole.remainder().is_empty()) {
                    to.store(last_word(bytes), Ordering::Relaxed);
                }
                for (to, bytes) in to.iter().zip(whole) {
                    to.store(word(bytes), Ordering::Relaxed);
                }
                self.rest[0] = rest;
            }
            None => self.bytes_across_the_end(bytes),
        }
    }

    #[cold]
    fn bytes_across_the_end(&mut self, bytes: &[u8]) {
        bytes.chunks(WORD).for_each(|bytes| self.words(&[word(bytes)]));
    }

    /// Shows what was written to the consumer. `false`, and nothing is shown, when that is nothing.
    #[inline]
    pub fn publish(self) -> bool {
        let Self { producer, header, rest: [before, after], room } = self;
        let len = room - (before.len() + after.len()) as u32;
        if len == 0 {
            return false;
        }
        header.store(message_header(len, producer.tail), Ordering::Relaxed);
        producer.tail += u64::from(len) + MESSAGE_HEADER_WORDS;
        producer.lane.word(TAIL).store(producer.tail, release(Edge::LaneTail));
        add_own(producer.lane.word(PUSHED), 1);
        true
    }
}

/// The word that lies in memory as these bytes, at most 8, and zeros behind them.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    let le = match (bytes.first_chunk(), bytes.first_chunk(), bytes.last_chunk()) {
        (Some(whole), _, _) => u64::from_le_bytes(*whole),
        // Two halves that overlap where there are fewer than 8.
        (None, Some(first), Some(last)) => {
            let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
            first | last << (8 * (bytes.len() - 4))
        }
        _ => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    le.to_le()
}

/// The word that lies in memory as the bytes behind the last whole word, and zeros behind them.
#[inline]
fn last_word(bytes: &[u8]) -> u64 {
    let behind = bytes.len() % WORD;
    match bytes.last_chunk() {
        Some(end) => (u64::from_le_bytes(*end) >> (8 * (WORD - behind))).to_le(),
        None => word(bytes),
    }
}

#[inline]
fn store(to: &[AtomicU64], words: &[u64]) {
    for (to, word) in to.iter().zip(words) {
        to.store(*word, Ordering::Relaxed);
    }
}
