//! Seeded chance: the same seed gives the same simulation, request for request.

/// `SplitMix64` (Steele, Lea, Flood 2014): eight bytes of state, so that every agent has its own, and
/// one agent more changes nobody else's behaviour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// A stream for `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        random.next();
        random
    }

    /// A stream for the part `which` of what this one is for.
    pub(super) fn fork(&mut self, which: u64) -> Self {
        Self::new(self.next() ^ which.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    /// 64 random bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform over `0..n`, 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform over `from..to`.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from))
    }

    /// Uniform over `0.0..1.0`.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Exponential with this mean: the gaps of a Poisson process.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Log-normal around `median`, in which people's think times lie; the logarithm's deviation is
    /// that of a sum of four uniform numbers, times `spread`.
    pub(super) fn lognormal(&mut self, median: f64, spread: f64) -> f64 {
        let sum = self.unit() + self.unit() + self.unit() + self.unit() - 2.0;
        median * (sum * 3f64.sqrt() * spread).exp()
    }

    /// Rank `0..n` under Zipf's law with exponent one, whose distribution function is close to
    /// `ln(k + 1) / ln(n + 1)`.
    pub(super) fn zipf(&mut self, n: u64) -> u64 {
        let rank = (self.unit() * ((n + 1) as f64).ln()).exp() - 1.0;
        (rank as u64).min(n.saturating_sub(1))
    }

    /// One of several.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T], otherwise: T) -> T {
        of.get(self.below(of.len() as u64) as usize).copied().unwrap_or(otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_it_says() {
        let mut random = Random::new(7);
        let mut again = Random::new(7);
        let (mut sum, mut first, mut n) = (0.0, 0, 0);
        for _ in 0..20_000 {
            sum += random.exponential(3.0);
            first += u32::from(random.zipf(1000) == 0);
            assert!(random.between(5, 9) - 5 < 4);
            n += 1;
        }
        assert!((sum / f64::from(n) - 3.0).abs() < 0.1);
        // ln 2 / ln 1001
        assert!((f64::from(first) / f64::from(n) - 0.1).abs() < 0.01);
        assert_eq!(Random::new(7).next(), again.next());
    }
}
