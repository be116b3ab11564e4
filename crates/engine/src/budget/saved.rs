//! Circuit breakers in a checkpoint.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Budget;
use crate::application::State;
use crate::checkpoint::{Clock, Restore};
use crate::engine::Engine;

/// The breaker of an application.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct SavedBreaker {
    /// Key of the application.
    application: u64,
    budget: Budget,
}

impl Engine<'_> {
    /// The breakers of all applications that have one of their own.
    pub(crate) fn breakers(&self) -> impl Iterator<Item = SavedBreaker> {
        let own = self.applications.iter().zip(self.budgets.iter());
        own.filter(|(slot, _)| slot.key != 0)
            .map(|(slot, budget)| SavedBreaker { application: slot.key, budget: *budget })
    }

    /// Puts a breaker where its application is; one that has none of its own here is dropped.
    pub(crate) fn insert_breaker(&mut self, breaker: &SavedBreaker) {
        let slot = self.applications.iter().position(|slot| slot.key == breaker.application);
        let Some(slot) = slot.filter(|slot| *slot < self.budgets.len()) else { return };
        self.budgets[slot] = breaker.budget;
        // Workers go by the state, from the first request on.
        if breaker.budget.is_tripped() {
            self.applications[slot].state = State::Tripped as u32;
        }
    }
}

impl Restore for SavedBreaker {
    fn restore(&mut self, clock: &Clock) {
        let budget = &mut self.budget;
        let moment = |ms: u64| clock.moment(ms).min(clock.now_ms);
        budget.since_ms = moment(budget.since_ms);
        budget.tripped_ms = moment(budget.tripped_ms);
        budget.quiet_ms = moment(budget.quiet_ms);
        budget.checked_ms = moment(budget.checked_ms);
    }
}
