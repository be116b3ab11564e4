//! Properties of what is learned.

use super::*;
use crate::hash::combine;

const DAY: u64 = EPOCH_MS;

fn network(n: u64) -> u64 {
    0xffff_0000_0000 | (n & 0xff_ffff) << 8 | 7
}

/// A client with this many requests, posts and private objects on a day.
fn client(day: u64, requests: u32, posts: u32, objects: u64, salt: u64) -> Activity {
    let mut activity = Activity::default();
    for n in 0..u64::from(requests) {
        let mut count = Count {
            now_ms: day * DAY + n * 1000,
            template: combine(n % 5, 3),
            private_object: (n < objects).then(|| combine(n, salt)),
            upstream: Count::part::<100>(40, combine(n + 1, salt)),
            volume: Count::part::<8192>(9000, combine(n + 1, salt)),
            chance: combine(n + 1, salt),
            ..Count::default()
        };
        count.one(Feature::Posts, n < u64::from(posts));
        activity.count(&count);
    }
    activity
}

/// A day of `clients` honest ones, of whom `poison` in a hundred behave as `attack` says.
fn day(profile: &mut Profile, day: u64, clients: u64, poison: u64, attack: u32) {
    profile.advance(day * DAY, day > 0);
    for n in 0..clients {
        let chance = combine(n + 1, day + 7);
        let posts = if chance % 100 < poison { attack } else { (chance >> 32) as u32 % 4 };
        let mut activity = client(day, 12.max(posts), posts, 2, n);
        profile.learn(&mut activity, network(n), combine(n, 1), day * DAY + 80_000_000);
    }
}

#[test]
fn a_day_is_counted() {
    let activity = client(3, 40, 5, 12, 9);
    assert_eq!(activity.value(Feature::Requests), 40.0);
    assert_eq!(activity.value(Feature::Posts), 5.0);
    assert_eq!(activity.value(Feature::Templates), 5.0);
    let upstream = activity.value(Feature::Upstream);
    assert!((10.0..24.0).contains(&upstream), "{upstream}");
    let objects = activity.value(Feature::PrivateObjects);
    assert!((10.0..16.0).contains(&objects), "{objects}");
    assert_eq!(client(3, 2, 0, 0, 1).value(Feature::PrivateObjects), 0.0);
}

#[test]
fn caps_hold() {
    let mut caps = Caps::default();
    let from_one = (0..10_000).filter(|&n| caps.admit(network(77), combine(n, 2))).count();
    assert_eq!(from_one as u32, NETWORK_LEAST);
    let mut caps = Caps::default();
    let by_one = (0..10_000).filter(|&n| caps.admit(network(n), 5)).count();
    assert_eq!(by_one as u32, FINGERPRINT_LEAST);
    // Among many others, a share.
    let mut caps = Caps::default();
    let (mut botnet, mut all) = (0, 0);
    for n in 0..6000u64 {
        let bot = n % 2 == 0;
        let fingerprint = if bot { 5 } else { combine(n, 3) };
        let admitted = caps.admit(network(combine(n, 9)), fingerprint);
        botnet += u32::from(admitted && bot);
        all += u32::from(admitted);
    }
    assert!(all > 1000 && botnet <= all / FINGERPRINT_SHARE + 1, "{botnet} of {all}");
}

/// Whatever the clients of a day do, and however often, taking one out leaves the histograms as if
/// it had never been there.
#[test]
fn unlearning_restores_the_histograms_bit_for_bit() {
    for seed in 1..40u64 {
        let mut profile = Profile::new(1);
        day(&mut profile, 1, 60, 0, 0);
        let before = profile.features;
        let mut attacker = client(1, 3, 0, 0, seed);
        for step in 0..(seed * 7) {
            let mut count = Count {
                now_ms: DAY + 80_000_000 + step * 900,
                template: combine(step, seed),
                private_object: Some(combine(step, seed)),
                miss: combine(step, seed) % 3 == 0,
                upstream: Count::part::<100>(combine(seed, step) % 900, combine(seed, step)),
                volume: Count::part::<8192>(combine(seed, step) % 90_000, combine(seed, step)),
                chance: combine(seed, step),
                ..Count::default()
            };
            count.one(Feature::Posts, true);
            count.one(Feature::Logins, step % 2 == 0);
            attacker.count(&count);
            assert!(profile.learn(&mut attacker, network(900_000), 99, count.now_ms));
        }
        assert_ne!(profile.features, before, "it was learned");
        profile.unlearn(&mut attacker);
        assert_eq!(profile.features, before);
        assert!(!attacker.is_sample());
        profile.unlearn(&mut attacker);
        assert_eq!(profile.features, before, "once");
    }
}

#[test]
fn nothing_is_learned_while_frozen() {
    let mut profile = Profile::new(1);
    day(&mut profile, 1, 50, 0, 0);
    let mut known = client(1, 20, 2, 0, 1);
    assert!(profile.learn(&mut known, network(800_000), 1, DAY + 80_000_000));
    let before = profile.features;
    profile.freeze(DAY + 80_000_000, 60_000);
    let mut more = Count { now_ms: DAY + 80_001_000, ..Count::default() };
    more.one(Feature::Posts, true);
    for _ in 0..500 {
        known.count(&more);
    }
    profile.learn(&mut known, network(800_000), 1, DAY + 80_030_000);
    let mut new = client(1, 500, 400, 0, 2);
    assert!(!profile.learn(&mut new, network(700_000), 2, DAY + 80_030_000));
    assert_eq!(profile.features, before);
    assert!(profile.learn(&mut new, network(700_000), 2, DAY + 80_061_000), "afterwards");
}

/// However much poison, and for however long: a tenth a day.
#[test]
fn drift_is_bounded() {
    for poison in [1, 5, 10, 40] {
        let mut profile = Profile::new(1);
        (0..4).for_each(|n| day(&mut profile, n, 600, 0, 0));
        let mut last = profile.null(Feature::Posts);
        assert!(last < 12.0, "{last}");
        for n in 4..24 {
            day(&mut profile, n, 600, poison, 300);
            let null = profile.null(Feature::Posts);
            assert!(null <= last * DRIFT * 1.0001 && null >= last / DRIFT * 0.9999);
            last = null;
        }
    }
}

/// A burst of poison, for a day or two, moves nothing: the days after it do not agree.
#[test]
fn a_burst_is_not_believed() {
    let mut profile = Profile::new(1);
    (0..5).for_each(|n| day(&mut profile, n, 600, 0, 0));
    let before = profile.null(Feature::Posts);
    day(&mut profile, 5, 600, 10, 300);
    day(&mut profile, 6, 600, 10, 300);
    (7..12).for_each(|n| day(&mut profile, n, 600, 0, 0));
    let after = profile.null(Feature::Posts);
    assert!((after / before - 1.0).abs() < 0.02, "{before} became {after}");
}

/// What stays becomes the new normal, slowly.
#[test]
fn a_lasting_change_is_learned() {
    let mut profile = Profile::new(1);
    (0..5).for_each(|n| day(&mut profile, n, 600, 0, 0));
    let before = profile.null(Feature::Posts);
    (5..30).for_each(|n| day(&mut profile, n, 600, 30, 40));
    assert!(profile.null(Feature::Posts) > before * 3.0);
}

#[test]
fn surprise_and_states() {
    let mut profile = Profile::new(1);
    assert_eq!(profile.state(), State::NoTraffic);
    day(&mut profile, 0, 400, 0, 0);
    assert_eq!(profile.state(), State::Learning);
    assert_eq!(profile.surprise(Feature::Posts, 1e6), 0.0, "nothing acts while it is learned");
    assert_eq!(profile.null(Feature::Posts), Feature::Posts.prior());
    day(&mut profile, 1, 400, 0, 0);
    assert_eq!(profile.state(), State::Ready);
    let [usual, odd] = [1.0, 300.0].map(|posts| profile.surprise(Feature::Posts, posts));
    assert!(usual < 0.5 && odd > 6.0, "{usual} {odd}");
    assert!(profile.null(Feature::Posts) < 12.0);
}

#[test]
fn habits_follow_their_template() {
    let mut slots = vec![Habit::default(); 16];
    let mut habits = Habits::new(&mut slots);
    let mut profile = Profile::new(1);
    let mut last = Activity::default();
    for n in 0..60u64 {
        let now_ms = DAY + 80_000_000;
        profile.advance(now_ms, true);
        let mut activity = client(1, 8, 2, 0, n);
        let before = activity;
        profile.learn(&mut activity, network(n), combine(n, 4), now_ms);
        habits.learn(&mut activity, &before, (Feature::Posts, 42), now_ms, true);
        assert!(habits.is_home(&activity, Feature::Posts, 42));
        last = activity;
    }
    let total = |habits: &Habits<'_>| {
        habits.get(Feature::Posts, 42).map(|habit| habit.learner().today.total())
    };
    assert_eq!(total(&habits), Some(60));
    habits.unlearn(&mut last, DAY + 80_000_000);
    assert_eq!(total(&habits), Some(59));
    assert_eq!(habits.null(Feature::Posts, 42, DAY + 80_000_000, true), None, "not a day old");
    let null = habits.null(Feature::Posts, 42, 2 * DAY, true);
    assert!(null.is_some_and(|null| null < 10.0), "{null:?}");
    assert_eq!(habits.null(Feature::Posts, 43, 2 * DAY, true), None);
}

/// Few who do it a lot raise the null beyond the prior, and hide nobody; where many do, as in a chat, how
/// often says nothing.
#[test]
fn a_few_who_do_it_a_lot_hide_nobody() {
    let null = |many: u64| {
        let mut slots = vec![Habit::default(); 16];
        let mut habits = Habits::new(&mut slots);
        let mut profile = Profile::new(1);
        for n in 0..60u64 {
            let now_ms = DAY + 80_000_000;
            profile.advance(now_ms, true);
            let posts = if n < many { 400 } else { 2 };
            let mut activity = client(1, posts, posts, 0, n);
            let before = activity;
            profile.learn(&mut activity, network(n), combine(n, 4), now_ms);
            habits.learn(&mut activity, &before, (Feature::Posts, 42), now_ms, true);
        }
        habits.null(Feature::Posts, 42, 2 * DAY, true)
    };
    assert!(null(3).is_some_and(|null| null > Feature::Posts.prior()), "{:?}", null(3));
    assert_eq!(null(9), None, "more than a tenth");
}
