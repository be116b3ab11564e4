//! The walks and the odds, without an engine around them.

use super::*;

/// One event in 300 ms for `seconds`; of a hundred, `attack` belong to a botnet of 60 addresses
/// from half-time on, with one software or with everybody's. How many of its events, and of
/// others', were believed to be members'.
fn campaign(attack: u64, mixed: bool, kind: Kind, outage: bool) -> (u32, u32) {
    let mut slots = vec![Campaign::default(); 2];
    let mut campaigns = Campaigns::new(&mut slots);
    let (mut seed, mut found, mut wrong) = (1u64, 0, 0);
    let half_ms = 6 * 3_600_000;
    for n in 0..(2 * half_ms / 300) {
        let now_ms = 1 + n * 300;
        seed = combine(seed, n);
        let chance = |part: u32| (seed >> (8 * part)) % 100;
        let late = now_ms > half_ms;
        let member = late && chance(0) < attack;
        let failed = member || (late && outage) || chance(1) < 12;
        // Some people have come straight to the login, and from a new address.
        let cold = member || chance(2) < 2;
        let software = if member && !mixed { 7 } else { 1000 + seed % 400 };
        let network = if member { (1 << 40) | (seed % 60) } else { seed % 5000 };
        let event = Occurrence {
            kind,
            fingerprint: software,
            network,
            since_ms: if cold { now_ms } else { 0 },
            marked: failed && (cold || kind == Kind::FailedLogin),
            counts: true,
            failed,
            vouched: !cold,
            now_ms,
        };
        let believed = campaigns.event(5, &event).is_some_and(|floor| floor >= MEMBER - 1.0);
        found += u32::from(believed && member);
        wrong += u32::from(believed && !member);
    }
    (found, wrong)
}

#[test]
fn two_in_a_hundred_with_one_software_are_found() {
    let (found, wrong) = campaign(2, false, Kind::LoginPage, false);
    assert!(found > 500, "{found}");
    assert!(wrong * 100 < found, "{wrong} of {found}");
}

#[test]
fn ten_in_a_hundred_with_everybodys_software_are_found() {
    let (found, wrong) = campaign(10, true, Kind::LoginPage, false);
    assert!(found > 3000, "{found}");
    assert!(wrong * 20 < found, "{wrong} of {found}");
}

#[test]
fn nobody_is_a_member_of_an_outage() {
    assert_eq!(campaign(0, true, Kind::LoginPage, false), (0, 0));
    let (_, wrong) = campaign(0, true, Kind::LoginPage, true);
    assert_eq!(wrong, 0);
    let (_, wrong) = campaign(0, true, Kind::FailedLogin, true);
    assert_eq!(wrong, 0);
}

/// One source that posts and does nothing else is no attack from many.
#[test]
fn few_networks_are_no_campaign() {
    let mut slots = vec![Campaign::default(); 2];
    let mut campaigns = Campaigns::new(&mut slots);
    for n in 0..2000u64 {
        let event = Occurrence {
            kind: Kind::Content,
            fingerprint: 3,
            network: n % 4,
            since_ms: 0,
            marked: true,
            counts: true,
            failed: false,
            vouched: false,
            now_ms: n * 1000,
        };
        assert_eq!(campaigns.event(5, &event), None);
    }
}
