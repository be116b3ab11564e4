//! Room for a message that is written where it will lie.

use crate::sync::{AtomicU64, Ordering};

/// Bytes of a word.
const WORD: usize = size_of::<u64>();
/// Words of the header, which is not a part of the message.
const HEADER: usize = super::MESSAGE_HEADER_WORDS as usize;

/// Room for a message of fewer than `N` words behind its header, where the consumer does not look yet.
#[derive(Clone, Copy, Debug)]
pub struct Room<'m, const N: usize>(&'m [AtomicU64; N]);

impl<'m, const N: usize> Room<'m, N> {
    #[inline]
    pub(super) fn new(words: &'m [AtomicU64; N]) -> Self {
        Self(words)
    }

    #[inline]
    pub(super) fn header(self) -> &'m AtomicU64 {
        &self.0[0]
    }

    /// Sets the word at `index`, which must be one of them.
    #[inline]
    pub fn set(self, index: usize, word: u64) {
        self.0[HEADER + index].store(word, Ordering::Relaxed);
    }

    /// Sets more bits of the word at `index`, which was set.
    pub fn add_bits(self, index: usize, bits: u64) {
        let word = &self.0[HEADER + index];
        word.store(word.load(Ordering::Relaxed) | bits, Ordering::Relaxed);
    }

    /// Writes a text from the word at `index` on, with zeros up to a whole word, and returns the index
    /// behind it. A text that there is no room for is not written.
    #[inline]
    pub fn text(self, index: usize, text: &[u8]) -> usize {
        let begin = HEADER + index;
        let end = begin + text.len().div_ceil(WORD);
        let Some([to @ .., last]) = self.0.get(begin..end) else { return index };
        // Most paths are short, and a loop takes longer to begin than they do.
        if !to.is_empty() {
            for (to, bytes) in to.iter().zip(text.chunks_exact(WORD)) {
                to.store(word(bytes), Ordering::Relaxed);
            }
        }
        last.store(last_word(text), Ordering::Relaxed);
        end - HEADER
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

/// The word that lies in memory as the last 1 to 8 bytes of a text, and zeros behind them.
#[inline]
fn last_word(text: &[u8]) -> u64 {
    match text.last_chunk() {
        // What belongs to the word before is shifted out.
        Some(end) => (u64::from_le_bytes(*end) >> (8 * (text.len().wrapping_neg() % WORD))).to_le(),
        None => word(text),
    }
}
