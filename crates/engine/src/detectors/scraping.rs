//! OAT-011: collecting the catalogue, and the trail of objects that this and [`super::bola`] follow.
//!
//! Three things tell a collector from people, each an alternative of its own: it walks numbers in
//! order, it takes rare objects as readily as popular ones, and it takes page after page without a
//! breath and without what pages need to be seen. Who takes objects of an interface just as people do
//! is told by how many they are, and that nothing else is ever asked for. A crawler that asks for
//! robots.txt and takes its time is left alone, and so is a program that asks for the sitemap and
//! reads the pages on it: it warms a cache, or looks for dead links.

use std::sync::LazyLock;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Event, Odds, remember};
use crate::evidence::Ratios;
use crate::facts::Facts;
use crate::object::Visit;
use crate::record::{RequestRecord, flags};
use crate::sources::Source;

mod saved;

/// Objects remembered one by one: coming back to one is no collecting.
const REMEMBERED: usize = 8;
/// Steps between numbers that count as in order; parallel connections shuffle them a little.
const STEP: u64 = 4;
/// Objects closer together than this are taken without looking at them.
const HASTE_MS: u64 = 1000;

/// Probability that the next object is the next number: a page that loads its list item by item,
/// against a walk.
const NULL_SEQUENTIAL: f32 = 0.55;
/// Probability that the next object follows in haste: a page that loads its list, a session that is
/// restored; against a collector.
const NULL_HASTY: f32 = 0.55;
const ALTERNATIVES: [f32; 4] = [0.98, 0.94, 0.88, 0.80];
static SEQUENTIAL_ODDS: LazyLock<Odds> = LazyLock::new(|| Odds::new(ALTERNATIVES, NULL_SEQUENTIAL));
static HASTY_ODDS: LazyLock<Odds> = LazyLock::new(|| Odds::new(ALTERNATIVES, NULL_HASTY));
/// What one object's popularity weighs at most, nats.
const POPULARITY: f32 = 1.0;
/// What its popularity must say beyond nothing, nats: somebody who uses an application all day asks
/// for less popular objects than most.
const MARGIN: f32 = 0.2;
/// Objects that a page of an application may load in one go, item by item.
const BURST: u16 = 60;
/// Groups of templates that a collector of one kind of objects asks for.
const FEW: u32 = 2;
/// What an object of an interface weighs that was asked for without anything that a page sends along,
/// by a client that asks for nothing else, nats: one that says it is a browser, which no browser does,
/// and one that says what it is. A day's work of the one is four hundred, of the other sixteen hundred.
const DECEIT: f32 = 0.06;
const BARE: f32 = 0.015;
/// Popularity ratios from which on an object is unpopular, nats.
const UNPOPULAR: f32 = 0.3;

/// The trail of objects that a source leaves. Plain old data.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct State {
    /// Group and number of the last object.
    last_group: u64,
    last_id: u64,
    /// Monotonic milliseconds of the last object.
    last_ms: u64,
    seen: [u32; REMEMBERED],
    /// Objects next to the last one.
    pub sequential: u16,
    /// Objects in haste.
    pub hasty: u16,
    /// Objects that hardly anybody asks for.
    pub unpopular: u16,
    /// Objects that somebody else asked for last.
    pub foreign: u16,
    /// Objects that were refused.
    pub refused: u16,
    /// Assets since the last object.
    assets: u16,
    /// Objects in one go.
    burst: u16,
    seen_at: u8,
    /// The last step was sequential, hasty: for [`super::bola`], which sees the record after this.
    pub step: u8,
}

/// Bits of [`State::step`]: the record is a new object; it is next to the last one; it is hasty.
pub const NEW: u8 = 1;
/// See [`NEW`].
pub const SEQUENTIAL: u8 = 2;
/// See [`NEW`].
pub const HASTY: u8 = 4;

impl State {
    /// The last object is part of a burst of no more than `list`: a page of an application may load as
    /// many in one go.
    pub fn in_one_go(&self, list: u16) -> bool {
        self.step & HASTY != 0 && self.burst <= list
    }

    /// Follows the source to the next object, and says how it got there.
    fn follow(&mut self, group: u64, id: Option<u64>, key: u64, now_ms: u64) {
        self.step = 0;
        if !remember(&mut self.seen, &mut self.seen_at, (key >> 32) as u32) {
            return;
        }
        let gap_ms = now_ms.saturating_sub(self.last_ms);
        let known = self.last_group == group;
        self.step = NEW;
        let near = |id: u64| id != self.last_id && id.abs_diff(self.last_id) <= STEP;
        if known && id.is_some_and(near) {
            self.step |= SEQUENTIAL;
            self.sequential = self.sequential.saturating_add(1);
        }
        if self.last_ms != 0 && gap_ms < HASTE_MS && self.assets == 0 {
            self.step |= HASTY;
            self.hasty = self.hasty.saturating_add(1);
        }
        self.burst = if self.step & HASTY == 0 { 0 } else { self.burst.saturating_add(1) };
        self.last_group = group;
        self.last_id = id.unwrap_or(0);
        self.last_ms = now_ms;
        self.assets = 0;
    }
}

/// See [`super::Concerns`].
pub fn concerns(facts: &Facts) -> bool {
    facts.asset || facts.refused.is_some() || facts.visit.is_some()
}

/// See [`super::Observe`].
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    let facts = event.facts;
    let trail = &mut source.trail;
    trail.step = 0;
    if facts.asset {
        trail.assets = trail.assets.saturating_add(1);
        return None;
    }
    let now_ms = event.record.head.time_ms;
    if let Some((group, id)) = facts.refused {
        trail.follow(group, id, facts.path_key, now_ms);
        return None;
    }
    let visit = facts.visit?;
    let key = crate::hash::combine(facts.path_key, visit.id.unwrap_or(0));
    trail.follow(visit.group, visit.id, key, now_ms);
    if trail.step & NEW == 0
        || event.users > 1
        || event.established
        || facts.polite
        || (facts.invited && facts.page)
        || visit.private
    {
        return None;
    }
    if visit.foreign && !visit.public {
        trail.foreign = trail.foreign.saturating_add(1);
    }
    // An application that its user is logged in to, or a page of ours that loads its list.
    let eased = facts.authenticated || event.record.has(flags::SAME_SITE_REFERER);
    // What was learned convicts nobody from whom it was learned, nor whoever is known by name.
    let known = event.veteran || facts.authenticated;
    let visit = Visit { popularity: visit.popularity.min(if known { 0.0 } else { 9.0 }), ..visit };
    let ratios = ratios(&visit, facts.page, eased, trail);
    // Programs take objects of an interface in haste; nobody reads pages that way.
    let [sequential, hasty, popularity, together] = ratios;
    let bare = !known && source.templates.count_ones() <= FEW && is_bare(event.record);
    let second = match (facts.page, bare) {
        (true, _) => hasty,
        (false, true) if claims_browser(event) => DECEIT,
        (false, true) if !event.record.has(flags::FROM_LOG) => BARE,
        (false, _) => -0.1,
    };
    Some([sequential, second, popularity, together])
}

/// Nothing of what a page sends with its requests, and nothing that says who asks.
fn is_bare(record: &RequestRecord<'_>) -> bool {
    !record.has(flags::REFERER) && !record.has(flags::COOKIE)
}

/// Whether the User-Agent is a browser's.
fn claims_browser(event: &Event<'_>) -> bool {
    event.record.user_agent.starts_with(b"Mozilla/") && !event.facts.crawler
}

/// One alternative for each thing that collectors do, and one for all of it together.
fn ratios(visit: &Visit, page: bool, eased: bool, trail: &mut State) -> Ratios {
    let of = |bit: u8, odds: &Odds| odds.of(trail.step & bit != 0);
    let in_one_go = eased && !page && trail.in_one_go(BURST);
    let sequential = match visit.id {
        Some(_) if in_one_go => [0.0; 4],
        Some(_) => of(SEQUENTIAL, &SEQUENTIAL_ODDS),
        None => [-0.1; 4],
    };
    let hasty = if page { of(HASTY, &HASTY_ODDS) } else { [-0.1; 4] };
    let popularity =
        if visit.warm { (visit.popularity - MARGIN).clamp(-2.5, POPULARITY) } else { 0.0 };
    trail.unpopular = trail.unpopular.saturating_add(u16::from(popularity >= UNPOPULAR));
    let together = (popularity.min(0.6) + hasty[3].max(sequential[3])) * 0.7;
    [sequential[0], hasty[0], popularity, together]
}
