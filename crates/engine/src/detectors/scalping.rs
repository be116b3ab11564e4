//! OAT-005, OAT-021: reserving faster than people can.
//!
//! A person looks at a page, decides and clicks; a sale's first minute is many people who each do
//! that. A scalper reserves again and again within a second or three, sold out or not, and looks at
//! nothing but the stock.

use super::posting::READS;
use super::{Event, did_not, happened};
use crate::evidence::Ratios;
use crate::role::Role;
use crate::sources::Source;

/// Share of reservations that follow the last one within [`HASTE_MS`]: people's double clicks, and
/// machines'.
const NULL_HASTE: f32 = 0.35;
const HASTE_MS: u64 = 1200;
/// The same within [`HURRY_MS`].
const NULL_HURRY: f32 = 0.55;
const HURRY_MS: u64 = 4000;
const ALTERNATIVES: [f32; 4] = [0.97, 0.93, 0.85, 0.75];
/// What a reservation weighs that came after looking around.
const READER: f32 = 0.25;

/// See [`super::Observe`].
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    if event.facts.role != Role::Checkout || !event.facts.post || event.users > 1 {
        return None;
    }
    let now_ms = event.record.head.time_ms;
    let posts = &mut source.posts;
    let gap_ms = now_ms.saturating_sub(posts.reservations.last_ms);
    let first = posts.reservations.count == 0;
    posts.reservations.last_ms = now_ms;
    posts.reservations.count = posts.reservations.count.saturating_add(1);
    let reads = core::mem::take(&mut posts.others) >= READS;
    if first {
        return None;
    }
    let weight = if reads { READER } else { 1.0 };
    let ratios = if gap_ms <= HASTE_MS {
        happened(ALTERNATIVES, NULL_HASTE)
    } else if gap_ms <= HURRY_MS {
        happened(ALTERNATIVES, NULL_HURRY)
    } else {
        return Some(did_not(ALTERNATIVES, NULL_HURRY));
    };
    posts.hurried = posts.hurried.saturating_add(u16::from(!reads));
    Some(ratios.map(|ratio| ratio * weight))
}
