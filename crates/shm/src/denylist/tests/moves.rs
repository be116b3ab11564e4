//! Entries that make room for others by moving to their other bucket.

use super::*;

/// Of a table of four thousand buckets, 97 % can be used before the first newcomer finds no room, and
/// nobody is lost while others move.
#[test]
fn nearly_all_of_the_room_can_be_used() {
    let table = Table::new(rounds(4096).next_power_of_two());
    let mut writer = DenylistWriter::new(table.list());
    let capacity = table.list().capacity() as u64;
    let fill = capacity * 97 / 100;
    for n in 0..fill {
        assert_eq!(writer.insert(&entry(key(n), 50, 10), 0), Inserted::New, "{n} of {capacity}");
    }
    assert!(table.moves() > 0 && table.moves() < 2 * capacity, "{} moves", table.moves());
    assert!((0..fill).all(|n| writer.reader().find(&key(n), 9) == Some(entry(key(n), 50, 10))));
    assert!((0..fill).all(|n| writer.reader().find(&key(n), 10).is_none()), "all expired");
    assert!((fill..3 * fill).all(|n| writer.reader().find(&key(n), 9).is_none()));
    assert_eq!(writer.reader().iter(9).count() as u64, fill);
    assert_eq!(writer.repair(), Repaired::default());
    // Beyond that it fills to the last slots, and no denial makes room for one of less weight.
    for n in fill..capacity * 3 / 2 {
        writer.insert(&entry(key(n), 49, 10), 0);
    }
    let held = writer.reader().iter(9).count() as u64;
    assert!(held * 1000 >= capacity * 990, "{held} of {capacity}");
    let [full, displaced] =
        [table.count(|c| &c.denylist_full), table.count(|c| &c.denylist_displaced)];
    assert!(full > 0 && full + displaced == capacity * 3 / 2 - held, "{full} {displaced}");
    assert!((0..fill).all(|n| writer.reader().find(&key(n), 9).is_some()));
}

/// None makes way for another here: what is found is found because others moved.
#[test]
fn expired_entries_elsewhere_are_room() {
    let table = Table::new(rounds(1024).next_power_of_two());
    let mut writer = DenylistWriter::new(table.list());
    let capacity = table.list().capacity() as u64;
    for n in 0..capacity * 2 {
        writer.insert(&entry(key(n), CERTAIN, if n % 2 == 0 { 10 } else { 1 << 40 }), 0);
    }
    let lasting: Vec<_> = writer.reader().iter(10).map(|held| held.key).collect();
    let mut placed = 0;
    for n in 10 * capacity..10 * capacity + (capacity - lasting.len() as u64) * 8 / 10 {
        placed += u64::from(writer.insert(&entry(key(n), CERTAIN, 1 << 40), 10) != Inserted::Full);
        assert!(writer.reader().find(&key(n), 10).is_some(), "{n}, {placed} placed");
    }
    assert!(lasting.iter().all(|key| writer.reader().find(key, 10).is_some()));
    assert!(placed > 0);
}

/// Killed on the way from one bucket to the other, at each step.
#[test]
fn a_move_is_ended_after_a_kill() {
    for step in 0..4 {
        let table = Table::new(8);
        let list = table.list();
        let mut writer = DenylistWriter::new(list);
        writer.insert(&entry(key(1), 50, 10), 0);
        let place = list.seed.place(&key(1), 8);
        let (from, _) = list.locate(&key(1), &place).unwrap();
        let to = place.other(from / BUCKET).unwrap() * BUCKET + 3;
        list.entries.write(to, &list.whole(from).unwrap(), false);
        let expected = match step {
            // Half written.
            0 => {
                table.entries[to * 7].fetch_add(1, Ordering::Relaxed);
                Repaired { torn: 1, ..Repaired::default() }
            }
            // Without its tag; then with it.
            1 => Repaired { tags: 1, twice: 1, torn: 0 },
            2 => {
                writer.set_tag(to, place.tag);
                Repaired { twice: 1, ..Repaired::default() }
            }
            // Half gone from where it was.
            _ => {
                writer.set_tag(to, place.tag);
                table.entries[from * 7].fetch_add(1, Ordering::Relaxed);
                Repaired { torn: 1, ..Repaired::default() }
            }
        };
        assert_eq!(list.find(&key(1), 0), Some(entry(key(1), 50, 10)), "step {step}");
        assert_eq!(writer.repair(), expected, "step {step}");
        assert_eq!(list.find(&key(1), 0), Some(entry(key(1), 50, 10)), "step {step}");
        assert_eq!(list.iter(0).count(), 1, "step {step}");
        assert!(writer.remove(&key(1)) && list.find(&key(1), 0).is_none());
    }
}

#[test]
fn nobody_is_missed_while_others_move() {
    let rounds = rounds(4_000) as u64;
    let table = Table::new(16);
    let list = table.list();
    let mut writer = DenylistWriter::new(list);
    for n in 0..100 {
        assert_eq!(writer.insert(&entry(key(n), 50, 10), 0), Inserted::New);
    }
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = 0_u64;
            while done.load(Ordering::Relaxed) == 0 {
                let key = key(seen % 100);
                assert_eq!(list.find(&key, 0), Some(entry(key, 50, 10)));
                seen += 1;
            }
        });
        for round in 0..rounds {
            let newcomers = (0..20).map(|n| key(1_000 + round * 20 + n)).collect::<Vec<_>>();
            for key in &newcomers {
                writer.insert(&entry(*key, 50, 10), 0);
            }
            for key in &newcomers {
                writer.remove(key);
            }
        }
        done.store(1, Ordering::Relaxed);
    });
    assert!(table.moves() > rounds, "{} moves", table.moves());
}
