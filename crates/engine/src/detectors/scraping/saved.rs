//! A trail in a checkpoint.

use super::State;
use crate::checkpoint::{Clock, Restore};

impl Restore for State {
    fn restore(&mut self, clock: &Clock) {
        self.last_ms = clock.moment(self.last_ms);
    }
}
