//! The command lane: how any worker asks the lease holder to change something, and is answered.
//!
//! A fixed number of slots, each with one state word:
//!
//! ```text
//! free ─claim─▶ claimed ─submit─▶ submitted ─answer─▶ answered ─take─▶ free
//!        (CAS)    worker             holder              worker
//! ```
//!
//! The state word also holds the pid of the worker and a number that changes with every claim, so a
//! worker never takes the answer to somebody else's command, and what a dead worker left is freed by
//! whoever needs the slot. Nobody waits: a worker asks for its answer whenever it likes.
//!
//! A holder that is killed at work on a command leaves it submitted, and the next one does it again:
//! commands must be such that this does no harm.

mod message;

pub use message::{Answer, Command, Outcome};

use crate::sync::{AtomicU64, Edge, Ordering, release};

/// Words of a command.
pub const COMMAND_WORDS: usize = 26;
/// Words of an answer.
pub const ANSWER_WORDS: usize = 5;
/// Words of a slot: its state, the command, the answer.
const SLOT_WORDS: usize = 32;
const _: () = assert!(1 + COMMAND_WORDS + ANSWER_WORDS == SLOT_WORDS);

const FREE: u64 = 0;
const CLAIMED: u64 = 1;
const SUBMITTED: u64 = 2;
const ANSWERED: u64 = 3;
const PHASE: u64 = 3;

/// All slots. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Commands<'a> {
    memory: &'a [AtomicU64],
}

/// A command that waits for its answer. Forgotten when it is dropped: its slot becomes free when it
/// was answered and somebody needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    slot: usize,
    claim: u64,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// Nobody has answered yet.
    Waiting,
    /// The answer, which is handed out once.
    Answered(T),
    /// The slot went to somebody else: the answer was taken, or was not asked for in time.
    Gone,
}

/// Numbers of claims have 30 bits.
const NUMBERS: u64 = 0x3fff_ffff;

/// How long an answer that nobody asks for keeps its slot: claims of other commands after it.
const PATIENCE: u64 = 1 << 10;

/// Whether claim `found` was made long before claim `now`. It may also be a newer one: whoever makes claim `now` got
/// its number some time ago.
fn is_old(found: u64, now: u64) -> bool {
    let age = now.wrapping_sub(found) & NUMBERS;
    (PATIENCE..NUMBERS / 2).contains(&age)
}

/// A state word: number of the claim (30 bits), pid of the worker (32), phase (2).
fn state(claim: u64, phase: u64) -> u64 {
    claim << 2 | phase
}

fn claim_of(number: u64, pid: u32) -> u64 {
    (number & NUMBERS) << 32 | u64::from(pid)
}

fn pid_of(state: u64) -> u32 {
    (state >> 2) as u32
}

impl<'a> Commands<'a> {
    /// Words of a lane for `slots` commands.
    pub const fn words(slots: usize) -> usize {
        8 + slots * SLOT_WORDS
    }

    /// A lane over memory that was zero at first. `None` when not even one slot fits.
    pub fn over(memory: &'a [AtomicU64]) -> Option<Self> {
        (memory.len() >= Self::words(1)).then_some(Self { memory })
    }

    /// The lane of a zone, whose geometry was checked.
    #[cfg(not(loom))]
    pub(crate) fn of(memory: &'a [AtomicU64]) -> Self {
        Self { memory }
    }

    /// Commands that may be under way at the same time.
    pub fn capacity(&self) -> usize {
        (self.memory.len() - 8) / SLOT_WORDS
    }

    fn slot(&self, slot: usize) -> (&'a AtomicU64, &'a [AtomicU64], &'a [AtomicU64]) {
        let start = 8 + slot * SLOT_WORDS;
        let words = &self.memory[start..start + SLOT_WORDS];
        let (command, answer) = words[1..].split_at(COMMAND_WORDS);
        (&words[0], command, answer)
    }

    /// Hands in a command of process `pid`. `None` when all slots are taken. `alive` says whether a
    /// process lives: what the dead left is free.
    pub fn submit(
        &self,
        pid: u32,
        command: &[u64; COMMAND_WORDS],
        alive: impl Fn(u32) -> bool,
    ) -> Option<Ticket> {
        let number = self.memory[0].fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let claim = claim_of(number, pid);
        let slot = (0..self.capacity()).find(|slot| self.claim(*slot, claim, &alive))?;
        let (word, words, _) = self.slot(slot);
        for (word, value) in words.iter().zip(command) {
            word.store(*value, Ordering::Relaxed);
        }
        word.store(state(claim, SUBMITTED), release(Edge::CommandSubmit));
        Some(Ticket { slot, claim })
    }

    /// Takes a slot that is free, was left by a dead worker, or holds an old answer.
    fn claim(&self, slot: usize, claim: u64, alive: &impl Fn(u32) -> bool) -> bool {
        let (word, _, _) = self.slot(slot);
        let found = word.load(Ordering::Relaxed);
        let old = is_old(found >> 34, claim >> 32);
        let free = match found & PHASE {
            FREE => true,
            ANSWERED => old || !alive(pid_of(found)),
            // A command that was submitted is done, whoever submitted it.
            SUBMITTED => false,
            _ => !alive(pid_of(found)),
        };
        let claimed = state(claim, CLAIMED);
        // Acquire: what this worker writes into the slot comes after what the last one read there.
        free && word.compare_exchange(found, claimed, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Asks for the answer to a command.
    pub fn poll(&self, ticket: Ticket) -> Progress<[u64; ANSWER_WORDS]> {
        let (word, _, words) = self.slot(ticket.slot);
        let found = word.load(Ordering::Acquire);
        if found >> 2 != ticket.claim || found & PHASE < SUBMITTED {
            return Progress::Gone;
        }
        if found & PHASE == SUBMITTED {
            return Progress::Waiting;
        }
        let answer = core::array::from_fn(|i| words[i].load(Ordering::Relaxed));
        let free = state(ticket.claim, FREE);
        // Release: the answer was read before the slot is free for the next.
        let taken = word.compare_exchange(found, free, Ordering::Release, Ordering::Relaxed);
        if taken.is_ok() { Progress::Answered(answer) } else { Progress::Gone }
    }

    /// Whether a command waits. For a holder that is about to sleep.
    pub fn waiting(&self) -> bool {
        (0..self.capacity()).any(|slot| {
            let (word, _, _) = self.slot(slot);
            word.load(Ordering::Relaxed) & PHASE == SUBMITTED
        })
    }

    /// Does every command that waits; returns how many. To be called by the lease holder alone.
    pub fn serve(
        &self,
        mut execute: impl FnMut(&[u64; COMMAND_WORDS]) -> [u64; ANSWER_WORDS],
    ) -> usize {
        let mut served = 0;
        for slot in 0..self.capacity() {
            let (word, command, answer) = self.slot(slot);
            let found = word.load(Ordering::Acquire);
            if found & PHASE != SUBMITTED {
                continue;
            }
            let command = core::array::from_fn(|i| command[i].load(Ordering::Relaxed));
            for (word, value) in answer.iter().zip(execute(&command)) {
                word.store(value, Ordering::Relaxed);
            }
            // Nobody else changes a submitted slot.
            word.store(state(found >> 2, ANSWERED), release(Edge::CommandAnswer));
            served += 1;
        }
        served
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::testing::memory;

    const ALIVE: fn(u32) -> bool = |_| true;

    fn command(n: u64) -> [u64; COMMAND_WORDS] {
        [n; COMMAND_WORDS]
    }

    fn answer(command: &[u64; COMMAND_WORDS]) -> [u64; ANSWER_WORDS] {
        assert_eq!(*command, [command[0]; COMMAND_WORDS], "half of another");
        [command[0] + 100; ANSWER_WORDS]
    }

    #[test]
    fn each_worker_gets_its_own_answer_once() {
        let memory = memory(Commands::words(4));
        let lane = Commands::over(&memory).unwrap();
        assert!(!lane.waiting() && lane.serve(answer) == 0);
        let tickets: Vec<_> =
            (0..4).map(|n| lane.submit(n as u32 + 1, &command(n), ALIVE).unwrap()).collect();
        assert!(lane.submit(9, &command(9), ALIVE).is_none(), "full");
        assert!(tickets.iter().all(|ticket| lane.poll(*ticket) == Progress::Waiting));
        assert!(lane.waiting() && lane.serve(answer) == 4 && lane.serve(answer) == 0);
        for (n, ticket) in tickets.into_iter().enumerate() {
            let expected = [n as u64 + 100; ANSWER_WORDS];
            assert_eq!(lane.poll(ticket), Progress::Answered(expected));
            assert_eq!(lane.poll(ticket), Progress::Gone);
            let next = lane.submit(1, &command(7), ALIVE).unwrap();
            assert_eq!(lane.poll(ticket), Progress::Gone, "not the answer to another");
            assert_ne!(next, ticket);
            lane.serve(answer);
            assert!(matches!(lane.poll(next), Progress::Answered(_)));
        }
    }

    #[test]
    fn what_the_dead_left_is_free_and_what_they_asked_for_is_done() {
        let memory = memory(Commands::words(1));
        let lane = Commands::over(&memory).unwrap();
        let dead = |pid| pid != 5;
        lane.submit(5, &command(1), ALIVE).unwrap();
        assert!(lane.submit(6, &command(2), dead).is_none(), "it waits to be done");
        assert_eq!(lane.serve(answer), 1);
        assert!(lane.submit(6, &command(2), ALIVE).is_none());
        let ticket = lane.submit(6, &command(2), dead).unwrap();
        lane.serve(answer);
        assert_eq!(lane.poll(ticket), Progress::Answered([102; ANSWER_WORDS]));
        // Killed between claim and submission.
        memory[8].store(state(claim_of(9, 5), CLAIMED), Ordering::Relaxed);
        assert!(lane.submit(6, &command(3), ALIVE).is_none() && lane.serve(answer) == 0);
        assert!(lane.submit(6, &command(3), dead).is_some());
    }

    #[test]
    fn an_answer_that_nobody_wants_does_not_stay_for_ever() {
        let memory = memory(Commands::words(1));
        let lane = Commands::over(&memory).unwrap();
        let forgotten = lane.submit(5, &command(1), ALIVE).unwrap();
        lane.serve(answer);
        let tries = (0..2 * PATIENCE).find(|_| lane.submit(6, &command(2), ALIVE).is_some());
        assert!(tries.is_some_and(|tries| tries >= PATIENCE / 2), "{tries:?}");
        assert_eq!(lane.poll(forgotten), Progress::Gone);
    }

    #[test]
    fn who_was_held_up_on_its_way_to_a_slot_takes_no_newer_answer() {
        let memory = memory(Commands::words(1));
        let lane = Commands::over(&memory).unwrap();
        memory[0].store(40, Ordering::Relaxed);
        let newer = lane.submit(5, &command(1), ALIVE).unwrap();
        lane.serve(answer);
        // As if it had taken its number before.
        memory[0].store(39, Ordering::Relaxed);
        assert!(lane.submit(6, &command(2), ALIVE).is_none());
        assert_eq!(lane.poll(newer), Progress::Answered([101; ANSWER_WORDS]));
    }

    #[test]
    fn too_little_memory_is_no_lane() {
        assert!(Commands::over(&memory(Commands::words(1) - 1)).is_none());
        assert_eq!(Commands::over(&memory(Commands::words(3))).unwrap().capacity(), 3);
    }
}
