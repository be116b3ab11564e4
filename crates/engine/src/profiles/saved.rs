//! Profiles in a checkpoint.

use super::{Activity, EPOCH_MS, Habit, Learner, Profile};
use crate::checkpoint::{Clock, Restore};

/// Values beyond this are damage.
const NULL_MAX: f32 = 1e6;
/// The same of versions, of which there is one a day.
const VERSION_MAX: u32 = 100_000;

impl Learner {
    fn repair(&mut self) {
        self.null = if self.null.is_finite() { self.null.clamp(0.0, NULL_MAX) } else { 0.0 };
        self.strange_days = self.strange_days.min(64);
    }
}

/// A day that is not over goes on; days while nobody watched are none.
fn epoch(saved: u32, clock: &Clock) -> u32 {
    let ago = (clock.saved_ms / EPOCH_MS).saturating_sub(u64::from(saved));
    (clock.now_ms / EPOCH_MS).saturating_sub(ago) as u32
}

impl Restore for Activity {
    fn restore(&mut self, clock: &Clock) {
        // Within half a turn of its sixteen bits.
        let saved_day = (clock.saved_ms / EPOCH_MS) as u16;
        let ago = saved_day.wrapping_sub(self.epoch).min(i16::MAX as u16);
        let days = (clock.gap_ms / EPOCH_MS).min(i16::MAX as u64) as u16;
        self.epoch = ((clock.now_ms / EPOCH_MS) as u16).wrapping_sub(ago).wrapping_sub(days);
        // Slots of another table.
        self.habits = [0; 2];
    }
}

impl Restore for Profile {
    fn restore(&mut self, clock: &Clock) {
        self.epoch = epoch(self.epoch, clock);
        let latest = clock.now_ms.saturating_add(EPOCH_MS);
        self.frozen_until_ms = clock.moment(self.frozen_until_ms).min(latest);
        self.version = self.version.min(VERSION_MAX);
        self.features.iter_mut().for_each(Learner::repair);
    }
}

impl Restore for Habit {
    fn restore(&mut self, clock: &Clock) {
        self.epoch = epoch(self.epoch, clock);
        self.last_ms = clock.watched(self.last_ms).min(clock.now_ms);
        self.ready = self.ready.min(1);
        self.learner.repair();
    }
}
