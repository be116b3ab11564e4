//! The protocols under the loom model checker, which runs each model through every order in which
//! its threads' steps, and the values that relaxed loads may see, can fall. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p api-abuse-shm --test loom --release`.
//!
//! In each model the first thread writes and the second reads: loom looks for the race of a load
//! with the last store before it, and not for that of a store with a load that lies behind another
//! load, so it would find one interleaving the other way round.
//!
//! The models are the production code over a few words on the heap. Every model counts its
//! executions and proves that there was more than one, and every release edge that the protocols
//! rest on is taken away once to prove that its absence is noticed.
#![cfg(loom)]
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64 as StdAtomicU64, Ordering::Relaxed};

use api_abuse_shm::sync::{AtomicU64, Edge, without};
use api_abuse_shm::{
    Batch, Counters, DenyEntry, DenyKey, Denylist, DenylistWriter, Inserted, Lanes, Slots,
    SlotsWriter,
};
use loom::{model::Builder, sync::Arc, thread};

#[path = "loom/lists.rs"]
mod lists;

const LANE_WORDS: usize = 8;
const ALL_ALIVE: fn(u32) -> bool = |_| true;

fn memory(words: usize) -> Arc<Vec<AtomicU64>> {
    Arc::new((0..words).map(|_| AtomicU64::new(0)).collect())
}

fn lanes(memory: &[AtomicU64]) -> Lanes<'_> {
    Lanes::over(memory, LANE_WORDS).unwrap()
}

/// Runs all interleavings with at most `preemptions` forced switches and returns their number.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) -> u64 {
    let executions = std::sync::Arc::new(StdAtomicU64::new(0));
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    let count = executions.clone();
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        model();
    });
    executions.load(Relaxed)
}

/// The model holds, and did more than run once.
fn holds(name: &str, preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let executions = explore(preemptions, model);
    println!("{name}: {executions} interleavings");
    assert!(executions > 1);
}

/// The model fails when `edge` is missing.
fn needs(edge: Edge, preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let weakened = || without(edge, || explore(preemptions, model));
    let result = catch_unwind(AssertUnwindSafe(weakened));
    assert!(result.is_err(), "{:?} interleavings without {edge:?}, and all hold", result.ok());
}

/// A producer pushes more than the ring holds at once while the consumer drains.
fn push_and_drain() {
    let memory = memory(Lanes::stride(LANE_WORDS));
    let shared = memory.clone();
    let drain = |memory: &[AtomicU64], max: usize| {
        let mut batch = Batch::default();
        lanes(memory).consumer().drain(&mut batch, max);
        assert!(batch.messages().all(|m| m == [m[0]; 3]), "half a message");
        batch.messages().map(|m| m[0]).collect::<Vec<_>>()
    };
    let consumer = thread::spawn(move || [drain(&shared, 1), drain(&shared, 2)].concat());
    let producer = lanes(&memory).claim(1, ALL_ALIVE).unwrap();
    let pushed = [1, 2, 3].iter().filter(|i| producer.push(&[**i; 3])).count();
    let mut seen = consumer.join().unwrap();
    seen.extend(drain(&memory, 9));
    assert_eq!(seen.len(), pushed, "each message once");
    assert!(seen.is_sorted(), "in order");
    let totals = lanes(&memory).totals();
    assert_eq!((totals.garbage, totals.pushed + totals.dropped), (0, 3));
}

/// A producer writes messages in place, and skips the end of the ring, while the consumer drains.
fn write_and_drain() {
    let memory = memory(Lanes::stride(LANE_WORDS));
    let shared = memory.clone();
    let drain = |memory: &[AtomicU64], max: usize| {
        let mut batch = Batch::default();
        lanes(memory).consumer().drain(&mut batch, max);
        assert!(batch.messages().all(|m| m == [m[0]; 2]), "half a message");
        batch.messages().map(|m| m[0]).collect::<Vec<_>>()
    };
    let producer = lanes(&memory).claim(1, ALL_ALIVE).unwrap();
    assert!(producer.push(&[9; 2]) && producer.push(&[9; 2]));
    assert_eq!(drain(&memory, 9), [9, 9]);
    let consumer = thread::spawn(move || drain(&shared, 2));
    let write = |word: u64| {
        producer.room::<3>().is_some_and(|message| {
            message.room.set(0, word);
            message.room.set(1, word);
            message.push(2)
        })
    };
    let pushed = [1, 2].into_iter().filter(|word| write(*word)).count();
    let mut seen = consumer.join().unwrap();
    seen.extend(drain(&memory, 9));
    assert_eq!(seen.len(), pushed, "each message once");
    assert!(seen.is_sorted(), "in order");
    assert_eq!(lanes(&memory).totals().garbage, 0);
}

/// Two workers want the only lane; who comes after the other goes on where it stopped.
fn claim_and_hand_over() {
    let memory = memory(Lanes::stride(LANE_WORDS));
    let work = |memory: &[AtomicU64], pid: u32| {
        let Some(producer) = lanes(memory).claim(pid, ALL_ALIVE) else { return 0 };
        assert!(producer.push(&[pid.into(), pid.into()]));
        producer.release();
        1
    };
    let shared = memory.clone();
    let other = thread::spawn(move || work(&shared, 1));
    let mine = work(&memory, 2);
    let pushed = other.join().unwrap() + mine;
    assert!(pushed >= 1, "one of them must get it");
    let mut batch = Batch::default();
    lanes(&memory).consumer().drain(&mut batch, 9);
    assert_eq!(batch.len(), pushed, "no message overwrites another");
    assert!(batch.messages().all(|m| m == [m[0]; 2]));
    assert_eq!(lanes(&memory).totals().claimed, 0);
}

/// Two workers find a lane whose owner is dead.
fn reclaim_from_the_dead() {
    let memory = memory(Lanes::stride(LANE_WORDS));
    std::mem::forget(lanes(&memory).claim(9, ALL_ALIVE).unwrap());
    let claim = |memory: &[AtomicU64], pid| {
        lanes(memory).claim(pid, |pid| pid != 9).map(std::mem::forget).is_some()
    };
    let shared = memory.clone();
    let other = thread::spawn(move || claim(&shared, 1));
    let mine = claim(&memory, 2);
    assert!(other.join().unwrap() != mine, "exactly one of them");
}

/// A slot is rewritten while it is read.
fn read_and_rewrite() {
    let memory = memory(8);
    let mut writer = SlotsWriter::new(Slots::over(&memory, 2));
    writer.write(0, &[1, 1]);
    let shared = memory.clone();
    let reader = thread::spawn(move || {
        let mut words = [0; 2];
        if Slots::over(&shared, 2).read(0, &mut words) {
            assert_eq!(words, [words[0]; 2], "half of one, half of another");
        }
    });
    writer.write(0, &[2, 2]);
    writer.write(0, &[3, 3]);
    reader.join().unwrap();
    let mut words = [0; 2];
    assert!(Slots::over(&memory, 2).read(0, &mut words) && words == [3, 3]);
}

struct Table {
    tags: Vec<AtomicU64>,
    entries: Vec<AtomicU64>,
    counters: Counters,
}

impl Table {
    fn new(buckets: usize) -> Self {
        let words = |n: usize| (0..n).map(|_| AtomicU64::new(0)).collect();
        let [tags, entries] = [8 + 3 * buckets, 56 * buckets].map(words);
        Self { tags, entries, counters: Counters::default() }
    }

    fn list(&self) -> Denylist<'_> {
        let memory = [&self.tags, &self.entries].map(|words| &words[..]);
        Denylist::over(memory, [1, 2], &self.counters).unwrap()
    }
}

fn entry(n: u64) -> DenyEntry {
    let key = DenyKey { application: 1, kind: 1, network: 2, discriminator: 3 };
    let incident = n;
    let (expires_ms, ttl_ms, hits, threat) = (n, n, n as u32, n as u8);
    DenyEntry { key, threat, action: 1, confidence: 9, incident, expires_ms, ttl_ms, hits }
}

/// A table in which `entry(10)` is inserted before the threads part, if `present`; then it is
/// looked up while `write` is at work. One write at a time: an entry has 7 words, and each may be
/// seen old or new.
fn look_up_during(present: bool, write: fn(&mut DenylistWriter<'_>)) {
    let table = Arc::new(Table::new(1));
    let mut writer = DenylistWriter::new(table.list());
    if present {
        assert_eq!(writer.insert(&entry(10), 0), Inserted::New);
    }
    let shared = table.clone();
    let reader = thread::spawn(move || {
        let found = shared.list().find(&entry(0).key, 0);
        assert!(found.is_none_or(|found| found == entry(found.incident)), "half of an entry");
        u64::from(found.is_some())
    });
    write(&mut writer);
    FOUND.fetch_add(reader.join().unwrap(), Relaxed);
}

/// An entry moves to its other bucket while it is looked up: from the first one to the second, or back.
fn look_up_during_a_move(back: bool) {
    let table = Arc::new(Table::new(2));
    let mut writer = DenylistWriter::new(table.list());
    assert_eq!(writer.insert(&entry(10), 0), Inserted::New);
    assert!(!back || writer.move_over(&entry(0).key));
    let shared = table.clone();
    let reader = thread::spawn(move || {
        let list = shared.list();
        assert!(list.may_concern(entry(0).key.network), "passed over");
        let found = list.find(&entry(0).key, 0);
        assert_eq!(found, Some(entry(10)), "missed, or half of an entry");
    });
    assert!(writer.move_over(&entry(0).key));
    reader.join().unwrap();
    assert_eq!(table.list().iter(0).count(), 1);
}

/// Interleavings of [`look_up_during`] in which the look-up met an entry.
static FOUND: StdAtomicU64 = StdAtomicU64::new(0);

#[test]
fn lane_messages_are_whole_and_in_order() {
    holds("lane push and drain", 3, push_and_drain);
    holds("lane write and drain", 3, write_and_drain);
}

#[test]
fn lanes_are_handed_over() {
    holds("lane claim and hand-over", 4, claim_and_hand_over);
}

#[test]
fn dead_owners_are_followed_by_one() {
    holds("lane reclaim", 4, reclaim_from_the_dead);
}

#[test]
fn slots_are_read_whole() {
    holds("slot read and rewrite", 3, read_and_rewrite);
}

#[test]
fn denials_are_read_whole() {
    holds("look-up and insert", 2, || {
        look_up_during(false, |writer| assert_eq!(writer.insert(&entry(10), 0), Inserted::New));
    });
    holds("look-up and update", 2, || {
        look_up_during(true, |writer| assert_eq!(writer.insert(&entry(20), 0), Inserted::Updated));
    });
    holds("look-up and removal", 2, || {
        look_up_during(true, |writer| assert!(writer.remove(&entry(10).key)));
    });
    assert!(FOUND.load(Relaxed) > 0);
}

#[test]
fn denials_are_found_while_they_move() {
    holds("look-up and a move", 1, || look_up_during_a_move(false));
    holds("look-up and a move back", 1, || look_up_during_a_move(true));
}

#[test]
fn a_relaxed_count_of_moves_is_noticed() {
    needs(Edge::DenyMoved, 1, || look_up_during_a_move(true));
}

#[test]
fn a_relaxed_tail_is_noticed() {
    needs(Edge::LaneTail, 3, push_and_drain);
    needs(Edge::LaneTail, 3, write_and_drain);
}

#[test]
fn a_relaxed_owner_is_noticed() {
    needs(Edge::LaneOwner, 4, claim_and_hand_over);
}

#[test]
fn a_missing_fence_after_the_odd_sequence_is_noticed() {
    needs(Edge::SlotOpen, 3, read_and_rewrite);
}

#[test]
fn a_relaxed_even_sequence_is_noticed() {
    needs(Edge::SlotClose, 3, read_and_rewrite);
}
