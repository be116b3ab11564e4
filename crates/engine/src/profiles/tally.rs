//! A counter in one byte.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::histogram::bin_of;

/// A counter in one byte: a float of four bits of exponent and four of mantissa, exact up to 32, beyond
/// with the right expectation (Morris: *Counting large numbers of events in small registers*, 1978),
/// up to half a million. Equal chances give equal counts.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct Tally(u8);

const MAX: u32 = 31 << 14;

impl Tally {
    /// The count.
    pub const fn value(self) -> u32 {
        match self.0 {
            code @ 0..=31 => code as u32,
            code => ((code as u32 & 15) + 16) << ((code >> 4) - 1),
        }
    }

    /// Adds one.
    #[inline]
    pub fn add_one(&mut self, chance: u32) {
        if self.0 < 32 { self.0 += 1 } else { self.add(1, chance) }
    }

    /// Adds `amount`; `chance` decides what falls between two values.
    pub fn add(&mut self, amount: u32, chance: u32) {
        let target = self.value().saturating_add(amount).min(MAX);
        let exponent = (32 - target.leading_zeros()).saturating_sub(5);
        let rest = target & ((1 << exponent) - 1);
        let up = chance & ((1 << exponent) - 1) < rest;
        let base = if exponent == 0 { 0 } else { exponent << 4 };
        self.0 = (base + (target >> exponent) + u32::from(up)).min(255) as u8;
    }

    /// The bin of the count.
    pub const fn bin(self) -> u8 {
        BINS_OF_CODES[self.0 as usize]
    }
}

const BINS_OF_CODES: [u8; 256] = {
    let mut bins = [0; 256];
    let mut code = 0;
    while code < 256 {
        bins[code] = bin_of(Tally(code as u8).value());
        code += 1;
    }
    bins
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::combine;

    #[test]
    fn counts_exactly_at_first_and_on_the_average_later() {
        let mut tally = Tally::default();
        let mut other = Tally::default();
        for n in 1..=2000 {
            let chance = combine(n, 5) as u32;
            tally.add(1, chance);
            other.add_one(chance);
            assert_eq!(tally, other);
            assert!(n > 32 || u64::from(tally.value()) == n);
        }
        for (amount, times) in [(1u32, 20_000u32), (7, 3000), (1000, 300)] {
            let mut sum = 0.0;
            for round in 0..50u64 {
                let mut tally = Tally::default();
                for n in 0..times {
                    tally.add(amount, combine(round + 1, u64::from(n)) as u32);
                }
                sum += f64::from(tally.value()) / 50.0;
            }
            let expected = f64::from(amount * times);
            assert!((sum / expected - 1.0).abs() < 0.05, "{sum} for {expected}");
        }
        let mut tally = Tally::default();
        (0..10).for_each(|_| tally.add(u32::MAX, u32::MAX));
        assert_eq!(tally.value(), MAX);
    }
}
