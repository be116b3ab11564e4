//! Histograms with log-spaced bins.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bins of a histogram.
pub const BINS: usize = 32;

/// Counts of samples: bin 0 holds zeros, bin `i` what is at least `2^((i−1)/2)` and less than
/// `2^(i/2)`, the last one also all that is more.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Histogram(pub(super) [u16; BINS]);

/// The bin of a value.
pub const fn bin_of(value: u32) -> u8 {
    if value == 0 {
        return 0;
    }
    let octave = value.ilog2();
    // The upper half of an octave begins at its square root of two: `v² ≥ 2^(2k+1)`.
    let upper = (value as u64) * (value as u64) >= 1 << (2 * octave + 1);
    let bin = 1 + 2 * octave + upper as u32;
    if bin < BINS as u32 { bin as u8 } else { BINS as u8 - 1 }
}

/// The lower edge of a bin.
fn edge(bin: f32) -> f32 {
    if bin < 1.0 { bin } else { ((bin - 1.0) / 2.0).exp2() }
}

impl Histogram {
    /// Adds a sample.
    pub fn add(&mut self, bin: u8) {
        let count = &mut self.0[usize::from(bin) % BINS];
        *count = count.saturating_add(1);
    }

    /// Takes a sample out.
    pub fn remove(&mut self, bin: u8) {
        let count = &mut self.0[usize::from(bin) % BINS];
        *count = count.saturating_sub(1);
    }

    /// Moves a sample.
    pub fn shift(&mut self, from: u8, to: u8) {
        self.remove(from);
        self.add(to);
    }

    /// Samples.
    pub fn total(&self) -> u32 {
        self.0.iter().map(|&count| u32::from(count)).sum()
    }

    /// The value below which this share of the samples lies, evenly spread within its bin; 0 without
    /// samples.
    pub fn quantile(&self, share: f32) -> f32 {
        let wanted = self.total() as f32 * share;
        let mut below = 0.0;
        for (bin, &count) in self.0.iter().enumerate() {
            let count = f32::from(count);
            if count > 0.0 && below + count >= wanted {
                let within = ((wanted - below) / count).clamp(0.0, 1.0);
                return if bin == 0 { 0.0 } else { edge(bin as f32 + within) };
            }
            below += count;
        }
        0.0
    }

    /// `P(X ≥ value)` for a value of this bin, with half a sample for what was never seen.
    pub fn tail(&self, bin: u8) -> f32 {
        let above: u32 = self.0[usize::from(bin) % BINS..].iter().map(|&n| u32::from(n)).sum();
        (above as f32 + 0.5) / (self.total() as f32 + 0.5)
    }

    /// The largest difference between the distribution functions: the statistic of Kolmogorov and
    /// Smirnov.
    pub fn distance(&self, other: &Self) -> f32 {
        let (own, others) = (self.total().max(1) as f32, other.total().max(1) as f32);
        let (mut difference, mut largest) = (0.0f32, 0.0f32);
        for (&a, &b) in self.0.iter().zip(&other.0) {
            difference += f32::from(a) / own - f32::from(b) / others;
            largest = largest.max(difference.abs());
        }
        largest
    }

    /// Seven eighths of what there is, and `day`, scaled down where it would not fit.
    pub fn blend(&mut self, day: &Self) {
        let sums: [u32; BINS] =
            core::array::from_fn(|i| u32::from(self.0[i]) * 7 / 8 + u32::from(day.0[i]));
        let most = sums.iter().copied().max().unwrap_or(0);
        let shift = (32 - most.leading_zeros()).saturating_sub(16);
        self.0 = sums.map(|sum| (sum >> shift) as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_and_quantiles() {
        let bins = [0, 1, 2, 3, 4, 5, 6, 7, 8, u32::MAX].map(bin_of);
        assert_eq!(bins, [0, 1, 3, 4, 5, 5, 6, 6, 7, 31]);
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.995), 0.0);
        (0..1000).for_each(|n| histogram.add(bin_of(n)));
        for (share, value) in [(0.5, 500.0), (0.9, 900.0), (0.995, 995.0)] {
            let found = histogram.quantile(share);
            assert!((found / value - 1.0).abs() < 0.15, "{found} for {value}");
        }
        assert!(histogram.tail(0) > 0.999);
        assert!((histogram.tail(bin_of(512)) - 0.488).abs() < 0.01);
    }

    #[test]
    fn distance_and_blend() {
        let (mut a, mut b) = (Histogram::default(), Histogram::default());
        (0..100).for_each(|_| a.add(3));
        (0..50).for_each(|_| b.add(3));
        assert_eq!(a.distance(&b), 0.0);
        (0..50).for_each(|_| b.add(9));
        assert!((a.distance(&b) - 0.5).abs() < 1e-6);
        let mut full = Histogram([u16::MAX; BINS]);
        full.blend(&Histogram([u16::MAX; BINS]));
        assert!(full.0.iter().all(|&count| count == full.0[0] && count > 60_000));
    }
}
