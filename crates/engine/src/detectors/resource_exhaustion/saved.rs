//! Load in a checkpoint.

use super::State;
use crate::checkpoint::{Clock, Restore};

impl Restore for State {
    fn restore(&mut self, clock: &Clock) {
        self.second = (clock.moment(u64::from(self.second) * 1000) / 1000) as u32;
    }
}
