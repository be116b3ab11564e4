//! OAT-015, API4: spikes or expensive calls that take the application down.
//!
//! A second of a source is heavy when it kept many upstreams busy at once or made very many requests.
//! The application's own state decides what that means: while it answers as fast as ever, a heavy
//! source needs to stay heavy for long; when it slows down or fails, it does not.

use std::sync::LazyLock;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Event, Odds};
use crate::Threat;
use crate::evidence::Ratios;
use crate::record::{NO_UPSTREAM, RecordHead};
use crate::sources::Source;

mod saved;

/// Upstream seconds in a second that no browser causes for long.
const BUSY: f32 = 4.0;
/// The same in milliseconds.
const LIGHT_MS: u32 = 4000;
/// Requests in a second that no browser causes for long.
const REQUESTS: u16 = 60;
/// Probability of a heavy second: pages that load everything at once, exports. The same of one two,
/// three and ten times as heavy.
const NULL: [f32; 4] = [0.35, 0.25, 0.15, 0.04];
const MULTIPLES: [f32; 4] = [1.0, 2.0, 3.0, 10.0];
/// A request counts at most so many times what the source's requests usually take: slower than that
/// is the application's doing, not the source's.
const SLOWER: u32 = 8;
/// Share of a new request in what requests usually take: one in so many.
const SMOOTH: u32 = 16;
const ALTERNATIVES: [f32; 4] = [0.99, 0.95, 0.90, 0.80];

static ODDS: LazyLock<[Odds; 4]> = LazyLock::new(|| NULL.map(|null| Odds::new(ALTERNATIVES, null)));

/// The current second of a source. Plain old data.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct State {
    /// The second, of the monotonic clock.
    second: u32,
    /// Upstream milliseconds of its requests so far.
    busy_ms: u32,
    requests: u16,
    /// Heavy seconds altogether.
    pub heavy: u16,
    /// Most upstreams busy at once.
    pub peak: u16,
    /// What its requests usually take of upstreams, ms.
    usual_ms: u16,
}

impl State {
    /// Another second.
    fn begin(&mut self, second: u32) {
        (self.second, self.busy_ms, self.requests) = (second, 0, 0);
    }

    /// Adds a request to the second.
    fn add(&mut self, head: &RecordHead) {
        if head.upstream_ms != NO_UPSTREAM {
            let charged_ms = self.charge(head.upstream_ms, head.status >= 500);
            self.busy_ms = self.busy_ms.saturating_add(charged_ms);
        }
        self.requests = self.requests.saturating_add(1);
    }

    /// What a request that took `upstream_ms` is held against the source with: failures no more than
    /// what it usually takes, because an application that is down keeps everybody waiting.
    fn charge(&mut self, upstream_ms: u32, failed: bool) -> u32 {
        let usual_ms = u32::from(self.usual_ms);
        if failed {
            return upstream_ms.min(usual_ms);
        }
        if usual_ms == 0 {
            self.usual_ms = upstream_ms.min(u32::from(u16::MAX)) as u16;
            return upstream_ms;
        }
        let charged_ms = upstream_ms.min(usual_ms * SLOWER);
        let smooth = ((SMOOTH - 1) * usual_ms + charged_ms + SMOOTH / 2) / SMOOTH;
        self.usual_ms = smooth.clamp(1, u32::from(u16::MAX)) as u16;
        charged_ms
    }
}

/// See [`super::Observe`].
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    let head = &event.record.head;
    let load = &mut source.load;
    let second = (head.time_ms / 1000) as u32;
    let ended = second != load.second;
    if ended && load.busy_ms < LIGHT_MS && load.requests < REQUESTS {
        // As nearly always: a light second, in which nothing speaks against the source before it.
        load.peak = load.peak.max((load.busy_ms / 1000) as u16);
        if source.walks[Threat::ResourceExhaustion as usize].is_zero() {
            load.begin(second);
            load.add(head);
            return None;
        }
    }
    let verdict = (ended && load.second != 0).then(|| {
        let busy = load.busy_ms as f32 / 1000.0;
        load.peak = load.peak.max(busy as u16);
        let load_factor = (busy / BUSY).max(f32::from(load.requests) / f32::from(REQUESTS));
        let heavy = MULTIPLES.iter().rposition(|&multiple| load_factor >= multiple);
        (heavy, second.wrapping_sub(load.second).saturating_sub(1).min(60))
    });
    if ended {
        load.begin(second);
    }
    load.add(head);
    let (heavy, idle) = verdict?;
    if event.users > 1 || event.established {
        return None;
    }
    let light = ODDS[0].of(false);
    let Some(tier) = heavy else { return Some(light.map(|ratio| ratio * (1 + idle) as f32)) };
    load.heavy = load.heavy.saturating_add(1);
    let heavy = ODDS[tier].of(true);
    Some(core::array::from_fn(|m| heavy[m] + light[m] * idle as f32))
}
