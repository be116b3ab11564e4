//! The time of a replay: that of the lines, but never backwards.

/// A step forward that one line alone is not believed.
const LEAP_MS: u64 = 24 * 3_600_000;

/// Makes the times of lines monotonic.
///
/// A line that is older than one before it (servers write a line when the request is over, and some
/// write when it began) gets the newest time seen. A line that is a day ahead of all before it may
/// be damaged, and believing it would press the rest of the log into one instant: it gets the newest
/// time seen, too, and the clock follows when the next line agrees.
#[derive(Debug, Default)]
pub(super) struct Clock {
    newest: u64,
    doubted: Option<u64>,
    /// Lines that came out of order.
    pub(super) backwards: u64,
}

impl Clock {
    /// The time to give to a line that says `time`, both in epoch milliseconds.
    pub(super) fn at(&mut self, time: u64) -> u64 {
        let leaps = self.newest != 0 && time > self.newest.saturating_add(LEAP_MS);
        let agrees = self.doubted.take().is_some_and(|doubted| time.abs_diff(doubted) <= LEAP_MS);
        if leaps && !agrees {
            self.doubted = Some(time);
        } else {
            self.backwards += u64::from(time < self.newest);
            self.newest = self.newest.max(time);
        }
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = LEAP_MS;

    #[test]
    fn never_runs_backwards() {
        let mut clock = Clock::default();
        let times = [5000, 4000, 6000, 6000, 1].map(|time| clock.at(time));
        assert_eq!((times, clock.backwards), ([5000, 5000, 6000, 6000, 6000], 2));
    }

    #[test]
    fn one_line_from_the_future_is_not_believed() {
        let mut clock = Clock::default();
        let times = [DAY, 900 * DAY, DAY + 5, 5 * DAY, 5 * DAY + 1].map(|time| clock.at(time));
        assert_eq!(times, [DAY, DAY, DAY + 5, DAY + 5, 5 * DAY + 1]);
        assert_eq!(clock.backwards, 0);
    }
}
