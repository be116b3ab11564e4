use super::*;
use crate::evidence::Walks;
use crate::hash::combine;

fn who(n: u64) -> (u64, SourceKey) {
    let who = SourceKey { network: n << 32, ..SourceKey::address([0; 16]) };
    (source_hash(1, who), who)
}

fn touch(sources: &mut Sources<'_>, n: u64, now_ms: u64) -> Option<usize> {
    let (key, who) = who(n);
    sources.touch(key, who, 1, now_ms)
}

fn with_sources(test: impl FnOnce(&mut Sources<'_>)) {
    let (mut buckets, mut slots) = (vec![Bucket::default(); 8], vec![Source::default(); 8 * WAYS]);
    test(&mut Sources::new(&mut buckets, &mut slots, false));
}

#[test]
fn a_spray_of_new_sources_does_not_flush_a_suspect() {
    with_sources(|sources| {
        let suspect = touch(sources, 1, 0).unwrap();
        sources.get_mut(suspect).walks[0] = Walks::at([12.0, 0.0, 0.0, 0.0]);
        sources.weigh(suspect, 0);
        for n in 2..10_000 {
            touch(sources, n, n);
        }
        assert_eq!(touch(sources, 1, 10_000), Some(suspect));
        assert_eq!(sources.get(suspect).peak(), 12.0);
        assert_eq!(sources.live, 64);
        // A week later it is nobody's suspect any more.
        for n in 10_000..20_000 {
            touch(sources, n, 7 * 86_400_000 + n);
        }
        assert_ne!(sources.find(who(1).0), Some(suspect));
    });
}

/// Denied and lifted ones stay while that holds, and strangers take the place of one convicted source in
/// each bucket, so that there is a place for the next attacker; of the others not for a week.
#[test]
fn who_is_denied_stays_and_is_given_up_later() {
    with_sources(|sources| {
        let day_ms = 86_400_000;
        for n in 0..64 {
            let Some(slot) = touch(sources, n, 1000) else { continue };
            let source = sources.get_mut(slot);
            match n % 3 {
                0 => source.denied_until_ms = 3 * day_ms,
                1 => source.convictions = 1,
                _ => (source.lifted, source.grace_until_s) = (1, 3 * 86_400),
            }
            sources.weigh(slot, 1000);
        }
        let before: Vec<u64> = sources.iter().map(|source| source.key).collect();
        let spray = |sources: &mut Sources<'_>, now_ms: u64| {
            for n in 0..2000 {
                touch(sources, combine(n, now_ms), now_ms);
            }
            before.iter().filter(|&&key| sources.find(key).is_some()).count()
        };
        let after_a_day = spray(sources, day_ms);
        assert!((before.len() - 8..before.len()).contains(&after_a_day), "{after_a_day}");
        let convicted = spray(sources, 5 * day_ms);
        assert!(convicted > 4 && convicted < before.len() / 2, "{convicted}");
        assert_eq!(spray(sources, 8 * day_ms), 0);
    });
}

/// A table in which everybody was convicted once, and whose denials are over, sees the next attackers.
#[test]
fn a_table_full_of_convicted_sources_has_a_place_for_a_suspect() {
    with_sources(|sources| {
        for n in 0..2000 {
            let Some(slot) = touch(sources, n, 1000) else { continue };
            sources.get_mut(slot).convictions = 1;
            sources.weigh(slot, 1000);
        }
        let suspects: Vec<u64> = (5000..5008).collect();
        for &n in &suspects {
            let slot = touch(sources, n, 2000).expect("a place");
            sources.get_mut(slot).walks[0] = Walks::at([4.0, 0.0, 0.0, 0.0]);
            sources.weigh(slot, 2000);
            for stranger in 0..200 {
                touch(sources, combine(n, stranger), 2000);
            }
        }
        assert!(suspects.iter().all(|&n| sources.find(who(n).0).is_some()));
    });
}

/// Nor does one hide behind thousands who are denied already; who is in grace or suspected stays.
#[test]
fn a_table_full_of_denied_sources_has_a_place_for_a_suspect() {
    with_sources(|sources| {
        let (mut kept, mut denied) = (Vec::new(), Vec::new());
        for n in 0..2000 {
            let full = sources.live == 64;
            let Some(slot) = touch(sources, n, 1000 + n).filter(|_| !full) else { break };
            let source = sources.get_mut(slot);
            match n % 8 {
                0 => (source.lifted, source.grace_until_s) = (1, 3600),
                1 => source.walks[0] = Walks::at([12.0, 0.0, 0.0, 0.0]),
                _ => source.denied_until_ms = 3_600_000,
            }
            let list = if n % 8 < 2 { &mut kept } else { &mut denied };
            list.push(source.key);
            sources.weigh(slot, 1000 + n);
        }
        for n in 5000..5050 {
            touch(sources, n, 20_000);
        }
        assert!(kept.len() > 4 && kept.iter().all(|&key| sources.find(key).is_some()));
        let youngest = denied.len() - 4;
        let found = |keys: &[u64]| keys.iter().filter(|&&key| sources.find(key).is_some()).count();
        assert!(found(&denied) < denied.len() && found(&denied[youngest..]) == 4);
    });
}

#[test]
fn the_oldest_gives_way_and_a_shared_tag_finds_nobody_else() {
    with_sources(|sources| {
        for n in 0..3000 {
            let slot = touch(sources, n, n * 2000).unwrap();
            assert_eq!(sources.get(slot).network, n << 32);
        }
        let youngest = (2990..3000).filter(|&n| sources.find(who(n).0).is_some()).count();
        assert_eq!(youngest, 10);
        let key = who(2999).0;
        assert_eq!(sources.find(key ^ 1 << 63 ^ 1 << 62), None, "another bucket");
        assert_eq!(sources.find(key ^ 1 << 33), None, "the same bucket and tag");
    });
}

/// Whoever is killed while a source is made leaves a free slot, not half a suspect under another's
/// name.
#[test]
fn torn_records_are_dropped() {
    let (mut buckets, mut slots) = (vec![Bucket::default(); 8], vec![Source::default(); 8 * WAYS]);
    let mut sources = Sources::new(&mut buckets, &mut slots, false);
    let all: Vec<usize> = (0..20).map(|n| touch(&mut sources, n, 5).unwrap()).collect();
    sources.slots[all[3]].kind = 77;
    sources.slots[all[4]].network ^= 1;
    sources.slots[all[5]].key ^= 1 << 40;
    sources.buckets[all[6] / WAYS].0[all[6] % WAYS] = Entry::default();
    sources.buckets[all[7] / WAYS].0[all[7] % WAYS].0 ^= 1;
    sources.slots[all[8]].requests = u32::MAX;
    sources.slots[all[8]].hold = 99;
    let sources = Sources::new(&mut buckets, &mut slots, true);
    assert_eq!((sources.live, sources.iter().count()), (15, 15));
    for n in [3, 4, 5, 6, 7] {
        assert_eq!(sources.find(who(n).0), None, "{n}");
    }
    let clamped = sources.get(sources.find(who(8).0).unwrap());
    assert!(clamped.requests < u32::MAX && clamped.hold == 0);
}
