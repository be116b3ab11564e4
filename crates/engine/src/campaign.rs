//! Attacks from many sources: what no single source shows, the application does.
//!
//! For logins, registrations and posts of an application, the share of *bad* events (a failed login, a
//! form that was sent a second after it was asked for) is followed by reflected walks: one for the
//! application, and one for each of 256 strata of the client fingerprint, because a botnet shares its
//! software and people do not. A stratum finds an attack that is two in a hundred of all logins, which
//! the application's own walk never sees. Its threshold is higher by `ln 256`.
//!
//! An alarm convicts nobody. It tells the detectors that such an attack is on: a source which looks
//! like a member, and like nothing else, is then believed sooner.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::detectors::{did_not, happened};
use crate::evidence::Walks;
use crate::fusion::Sensitivity;
use crate::hash::combine;

mod saved;

/// Strata of the fingerprint.
const STRATA: usize = 256;
/// Share of bad events that the null allows for, whatever was learned.
const NULL_FLOOR: f32 = 0.3;
/// How far above the learned share the null lies: the least favourable hour, not the mean one.
const NULL_MARGIN: f32 = 1.5;
/// Share of bad events in an attack.
const ALTERNATIVES: [f32; 4] = [0.97, 0.92, 0.85, 0.75];
/// Evidence beyond which nothing is learned, as a share of the threshold.
const FROZEN: f32 = 0.4;
/// An alarm lasts this long after the evidence last passed the threshold.
const LASTS_MS: u64 = 3_600_000;
/// A walk without events halves in this time.
const HALF_LIFE_MS: f32 = 86_400_000.0;

/// The events of one kind in one application. Plain old data; key 0 is a free slot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Campaign {
    key: u64,
    last_ms: u64,
    /// Alarm of the application until then.
    alarm_until_ms: u64,
    /// Events in quiet times, and the bad ones among them.
    events: u32,
    bad: u32,
    whole: Walks,
    strata: [Walks; STRATA],
    /// Minute of the last event of a stratum, and of the end of its alarm.
    seen: [u32; STRATA],
    alarms: [u32; STRATA],
}

impl Default for Campaign {
    fn default() -> Self {
        Self {
            key: 0,
            last_ms: 0,
            alarm_until_ms: 0,
            events: 0,
            bad: 0,
            whole: Walks::default(),
            strata: [Walks::default(); STRATA],
            seen: [0; STRATA],
            alarms: [0; STRATA],
        }
    }
}

/// All campaigns.
#[derive(Debug)]
pub struct Campaigns<'m>(&'m mut [Campaign]);

impl<'m> Campaigns<'m> {
    /// A table over `slots`, at least one.
    pub fn new(slots: &'m mut [Campaign]) -> Self {
        Self(slots)
    }

    /// Takes in an event of `kind` in `application`; a well-behaved client's `teaches`. True when an attack is on that it may belong to.
    pub fn event(
        &mut self,
        application: u64,
        kind: u64,
        fingerprint: u64,
        bad: bool,
        teaches: bool,
        now_ms: u64,
    ) -> bool {
        let key = combine(application, kind).max(1);
        let slot = self.slot(key);
        let campaign = &mut self.0[slot];
        let share = campaign.bad as f32 / campaign.events.max(20) as f32;
        let null = (share * NULL_MARGIN).clamp(NULL_FLOOR, 0.7);
        let ratios = if bad { happened(ALTERNATIVES, null) } else { did_not(ALTERNATIVES, null) };
        let fade = |elapsed_ms: u64| (-(elapsed_ms as f32) / HALF_LIFE_MS).exp2();
        campaign.whole.fade(fade(now_ms.saturating_sub(campaign.last_ms)));
        campaign.whole.step(&ratios);
        campaign.last_ms = now_ms;
        let stratum = (combine(fingerprint, kind) >> 56) as usize;
        let minute = (now_ms / 60_000) as u32;
        let idle = u64::from(minute.saturating_sub(campaign.seen[stratum])) * 60_000;
        campaign.strata[stratum].fade(fade(idle));
        campaign.strata[stratum].step(&ratios);
        campaign.seen[stratum] = minute;
        if campaign.is_quiet(stratum) && teaches {
            campaign.learn(bad);
        }
        campaign.alarm(stratum, now_ms)
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
    /// Nothing to be alarmed about, nor anything that could become so.
    fn is_quiet(&self, stratum: usize) -> bool {
        let limit = FROZEN * Sensitivity::Normal.threshold();
        self.whole.evidence() < limit && self.strata[stratum].evidence() < limit
    }

    fn learn(&mut self, bad: bool) {
        if self.events >= 1 << 16 {
            (self.events, self.bad) = (self.events / 2, self.bad / 2);
        }
        self.events += 1;
        self.bad += u32::from(bad);
    }

    /// Raises alarms; whether one concerns an event of this stratum.
    fn alarm(&mut self, stratum: usize, now_ms: u64) -> bool {
        let threshold = Sensitivity::Normal.threshold();
        if self.whole.evidence() >= threshold {
            self.alarm_until_ms = now_ms + LASTS_MS;
        }
        let minute = (now_ms / 60_000) as u32;
        if self.strata[stratum].evidence() >= threshold + (STRATA as f32).ln() {
            self.alarms[stratum] = minute + (LASTS_MS / 60_000) as u32;
        }
        self.alarm_until_ms > now_ms || self.alarms[stratum] > minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two in a hundred logins belong to a botnet with one software: its stratum raises the alarm, and
    /// nobody else's.
    #[test]
    fn a_stratum_finds_what_the_application_does_not_show() {
        let mut slots = vec![Campaign::default(); 2];
        let mut campaigns = Campaigns::new(&mut slots);
        let (mut seed, mut found, mut wrong) = (1u64, false, 0);
        for n in 0..40_000u64 {
            seed = combine(seed, n);
            let uniform = (seed >> 40) as f32 / (1u64 << 24) as f32;
            let attack = n > 20_000 && n % 50 == 0;
            let fingerprint = if attack { 7 } else { 1000 + seed % 400 };
            let bad = attack || uniform < 0.15;
            let alarm = campaigns.event(5, 1, fingerprint, bad, !attack, n * 200);
            found |= alarm && attack;
            let same = combine(fingerprint, 1) >> 56 == combine(7, 1) >> 56;
            wrong += u32::from(alarm && !attack && !same);
        }
        assert!(found);
        assert_eq!(wrong, 0);
    }
}
