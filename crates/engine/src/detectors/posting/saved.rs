//! Posts in a checkpoint.

use super::State;
use crate::checkpoint::{Clock, Restore};

impl Restore for State {
    fn restore(&mut self, clock: &Clock) {
        for posts in [&mut self.registrations, &mut self.contributions, &mut self.reservations] {
            posts.set_last_ms(clock.moment(posts.last_ms()));
        }
    }
}
