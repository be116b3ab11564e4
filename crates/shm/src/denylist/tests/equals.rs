//! Who has a place in a list that is full of denials of equal weight.

use super::*;

/// Buckets of a list in which the test looks at every entry again and again.
const BUCKETS: usize = 64;

/// A list without room, of entries of confidence 50 that end one after the other.
fn full(table: &Table) -> DenylistWriter<'_> {
    let mut writer = DenylistWriter::new(table.list());
    let capacity = table.list().capacity() as u64;
    for n in 0..4 * capacity {
        writer.insert(&entry(key(n), 50, 1000 + n), 0);
    }
    assert_eq!(table.list().iter(0).count() as u64, capacity, "full");
    writer
}

#[test]
fn the_newcomer_takes_the_place_of_the_one_that_ends_first() {
    let table = Table::new(BUCKETS);
    let mut writer = full(&table);
    let list = table.list();
    let capacity = list.capacity() as u64;
    let before = table.count(|c| &c.denylist_displaced);
    for n in 4 * capacity..6 * capacity {
        let newcomer = entry(key(n), 50, 1000 + n);
        let first = rivals(&list, &newcomer.key).min_by_key(|held| held.expires_ms).unwrap();
        assert_eq!(writer.insert(&newcomer, 0), Inserted::Displaced);
        assert_eq!(list.find(&newcomer.key, 0), Some(newcomer));
        assert_eq!(list.find(&first.key, 0), None, "and nobody else");
    }
    assert_eq!(list.iter(0).count() as u64, capacity);
    assert_eq!(table.count(|c| &c.denylist_displaced), before + 2 * capacity);
    assert_eq!(table.count(|c| &c.denylist_full), 0);
}

#[test]
fn what_weighs_more_stays() {
    let table = Table::new(BUCKETS);
    let mut writer = full(&table);
    let capacity = table.list().capacity() as u64;
    let heavy = [(10, 51), (11, CERTAIN)];
    for (n, confidence) in heavy {
        let heavy = entry(key(n * capacity), confidence, 5);
        assert_eq!(writer.insert(&heavy, 0), Inserted::Displaced, "before its time is over");
    }
    for n in 4 * capacity..8 * capacity {
        writer.insert(&entry(key(n), 50, 9000 + n), 0);
    }
    let held = |n: u64| table.list().find(&key(n * capacity), 0).is_some();
    assert!(heavy.iter().all(|(n, _)| held(*n)));
    assert_eq!(writer.insert(&entry(key(12 * capacity), 49, 90_000), 0), Inserted::Full);
    assert_eq!(table.count(|c| &c.denylist_full), 1);
}

#[test]
fn what_is_certain_makes_way_for_nobody() {
    let table = Table::new(2);
    let mut writer = DenylistWriter::new(table.list());
    let said: Vec<_> = (0..40).map(|n| entry(key(n), CERTAIN, 1000 + n)).collect();
    let placed: Vec<_> =
        said.iter().filter(|entry| writer.insert(entry, 0) != Inserted::Full).collect();
    assert_eq!(placed.len(), table.list().capacity());
    assert!(placed.iter().all(|entry| table.list().find(&entry.key, 0) == Some(**entry)));
}

#[test]
fn who_is_met_again_and_again_stays() {
    let table = Table::new(BUCKETS);
    let mut writer = full(&table);
    let list = table.list();
    let capacity = list.capacity() as u64;
    let busy: Vec<_> = list.iter(0).step_by(9).map(|held| held.key).collect();
    assert!(busy.iter().all(|key| writer.add_hits(key, 1)));
    for n in 4 * capacity..20 * capacity {
        assert_eq!(writer.insert(&entry(key(n), 50, 1000 + n), 0), Inserted::Displaced);
    }
    assert!(busy.iter().all(|key| list.find(key, 0).is_some()), "{} of {capacity}", busy.len());
}
