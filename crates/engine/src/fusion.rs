//! From the evidence for each threat to one number, and from that to a conviction.

use crate::Threat;
use crate::sources::Source;

pub mod confidence;

/// Steps of evidence for which a confidence is known.
pub const CONFIDENCE_STEPS: usize = 64;
/// Nats of a step.
pub const CONFIDENCE_STEP: f32 = 0.5;

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

    /// Confidence, per cent: of the sources whose evidence comes so far, as many are attackers, where
    /// one in a thousand is. Measured on the simulator ([`confidence`]); between steps, the lower.
    pub fn confidence(&self) -> u8 {
        let step = (self.evidence / CONFIDENCE_STEP).max(0.0) as usize;
        confidence::CONFIDENCE[step.min(CONFIDENCE_STEPS - 1)]
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

    #[test]
    fn confidence_is_what_was_measured() {
        let at = |evidence| Fusion { evidence, shares: [0.125; 8] }.confidence();
        assert!(
            confidence::CONFIDENCE.is_sorted() && confidence::CONFIDENCE.iter().all(|&it| it < 100)
        );
        assert!(confidence::SAMPLES.iter().all(|&count| count > 200), "run `make calibrate`");
        assert!(confidence::COMMAND.contains("--calibrate") && !confidence::SEEDS.is_empty());
        assert!(at(-1.0) < 5 && at(0.0) < 5 && at(f32::NAN) < 5, "nobody stands out");
        assert!(at(Sensitivity::Paranoid.threshold()) >= 90);
        assert!(at(Sensitivity::Normal.threshold()) >= 95 && at(1e9) >= 99);
    }
}
