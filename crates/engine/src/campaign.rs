//! Attacks from many sources: what no single source shows, the application does.
//!
//! Of logins, registrations, posts and reservations, some are *marked*: they look as those of a
//! botnet do (a failed login of a client that was never anywhere else, a form that was sent a second
//! after it was asked for). The share of marked events is followed by reflected walks: one for the
//! application, and one for each of 256 strata of the client fingerprint, because many botnets share
//! their software and people do not. A stratum finds an attack that is two in a hundred of all logins,
//! where the application shows nothing; its threshold is higher by `ln 256`. Attackers that mix
//! browsers are seen by the application's own walk.
//!
//! Marks come in bursts (an office after the holidays), so the number of them in a minute is
//! beta-binomial. Event by event that is Pólya's urn: the next one is marked with probability
//! `(p c + k) / (c + n)` after `k` of `n` in this minute, where `c` is the concentration.
//!
//! An alarm convicts nobody. It says by how much the marked events since its onset outnumber those
//! that were to be expected: the odds that one of them belongs to the attack. A source that looks like
//! a member, is new since the onset, and like nothing else, is then believed sooner.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::evidence::{Ratios, Walks, decay};
use crate::fusion::Sensitivity;
use crate::hash::combine;

mod saved;
#[cfg(test)]
mod tests;

/// Strata of the fingerprint.
const STRATA: usize = 256;
/// Events that what is assumed before anything was learned stands for.
const PRIOR: f32 = 40.0;
/// How far above the learned share the null lies: the least favourable hour, not the mean one; and
/// its bounds.
const NULL_MARGIN: f32 = 1.5;
const NULL: (f32, f32) = (0.002, 0.6);
/// Share of marked events in an attack; at least so many times the null.
const ALTERNATIVES: [f32; 4] = [0.9, 0.5, 0.2, 0.03];
const TIMES: f32 = 1.5;
/// Concentration of the beta-binomial: bursts of benign marks in one minute.
const CONCENTRATION: f32 = 50.0;
/// Evidence beyond which nothing is learned, as a share of the threshold.
const FROZEN: f32 = 0.4;
/// Walks below this have not begun to rise, nats.
const FLAT: f32 = 1.0;
/// An alarm lasts this many minutes after the evidence last passed the threshold.
const LASTS: u32 = 60;
/// An attack may have begun this many minutes before its walk rose.
const SLACK: u32 = 10;
/// Groups of networks (of 32) that must have taken part.
const NETWORKS: u32 = 7;
/// Marked events that may always be there by chance.
const CHANCE: f32 = 0.5;
/// Odds, nats, at which whoever looks like a member is one: fifty to one.
const CERTAIN: f32 = 3.9;
/// Evidence of a member at these odds, nats: it is convicted.
const MEMBER: f32 = 23.0;

/// One walk, and what happened since it began to rise. Plain old data.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Watch {
    walks: Walks,
    /// A bit for each of 32 groups of networks with marked events since the onset.
    networks: u32,
    /// Minute of the last event; of the onset; until which the alarm lasts.
    minute: u32,
    onset: u32,
    alarm: u32,
    /// Events since the onset, and the marked ones among them.
    events: u32,
    marked: u32,
    /// The same in this minute.
    minute_events: u16,
    minute_marked: u16,
}

/// The events of one kind in one application. Plain old data; key 0 is a free slot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Campaign {
    key: u64,
    last_ms: u64,
    /// When somebody else last tried, monotonic milliseconds.
    others_ms: u64,
    /// How the last 16 attempts ended that were not marked: a bit for each that failed.
    others_failed: u64,
    /// Events in quiet times, and the marked ones among them.
    events: u32,
    marked: u32,
    strata: [Watch; STRATA],
    whole: Watch,
    /// `marked` when the walk of the application last lay flat: what was learned since may be an attack.
    calm: u32,
}

impl Default for Campaign {
    fn default() -> Self {
        Self {
            key: 0,
            last_ms: 0,
            others_ms: 0,
            others_failed: 0,
            events: 0,
            marked: 0,
            strata: [Watch::default(); STRATA],
            whole: Watch::default(),
            calm: 0,
        }
    }
}

/// What is followed in an application, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Logins of people: marked where they fail and the client was never anywhere else.
    LoginPage = 1,
    /// The same at an interface.
    LoginInterface = 2,
    /// All logins: marked where they fail.
    FailedLogin = 3,
    /// Registrations: marked where the client was never anywhere else.
    Registration = 4,
    /// Posts: the same.
    Content = 5,
    /// Reservations: the same.
    Checkout = 6,
    /// Forms: marked where they are sent sooner than people fill them in.
    HastyForm = 7,
}

impl Kind {
    /// Kinds.
    pub const COUNT: usize = 7;

    /// Share of marked events that is assumed before anything was learned, and its lower bound. What
    /// machines that nobody minds post without looking is the application's own habit, and learned
    /// from everybody; how often people fail and hurry is known, and learned from people.
    const fn share(self) -> (f32, f32) {
        match self {
            Self::FailedLogin => (0.3, 0.25),
            Self::HastyForm => (0.1, 0.08),
            _ => (0.025, 0.0),
        }
    }

    /// Learned from whoever behaved well before, and from nobody else.
    const fn is_of_people(self) -> bool {
        matches!(self, Self::FailedLogin | Self::HastyForm)
    }

    /// Whether marked events are failures, which everybody has during an outage.
    const fn fails(self) -> bool {
        matches!(self, Self::LoginPage | Self::LoginInterface | Self::FailedLogin)
    }
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Occurrence {
    /// What it is.
    pub kind: Kind,
    /// Of the client.
    pub fingerprint: u64,
    /// Hash of the address.
    pub network: u64,
    /// Monotonic milliseconds when the client and its address were first seen.
    pub since_ms: u64,
    /// It looks like an attack's.
    pub marked: bool,
    /// It is one of the first of its source: only they count, so that an alarm is many sources'.
    pub counts: bool,
    /// It failed.
    pub failed: bool,
    /// Its client behaved well before.
    pub vouched: bool,
    /// Monotonic milliseconds.
    pub now_ms: u64,
}

/// All campaigns.
#[derive(Debug)]
pub struct Campaigns<'m>(&'m mut [Campaign]);

impl<'m> Campaigns<'m> {
    /// A table over `slots`, at least one.
    pub fn new(slots: &'m mut [Campaign]) -> Self {
        Self(slots)
    }

    /// Takes in an event of an application. For a marked one that belongs to an attack which is on,
    /// where it comes from somebody new: the evidence at which its source starts, nats.
    pub fn event(&mut self, application: u64, event: &Occurrence) -> Option<f32> {
        let slot = self.slot(combine(application, event.kind as u64).max(1));
        let campaign = &mut self.0[slot];
        campaign.last_ms = event.now_ms;
        if !event.marked || event.vouched {
            campaign.others_ms = event.now_ms;
            campaign.others_failed =
                ((campaign.others_failed << 1) | u64::from(event.failed)) & 0xffff;
        }
        let at = (combine(event.fingerprint, event.kind as u64) >> 56) as usize;
        if event.counts {
            let share = campaign.share(event.kind);
            if campaign.whole.walks.peak() < FLAT {
                campaign.calm = campaign.marked;
            }
            campaign.whole.step(event, share);
            campaign.strata[at].step(event, share);
            if event.vouched || !event.kind.is_of_people() {
                campaign.learn(at, event.marked);
            }
        }
        let threshold = Sensitivity::Normal.threshold();
        let minute = (event.now_ms / 60_000) as u32;
        let share = campaign.calm_share(event.kind);
        let whole = campaign.whole.odds(share, threshold, event);
        let stratum = campaign.strata[at].odds(share, threshold + (STRATA as f32).ln(), event);
        let odds = match (whole, stratum) {
            (Some(whole), Some(stratum)) => whole.max(stratum),
            (whole, stratum) => whole.or(stratum)?,
        };
        (event.marked && !(event.kind.fails() && campaign.outage(event.kind, minute)))
            .then_some(MEMBER - (CERTAIN - odds).max(0.0))
    }

    fn slot(&mut self, key: u64) -> usize {
        let found = self.0.iter().position(|slot| slot.key == key);
        found.unwrap_or_else(|| {
            let oldest = (0..self.0.len()).min_by_key(|&i| (self.0[i].key != 0, self.0[i].last_ms));
            let slot = oldest.unwrap_or(0);
            self.0[slot] = Campaign { key, ..Campaign::default() };
            slot
        })
    }
}

impl Campaign {
    /// Share of marked events in quiet times.
    fn share(&self, kind: Kind) -> f32 {
        self.share_of(self.marked, kind)
    }

    /// The same, of what fails without what was learned since the walk began to rise. Where few log in, an
    /// attack would else be a good part of what is normal before anybody is alarmed.
    fn calm_share(&self, kind: Kind) -> f32 {
        self.share_of(if kind.fails() { self.marked.min(self.calm) } else { self.marked }, kind)
    }

    fn share_of(&self, marked: u32, kind: Kind) -> f32 {
        let (assumed, least) = kind.share();
        ((marked as f32 + PRIOR * assumed) / (self.events as f32 + PRIOR)).max(least)
    }

    /// Learns while there is nothing to be alarmed about, nor anything that could become so.
    fn learn(&mut self, stratum: usize, marked: bool) {
        let limit = FROZEN * Sensitivity::Normal.threshold();
        if self.whole.walks.passes(limit) || self.strata[stratum].walks.passes(limit) {
            return;
        }
        if self.events >= 1 << 16 {
            (self.events, self.marked) = (self.events / 2, self.marked / 2);
        }
        self.events += 1;
        self.marked += u32::from(marked);
    }

    /// Whether those who do not look like members fail as well; at an interface, also if nobody
    /// knows: there, applications that try again look like an attack.
    fn outage(&self, kind: Kind, minute: u32) -> bool {
        let last = (self.others_ms / 60_000) as u32;
        let known = self.others_ms != 0 && minute.saturating_sub(last) <= LASTS;
        if known { self.others_failed.count_ones() >= 8 } else { kind == Kind::LoginInterface }
    }
}

impl Watch {
    fn step(&mut self, event: &Occurrence, share: f32) {
        let minute = (event.now_ms / 60_000) as u32;
        if minute != self.minute {
            let idle = u64::from(minute.saturating_sub(self.minute)) * 60_000;
            self.walks.fade(decay(idle));
            (self.minute, self.minute_events, self.minute_marked) = (minute, 0, 0);
        }
        if self.walks.peak() < FLAT {
            (self.onset, self.networks) = (minute, 0);
            (self.events, self.marked) = (0, 0);
        }
        let null = (share * NULL_MARGIN).clamp(NULL.0, NULL.1);
        let drawn = (f32::from(self.minute_events), f32::from(self.minute_marked));
        // The next mark is likelier under every alternative, so what is not marked takes from the walks; and
        // from nothing, nothing can be taken.
        if event.marked || !self.walks.is_zero() {
            self.walks.step(&ratios(drawn, null, event.marked));
        }
        self.events = self.events.saturating_add(1);
        self.minute_events = self.minute_events.saturating_add(1);
        if event.marked {
            self.marked = self.marked.saturating_add(1);
            self.minute_marked = self.minute_marked.saturating_add(1);
            self.networks |= 1 << (combine(event.network, 0) >> 59);
        }
    }

    /// Raises the alarm; while one is on that `event` may belong to, `ln` of how many times more
    /// events were marked since the onset than was to be expected.
    fn odds(&mut self, share: f32, threshold: f32, event: &Occurrence) -> Option<f32> {
        let minute = (event.now_ms / 60_000) as u32;
        if self.networks.count_ones() >= NETWORKS && self.walks.passes(threshold) {
            self.alarm = minute + LASTS;
        }
        let new = (event.since_ms / 60_000) as u32 + SLACK >= self.onset;
        let expected = share * self.events as f32 + CHANCE;
        (self.alarm > minute && new).then(|| (self.marked as f32 / expected).ln())
    }
}

/// Log likelihood ratios of the next event of a minute, after `drawn` events and marked ones.
fn ratios((events, marked): (f32, f32), null: f32, mark: bool) -> Ratios {
    let urn = |share: f32| {
        let share = share * CONCENTRATION;
        if mark { share + marked } else { CONCENTRATION - share + events - marked }
    };
    ALTERNATIVES.map(|share| (urn(share.max(null * TIMES).min(0.98)) / urn(null)).ln())
}
