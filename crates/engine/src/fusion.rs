//! From the evidence for each threat to one number, and from that to a conviction.

use crate::Threat;
use crate::sources::Source;

/// How careful a conviction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sensitivity {
    /// One false conviction in a hundred days of [`EVENTS_A_DAY`].
    Safe = 0,
    /// One in ten days.
    Normal = 1,
    /// One a day.
    Paranoid = 2,
}

/// Events a day that thresholds are stated for.
pub const EVENTS_A_DAY: f32 = 1e8;

impl Sensitivity {
    /// All sensitivities, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Safe, Self::Normal, Self::Paranoid];

    /// The threshold h, nats: `ln(events a day / tolerated false convictions a day)`.
    pub fn threshold(self) -> f32 {
        let tolerated = match self {
            Self::Safe => 0.01,
            Self::Normal => 0.1,
            Self::Paranoid => 1.0,
        };
        (EVENTS_A_DAY / tolerated).ln()
    }

    /// The name used in directives and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Normal => "normal",
            Self::Paranoid => "paranoid",
        }
    }

    /// The sensitivity with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sensitivity| sensitivity.name() == name)
    }
}

/// A bit for every threat.
pub const ALL_THREATS: u8 = 0xff;

/// The mixture over threats: `E = ln Σ w exp(E[k])` with equal weights.
#[derive(Clone, Copy, Debug)]
pub struct Fusion {
    /// Evidence, nats.
    pub evidence: f32,
    /// Share of each threat in it; they add up to one.
    pub shares: [f32; 8],
}

impl Fusion {
    /// Mixes all the evidence against a source.
    pub fn of(source: &Source) -> Self {
        Self::mix(source.evidence(), ALL_THREATS)
    }

    /// Mixes the evidence for each threat whose bit is set in `threats`; for the others there is none.
    pub fn mix(each: [f32; 8], threats: u8) -> Self {
        let chosen = |threat: usize| threats & (1 << threat) != 0;
        let each: [f32; 8] = core::array::from_fn(|k| if chosen(k) { each[k] } else { 0.0 });
        let top = each.iter().copied().fold(0.0, f32::max);
        let weights = each.map(|evidence| (evidence - top).exp());
        let sum: f32 = weights.iter().sum();
        Self { evidence: top + (sum / 8.0).ln(), shares: weights.map(|weight| weight / sum) }
    }

    /// The threat that carries most of the evidence.
    pub fn threat(&self) -> Threat {
        let mut best = 0;
        for (threat, share) in self.shares.iter().enumerate() {
            if *share > self.shares[best] {
                best = threat;
            }
        }
        Threat::ALL[best]
    }

    /// Confidence, 0 to 100: 95 at the threshold of `normal`, approaching 100 as the evidence
    /// grows; `1 − 0.05^(E/h)`.
    pub fn confidence(&self) -> u8 {
        let h = Sensitivity::Normal.threshold();
        (100.0 * (1.0 - 0.05f32.powf(self.evidence.max(0.0) / h))) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Walks;

    #[test]
    fn thresholds_are_in_events() {
        assert!((Sensitivity::Normal.threshold() - 20.72).abs() < 0.01);
        assert!(Sensitivity::Safe.threshold() > Sensitivity::Normal.threshold());
        assert!(Sensitivity::Normal.threshold() > Sensitivity::Paranoid.threshold());
    }

    #[test]
    fn shares_name_the_threat() {
        let mut source = Source::default();
        assert!(Fusion::of(&source).evidence.abs() < 1e-5);
        source.walks[Threat::VulnerabilityScanning as usize] = Walks::at([30.0; 4]);
        let fusion = Fusion::of(&source);
        assert_eq!(fusion.threat(), Threat::VulnerabilityScanning);
        assert!((fusion.evidence - (30.0 - 8f32.ln())).abs() < 1e-3);
        assert!((fusion.shares.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(fusion.confidence() >= 95);
    }
}
