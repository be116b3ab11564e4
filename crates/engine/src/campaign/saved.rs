//! Campaigns in a checkpoint.

use super::{Campaign, Campaigns};
use crate::checkpoint::{Clock, Restore};

const MINUTE_MS: u64 = 60_000;

impl Campaigns<'_> {
    /// All campaigns.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Campaign> {
        self.0.iter().filter(|campaign| campaign.key != 0)
    }

    /// Puts a campaign where it belongs.
    pub(crate) fn insert(&mut self, campaign: &Campaign) {
        if campaign.key != 0 {
            let slot = self.slot(campaign.key);
            self.0[slot] = *campaign;
        }
    }
}

impl Restore for Campaign {
    fn restore(&mut self, clock: &Clock) {
        let minute = |minute: u32| (clock.moment(u64::from(minute) * MINUTE_MS) / MINUTE_MS) as u32;
        self.last_ms = clock.moment(self.last_ms).min(clock.now_ms);
        self.alarm_until_ms = clock.moment(self.alarm_until_ms);
        self.seen = self.seen.map(minute);
        self.alarms = self.alarms.map(minute);
        self.events = self.events.min(1 << 16);
        self.bad = self.bad.min(self.events);
    }
}
