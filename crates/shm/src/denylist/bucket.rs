//! Token buckets of throttled sources: half a word of each entry, which any worker may change.
//!
//! A bucket is the *theoretical arrival time* of the generic cell rate algorithm (ITU-T I.371): the
//! moment at which it would be full again. A request takes a token by moving that moment by the time
//! that one token takes to come back, unless it would then lie further ahead than a full bucket
//! does. So a bucket that nobody used needs no timer and no second word. The moment is kept in
//! milliseconds modulo 2^32: what lies behind, or ahead by more than an empty bucket can, is full.

use crate::sync::{AtomicU64, Ordering};

/// How much a throttled source may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Milliseconds in which one token comes back; not 0.
    pub interval_ms: u64,
    /// Tokens of a full bucket; not 0.
    pub burst: u64,
}

/// Takes a token from the lower half of a word; the error is the number of milliseconds until there
/// is one. Lock-free: a worker tries again only when another one has just taken a token of the same
/// bucket, or hits were counted, and at most once for each.
pub(super) fn take(word: &AtomicU64, now_ms: u64, rate: Rate) -> Result<(), u64> {
    let full_ms = rate.interval_ms.saturating_mul(rate.burst);
    let mut found = word.load(Ordering::Relaxed);
    loop {
        let ahead_ms = u64::from((found as u32).wrapping_sub(now_ms as u32));
        // Clocks of two workers differ by a turn of their event loops.
        let used_ms = if ahead_ms <= full_ms.saturating_mul(2) { ahead_ms } else { 0 };
        let next_ms = used_ms.saturating_add(rate.interval_ms);
        let wait_ms = next_ms.saturating_sub(full_ms);
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        let full_at = now_ms.wrapping_add(next_ms) as u32;
        let next = found & !u64::from(u32::MAX) | u64::from(full_at);
        // The word is all there is to agree on: nothing is published with it.
        match word.compare_exchange(found, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(()),
            Err(now_found) => found = now_found,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const RATE: Rate = Rate { interval_ms: 1000, burst: 5 };

    #[test]
    fn a_burst_and_then_the_rate() {
        let bucket = AtomicU64::new(0);
        let take = |now_ms| take(&bucket, now_ms, RATE);
        assert!((0..5).all(|_| take(10_000).is_ok()));
        assert_eq!((take(10_000), take(10_400)), (Err(1000), Err(600)));
        assert_eq!((take(11_000), take(11_000)), (Ok(()), Err(1000)));
        // What is refused costs nothing.
        assert_eq!(take(12_000), Ok(()));
        assert_eq!((0..9).filter(|_| take(60_000).is_ok()).count(), 5, "never more than full");
        let over_an_hour = (0..36_000).filter(|i| take(100_000 + i * 100).is_ok()).count();
        assert!((3_600..=3_606).contains(&over_an_hour), "{over_an_hour}");
    }

    #[test]
    fn a_word_of_another_clock_makes_nobody_wait_for_ever() {
        let bucket = AtomicU64::new(7 << 32 | 0xffff_0000);
        assert_eq!((take(&bucket, 10_000, RATE), take(&bucket, 10_000, RATE)), (Ok(()), Ok(())));
        assert_eq!(bucket.load(Ordering::Relaxed) >> 32, 7, "hits stay");
        // A worker whose clock is a little behind waits, and finds no new bucket.
        bucket.store(15_020, Ordering::Relaxed);
        assert_eq!(take(&bucket, 10_000, RATE), Err(1020));
        assert!(take(&AtomicU64::new(0), u64::MAX, RATE).is_ok());
        // The moment that fits 32 bits no longer.
        let bucket = AtomicU64::new(0xffff_ff00);
        let now_ms = 0x1_ffff_ff00;
        assert_eq!((0..9).filter(|_| take(&bucket, now_ms, RATE).is_ok()).count(), 5);
        assert_eq!(
            (take(&bucket, now_ms + 600, RATE), take(&bucket, now_ms + 1000, RATE)),
            (Err(400), Ok(()))
        );
    }
}
