use std::collections::{HashMap, HashSet};

use super::key::Place;
use super::*;
use crate::testing::{Random, memory, rounds};

mod equals;
mod moves;
mod networks;

struct Table {
    tags: Vec<AtomicU64>,
    entries: Vec<AtomicU64>,
    counters: Counters,
}

impl Table {
    fn new(buckets: usize) -> Self {
        let counters = Counters::default();
        let front = FRONT_WORDS + FRONT_WORDS_EACH * buckets;
        let (tags, entries) = (memory(front), memory(buckets * 56));
        Self { tags, entries, counters }
    }

    fn list(&self) -> Denylist<'_> {
        let memory = [&self.tags, &self.entries].map(|words| &words[..]);
        Denylist::over(memory, [11, 22], &self.counters).unwrap()
    }

    /// The word of tags of a bucket.
    fn tags(&self, bucket: usize) -> &AtomicU64 {
        &self.tags[FRONT_WORDS + bucket]
    }

    fn moves(&self) -> u64 {
        self.tags[0].load(Ordering::Relaxed)
    }

    fn count(&self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        counter(&self.counters).load(Ordering::Relaxed)
    }
}

fn key(n: u64) -> DenyKey {
    DenyKey { application: n % 3, kind: (n % 3) as u8 + 1, network: n, discriminator: n >> 3 }
}

/// An entry whose fields all follow from its key, so that half of another one shows.
fn entry(key: DenyKey, confidence: u8, expires_ms: u64) -> DenyEntry {
    let DenyKey { network, .. } = key;
    DenyEntry {
        key,
        threat: network as u8,
        action: network as u8 & 15,
        confidence,
        incident: network.wrapping_mul(0x1_0000_0001),
        expires_ms,
        ttl_ms: network + 5,
        hits: 0,
    }
}

#[test]
fn every_field_survives_the_slot() {
    let whole = DenyEntry {
        key: DenyKey { application: u64::MAX, kind: 15, network: 1 << 63, discriminator: 3 },
        threat: 254,
        action: 13,
        confidence: 100,
        incident: u64::MAX - 1,
        expires_ms: (1 << 42) - 2,
        ttl_ms: (1 << 38) - 3,
        hits: u32::MAX,
    };
    let survives = |entry: DenyEntry| Packed::of(&entry, u64::MAX)?.entry();
    assert_eq!(survives(whole), Some(whole));
    assert_eq!(survives(entry(key(7), 50, 1_000)), Some(entry(key(7), 50, 1_000)));
    let longest = survives(DenyEntry { expires_ms: u64::MAX, ttl_ms: u64::MAX, ..whole }).unwrap();
    assert_eq!((longest.expires_ms, longest.ttl_ms), ((1 << 42) - 1, (1 << 38) - 1));
    assert_eq!(DenyEntry { ttl_ms: whole.ttl_ms, expires_ms: whole.expires_ms, ..longest }, whole);
    assert_eq!(survives(DenyEntry { action: 16, ..whole }), None);
    assert_eq!(survives(DenyEntry { key: DenyKey { kind: 16, ..whole.key }, ..whole }), None);
    assert_eq!(Packed::EMPTY.entry(), None);
    assert_eq!(DenyEntry::from_words(whole.to_words()), Some(whole));
    assert_eq!(DenyEntry::from_words([0; ENTRY_WORDS]), None);
}

#[test]
fn the_first_key_with_a_live_entry_is_found() {
    let table = Table::new(64);
    let mut writer = DenylistWriter::new(table.list());
    for (n, expires_ms) in [(2, 10), (3, 100), (4, 100)] {
        writer.insert(&entry(key(n), 50, expires_ms), 0);
    }
    let found = |keys: [u64; 3], now_ms| {
        table.list().find_first(&keys.map(key), now_ms).map(|entry| entry.key.network)
    };
    assert_eq!((found([1, 2, 3], 5), found([1, 2, 3], 10)), (Some(2), Some(3)));
    assert_eq!((found([4, 3, 2], 5), found([9, 8, 4], 5)), (Some(4), Some(4)));
    assert_eq!((found([1, 8, 9], 5), found([2, 3, 4], 100)), (None, None));
}

#[test]
fn tags_are_matched_byte_by_byte() {
    let mut random = Random(3);
    for _ in 0..rounds(10_000) {
        let tags = random.next() & random.next();
        let tag = random.below(256) as u8;
        let matches = matching(tags, tag);
        let first = tags.to_le_bytes().iter().position(|t| *t == tag);
        let found = (matches != 0).then(|| matches.trailing_zeros() as usize / 8);
        assert_eq!(found, first);
        for slot in 0..8 {
            let is_match = tag_of(tags, slot) == tag;
            assert!(!is_match || matches >> (8 * slot + 7) & 1 == 1, "no match is missed");
        }
    }
}

#[test]
fn it_behaves_like_a_map_with_bounded_room() {
    let table = Table::new(8);
    let list = table.list();
    let mut writer = DenylistWriter::new(list);
    let mut model: HashMap<DenyKey, DenyEntry> = HashMap::new();
    let mut seen: HashMap<Inserted, u64> = HashMap::new();
    let (mut random, mut now) = (Random(4), 1_000);
    for _ in 0..rounds(60_000) {
        let key = key(random.below(150));
        match random.below(10) {
            0..5 => {
                let entry = entry(key, random.below(8) as u8, now + random.below(400));
                let outcome = writer.insert(&entry, now);
                *seen.entry(outcome).or_default() += 1;
                let known = model.contains_key(&key);
                assert!(outcome != Inserted::Updated || known);
                if outcome == Inserted::Full {
                    assert_eq!(stronger(&list, &model, &entry, now), 16);
                } else {
                    model.insert(key, entry);
                }
                let mut lost = model.clone();
                lost.retain(|key, entry| entry.is_live(now) && list.find(key, now) != Some(*entry));
                assert_eq!(lost.len(), usize::from(outcome == Inserted::Displaced), "{outcome:?}");
                for lost in lost.values() {
                    let rank = (lost.confidence, lost.hits, lost.expires_ms);
                    let mut others =
                        rivals(&list, &entry.key).map(|it| (it.confidence, it.hits, it.expires_ms));
                    assert!(lost.confidence <= entry.confidence && others.all(|it| rank <= it));
                }
                model.retain(|key, _| !lost.contains_key(key));
            }
            5 => {
                let removed = writer.remove(&key);
                let live = model.remove(&key).is_some_and(|entry| entry.is_live(now));
                assert!(removed || !live);
            }
            6 => {
                let n = random.below(5) as u32;
                let found = writer.add_hits(&key, n);
                match model.get_mut(&key) {
                    Some(entry) if found => entry.hits += n,
                    entry => assert!(entry.is_none_or(|entry| !entry.is_live(now))),
                }
            }
            7 => now += random.below(20),
            _ => {
                let expected = model.get(&key).filter(|entry| entry.is_live(now));
                assert_eq!(list.find(&key, now).as_ref(), expected);
            }
        }
    }
    model.retain(|_, entry| entry.is_live(now));
    let listed: HashMap<_, _> = list.iter(now).map(|entry| (entry.key, entry)).collect();
    assert_eq!(listed, model);
    if !cfg!(miri) {
        assert_eq!(seen.len(), 5, "{seen:?}");
    }
    let seen = |outcome| seen.get(&outcome).copied().unwrap_or(0);
    assert_eq!(table.count(|c| &c.denylist_full), seen(Inserted::Full));
    assert_eq!(table.count(|c| &c.denylist_displaced), seen(Inserted::Displaced));
    assert_eq!(table.count(|c| &c.denylist_unreadable), 0);
    assert_eq!(writer.repair(), Repaired::default(), "nothing to repair");
}

/// The other entries of the two buckets of a key.
fn rivals(list: &Denylist<'_>, key: &DenyKey) -> impl Iterator<Item = DenyEntry> {
    let slots: Vec<usize> = list.seed.place(key, list.tags.len()).slots().collect();
    let held: Vec<_> = slots.into_iter().filter_map(|slot| list.entry(slot)).collect();
    let key = *key;
    held.into_iter().filter(move |held| held.key != key)
}

/// Live entries of higher confidence in the two buckets of an entry.
fn stronger(
    list: &Denylist<'_>,
    model: &HashMap<DenyKey, DenyEntry>,
    entry: &DenyEntry,
    now: u64,
) -> usize {
    let place = list.seed.place(&entry.key, list.tags.len());
    let slots = place.slots().filter_map(|slot| list.entry(slot));
    slots
        .filter(|held| held.is_live(now) && held.confidence > entry.confidence)
        .inspect(|held| assert!(model.contains_key(&held.key)))
        .count()
}

#[test]
fn the_seed_decides_where_keys_lie() {
    let places = |seed| -> Vec<Place> {
        let seed = Seed::new(seed);
        (0..1000).map(|n| seed.place(&key(n), 1 << 12)).collect()
    };
    let same =
        |other: Vec<Place>| places([0, 0]).iter().zip(other).filter(|(a, b)| **a == *b).count();
    assert_eq!(same(places([0, 0])), 1000);
    assert!(same(places([1, 0])) < 3 && same(places([0, 1])) < 3 && same(places([1, 1])) < 3);
    let all = places([0, 0]);
    assert!(all.iter().all(|place| place.tag != 0 && place.buckets[0] != place.buckets[1]));
    let first: HashSet<_> = all.iter().map(|place| place.buckets[0]).collect();
    let second: HashSet<_> = all.iter().map(|place| place.buckets[1]).collect();
    let tags: HashSet<_> = all.iter().map(|place| place.tag).collect();
    assert!(first.len() > 850 && second.len() > 850 && tags.len() > 240, "spread evenly");
}

#[test]
fn kinds_and_zero() {
    let table = Table::new(1);
    let mut writer = DenylistWriter::new(table.list());
    let nobody = DenyKey { kind: 0, ..key(1) };
    assert_eq!(writer.insert(&entry(nobody, 50, 10), 0), Inserted::Full);
    assert_eq!(writer.insert(&entry(key(1), 50, 10), 0), Inserted::New);
    assert!(table.list().find(&nobody, 0).is_none());
    assert!(table.list().find(&DenyKey { kind: 9, ..key(1) }, 0).is_none());
    for memory in [
        [&table.tags[..], &table.entries[..55]],
        [&table.tags[..10], &table.entries],
        [&table.tags[..8], &[]],
        [&table.tags[..7], &[]],
    ] {
        assert!(Denylist::over(memory, [0, 0], &table.counters).is_none());
    }
    assert!(writer.add_hits(&key(1), u32::MAX) && writer.add_hits(&key(1), 1));
    assert_eq!(table.list().find(&key(1), 0).unwrap().hits, u32::MAX);
}

#[test]
fn a_half_written_entry_is_absent_and_repaired() {
    let table = Table::new(8);
    let list = table.list();
    let mut writer = DenylistWriter::new(list);
    for n in 0..20 {
        writer.insert(&entry(key(n), 50, 10), 0);
    }
    let place = list.seed.place(&key(7), 8);
    let (slot, _) = list.locate(&key(7), &place).unwrap();
    table.entries[slot * 7].fetch_add(1, Ordering::Relaxed);
    assert!(list.find(&key(7), 0).is_none());
    assert_eq!(table.count(|c| &c.denylist_unreadable), 1);
    assert_eq!(writer.repair(), Repaired { torn: 1, ..Repaired::default() });
    assert!(list.find(&key(7), 0).is_none());
    assert_eq!(list.iter(0).count(), 19);
    assert_eq!(writer.insert(&entry(key(7), 50, 10), 0), Inserted::New);
    assert_eq!(table.count(|c| &c.denylist_unreadable), 1);
}

#[test]
fn tags_follow_the_entries_after_a_kill() {
    let table = Table::new(8);
    let list = table.list();
    let mut writer = DenylistWriter::new(list);
    let mut slots = Vec::new();
    for n in 0..3 {
        writer.insert(&entry(key(n), 50, 10), 0);
        slots.push(list.locate(&key(n), &list.seed.place(&key(n), 8)).unwrap().0);
    }
    let tag = |slot: usize, tag: u64| {
        let shift = slot % BUCKET * 8;
        let word = table.tags(slot / BUCKET);
        let cleared = word.load(Ordering::Relaxed) & !(0xff << shift);
        word.store(cleared | tag << shift, Ordering::Relaxed);
    };
    // Killed after the entry, before its tag; after another key's entry, before its tag; and while
    // removing, after the entry.
    tag(slots[0], 0);
    tag(slots[1], u64::from(list.seed.place(&key(1), 8).tag ^ 0x55));
    list.entries.write(slots[2], &Packed::EMPTY, false);
    assert!((0..3).all(|n| list.find(&key(n), 0).is_none()));
    assert_eq!(writer.repair(), Repaired { tags: 3, ..Repaired::default() });
    assert!((0..2).all(|n| list.find(&key(n), 0) == Some(entry(key(n), 50, 10))));
    assert!(list.find(&key(2), 0).is_none());
}

#[test]
fn readers_in_other_threads_never_see_half_an_entry() {
    let writes = rounds(100_000) as u64;
    let table = Table::new(2);
    let list = table.list();
    let done = AtomicU64::new(0);
    let found = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut random, mut found) = (Random(5), 0_u64);
            while done.load(Ordering::Relaxed) == 0 || found == 0 {
                let key = key(random.below(24));
                if let Some(held) = list.find(&key, 0) {
                    assert_eq!(held, entry(key, held.confidence, u64::from(held.confidence) + 1));
                    found += 1;
                }
            }
            found
        });
        let (mut writer, mut random) = (DenylistWriter::new(list), Random(6));
        for _ in 0..writes {
            let (key, confidence) = (key(random.below(24)), random.below(100) as u8);
            if random.below(3) == 0 {
                writer.remove(&key);
            } else {
                writer.insert(&entry(key, confidence, u64::from(confidence) + 1), 0);
            }
        }
        done.store(1, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(found > 0);
}

#[test]
fn each_entry_has_tokens_of_its_own() {
    let table = Table::new(4);
    let list = table.list();
    let mut writer = DenylistWriter::new(list);
    let rate = Rate { interval_ms: 1000, burst: 3 };
    assert_eq!(list.take_token(&key(1), 0, rate), Ok(()), "nobody is slowed down without an entry");
    for n in [1, 2] {
        assert_eq!(writer.insert(&entry(key(n), 50, 1 << 40), 0), Inserted::New);
        assert_eq!((0..9).filter(|_| list.take_token(&key(n), 50, rate).is_ok()).count(), 3);
    }
    assert_eq!(list.take_token(&key(1), 50, rate), Err(1000));
    // Convicted again: no new bucket. Lifted and convicted: a new one.
    assert_eq!(writer.insert(&entry(key(1), 60, 1 << 40), 50), Inserted::Updated);
    assert_eq!(list.take_token(&key(1), 50, rate), Err(1000));
    assert!(writer.remove(&key(1)));
    assert_eq!(writer.insert(&entry(key(1), 60, 1 << 40), 50), Inserted::New);
    assert_eq!(list.take_token(&key(1), 50, rate), Ok(()));
}
