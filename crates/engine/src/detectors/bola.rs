//! API1: walking object identifiers that belong to others.
//!
//! Only objects that are somebody's: of a group whose objects are hardly ever shared, or asked for
//! with a session or credential where nothing says that the group is public. The alternatives are a
//! walk through numbers; objects that belonged to others, each owner counted once; more different
//! objects than nearly everybody opens in a day; and all of it together, with refusals.
//! While nobody else is known to have objects of the group, a walk through some hundred numbers is that of
//! a program through a list of its own.
//!
//! Support staff opens many customers' objects too, but was there while the application was learned,
//! or works at a browser at a person's pace. A family shares a few owners, and few objects.

use std::sync::LazyLock;

use super::scraping::{HASTY, NEW, OWN_LIST, SEQUENTIAL};
use super::{Event, Odds};
use crate::Threat;
use crate::evidence::Ratios;
use crate::facts::Facts;
use crate::object::Visit;
use crate::profiles::Feature;
use crate::record::{Method, flags};
use crate::sources::Source;

const NULL_SEQUENTIAL: f32 = 0.45;
const WALK: [f32; 4] = [0.98, 0.93, 0.85, 0.75];
/// Share of objects of others, whatever was learned: a family, a changed device.
const NULL_FOREIGN: f32 = 0.1;
const NULL_REFUSED: f32 = 0.30;
const MOST: [f32; 4] = [0.9; 4];
/// What a walk weighs while nothing says whether the objects are private: part of it may be a list.
const UNKNOWN: f32 = 0.9;
/// Objects of a list that a page loads in one go, item by item.
const LIST: u16 = 32;
/// What an object weighs that was asked for at a person's pace.
const PACE: f32 = 0.15;
/// How many times the null of different objects a day a collector opens; an object beyond the null
/// weighs `ln 4`.
const COLLECTS: f32 = 4.0;
/// Up to so many times the null it weighs half: nobody is convicted of being twice as busy as most.
const BUSY: f32 = 2.5;
/// What is left of the evidence when an object that was refused is put there.
const WROTE: f32 = 0.25;
/// What an object of one's own says, nats.
const OWN: f32 = -1.0;

/// The odds of a walk, of somebody else's object, of a refusal.
static ODDS: LazyLock<[Odds; 3]> = LazyLock::new(|| {
    [(WALK, NULL_SEQUENTIAL), (MOST, NULL_FOREIGN), (MOST, NULL_REFUSED)]
        .map(|(p1, p0)| Odds::new(p1, p0))
});

/// See [`super::Concerns`].
pub fn concerns(facts: &Facts) -> bool {
    facts.refused.is_some() || facts.visit.is_some() || writes(facts)
}

fn writes(facts: &Facts) -> bool {
    facts.post && facts.accepted
}

/// See [`super::Observe`].
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    let facts = event.facts;
    if writes(facts) {
        // Whoever looks whether it is there before it puts it there.
        if event.record.method() == Method::Put && source.trail.has_seen(facts.path_key) {
            source.walks[Threat::Bola as usize].fade(WROTE);
        }
        return None;
    }
    if source.trail.step & NEW == 0 || event.users > 1 || event.established {
        return None;
    }
    let hasty = source.trail.step & HASTY != 0;
    let pace = if hasty { 1.0 } else { PACE };
    let walks = source.trail.step & SEQUENTIAL != 0;
    // What is not known to be private may be a list that a page of the application loads; what nobody else
    // is known to have, a list of one's own.
    let others = |visit: Visit| visit.private || visit.apart || visit.sealed;
    let list = (source.trail.fresh <= OWN_LIST && !facts.visit.is_some_and(others))
        || (source.trail.in_one_go(LIST) && !facts.visit.is_some_and(|visit| visit.private));
    let again = source.trail.is_known_walk();
    let sequential = |id: Option<u64>| match id {
        Some(_) if walks && (list || again) => [0.0; 4],
        Some(_) => ODDS[0].of(walks),
        None => [0.0; 4],
    };
    if let Some((_, id)) = facts.refused {
        // A crawler meets objects that are gone, and so does everybody who is not logged in.
        let known = facts.authenticated || event.record.has(flags::COOKIE);
        let nobody = match event.record.head.status {
            404 => !facts.authenticated,
            // Log in first: many programs show their credentials only when they are asked.
            401 => !known,
            _ => false,
        };
        if facts.polite || nobody {
            return None;
        }
        source.trail.refused = source.trail.refused.saturating_add(1);
        let walk = sequential(id);
        let refused = ODDS[2].of(true)[0];
        let together = walk[2].max(0.0) + refused * 0.5;
        return Some([walk[0], 0.0, refused, together].map(|ratio| weigh(ratio, pace)));
    }
    let visit = facts.visit?;
    if visit.public
        || facts.place
        || !(visit.private || visit.sealed || (facts.authenticated && visit.id.is_some()))
    {
        return None;
    }
    let certainty = if visit.private { 1.0 } else { UNKNOWN };
    let walk = sequential(visit.id).map(|ratio| weigh(ratio, certainty));
    let foreign = foreign(&visit, source);
    // A person at a browser, and whoever was there while the application was learned.
    let known = !hasty && (facts.page || event.veteran);
    let (foreign, collected) =
        if known { (foreign.min(0.0), 0.0) } else { (foreign, collected(event, &visit, source)) };
    let served = if collected > 0.0 { collected } else { ODDS[2].of(false)[0] };
    let together = collected + foreign + weigh(walk[2], pace).max(0.0) * 0.5;
    Some([weigh(walk[0], pace), foreign, served, together])
}

/// What the owner of an object says: each owner counts once.
fn foreign(visit: &Visit, source: &mut Source) -> f32 {
    match visit {
        Visit { private: false, .. } => 0.0,
        Visit { own: true, .. } => ODDS[1].of(false)[0],
        Visit { foreign: true, .. } => {
            source.trail.foreign = source.trail.foreign.saturating_add(1);
            let new = source.activity.owner(visit.owner);
            if new { ODDS[1].of(true)[0] } else { 0.0 }
        }
        _ => 0.0,
    }
}

/// What one more object says that the source has not asked for today: nothing while as many are
/// normal.
fn collected(event: &Event<'_>, visit: &Visit, source: &Source) -> f32 {
    let Some(null) = event.null else { return 0.0 };
    if visit.own {
        return OWN;
    }
    let objects = source.activity.value(Feature::PrivateObjects);
    if objects <= null {
        return 0.0;
    }
    let weight = if objects <= BUSY * null { 0.5 } else { 1.0 };
    COLLECTS.ln() * weight * event.new_objects as f32
}

/// Evidence at a person's pace weighs little; what speaks for the source weighs in full.
fn weigh(ratio: f32, pace: f32) -> f32 {
    if ratio > 0.0 { ratio * pace } else { ratio }
}
