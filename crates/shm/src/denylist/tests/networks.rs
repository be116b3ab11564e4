//! The counts of networks: never zero where there is an entry.

use super::*;

/// Whether all entries are found by their networks.
fn all_are_concerned(list: &Denylist<'_>) -> bool {
    list.iter(0).all(|held| list.may_concern(held.key.network))
}

fn concerned(list: &Denylist<'_>, networks: core::ops::Range<u64>) -> usize {
    networks.filter(|network| list.may_concern(*network)).count()
}

/// Whatever is written, over whatever was there: nobody who has an entry is passed over, and when all have
/// gone nearly all cells are zero again.
#[test]
fn whoever_has_an_entry_is_asked_about() {
    let writes = rounds(50_000) as u64;
    let table = Table::new((writes / 800).next_power_of_two() as usize);
    let list = table.list();
    let mut writer = DenylistWriter::new(list);
    let mut random = Random(9);
    for n in 0..writes {
        let (key, now_ms) = (key(random.below(writes / 50)), n / 100);
        if random.below(3) == 0 {
            writer.remove(&key);
        } else {
            let confidence = random.below(101) as u8;
            let end = now_ms + 1 + random.below(1_000);
            let inserted = writer.insert(&entry(key, confidence, end), now_ms);
            assert!(inserted == Inserted::Full || list.may_concern(key.network), "{inserted:?}");
        }
        assert!(n % 64 != 0 || all_are_concerned(&list));
    }
    assert!(table.count(|c| &c.denylist_displaced) > 0);
    let keys: Vec<_> = list.iter(0).map(|held| held.key).collect();
    assert!(keys.into_iter().all(|key| writer.remove(&key)));
    assert_eq!(concerned(&list, 0..writes / 50), 0);
}

/// At a quarter of an entry for each cell, a fifth of the others share one with somebody.
#[test]
fn most_of_the_others_are_told_apart() {
    let table = Table::new(1024);
    let list = table.list();
    let mut writer = DenylistWriter::new(list);
    let capacity = list.capacity() as u64;
    for n in 0..capacity / 100 {
        writer.insert(&entry(key(n), 50, 10), 0);
    }
    let others = 10 * capacity..20 * capacity;
    let share =
        |list: &Denylist<'_>| concerned(list, others.clone()) * 1_000 / others.clone().count();
    assert!((1..6).contains(&share(&list)), "{} of 1000", share(&list));
    for n in 0..capacity * 95 / 100 {
        writer.insert(&entry(key(n), 50, 10), 0);
    }
    assert!((180..240).contains(&share(&list)), "{} of 1000", share(&list));
}

/// A network with more entries than a cell counts stays in doubt until the list is repaired.
#[test]
fn a_cell_that_is_full_is_counted_anew() {
    let table = Table::new(8);
    let list = table.list();
    let mut writer = DenylistWriter::new(list);
    let of = |discriminator| DenyKey { network: 7, discriminator, ..key(7) };
    for n in 0..20 {
        assert_eq!(writer.insert(&entry(of(n), 50, 10), 0), Inserted::New);
    }
    assert!((0..20).all(|n| writer.remove(&of(n))));
    assert!(list.may_concern(7));
    assert_eq!(writer.repair(), Repaired::default());
    assert!(!list.may_concern(7));
    assert_eq!(writer.insert(&entry(of(1), 50, 10), 0), Inserted::New);
    // Killed before or after it was counted.
    for cells in [0, u64::MAX] {
        table.tags[FRONT_WORDS + 8..].iter().for_each(|cell| cell.store(cells, Ordering::Relaxed));
        writer.repair();
        assert!(list.may_concern(7));
        assert!(concerned(&list, 100..200) < 5);
    }
}
