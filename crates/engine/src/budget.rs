//! The circuit breaker of an application: when its denials reach too large a share of its clients, it
//! is more likely that the engine is wrong than that so many attack.
//!
//! Two sketches of the last ten to twenty minutes say how many clients there are: those that
//! were seen, and those that are denied (or would be, while the breaker is open). A sketch is a
//! `HyperLogLog` (Flajolet et al. 2007) of 512 registers with the small-range correction, standard error
//! 4.6 %; unions are maxima, so `active and not denied = |seen ∪ denied| − |denied|`.
//!
//! A client is an address and one of [`PER_ADDRESS`] groups of fingerprints: whoever changes the
//! User-Agent with each request opens the breaker no sooner than eight clients would. Fewer than the
//! policy's floor of denied clients never open it: a shop with thirty customers could not deny two
//! scanners otherwise, and anybody with a few dozen addresses could switch its protection off. Beyond, the contract means what it says: a botnet of a thousand addresses against a shop
//! with fifty customers opens it. A breaker that is open denies nobody: that is the safe side.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::hash::combine;

mod saved;

pub(crate) use saved::SavedBreaker;

/// Clients of one address that are told apart.
pub const PER_ADDRESS: u64 = 8;
/// A client is active for one to two of these.
pub const WINDOW_MS: u64 = 600_000;
/// The share must be below half the budget, or the denied fewer than half the floor, for this long before
/// the breaker closes.
pub const QUIET_MS: u64 = 600_000;
/// How often an open breaker looks at the share.
const CHECK_MS: u64 = 1000;
const REGISTERS: usize = 512;

/// One sketch: for each register the longest run of zeros. Plain old data.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Distinct([u8; REGISTERS]);

/// The breaker of one application. Plain old data; any bit pattern is valid.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Budget {
    /// Monotonic milliseconds: the current window began.
    since_ms: u64,
    /// Which of the two windows is the current one.
    current: u64,
    /// The breaker opened; 0 when it is closed.
    tripped_ms: u64,
    /// The share is below half the budget since then; 0 when it is not.
    quiet_ms: u64,
    checked_ms: u64,
    seen: [Distinct; 2],
    denied: [Distinct; 2],
}

impl Default for Budget {
    fn default() -> Self {
        let (seen, denied) = ([Distinct([0; REGISTERS]); 2], [Distinct([0; REGISTERS]); 2]);
        Self { since_ms: 0, current: 0, tripped_ms: 0, quiet_ms: 0, checked_ms: 0, seen, denied }
    }
}

/// What an open or closed breaker is measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Clients that are denied, or would be.
    pub denied: f32,
    /// Clients that are active and not denied.
    pub others: f32,
}

/// A breaker as it is shown.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Breaker {
    /// Clients that are denied, or would be, estimated.
    pub denied: u64,
    /// Clients that are active and not denied, estimated.
    pub others: u64,
    /// Monotonic milliseconds when it opened; 0: it is closed.
    pub since_ms: u64,
}

impl Share {
    /// Whether the denied ones are more than `percent` of the others.
    fn exceeds(self, percent: f32) -> bool {
        self.denied * 100.0 > percent * self.others
    }
}

/// The client that a breaker counts; `application` is a keyed hash, so nobody outside can choose it.
pub fn client(application: u64, network: u64, fingerprint: u64) -> u64 {
    combine(combine(application, network), combine(fingerprint, 0) % PER_ADDRESS)
}

impl Budget {
    /// Counts a request of a client.
    pub fn see(&mut self, client: u64, denied: bool, now_ms: u64) {
        self.rotate(now_ms);
        let sketches = if denied { &mut self.denied } else { &mut self.seen };
        sketches[(self.current & 1) as usize].insert(client);
    }

    /// Whether what was seen at `then_ms` was counted in the window that `now_ms` is in.
    pub(crate) fn is_in_window(&self, then_ms: u64, now_ms: u64) -> bool {
        let current = now_ms.saturating_sub(self.since_ms) < WINDOW_MS;
        self.since_ms != 0 && then_ms >= self.since_ms && current
    }

    /// Whether one more denied client opens the breaker, or it is open; says so in the second value
    /// when it opens now.
    pub fn deny(&mut self, client: u64, percent: f32, floor: f32, now_ms: u64) -> (bool, bool) {
        self.see(client, true, now_ms);
        if self.tripped_ms != 0 {
            return (true, false);
        }
        let share = self.share();
        let trips = share.denied.round() >= floor && share.exceeds(percent);
        if trips {
            (self.tripped_ms, self.quiet_ms) = (now_ms.max(1), 0);
        }
        (trips, trips)
    }

    /// Looks at an open breaker; true when it closes now. So few that they would not have opened it are not
    /// too many: half of either bound is quiet.
    pub fn recover(&mut self, percent: f32, floor: f32, now_ms: u64) -> bool {
        if self.tripped_ms == 0 || now_ms.saturating_sub(self.checked_ms) < CHECK_MS {
            return false;
        }
        self.checked_ms = now_ms;
        self.rotate(now_ms);
        let share = self.share();
        if share.denied.round() >= floor / 2.0 && share.exceeds(percent / 2.0) {
            self.quiet_ms = 0;
            return false;
        }
        if self.quiet_ms == 0 {
            self.quiet_ms = now_ms.max(1);
        }
        let closes = now_ms.saturating_sub(self.quiet_ms) >= QUIET_MS;
        if closes {
            (self.tripped_ms, self.quiet_ms) = (0, 0);
        }
        closes
    }

    /// How it stands, for people.
    pub fn breaker(&self) -> Breaker {
        let Share { denied, others } = self.share();
        let whole = |count: f32| count.round() as u64;
        Breaker { denied: whole(denied), others: whole(others), since_ms: self.tripped_ms }
    }

    /// Whether the breaker is open.
    pub fn is_tripped(&self) -> bool {
        self.tripped_ms != 0
    }

    /// The clients of the last ten to twenty minutes.
    pub fn share(&self) -> Share {
        let denied = self.denied[0].union(&self.denied[1]);
        let all = self.seen[0].union(&self.seen[1]).union(&denied).estimate();
        let denied = denied.estimate();
        Share { denied, others: (all - denied).max(0.0) }
    }

    fn rotate(&mut self, now_ms: u64) {
        let age_ms = now_ms.saturating_sub(self.since_ms);
        if age_ms < WINDOW_MS {
            return;
        }
        self.current = (self.current & 1) ^ 1;
        let stale = if age_ms >= 2 * WINDOW_MS {
            0..2
        } else {
            self.current as usize..self.current as usize + 1
        };
        for window in stale {
            self.seen[window] = Distinct([0; REGISTERS]);
            self.denied[window] = Distinct([0; REGISTERS]);
        }
        self.since_ms = now_ms;
    }
}

impl Distinct {
    fn insert(&mut self, hash: u64) {
        let register = (hash >> 55) as usize % REGISTERS;
        let rank = ((hash << 9) | 0x100).leading_zeros() as u8 + 1;
        self.0[register] = self.0[register].max(rank);
    }

    fn union(&self, other: &Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i].max(other.0[i])))
    }

    fn estimate(&self) -> f32 {
        let m = REGISTERS as f32;
        let empty = self.0.iter().filter(|&&rank| rank == 0).count() as f32;
        // 2^-rank, from the bits of a float; a torn rank counts as the highest one there is.
        let power = |rank: u8| f32::from_bits((127 - u32::from(rank.min(56))) << 23);
        let sum: f32 = self.0.iter().map(|&rank| power(rank)).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        if raw <= 2.5 * m && empty > 0.0 { m * (m / empty).ln() } else { raw }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn clients(budget: &mut Budget, from: u64, count: u64, denied: bool, now_ms: u64) {
        (from..from + count).for_each(|n| budget.see(client(77, n, 5), denied, now_ms));
    }

    #[test]
    fn counts_what_is_there() {
        for count in [0u64, 1, 20, 500, 3000, 100_000] {
            let mut budget = Budget::default();
            clients(&mut budget, 0, count, false, 1);
            clients(&mut budget, 0, count / 10, true, 1);
            let share = budget.share();
            let close = |value: f32, of: u64| (value - of as f32).abs() <= 1.0 + 0.15 * of as f32;
            assert!(close(share.others, count - count / 10), "{count}: {share:?}");
            assert!(close(share.denied, count / 10), "{count}: {share:?}");
        }
    }

    #[test]
    fn opens_beyond_the_budget_and_closes_by_itself() {
        let mut budget = Budget::default();
        clients(&mut budget, 0, 1000, false, 1000);
        let opened = (0..200).find(|n| budget.deny(client(77, 5000 + n, 5), 5.0, 20.0, 1000).1);
        assert!(opened.is_some_and(|n| (40..62).contains(&n)), "{opened:?}");
        let mut closed = None;
        for second in 1..7200u64 {
            let now_ms = 1000 + second * 1000;
            if second % 60 == 0 {
                clients(&mut budget, 0, 1000, false, now_ms);
            }
            if budget.recover(5.0, 20.0, now_ms) {
                closed = Some(second);
                break;
            }
        }
        assert!(closed.is_some_and(|s| (600..=1900).contains(&s)), "{closed:?}");
        assert!(!budget.is_tripped());
    }

    #[test]
    fn a_few_do_not_keep_it_open_and_many_do() {
        for (denied, closes) in [(9, true), (60, false)] {
            let mut budget = Budget::default();
            let mut now_ms = 1000;
            clients(&mut budget, 0, 10, false, now_ms);
            assert!((0..40).any(|n| budget.deny(client(77, 5000 + n, 5), 5.0, 20.0, now_ms).1));
            let closed = (0..120).any(|_| {
                now_ms += 60_000;
                clients(&mut budget, 0, 10, false, now_ms);
                clients(&mut budget, 5000, denied, true, now_ms);
                budget.recover(5.0, 20.0, now_ms)
            });
            assert_eq!(closed, closes, "{denied} denied of {} clients", 10 + denied);
        }
    }

    #[test]
    fn a_few_never_open_it_and_one_address_is_eight_clients() {
        let mut budget = Budget::default();
        let few = (0..11).any(|n| budget.deny(client(77, n, 5), 5.0, 20.0, 1).0);
        let one = (0..5000).any(|agent| budget.deny(client(77, 7, agent), 5.0, 20.0, 1).0);
        assert!(!few && !one);
    }
}
