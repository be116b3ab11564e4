//! OAT-005, OAT-021: reserving faster than people can.
//!
//! A person looks at a page, decides and clicks; a sale's first minute is many people who each do
//! that. A scalper reserves again and again within a second or three, sold out or not, and looks at
//! nothing but the stock. One that takes its time is told by the watching: alone, or by what a page would
//! have sent along with each of its requests.

use super::posting::READS;
use super::{Event, did_not, happened, is_bare};
use crate::Threat;
use crate::evidence::Ratios;
use crate::facts::Facts;
use crate::record::flags;
use crate::role::Role;
use crate::sources::Source;

/// Share of reservations that follow the last one within [`HASTE_MS`]: people's double clicks, and
/// machines'.
const NULL_HASTE: f32 = 0.35;
const HASTE_MS: u64 = 1200;
/// The same within [`HURRY_MS`].
const NULL_HURRY: f32 = 0.55;
const HURRY_MS: u64 = 4000;
/// The same within [`PATIENCE_MS`], having looked at nothing but one path: people try again when they
/// are told that it is gone, but not for long.
const NULL_WATCHED: f32 = 0.65;
const PATIENCE_MS: u64 = 30_000;
/// Share of reservations after which nothing but one path was asked for, of those, that come without
/// Referer, cookie or credential, from who is not known and no program that is given what it orders: buttons
/// of pages and of applications send one of them along, but for one client in three; and machines'.
const NULL_BARE: f32 = 0.33;
const BARE: f32 = 0.85;
/// Of the second and the last one only the watching counts, whatever the pace.
const ALTERNATIVES: [f32; 4] = [0.97, 0.97, 0.85, 0.97];
/// What a reservation weighs that came after looking around, or from a program that says what it is, shows
/// a credential and is given what it asks for: another company's orders.
const READER: f32 = 0.25;
/// The same of one that came from a page of ours, as people's clicks do.
const CLICK: f32 = 0.5;

/// See [`super::Concerns`].
pub fn concerns(facts: &Facts) -> bool {
    facts.role == Role::Checkout && facts.post
}

/// See [`super::Observe`].
#[inline(never)]
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    if !concerns(event.facts) || event.users > 1 {
        return None;
    }
    let now_ms = event.record.head.time_ms;
    let posts = &mut source.posts;
    let gap_ms = now_ms.saturating_sub(posts.reservations.last_ms());
    let first = posts.reservations.count == 0;
    posts.reservations.set_last_ms(now_ms);
    posts.reservations.count = posts.reservations.count.saturating_add(1);
    let watched = posts.watched();
    let others = core::mem::take(&mut posts.others);
    let reads = others >= READS && !watched;
    if first {
        return None;
    }
    if let Some(floor) = event.facts.member {
        source.walks[Threat::Scalping as usize].raise(floor);
    }
    let record = event.record;
    let ordered = record.has(flags::AUTHORIZATION)
        && event.facts.accepted
        && !record.user_agent.starts_with(b"Mozilla/");
    let clicked = record.has(flags::SAME_SITE_REFERER) && record.has(flags::COOKIE);
    let weight = match (reads || ordered, clicked) {
        (true, _) => READER,
        (false, true) => CLICK,
        (false, false) => 1.0,
    };
    let pace = if gap_ms <= HASTE_MS {
        happened(ALTERNATIVES, NULL_HASTE).map(|ratio| ratio * weight)
    } else if gap_ms <= HURRY_MS {
        happened(ALTERNATIVES, NULL_HURRY).map(|ratio| ratio * weight)
    } else {
        did_not(ALTERNATIVES, NULL_HURRY)
    };
    if gap_ms <= HURRY_MS && !reads {
        source.posts.hurried = source.posts.hurried.saturating_add(1);
    }
    let watching = if watched && gap_ms <= PATIENCE_MS {
        happened(ALTERNATIVES, NULL_WATCHED).map(|ratio| ratio * weight)
    } else {
        did_not(ALTERNATIVES, NULL_WATCHED)
    };
    // Somebody asked whether there is any, and then took it.
    let known = event.veteran || record.has(flags::FROM_LOG);
    let program = event.facts.accepted && !record.user_agent.starts_with(b"Mozilla/");
    let bare = watched && others > 0 && is_bare(record) && !known && !program;
    let bare = if bare { happened([BARE; 4], NULL_BARE) } else { did_not([BARE; 4], NULL_BARE) };
    let both = |m: usize| match m {
        1 => watching[1] + bare[1],
        3 => watching[3],
        _ if event.facts.member.is_some() => 0.0,
        _ => pace[m] + if watched { watching[m] } else { 0.0 },
    };
    Some(core::array::from_fn(both))
}
