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

use super::scraping::bare::claims_browser;
use super::scraping::{BURST, FILLS, HASTE_MS, HASTY, NEW, OWN_LIST, SEQUENTIAL};
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
/// Numbers in order of an own list where several people use the application; and of a client that
/// calls itself a browser and sends nothing along that one would: what a page may load in one go.
const SHORT_LIST: u16 = 40;
const DECEITFUL_LIST: u16 = LIST;
/// Objects of a list that a page loads in one go, item by item.
const LIST: u16 = 32;
/// What an object weighs that was asked for at a person's pace.
const PACE: f32 = 0.15;
/// The same of a program that takes its time, where numbers between one's own are others'.
const PROGRAM_PACE: f32 = 0.5;
/// How many times the null of different objects a day a collector opens; an object beyond the null
/// weighs `ln 4`.
const COLLECTS: f32 = 4.0;
/// Up to so many times the null it weighs half: nobody is convicted of being twice as busy as most.
const BUSY: f32 = 2.5;
/// Different objects a day that are many where nothing was learned, and others whose objects are among
/// them.
const MANY: f32 = 16.0;
const OTHERS: u32 = 3;
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
    facts.refused.is_some() || facts.visit.is_some() || facts.touched.is_some() || writes(facts)
}

fn writes(facts: &Facts) -> bool {
    facts.post && facts.accepted
}

/// See [`super::Observe`].
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    let facts = event.facts;
    if let Some(found) = facts.touched.and_then(|visit| touched(event, &visit, source)) {
        return Some(found);
    }
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
        let walk = walk(event, source, id);
        let refused = ODDS[2].of(true)[0];
        let together = walk[2].max(0.0) + refused * 0.5;
        return Some([walk[0], 0.0, refused, together].map(|ratio| weigh(ratio, pace)));
    }
    let visit = facts.visit?;
    let somebodys = belongs(&visit) || (facts.authenticated && visit.id.is_some());
    if visit.public || facts.place || !somebodys {
        return None;
    }
    // What is asked for at once may be a list of a catalogue that is young.
    let certainty = if visit.private { 1.0 } else { UNKNOWN * source.trail.listed() };
    let program = is_program(event) && (belongs(&visit) || facts.peopled);
    let pace = if program { pace.max(PROGRAM_PACE) } else { pace };
    let walk = walk(event, source, visit.id).map(|ratio| weigh(ratio, certainty * pace));
    let foreign = foreign(&visit, source);
    // A person at a browser, and whoever was there while the application was learned; whoever takes their
    // time, where little is known.
    let looks = facts.page || (is_in_page(event) && claims_browser(event));
    let private = visit.private || visit.sealed;
    let known = !hasty && (looks || event.veteran || !private);
    let (foreign, collected) =
        if known { (foreign.min(0.0), 0.0) } else { (foreign, collected(event, &visit, source)) };
    let served = if collected > 0.0 { collected } else { ODDS[2].of(false)[0] };
    let together = collected + foreign + walk[2].max(0.0) * 0.5;
    Some([walk[0], foreign, served, together])
}

/// What it says that the source did something to an object, or asked a part of it: whose it is, each owner
/// once. Numbers say nothing, as parts of an upload have them in order. A person at a browser does as
/// much to what is others' as a list on a page allows to be marked.
fn touched(event: &Event<'_>, visit: &Visit, source: &mut Source) -> Option<Ratios> {
    if event.users > 1 || event.established || visit.public || !belongs(visit) {
        return None;
    }
    let hasty = event.gap_ms < HASTE_MS;
    let looks = is_in_page(event) && claims_browser(event);
    let pace = match (hasty, looks) {
        (true, false) => 1.0,
        (true, true) => PACE,
        (false, false) if !event.veteran => PROGRAM_PACE,
        (false, _) => 0.0,
    };
    let foreign = weigh(foreign(visit, source), pace);
    (foreign != 0.0).then_some([0.0, foreign, 0.0, foreign])
}

/// Objects of its group belong to somebody, as far as is known.
fn belongs(visit: &Visit) -> bool {
    visit.private || visit.apart || visit.sealed
}

/// What the way to an object says: nothing as long as it may be through a list.
fn walk(event: &Event<'_>, source: &Source, id: Option<u64>) -> Ratios {
    let trail = &source.trail;
    let walks = trail.step & (SEQUENTIAL | FILLS) != 0;
    match id {
        Some(_) if walks && is_list(event, source) => [0.0; 4],
        Some(_) => ODDS[0].of(walks),
        None => [0.0; 4],
    }
}

/// Numbers in order may be those of a list: the same as before; with gaps, where those of others lie; what
/// the source made itself; what a page of the application loads, unless it is known to be private; where
/// nobody else is known to have any, a list of one's own.
fn is_list(event: &Event<'_>, source: &Source) -> bool {
    let trail = &source.trail;
    let in_page = is_in_page(event);
    let visit = event.facts.visit.as_ref();
    let (belongs, private) = visit.map_or((false, false), |it| (belongs(it), it.private));
    let page = if in_page { BURST } else { LIST };
    trail.is_known_walk()
        || trail.has_gaps()
        || trail.made_them()
        || (!private && (in_page || !belongs) && trail.in_one_go(page))
        || (!belongs && trail.fresh <= own_list(event, source))
}

/// Numbers in order that the source's own list may have, where nothing says whose they are. Where many
/// people use the application, their numbers lie between one's own, but for what was made in one go; who
/// was sent a list may know as many as that may name. What a browser loads it loads for somebody.
fn own_list(event: &Event<'_>, source: &Source) -> u16 {
    let least = match (is_program(event), claims_browser(event)) {
        (true, true) => DECEITFUL_LIST,
        (true, false) if event.facts.peopled => SHORT_LIST,
        _ => OWN_LIST,
    };
    least.max(u16::from(source.trail.named))
}

/// It says that a page of the application asks.
fn is_in_page(event: &Event<'_>) -> bool {
    event.record.has(flags::SAME_SITE_REFERER)
}

/// It is no browser, or sends nothing along that one would.
fn is_program(event: &Event<'_>) -> bool {
    let sent_by_browsers = flags::REFERER | flags::ACCEPT_LANGUAGE | flags::FROM_LOG;
    !claims_browser(event) || event.record.head.flags & sent_by_browsers == 0
}

/// What the owner of an object says: each owner counts once.
fn foreign(visit: &Visit, source: &mut Source) -> f32 {
    match visit {
        Visit { private: false, apart: false, .. } => 0.0,
        Visit { own: true, .. } => ODDS[1].of(false)[0],
        Visit { foreign: true, .. } => {
            let counted = u16::from(visit.private);
            source.trail.foreign = source.trail.foreign.saturating_add(counted);
            let new = source.activity.owner(visit.owner);
            if new { ODDS[1].of(true)[0] } else { 0.0 }
        }
        _ => 0.0,
    }
}

/// What one more object says that the source has not asked for today: nothing while as many are
/// normal.
fn collected(event: &Event<'_>, visit: &Visit, source: &Source) -> f32 {
    let objects = source.activity.value(Feature::PrivateObjects);
    let (null, busy) = match event.null {
        Some(null) => (null, BUSY * null),
        // Where nothing was learned yet, who opens a list of their own opens nobody else's.
        None if source.activity.owners() >= OTHERS => (MANY, f32::INFINITY),
        None => return 0.0,
    };
    if visit.own {
        return OWN;
    }
    if objects <= null {
        return 0.0;
    }
    let weight = if objects <= busy { 0.5 } else { 1.0 };
    COLLECTS.ln() * weight * event.new_objects as f32
}

/// Evidence at a person's pace weighs little; what speaks for the source weighs in full.
fn weigh(ratio: f32, pace: f32) -> f32 {
    if ratio > 0.0 { ratio * pace } else { ratio }
}
