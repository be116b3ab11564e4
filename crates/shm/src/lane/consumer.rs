//! The side of the lanes that the detector drains.

use super::{CONSUMED, GARBAGE, HEAD, Lane, Lanes, MESSAGE_HEADER_WORDS, SKIP, TAIL, message_len};
use crate::sync::{Ordering, add_own};

/// Messages taken from one lane before the next lane has its turn, so that one busy worker does
/// not delay the others' evidence by more than a few microseconds.
const LANE_TURN: usize = 64;

/// A reusable buffer of messages. It grows to the largest batch drained and stays so.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    words: Vec<u64>,
    /// For each message, where it ends in `words`.
    ends: Vec<usize>,
}

impl Batch {
    /// A buffer that need not grow for `messages` messages of `words` words in all.
    pub fn with_capacity(messages: usize, words: usize) -> Self {
        Self { words: Vec::with_capacity(words), ends: Vec::with_capacity(messages) }
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The messages: those of one lane in the order in which they were pushed.
    pub fn messages(&self) -> impl Iterator<Item = &[u64]> {
        let starts = core::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.words[start..*end])
    }

    fn clear(&mut self) {
        self.words.clear();
        self.ends.clear();
    }
}

/// Takes messages out of all lanes. It keeps nothing that a successor in another process needs.
#[derive(Debug)]
pub struct Consumer<'a> {
    lanes: Lanes<'a>,
    /// The lane whose turn is next.
    next: usize,
}

impl<'a> Consumer<'a> {
    pub(super) fn new(lanes: Lanes<'a>) -> Self {
        Self { lanes, next: 0 }
    }

    /// Replaces what is in `into` by up to `max_messages` messages, taken from the lanes in turn,
    /// and returns how many. When it returns they are gone from the lanes: if this process is
    /// killed before it has judged them, they are lost, not judged twice.
    pub fn drain(&mut self, into: &mut Batch, max_messages: usize) -> usize {
        into.clear();
        let mut idle = 0;
        while idle < self.lanes.len() && into.len() < max_messages {
            let Some(lane) = self.lanes.lane(self.next) else { break };
            let taken = take(&lane, into, LANE_TURN.min(max_messages - into.len()));
            idle = if taken == 0 { idle + 1 } else { 0 };
            self.next = (self.next + 1) % self.lanes.len();
        }
        into.len()
    }
}

/// Takes up to `max` messages out of one lane. What cannot be a message makes the rest of the lane
/// worthless: skip to the tail and count.
fn take(lane: &Lane<'_>, into: &mut Batch, max: usize) -> usize {
    let start = lane.value(HEAD);
    // Acquire: the words of all messages before the tail.
    let tail = lane.word(TAIL).load(Ordering::Acquire);
    if start == tail {
        return 0;
    }
    let mut head = start;
    let mut taken = 0;
    let mut garbage = tail.wrapping_sub(start) > lane.ring.len() as u64;
    while !garbage && taken < max && head != tail {
        let header = lane.pieces(head, 1)[0].first().map_or(0, |word| word.load(Ordering::Relaxed));
        let lap_left = lane.lap_left(head);
        match message_len(header, head) {
            Some(len) if len == u64::from(SKIP) && lap_left <= tail.wrapping_sub(head) => {
                head += lap_left;
            }
            Some(len) if len < tail.wrapping_sub(head) => {
                let [first, second] = lane.pieces(head + MESSAGE_HEADER_WORDS, len as usize);
                let words = first.iter().chain(second);
                into.words.extend(words.map(|word| word.load(Ordering::Relaxed)));
                into.ends.push(into.words.len());
                head += len + MESSAGE_HEADER_WORDS;
                taken += 1;
            }
            _ => garbage = true,
        }
    }
    if garbage {
        head = tail;
        add_own(lane.word(GARBAGE), 1);
    }
    // Release: the copies are made before the producer may overwrite the words.
    lane.word(HEAD).store(head, Ordering::Release);
    add_own(lane.word(CONSUMED), taken as u64);
    taken
}
