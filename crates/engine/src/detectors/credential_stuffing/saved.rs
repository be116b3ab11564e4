//! Attempts and answers in a checkpoint.

use super::{Answers, State};
use crate::checkpoint::{Clock, Restore};

/// Counts beyond this are damage.
const COUNT_MAX: u32 = 1 << 28;

impl Restore for State {
    fn restore(&mut self, clock: &Clock) {
        self.last_ms = clock.moment(self.last_ms);
        let clamp = |count: u32| count.min(COUNT_MAX);
        (self.requests, self.failures, self.successes) =
            (clamp(self.requests), clamp(self.failures), clamp(self.successes));
    }
}

impl Restore for Answers {
    fn restore(&mut self, clock: &Clock) {
        self.last_ms = clock.moment(self.last_ms);
    }
}
