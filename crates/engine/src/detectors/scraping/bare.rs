//! What a browser sends along with its requests, and loads beside them, and what it says that one never did.

use std::sync::LazyLock;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{REMEMBERED, State, tag};
use crate::detectors::{Event, Odds};
use crate::evidence::Ratios;
use crate::hash::combine;
use crate::record::{RequestRecord, flags};

/// Of a client that says it is a browser, and of which no request had anything that a page sends along, the
/// share of requests that are an object again, and nothing else between: hardly two in three of those who use an
/// interface for an afternoon, nearly all of a collector's.
const NULL_ONWARD: f32 = 0.64;
const ONWARD: f32 = 0.99;
static ONWARD_ODDS: LazyLock<Odds> = LazyLock::new(|| Odds::new([ONWARD; 4], NULL_ONWARD));
/// The same of pages, together with how popular they are: whose pictures come from elsewhere, and whose browser
/// keeps to itself where it was, reads several pages of a kind one after the other.
const NULL_PAGES: f32 = 0.9;
static PAGES_ODDS: LazyLock<Odds> = LazyLock::new(|| Odds::new([ONWARD; 4], NULL_PAGES));
/// By so many objects or pages, hardly one browser in fifty that people use has sent no Referer, no cookie and
/// no credential, been nowhere else and loaded nothing that a page pulls in; one in twenty, where pages have their
/// pictures from elsewhere. That is what it is, and therefore counts once: ln 50, ln 20.
const UNDRESSED_AT: u8 = 24;
const UNDRESSED: [f32; 2] = [3.9, 3.0];
/// Of [`Bare::objects`]: one of its requests was not.
const DRESSED: u8 = u8::MAX;
/// What a rare page weighs that came, after a while, from a page of ours whose pictures had been looked at: who
/// reads a whole archive takes rare ones, too, and then the next number, which therefore says nothing.
const READER: f32 = 0.25;
const READING_MS: u64 = 2000;
/// So many pages in order of a day, each after the last one was read and by a link on it, are a book without
/// pictures, or with those that the browser kept.
const BOOK: u16 = 150;
const TURNING_MS: u64 = 4000;

/// Objects that came without anything that a page sends along. Plain old data; it lies where there is room.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Bare {
    /// How many, while that is all there is; else [`DRESSED`].
    objects: u8,
    /// Requests when the last object was asked for, the lowest byte.
    requests: u8,
}

impl Bare {
    /// Objects without anything that a page sends along, by who calls itself a browser and does nothing else.
    pub fn count(self) -> f32 {
        if self.objects == DRESSED { 0.0 } else { f32::from(self.objects) }
    }

    /// One of its requests had what a browser sends, or was for what a page pulls in.
    pub(super) fn dress(&mut self) {
        self.objects = DRESSED;
    }

    /// Takes in a request for an object; whether the source made no other since the last one.
    pub(super) fn onward(&mut self, requests: u32) -> bool {
        let requests = requests as u8;
        core::mem::replace(&mut self.requests, requests).wrapping_add(1) == requests
    }

    /// Takes in whether a new object came without anything that a page sends along; what it says that none of
    /// a good many had, nats.
    pub(super) fn undressed(&mut self, bare: bool, page: bool) -> f32 {
        self.objects = if bare { self.objects.saturating_add(1) } else { DRESSED };
        if self.objects == UNDRESSED_AT { UNDRESSED[usize::from(page)] } else { 0.0 }
    }
}

impl State {
    /// Whether a page is asked for as people read: from a page of ours, after they saw the last one, or from the
    /// last one itself, after they read it.
    pub(super) fn reads(&self, record: &RequestRecord<'_>) -> bool {
        let gap_ms = record.head.time_ms.saturating_sub(self.last_ms);
        let least_ms = match self.assets {
            0 if self.fresh >= BOOK || !self.leads_from_last(record) => return false,
            0 => TURNING_MS,
            _ => READING_MS,
        };
        gap_ms >= least_ms && record.has(flags::SAME_SITE_REFERER)
    }

    /// Whether the last object is the page that a request came from.
    fn leads_from_last(&self, record: &RequestRecord<'_>) -> bool {
        let page = combine(record.head.application, record.head.referer_hash);
        let last = usize::from(self.seen_at).checked_sub(1).unwrap_or(REMEMBERED - 1);
        self.seen.get(last) == Some(&tag(combine(page, u64::from(self.last_ids[0]))))
    }
}

/// What an object of an interface says that came, or not, with nothing else since the last one.
pub(super) fn objects(onward: bool, weight: f32) -> f32 {
    ONWARD_ODDS.of(onward)[1] * weight
}

/// The same of a page.
pub(super) fn pages(onward: bool) -> f32 {
    PAGES_ODDS.of(onward)[3]
}

/// Whether the User-Agent is a browser's.
pub fn claims_browser(event: &Event<'_>) -> bool {
    event.record.user_agent.starts_with(b"Mozilla/") && !event.facts.crawler
}

/// What is left of a page's ratios where it was asked for as people read: the next number says nothing.
pub(super) fn reader([sequential, hasty, popularity, together]: Ratios) -> Ratios {
    [sequential.min(0.0), hasty.min(0.0), popularity.min(popularity * READER), together.min(0.0)]
}

/// Whether a page of ours pulls it in, though its name does not say so: `/photos/42/small`. What belongs to somebody
/// is looked at, and so is what shows who asks.
pub(super) fn is_pulled_in(event: &Event<'_>) -> bool {
    const NOT: u32 = flags::HTML | flags::JSON | flags::ACCEPTS_HTML | flags::FROM_LOG;
    let visit = event.facts.visit.as_ref();
    let owned = visit.is_none_or(|it| it.private || it.apart || it.sealed);
    !owned
        && !event.facts.authenticated
        && event.record.has(flags::SAME_SITE_REFERER)
        && event.record.head.flags & NOT == 0
        && claims_browser(event)
}
