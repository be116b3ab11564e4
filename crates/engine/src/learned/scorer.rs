//! Linear models, one for each threat, whose weights are their explanation.

use super::features::{COUNT, Features};
use crate::Threat;
use crate::hash::combine;

/// What is known of a weight before anything is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The feature has nothing to do with the threat.
    Zero,
    /// More of it never speaks against the threat.
    Positive,
    /// Either way.
    Free,
}

/// A model: `logit = bias + Σ weight · feature / 255`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scorer {
    /// Nats where all features are zero.
    pub bias: f32,
    /// Nats that a feature adds at its most.
    pub weights: [f32; COUNT],
    /// The logit that one in a thousand benign clients reaches, nats.
    pub normal: f32,
}

impl Scorer {
    /// The logit: the log likelihood ratio of the threat against benign traffic, nats.
    pub fn logit(&self, features: &Features) -> f32 {
        let terms = self.weights.iter().zip(features).map(|(w, &x)| w * f32::from(x));
        self.bias + terms.sum::<f32>() / 255.0
    }

    /// What must be passed to say anything, nats.
    pub const fn floor(&self) -> f32 {
        if self.normal > 0.0 { self.normal } else { 0.0 }
    }

    /// By how much the logit passes what benign clients reach, nats; negative when it does not.
    pub fn margin(&self, features: &Features) -> f32 {
        self.logit(features) - self.floor()
    }
}

/// The signs of a threat's weights, in the order of [`super::features::FEATURES`]: `+` for positive,
/// `?` for free, `.` for zero.
const fn text(threat: Threat) -> &'static [u8; COUNT] {
    match threat {
        // pace unserved missed probes, login_failures failure_share narrow hasty,
        // sequential unpopular foreign refused, registrations contributions reservations heavy;
        // surprises: requests busiest misses logins, posts objects private volume
        Threat::ResourceExhaustion => b"++....?........+++.....+",
        Threat::CredentialStuffing => b"?+..++?............+....",
        Threat::AccountCreation => b"?.....?.....+....+......",
        Threat::Spamming => b"?.....?......+...+..+...",
        Threat::Scalping => b"+.....?.......+..+......",
        Threat::VulnerabilityScanning => b"?+++..?..........++.....",
        Threat::Scraping => b"?.....?+++.......+...+.+",
        Threat::Bola => b"??....?++.++.....+....+.",
    }
}

/// The signs of a threat's weights.
pub fn signs(threat: Threat) -> [Sign; COUNT] {
    text(threat).map(|sign| match sign {
        b'+' => Sign::Positive,
        b'?' => Sign::Free,
        _ => Sign::Zero,
    })
}

/// How the shipped models were made.
#[derive(Clone, Copy, Debug)]
pub struct Provenance {
    /// The command that writes them.
    pub command: &'static str,
    /// Names of the features that they were trained on, separated by spaces.
    pub features: &'static str,
    /// Seeds of the simulations.
    pub seeds: &'static [u64],
    /// Seeds of those that only measured.
    pub held_out: &'static [u64],
    /// Benign samples and attackers'.
    pub samples: [usize; 2],
    /// The same of the held-out seeds.
    pub held_out_samples: [usize; 2],
    /// Area under the receiver operating characteristic on held-out seeds, for each threat.
    pub areas: [f64; 8],
    /// [`checksum`] of the models.
    pub checksum: u64,
}

/// One number for models, to find a table that was edited by hand.
pub fn checksum(scorers: &[Scorer]) -> u64 {
    let numbers = scorers
        .iter()
        .flat_map(|scorer| [scorer.bias, scorer.normal].into_iter().chain(scorer.weights));
    // Minus nothing is nothing.
    numbers.fold(8, |sum, number| combine(sum, u64::from((number + 0.0).to_bits())))
}

#[cfg(test)]
mod tests {
    use super::super::features::FEATURES;
    use super::super::scorers::{PROVENANCE, SCORERS};
    use super::*;

    #[test]
    fn the_shipped_models_are_what_the_trainer_wrote() {
        assert_eq!(checksum(&SCORERS), PROVENANCE.checksum, "run `make train`");
        let names = FEATURES.map(|feature| feature.name).join(" ");
        assert_eq!(names, PROVENANCE.features, "run `make train`");
        assert!(PROVENANCE.seeds.iter().all(|seed| !PROVENANCE.held_out.contains(seed)));
        assert!(PROVENANCE.samples.iter().all(|&count| count > 500));
    }

    #[test]
    fn the_shipped_models_keep_their_signs_and_tell_attackers_apart() {
        for (threat, scorer) in Threat::ALL.into_iter().zip(SCORERS) {
            for (weight, sign) in scorer.weights.into_iter().zip(signs(threat)) {
                match sign {
                    Sign::Zero => assert_eq!(weight, 0.0),
                    Sign::Positive => assert!(weight >= 0.0, "{} {weight}", threat.slug()),
                    Sign::Free => {}
                }
            }
            assert!(PROVENANCE.areas[threat as usize] > 0.9, "{}", threat.slug());
            assert!(scorer.margin(&[0; COUNT]) < 0.0, "{}: nothing is nothing", threat.slug());
        }
    }
}
