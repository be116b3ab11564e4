//! Campaigns in a checkpoint.

use super::{Campaign, Campaigns, Watch};
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
        self.last_ms = clock.moment(self.last_ms).min(clock.now_ms);
        self.others_ms = clock.moment(self.others_ms).min(clock.now_ms);
        self.events = self.events.min(1 << 16);
        self.marked = self.marked.min(self.events);
        self.whole.restore(clock);
        self.strata.iter_mut().for_each(|watch| watch.restore(clock));
    }
}

impl Restore for Watch {
    fn restore(&mut self, clock: &Clock) {
        let minute = |minute: u32| (clock.moment(u64::from(minute) * MINUTE_MS) / MINUTE_MS) as u32;
        (self.minute, self.onset) = (minute(self.minute), minute(self.onset));
        self.alarm = minute(self.alarm);
        self.minute_marked = self.minute_marked.min(self.minute_events);
        self.marked = self.marked.min(self.events);
    }
}
