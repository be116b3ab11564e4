//! API1: walking object identifiers that belong to others.
//!
//! Only objects that are somebody's: of a group whose objects are hardly ever shared, or asked for
//! with a session or credential where nothing says that the group is public. The alternatives are a
//! walk through numbers, objects that belonged to others, and refusals. Support staff opens many
//! customers' objects too, but at a person's pace.

use std::sync::LazyLock;

use super::scraping::{HASTY, NEW, SEQUENTIAL};
use super::{Event, Odds};
use crate::evidence::Ratios;
use crate::sources::Source;

const NULL_SEQUENTIAL: f32 = 0.45;
const WALK: [f32; 4] = [0.98, 0.93, 0.85, 0.75];
const NULL_FOREIGN: f32 = 0.25;
const NULL_REFUSED: f32 = 0.30;
const MOST: [f32; 4] = [0.9; 4];
/// What a walk weighs while nothing says whether the objects are private: part of it may be a list.
const UNKNOWN: f32 = 0.8;
/// What an object weighs that was asked for at a person's pace.
const PACE: f32 = 0.15;

/// The odds of a walk, of somebody else's object, of a refusal.
static ODDS: LazyLock<[Odds; 3]> = LazyLock::new(|| {
    [(WALK, NULL_SEQUENTIAL), (MOST, NULL_FOREIGN), (MOST, NULL_REFUSED)]
        .map(|(p1, p0)| Odds::new(p1, p0))
});

/// See [`super::Observe`].
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    let facts = event.facts;
    let trail = &mut source.trail;
    if trail.step & NEW == 0 || event.users > 1 {
        return None;
    }
    let pace = if trail.step & HASTY == 0 { PACE } else { 1.0 };
    let sequential = |id: Option<u64>| match id {
        Some(_) => ODDS[0].of(trail.step & SEQUENTIAL != 0),
        None => [0.0; 4],
    };
    if let Some((_, id)) = facts.refused {
        // A crawler meets objects that are gone, and so does everybody who is not logged in.
        if facts.polite || (!facts.authenticated && event.record.head.status == 404) {
            return None;
        }
        trail.refused = trail.refused.saturating_add(1);
        let walk = sequential(id);
        let refused = ODDS[2].of(true)[0];
        return Some(
            [walk[0], 0.0, refused, walk[2].max(0.0) + refused * 0.5].map(|r| weigh(r, pace)),
        );
    }
    let visit = facts.visit?;
    if visit.public || !(visit.private || (facts.authenticated && visit.id.is_some())) {
        return None;
    }
    let certainty = if visit.private { 1.0 } else { UNKNOWN };
    let walk = sequential(visit.id).map(|ratio| weigh(ratio, certainty));
    let foreign = if visit.private && visit.foreign {
        ODDS[1].of(true)[0]
    } else if visit.private {
        ODDS[1].of(false)[0]
    } else {
        0.0
    };
    let served = ODDS[2].of(false)[0];
    Some([walk[0], foreign, served, walk[2] + foreign.max(0.0)].map(|ratio| weigh(ratio, pace)))
}

/// Evidence at a person's pace weighs little; what speaks for the source weighs in full.
fn weigh(ratio: f32, pace: f32) -> f32 {
    if ratio > 0.0 { ratio * pace } else { ratio }
}
