//! OAT-011: collecting the catalogue, and the trail of objects that this and [`super::bola`] follow.
//!
//! Three things tell a collector from people, each an alternative of its own: it walks numbers in
//! order, it takes rare objects as readily as popular ones, and it takes page after page without a
//! breath and without what pages need to be seen. Who takes objects of an interface just as people do
//! is told by that nothing else is ever asked for, where it calls itself a browser and sends nothing that a browser
//! would; else by how many they are. Who reads a whole archive, page after page with its pictures, takes rare ones
//! and the next number as well, and is no collector. A crawler that asks for
//! robots.txt and takes its time is left alone, and so is a program that asks for the sitemap and
//! reads the pages on it: it warms a cache, or looks for dead links. Going through the same numbers again is no
//! collecting. A program that says what it is, takes its time and follows no links was given a list of
//! pages by somebody: it may take some four thousand.

use std::sync::LazyLock;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Event, Odds, is_bare};
use crate::evidence::Ratios;
use crate::facts::Facts;
use crate::object::Visit;
use crate::record::flags;
use crate::sources::Source;

pub mod bare;
mod saved;

/// Objects remembered one by one: coming back to one says nothing.
const REMEMBERED: usize = 8;
/// Numbers in order that a day of somebody's own list may have, where nothing says whose they are.
pub const OWN_LIST: u16 = 100;
/// The least that numbers which are gone through again go back at once.
const BACK: u32 = 16;
/// Numbers of a run that may be missing beside a tenth of it, and how far from it one may be that belongs to
/// it: ten connections at once shuffle them.
const LOOSE: u32 = 10;
/// Numbers from which on a run is one.
const RUN: u32 = 4;
const DAY_MS: u64 = 86_400_000;
/// Objects closer together than this are asked for at once, as what shows a list does, until somebody
/// looks at it; how many a list has, and up to which the next ones count for all that were spared.
const AT_ONCE_MS: u64 = 200;
const LIST: u8 = 24;
const CAUGHT_UP: u8 = 30;
/// Steps between numbers that count as in order, from either of the last two: parallel connections
/// shuffle them.
const STEP: u32 = 4;
/// Objects closer together than this are taken without looking at them.
pub const HASTE_MS: u64 = 1000;

/// Probability that the next object is the next number: a page that loads its list item by item,
/// against a walk.
const NULL_SEQUENTIAL: f32 = 0.55;
/// Probability that the next object follows in haste: a page that loads its list, a session that is
/// restored; against a collector.
const NULL_HASTY: f32 = 0.55;
/// The same of a program with a list of pages.
const NULL_LISTED: f32 = 0.975;
const ALTERNATIVES: [f32; 4] = [0.98, 0.94, 0.88, 0.80];
static SEQUENTIAL_ODDS: LazyLock<Odds> = LazyLock::new(|| Odds::new(ALTERNATIVES, NULL_SEQUENTIAL));
static HASTY_ODDS: LazyLock<Odds> = LazyLock::new(|| Odds::new(ALTERNATIVES, NULL_HASTY));
static LISTED_ODDS: LazyLock<Odds> = LazyLock::new(|| Odds::new([ALTERNATIVES[0]; 4], NULL_LISTED));
/// What one object's popularity weighs at most, nats.
const POPULARITY: f32 = 1.0;
/// What its popularity must say beyond nothing, nats: somebody who uses an application all day asks
/// for less popular objects than most.
const MARGIN: f32 = 0.2;
/// Objects that a page of an application may load in one go, item by item.
pub const BURST: u16 = 60;
/// Groups of templates that a collector of one kind of objects asks for.
const FEW: u32 = 2;
/// What an object of an interface weighs that was asked for without anything that a page sends along, by a
/// client that says what it is and asks for nothing else, nats: a day's work is sixteen hundred.
const BARE: f32 = 0.015;
/// Popularity ratios from which on an object is unpopular, nats.
const UNPOPULAR: f32 = 0.3;

/// The trail of objects that a source leaves. Plain old data.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct State {
    /// Group and number of the last object.
    last_group: u64,
    /// The low half of the number of the last object, and of the one before.
    last_ids: [u32; 2],
    /// Monotonic milliseconds of the last object.
    last_ms: u64,
    /// Hashes of the last objects.
    seen: [u16; REMEMBERED],
    /// The first and the last of the numbers of a group that it has gone through in order.
    walked: [u32; 2],
    /// The group that they are of.
    walked_group: u16,
    /// Numbers next to the last one that it had not gone through before, of the day of the last object.
    pub fresh: u16,
    /// It goes through them again.
    again: u8,
    /// Numbers between the first and the last that it has not gone through.
    holes: u8,
    /// Objects that lists may have named to it, up to [`OWN_LIST`].
    pub named: u8,
    /// What it made: posts that were answered so.
    made: u8,
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
    /// Objects in one go.
    burst: u16,
    /// Assets since the last object.
    assets: u8,
    seen_at: u8,
    /// Objects at once.
    at_once: u8,
    /// The last step was sequential, hasty: for [`super::bola`], which sees the record after this.
    pub step: u8,
}

/// Bits of [`State::step`]: the record is a new object; it is next to the last one; it is hasty.
pub const NEW: u8 = 1;
/// See [`NEW`].
pub const SEQUENTIAL: u8 = 2;
/// See [`NEW`].
pub const HASTY: u8 = 4;
/// See [`NEW`]: it was asked for with the one before.
const AT_ONCE: u8 = 8;
/// See [`NEW`]: it was asked for before.
const AGAIN: u8 = 16;
/// See [`NEW`]: it is one of a run without gaps, whatever its order.
pub const FILLS: u8 = 32;

impl State {
    /// The last object is part of a burst of no more than `list`: a page of an application may load as
    /// many in one go.
    pub fn in_one_go(&self, list: u16) -> bool {
        self.step & HASTY != 0 && self.burst <= list
    }

    /// The next object is one that was asked for before.
    pub fn is_known_walk(&self) -> bool {
        self.step & (AGAIN | SEQUENTIAL) == AGAIN | SEQUENTIAL
    }

    /// Numbers between the first and the last, with these.
    fn span(&self) -> u32 {
        self.walked[1].saturating_sub(self.walked[0]).saturating_add(1)
    }

    /// The numbers that it goes through have gaps: those of other people lie between somebody's own.
    pub fn has_gaps(&self) -> bool {
        u32::from(self.holes) > LOOSE + self.span() / 10
    }

    /// It made as many objects as it has gone through numbers in order: they are its own.
    pub fn made_them(&self) -> bool {
        self.fresh <= u16::from(self.made) && self.made < u8::MAX
    }

    /// Takes in what a list named, and what was made.
    fn know(&mut self, facts: &Facts) {
        let named = u16::from(self.named).saturating_add(facts.names).min(OWN_LIST);
        self.named = named as u8;
        self.made = self.made.saturating_add(u8::from(facts.makes));
    }

    /// It is one of the last objects.
    pub fn has_seen(&self, key: u64) -> bool {
        self.seen.contains(&tag(key))
    }

    /// Remembers an object: 0 when it is one of the last, else [`NEW`].
    fn remember(&mut self, key: u64) -> u8 {
        // All of them at once: which it is cannot be guessed.
        let tag = tag(key);
        if self.seen.iter().map(|it| u8::from(*it == tag)).sum::<u8>() != 0 {
            return 0;
        }
        self.seen[usize::from(self.seen_at) % REMEMBERED] = tag;
        self.seen_at = (self.seen_at.wrapping_add(1)) % REMEMBERED as u8;
        NEW
    }

    /// What a step of objects asked for at once weighs: a list says nothing, and a longer one all of it.
    pub(super) fn listed(&self) -> f32 {
        match self.at_once {
            _ if self.step & AT_ONCE == 0 => 1.0,
            0..=LIST => 0.0,
            n if n <= CAUGHT_UP => f32::from(CAUGHT_UP) / f32::from(CAUGHT_UP - LIST),
            _ => 1.0,
        }
    }

    /// Whether a number has been gone through before: it lies between those that were, and the way there
    /// was a leap back (or ahead, through numbers that go down). Parallel connections make small ones.
    fn walk(&mut self, group: u64, number: u32) {
        let ([first, last], tag) = (self.walked, (group >> 48) as u16);
        let here = self.walked_group == tag && first <= last;
        let sequential = self.step & SEQUENTIAL != 0;
        let leap = BACK.max(last.wrapping_sub(first) / 2);
        let leapt = self.last_group != group || self.last_ids[0].abs_diff(number) >= leap;
        let reach = if self.has_gaps() { STEP } else { LOOSE };
        let near = first.saturating_sub(reach)..=last.saturating_add(reach);
        if here && (first..=last).contains(&number) {
            // Where none is missing, it was there before.
            self.again |= u8::from(leapt || self.holes == 0);
            if self.again != 0 {
                self.step |= AGAIN;
                return;
            }
            self.holes -= u8::from(self.holes < u8::MAX);
        } else if here && near.contains(&number) {
            self.walked = [first.min(number), last.max(number)];
            let skipped = first.saturating_sub(number).max(number.saturating_sub(last)) - 1;
            self.holes = self.holes.saturating_add(skipped as u8);
            self.again = u8::from(leapt || (self.again != 0 && number < first));
        } else if sequential || self.last_group == group {
            let from = if sequential { self.last_ids[0] } else { number };
            self.walked = [from.min(number), from.max(number)];
            self.holes = self.span().saturating_sub(2).min(u32::from(u8::MAX)) as u8;
            (self.walked_group, self.again) = (tag, 0);
            self.fresh = self.fresh.saturating_add(u16::from(sequential));
            return;
        }
        let fills = here && self.span() > RUN && !self.has_gaps();
        self.step |= if fills { FILLS } else { 0 };
        self.fresh = self.fresh.saturating_add(u16::from(sequential || fills));
    }

    /// Follows the source to the next object, and says how it got there.
    fn follow(&mut self, group: u64, id: Option<u64>, key: u64, event: &Event<'_>) {
        let (now_ms, pace_ms) = (event.record.head.time_ms, event.gap_ms);
        let number = id.unwrap_or(0) as u32;
        let known = self.last_group == group;
        self.step = self.remember(key);
        if self.step == 0 {
            return;
        }
        let gap_ms = now_ms.saturating_sub(self.last_ms);
        if pace_ms >= HASTE_MS {
            self.at_once = 0;
        } else if self.last_ms != 0 && pace_ms < AT_ONCE_MS {
            self.at_once = self.at_once.saturating_add(1);
            self.step |= AT_ONCE;
        }
        let near = |last: u32| (1..=STEP).contains(&number.abs_diff(last));
        if now_ms / DAY_MS != self.last_ms / DAY_MS {
            self.fresh = 0;
        }
        if known && id.is_some() && self.last_ids.into_iter().any(near) {
            self.step |= SEQUENTIAL;
            self.sequential = self.sequential.saturating_add(1);
        }
        if id.is_some() {
            self.walk(group, number);
        }
        if self.last_ms != 0 && gap_ms < HASTE_MS && self.assets == 0 {
            self.step |= HASTY;
            self.hasty = self.hasty.saturating_add(1);
        }
        self.burst = if self.step & HASTY == 0 { 0 } else { self.burst.saturating_add(1) };
        self.last_group = group;
        self.last_ids = [number, if known { self.last_ids[0] } else { number }];
        self.last_ms = now_ms;
        self.assets = 0;
    }
}

/// What is remembered of an object.
fn tag(key: u64) -> u16 {
    ((key >> 32) as u16).max(1)
}

/// See [`super::Concerns`].
pub fn concerns(facts: &Facts) -> bool {
    facts.asset
        || facts.refused.is_some()
        || facts.visit.is_some()
        || facts.names > 0
        || facts.makes
}

/// See [`super::Observe`].
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    let facts = event.facts;
    let trail = &mut source.trail;
    let before = core::mem::take(&mut trail.step);
    if facts.asset || bare::is_pulled_in(event) {
        trail.assets = trail.assets.saturating_add(1);
        source.posts.bare.dress();
        return None;
    }
    trail.know(facts);
    let bare = &mut source.posts.bare;
    let (onward, group) = (bare.onward(source.requests), trail.last_group);
    let reads = facts.page && trail.reads(event.record);
    if let Some((group, id)) = facts.refused {
        trail.follow(group, id, facts.path_key, event);
        return None;
    }
    let visit = facts.visit.as_ref()?;
    let onward = onward && group == visit.group;
    trail.follow(visit.group, visit.id, visit.key, event);
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
    let listed = facts.listed && facts.page;
    // How deep somebody is in a list is no object, and says nothing by itself.
    let inside = event.record.has(flags::SAME_SITE_REFERER) && bare::claims_browser(event);
    let scrolls = facts.place && !facts.page && (inside || source.templates.count_ones() > FEW);
    let most = if known || listed || scrolls { 0.0 } else { POPULARITY + MARGIN };
    if trail.is_known_walk() {
        return None;
    }
    let own = (facts.authenticated && trail.fresh <= OWN_LIST)
        || (scrolls && (trail.fresh <= OWN_LIST || trail.step & HASTY == 0));
    let manner = Manner { page: facts.page, listed, eased, own, most };
    let ratios = ratios(visit, manner, trail);
    // Programs take objects of an interface in haste; nobody reads pages that way.
    let [sequential, hasty, popularity, together] = ratios;
    let bare = !known && source.templates.count_ones() <= FEW && is_bare(event.record);
    let deceives = bare && bare::claims_browser(event);
    let undressed = source.posts.bare.undressed(deceives, facts.page);
    // What shows a list asks for all of it at once.
    let at_once = trail.step & before & AT_ONCE != 0;
    let weight = if onward && at_once { trail.listed().min(1.0) } else { 1.0 };
    let second = match (facts.page, bare) {
        (true, _) => hasty,
        (false, true) if deceives => bare::objects(onward, weight) + undressed,
        (false, true) if !event.record.has(flags::FROM_LOG) => BARE,
        (false, _) => -0.1,
    };
    let (popularity, together) = match (facts.page, deceives) {
        (true, true) => (popularity + undressed, popularity + undressed + bare::pages(onward)),
        _ => (popularity, together),
    };
    let ratios = [sequential, second, popularity, together];
    Some(if reads { bare::reader(ratios) } else { ratios })
}

/// How an object was asked for.
#[derive(Clone, Copy, Debug)]
struct Manner {
    page: bool,
    /// A page by a program with a list of them.
    listed: bool,
    /// An application that its user is logged in to, or a page of ours that loads its list.
    eased: bool,
    /// It may be of a list of one's own.
    own: bool,
    /// What its popularity says at most, nats.
    most: f32,
}

/// One alternative for each thing that collectors do, and one for all of it together.
fn ratios(visit: &Visit, manner: Manner, trail: &mut State) -> Ratios {
    let page = manner.page;
    let of = |bit: u8, odds: &'static LazyLock<Odds>| {
        let odds = if manner.listed { &LISTED_ODDS } else { odds };
        odds.of(trail.step & bit != 0)
    };
    let in_one_go = (manner.eased && trail.in_one_go(BURST)) || manner.own;
    let sequential = match visit.id {
        Some(_) if in_one_go && !page => [0.0; 4],
        Some(_) if page => of(SEQUENTIAL, &SEQUENTIAL_ODDS),
        Some(_) => of(SEQUENTIAL, &SEQUENTIAL_ODDS).map(|ratio| ratio * trail.listed()),
        None => [-0.1; 4],
    };
    let hasty = if page { of(HASTY, &HASTY_ODDS) } else { [-0.1; 4] };
    let popularity = if visit.warm {
        (visit.popularity.min(manner.most) - MARGIN).clamp(-2.5, POPULARITY)
    } else {
        0.0
    };
    trail.unpopular = trail.unpopular.saturating_add(u16::from(popularity >= UNPOPULAR));
    let together = (popularity.min(0.6) + hasty[3].max(sequential[3])) * 0.7;
    [sequential[0], hasty[0], popularity, together]
}
