//! Lanes: how records travel from a worker to the detector.
//!
//! A lane is a ring of words between one producer (the worker that owns the lane) and one consumer
//! (the lease holder). A message is one header word and its payload. The producer writes the words
//! and then moves the tail; the consumer copies them out and then moves the head, before anybody
//! looks at the copy. So a killed producer loses only the message it had not published, and a
//! killed consumer loses at most a batch and never hands out a message twice.
//!
//! ```text
//! line 0, written by the producer   tail · pushed · dropped
//! line 1, written by the consumer   head · consumed · garbage
//! line 2, written by whoever claims  owner pid
//! then the ring
//! ```
//!
//! Head and tail count words since the zone was made and never wrap in practice (2^64 words).
//!
//! A message that is written where it will lie is one straight piece: where the ring ends before there
//! is room for it, a header without a message says that the rest of the lap is skipped.

mod consumer;
mod room;

pub use consumer::{Batch, Consumer};
pub use room::Room;

use core::cell::Cell;

use crate::sync::{AtomicU64, Edge, Ordering, add_own, release};

/// Words of a lane in front of its ring.
pub(crate) const CONTROL_WORDS: usize = 24;
/// Words of a message in front of its payload.
pub(crate) const MESSAGE_HEADER_WORDS: u64 = 1;

const TAIL: usize = 0;
const PUSHED: usize = 1;
const DROPPED: usize = 2;
const HEAD: usize = 8;
const CONSUMED: usize = 9;
const GARBAGE: usize = 10;
const OWNER: usize = 16;

/// Mixed into every message header, so that zeros are no header.
const MARK: u32 = 0x5ca1_ab1e;

/// The length in a header behind which the rest of the lap is skipped: no message is so long.
const SKIP: u32 = u32::MAX;

/// The header of a message of `len` words at `position`. The position makes a leftover of an
/// earlier lap recognisable.
fn message_header(len: u32, position: u64) -> u64 {
    u64::from(position as u32 ^ MARK) << 32 | u64::from(len)
}

/// The length in the header at `position`; `None` when it is no header of this lap.
fn message_len(header: u64, position: u64) -> Option<u64> {
    let len = header as u32;
    (len > 0 && header == message_header(len, position)).then_some(u64::from(len))
}

/// One lane.
#[derive(Clone, Copy, Debug)]
struct Lane<'a> {
    control: &'a [AtomicU64; CONTROL_WORDS],
    /// A power of two of words.
    ring: &'a [AtomicU64],
}

impl<'a> Lane<'a> {
    fn word(&self, index: usize) -> &'a AtomicU64 {
        &self.control[index]
    }

    fn value(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::Relaxed)
    }

    /// Words from `position` to the end of its lap.
    fn lap_left(&self, position: u64) -> u64 {
        let size = self.ring.len() as u64;
        size - (position & (size - 1))
    }

    /// The two straight pieces of the ring that hold `len` words from `position` on. `len` is at
    /// most the ring's.
    #[inline]
    fn pieces(&self, position: u64, len: usize) -> [&'a [AtomicU64]; 2] {
        let start = position as usize & (self.ring.len() - 1);
        let first = len.min(self.ring.len() - start);
        [&self.ring[start..start + first], &self.ring[..len - first]]
    }
}

/// All lanes of a zone.
#[derive(Clone, Copy, Debug)]
pub struct Lanes<'a> {
    memory: &'a [AtomicU64],
    lane_words: usize,
}

/// What went through all lanes since the zone was made. A process that is killed between an action
/// and its count leaves the count one action short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneTotals {
    /// Number of lanes.
    pub lanes: u64,
    /// Lanes with an owner, alive or not.
    pub claimed: u64,
    /// Messages pushed.
    pub pushed: u64,
    /// Messages dropped because their lane was full.
    pub dropped: u64,
    /// Messages that the consumer took.
    pub consumed: u64,
    /// Times that the consumer met garbage and skipped the rest of a lane.
    pub garbage: u64,
    /// Words waiting.
    pub queued_words: u64,
}

impl<'a> Lanes<'a> {
    /// As many lanes with rings of `lane_words` as fit into `memory`, whose words were zero at
    /// first. `None` when `lane_words` is no power of two.
    pub fn over(memory: &'a [AtomicU64], lane_words: usize) -> Option<Self> {
        lane_words.is_power_of_two().then_some(Self { memory, lane_words })
    }

    /// The lanes of a zone, whose geometry was checked.
    #[cfg(not(loom))]
    pub(crate) fn of(memory: &'a [AtomicU64], lane_words: u32) -> Self {
        Self { memory, lane_words: lane_words as usize }
    }

    /// Words that one lane takes.
    pub const fn stride(lane_words: usize) -> usize {
        CONTROL_WORDS + lane_words
    }

    /// Number of lanes.
    pub fn len(&self) -> usize {
        self.memory.len() / Self::stride(self.lane_words)
    }

    /// Whether there is no lane at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn iter(&self) -> impl Iterator<Item = Lane<'a>> + use<'a> {
        self.memory.chunks_exact(Self::stride(self.lane_words)).filter_map(|lane| {
            // A stride holds the control words.
            lane.split_first_chunk().map(|(control, ring)| Lane { control, ring })
        })
    }

    fn lane(&self, index: usize) -> Option<Lane<'a>> {
        let start = index * Self::stride(self.lane_words);
        let lane = self.memory.get(start..start + Self::stride(self.lane_words))?;
        let (control, ring) = lane.split_first_chunk()?;
        Some(Lane { control, ring })
    }

    /// Makes process `pid` the owner of a lane: a free one, or else one whose owner is not `alive`.
    /// `None` when there is neither. A process claims one lane; a second claim gets another lane.
    ///
    /// A lane whose dead owner's pid belongs to a new process stays claimed until that one ends:
    /// the spare lanes are for this, too.
    pub fn claim(&self, pid: u32, alive: impl Fn(u32) -> bool) -> Option<Producer<'a>> {
        let pid = u64::from(pid);
        if pid == 0 {
            return None;
        }
        let claim = |lane: &Lane<'a>, from| {
            // Acquire: what the last owner published before it let go. What a dead one published
            // is visible to whoever was told by the kernel that it is dead.
            let owner = lane.word(OWNER);
            owner.compare_exchange(from, pid, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let free = self.iter().find(|lane| claim(lane, 0));
        let lane = free.or_else(|| {
            self.iter().find(|lane| {
                let owner = lane.value(OWNER);
                owner != 0 && !alive(owner as u32) && claim(lane, owner)
            })
        })?;
        let tail = lane.value(TAIL);
        let head = lane.word(HEAD).load(Ordering::Acquire);
        Some(Producer {
            lane,
            pid,
            tail: Cell::new(tail),
            head: Cell::new(head),
            limit: Cell::new(0),
        })
    }

    /// The consuming side. The caller sees to it that there is one at a time, in any process.
    pub fn consumer(&self) -> Consumer<'a> {
        Consumer::new(*self)
    }

    /// Sums over all lanes.
    pub fn totals(&self) -> LaneTotals {
        self.iter().fold(LaneTotals::default(), |sum, lane| LaneTotals {
            lanes: sum.lanes + 1,
            claimed: sum.claimed + u64::from(lane.value(OWNER) != 0),
            pushed: sum.pushed.wrapping_add(lane.value(PUSHED)),
            dropped: sum.dropped.wrapping_add(lane.value(DROPPED)),
            consumed: sum.consumed.wrapping_add(lane.value(CONSUMED)),
            garbage: sum.garbage.wrapping_add(lane.value(GARBAGE)),
            // Head first: a tail that moves in between only adds.
            queued_words: sum.queued_words + {
                let head = lane.word(HEAD).load(Ordering::Acquire);
                lane.value(TAIL).saturating_sub(head).min(lane.ring.len() as u64)
            },
        })
    }
}

/// A message that is being written.
#[derive(Debug)]
pub struct Message<'p, const N: usize> {
    /// Where its words lie.
    pub room: Room<'p, N>,
    producer: &'p Producer<'p>,
}

impl<const N: usize> Message<'_, N> {
    /// Pushes the first `len` words, all of which were set. `false` for none or more than there is room
    /// for.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "for each record, in few instructions")]
    pub fn push(self, len: usize) -> bool {
        let fits = (1..N).contains(&len);
        if fits {
            self.producer.publish(self.room.header(), len);
        }
        fits
    }
}

/// The pushing side of one lane, held by one thread of the process that claimed it. Dropping it frees
/// the lane.
#[derive(Debug)]
pub struct Producer<'a> {
    lane: Lane<'a>,
    pid: u64,
    /// The published tail: nobody else moves it.
    tail: Cell<u64>,
    /// The head when last looked at; the true one is never behind it.
    head: Cell<u64>,
    /// Up to here the ring is free and straight, as far as that head tells; 0: not known.
    limit: Cell<u64>,
}

impl Producer<'_> {
    /// Pushes one message. `false` when it does not fit, which is counted: the lane is full, or the
    /// message is empty or longer than the ring less one word.
    pub fn push(&self, words: &[u64]) -> bool {
        let fits = self.has_room(words.len() as u64 + MESSAGE_HEADER_WORDS);
        if !fits || words.is_empty() {
            add_own(self.lane.word(DROPPED), 1);
            return false;
        }
        let tail = self.tail.get();
        let [header, _] = self.lane.pieces(tail, 1);
        let [before, after] = self.lane.pieces(tail + MESSAGE_HEADER_WORDS, words.len());
        for (to, word) in before.iter().chain(after).zip(words) {
            to.store(*word, Ordering::Relaxed);
        }
        if let Some(header) = header.first() {
            self.publish(header, words.len());
        }
        true
    }

    /// Room for a message where it will lie: for fewer than `N` words. `None` when `N` words do not fit,
    /// which is counted. There is one such message at a time; one that is not pushed was never there.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "for each record, in few instructions")]
    pub fn room<const N: usize>(&self) -> Option<Message<'_, N>> {
        let mut tail = self.tail.get();
        if tail + N as u64 > self.limit.get() {
            tail = self.make_room(N as u64)?;
        }
        // A ring is shorter than 2^32 words; so the compiler sees that this does not overflow.
        let start = tail as u32 as usize & (self.lane.ring.len() - 1);
        let place = self.lane.ring.get(..start + N)?.last_chunk::<N>()?;
        Some(Message { room: Room::new(place), producer: self })
    }

    /// Shows the consumer a message that was written behind its header, at the tail.
    #[inline]
    fn publish(&self, header: &AtomicU64, len: usize) {
        let tail = self.tail.get();
        header.store(message_header(len as u32, tail), Ordering::Relaxed);
        self.move_tail(tail + len as u64 + MESSAGE_HEADER_WORDS);
        add_own(self.lane.word(PUSHED), 1);
    }

    #[inline]
    fn move_tail(&self, tail: u64) {
        self.tail.set(tail);
        self.lane.word(TAIL).store(tail, release(Edge::LaneTail));
    }

    /// Where `need` words are free in one piece, if need be on the next lap. What finds no room is
    /// counted.
    #[cold]
    fn make_room(&self, need: u64) -> Option<u64> {
        let size = self.lane.ring.len() as u64;
        let left = self.lane.lap_left(self.tail.get());
        let fits = need <= size && (need <= left || self.skip(left)) && self.has_room(need);
        if !fits {
            add_own(self.lane.word(DROPPED), 1);
            return None;
        }
        let tail = self.tail.get();
        let lap_end = tail + self.lane.lap_left(tail);
        self.limit.set(lap_end.min(self.head.get().saturating_add(size)));
        Some(tail)
    }

    /// Skips the rest of this lap; whether it was free.
    fn skip(&self, left: u64) -> bool {
        let free = self.has_room(left);
        let tail = self.tail.get();
        if let (true, [Some(header), _]) = (free, self.lane.pieces(tail, 1).map(<[_]>::first)) {
            header.store(message_header(SKIP, tail), Ordering::Relaxed);
            self.move_tail(tail + left);
        }
        free
    }

    /// Whether `need` words fit. Looks at the shared head only when the known one is too old.
    fn has_room(&self, need: u64) -> bool {
        let size = self.lane.ring.len() as u64;
        // A head beyond the tail is corrupt; the difference is then huge: full.
        let fits = |head: u64| self.tail.get().wrapping_sub(head).saturating_add(need) <= size;
        if fits(self.head.get()) {
            return true;
        }
        // Acquire: the consumer has copied what lay before the head.
        let head = self.lane.word(HEAD).load(Ordering::Acquire);
        self.head.set(head);
        fits(head)
    }

    /// Frees the lane for the next worker. Nothing may be pushed afterwards.
    pub fn release(&self) {
        let owner = self.lane.word(OWNER);
        // Not ours any more when somebody took this process for dead.
        let freed = release(Edge::LaneOwner);
        let _ = owner.compare_exchange(self.pid, 0, freed, Ordering::Relaxed);
    }
}

impl Drop for Producer<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
