//! The denylist by itself: what a look-up costs while somebody writes, and how much fits. Prints a table
//! for `docs/performance.md`: `cargo bench -p api-abuse-shm --bench denylist`.
#![allow(clippy::expect_used, reason = "a benchmark fails loudly")]

use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use api_abuse_shm::{Counters, DenyEntry, DenyKey, Denylist, DenylistWriter, Inserted};
use memmap2::{Advice, MmapMut};
use zerocopy::FromBytes;

/// Entries that are tried.
const ENTRIES: [usize; 6] = [0, 1_000, 10_000, 100_000, 500_000, 1_000_000];
/// Look-ups that are timed at once.
const LOOKUPS: u64 = 1_000_000;
/// Bytes for each slot: entry, tag, counts of networks.
const SLOT_BYTES: usize = 56 + 3;
/// Slots of a bucket.
const BUCKET: usize = 8;

struct Table {
    words: [MmapMut; 2],
    counters: Counters,
}

impl Table {
    /// In small pages, or in huge ones.
    fn new(buckets: usize, pages: Advice) -> Self {
        let words = [8 + 3 * buckets, 56 * buckets].map(|n| mapped(n * 8, pages));
        Self { words, counters: Counters::default() }
    }

    fn list(&mut self) -> Denylist<'_> {
        let words = self.words.each_mut().map(|words| {
            &*<[AtomicU64]>::mut_from_bytes(words).expect("whole words, where a page begins")
        });
        Denylist::over(words, [11, 22], &self.counters).expect("a power of two of buckets")
    }
}

/// Zeroed memory. A kernel without huge pages refuses the advice; there are small ones only then.
fn mapped(bytes: usize, pages: Advice) -> MmapMut {
    let memory = MmapMut::map_anon(bytes).expect("memory");
    let _ = memory.advise(pages);
    memory
}

fn key(n: u64) -> DenyKey {
    DenyKey { application: 7, kind: 1, network: 0xffff_0a00_0000 + n, discriminator: 0 }
}

fn entry(n: u64) -> DenyEntry {
    DenyEntry {
        key: key(n),
        threat: 1,
        action: 1,
        confidence: 90,
        incident: n,
        expires_ms: u64::MAX,
        ttl_ms: 1,
        hits: 0,
    }
}

fn main() {
    println!("| entries | hit | miss | hit in huge pages | miss in huge pages | table |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    for entries in ENTRIES {
        let buckets = (entries * 26 / 25 / BUCKET).max(128).next_power_of_two();
        let [small, huge] = [Advice::NoHugePage, Advice::HugePage].map(|pages| {
            let (hit, miss) = lookups(entries as u64, buckets, pages);
            let hit = if entries == 0 { "–".into() } else { format!("{hit:.0} ns") };
            format!("{hit} | {miss:.0} ns")
        });
        let size = (buckets * BUCKET * SLOT_BYTES) as f64 / f64::from(1 << 20);
        println!("| {entries} | {small} | {huge} | {size:.1} MiB |");
    }
    let (held, slots) = filled();
    let percent = held * 100 / slots;
    let each = held as f64 / (slots * SLOT_BYTES) as f64 * f64::from(1 << 20);
    println!(
        "\nOf {slots} slots, {percent} % were taken when the first entry found no place: {each:.0} in a MiB."
    );
    let bytes = slots * SLOT_BYTES;
    let size = bytes as f64 / f64::from(1 << 20);
    let [small, huge] =
        [Advice::NoHugePage, Advice::HugePage].map(|pages| dependent_read(bytes, pages));
    println!(
        "One read from {size:.0} MiB, at a place that the read before it says, takes {small:.0} ns here, \
         {huge:.0} in huge pages."
    );
}

/// Nanoseconds of a read whose address depends on the one before: what memory of this size takes to answer.
fn dependent_read(bytes: usize, pages: Advice) -> f64 {
    let lines = bytes / 64;
    let mut memory = mapped(lines * 64, pages);
    let memory = <[u64]>::mut_from_bytes(&mut memory).expect("whole words, where a page begins");
    memory.iter_mut().zip(0..).for_each(|(word, n)| *word = n >> 3);
    let (mut state, mut read) = (START, 0);
    let begun = ran_ns();
    for _ in 0..LOOKUPS {
        state = next(state);
        read = memory[below(state.wrapping_add(read), lines as u64) as usize * 8];
    }
    black_box(read);
    (ran_ns() - begun) as f64 / LOOKUPS as f64
}

/// Nanoseconds of a look-up that finds an entry, and of one that does not, while another thread writes.
fn lookups(entries: u64, buckets: usize, pages: Advice) -> (f64, f64) {
    let mut table = Table::new(buckets, pages);
    let list = table.list();
    let mut writer = DenylistWriter::new(list);
    for n in 0..entries {
        assert_eq!(writer.insert(&entry(n), 0), Inserted::New, "{n} of {entries}");
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // One that comes and goes, and hits that are added.
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                writer.insert(&entry(1 << 40), 0);
                writer.add_hits(&key(n), 1);
                writer.remove(&key(1 << 40));
                n = (n + 7919) % entries.max(1);
                thread::sleep(std::time::Duration::from_micros(50));
            }
        });
        let times = |from: u64, range: u64, found: bool| {
            let rounds = (0..5).map(|_| time(list, from, range, found));
            median(rounds.collect())
        };
        let hit = if entries == 0 { 0.0 } else { times(0, entries, true) };
        let miss = times(1 << 41, entries.max(1 << 20), false);
        stop.store(true, Ordering::Relaxed);
        (hit, miss)
    })
}

/// Time on the processor of a look-up, keys in random order, less what it takes to make them. What is made of
/// a key and of what was found is as little as can be: the more of it there is, the fewer look-ups a
/// processor has under way at a time.
fn time(list: Denylist<'_>, from: u64, range: u64, found: bool) -> f64 {
    let begun = ran_ns();
    let (mut state, mut count) = (START, 0);
    for _ in 0..LOOKUPS {
        state = next(state);
        count += black_box(&key(from + below(state, range))).network & 1;
    }
    black_box(count);
    let loop_ns = ran_ns() - begun;
    let begun = ran_ns();
    (state, count) = (START, 0);
    for _ in 0..LOOKUPS {
        state = next(state);
        count += u64::from(black_box(&list.find(&key(from + below(state, range)), 1)).is_some());
    }
    let ns = ran_ns() - begun;
    assert_eq!(count, if found { LOOKUPS } else { 0 });
    ns.saturating_sub(loop_ns) as f64 / LOOKUPS as f64
}

const START: u64 = 0x9e37_79b9_7f4a_7c15;

/// The next number of a generator of few instructions.
fn next(state: u64) -> u64 {
    let state = state ^ (state << 13);
    let state = state ^ (state >> 7);
    state ^ (state << 17)
}

/// A number below `range`, made of a random one.
fn below(random: u64, range: u64) -> u64 {
    ((u128::from(random) * u128::from(range)) >> 64) as u64
}

/// How many entries fit until the first one finds no place, and slots.
fn filled() -> (usize, usize) {
    let buckets = 1 << 17;
    let mut table = Table::new(buckets, Advice::NoHugePage);
    let mut writer = DenylistWriter::new(table.list());
    let slots = buckets * BUCKET;
    let full = |n: &usize| {
        let inserted = writer.insert(&entry(*n as u64), 0);
        matches!(inserted, Inserted::Full | Inserted::Displaced)
    };
    ((0..slots).find(full).unwrap_or(slots), slots)
}

/// Nanoseconds that this thread ran.
fn ran_ns() -> u64 {
    // The kernel adds up at each tick, and when a thread gives way.
    thread::yield_now();
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// The value in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
