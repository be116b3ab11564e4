//! What small samples allow to say.

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_964;

/// Wilson's 95 % interval of a proportion (Wilson 1927): right also near 0 and 1, where all the
/// proportions of interest lie.
pub(super) fn wilson(hits: u64, of: u64) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (of as f64, hits as f64 / of as f64);
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0))
}

/// Upper end of the 95 % interval of a rate of rare events: the rule of three where there was none,
/// Wilson's interval where there were some.
pub(super) fn rate_at_most(events: u64, of: u64) -> f64 {
    match (events, of) {
        (_, 0) => 1.0,
        (0, of) => (3.0 / of as f64).min(1.0),
        (events, of) => wilson(events.min(of), of).1,
    }
}

/// The quantile `q` of sorted values; the upper of two neighbours, as one does with waiting times.
pub(super) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * q).ceil() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let (low, high) = wilson(20, 20);
        assert!((low - 0.8389).abs() < 1e-3 && (high - 1.0).abs() < 1e-9);
        let (low, high) = wilson(5, 10);
        assert!((low - 0.2366).abs() < 1e-3 && (high - 0.7634).abs() < 1e-3);
        assert!((rate_at_most(0, 300_000) - 1e-5).abs() < 1e-12);
        assert!(rate_at_most(2, 1000) > 0.002);
    }

    #[test]
    fn quantiles() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.95), Some(4.0));
    }
}
