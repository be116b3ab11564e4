//! The models. Written by `make train`, not by hand.
//!
//! Columns: `pace unserved missed probes login_failures failure_share narrow hasty sequential unpopular foreign refused registrations contributions reservations heavy`.
#![allow(clippy::approx_constant, clippy::unreadable_literal, reason = "nobody typed them")]

use super::scorer::{Provenance, Scorer};

/// How they were made.
#[rustfmt::skip]
pub const PROVENANCE: Provenance = Provenance {
    command: "api-abuse simulate --train --seed 11 --population 400 --days 2 --runs 1",
    features: "pace unserved missed probes login_failures failure_share narrow hasty sequential unpopular foreign refused registrations contributions reservations heavy",
    seeds: &[11, 12],
    held_out: &[13],
    samples: [2694, 835],
    held_out_samples: [1411, 417],
    areas: [0.9870, 1.0000, 0.9669, 0.9895, 1.0000, 0.9974, 1.0000, 0.9769],
    checksum: 0xc6d579fcf54dfe63,
};

/// The models, in the order of [`crate::Threat::ALL`].
#[rustfmt::skip]
pub const SCORERS: [Scorer; 8] = [
    // resource_exhaustion
    Scorer {
        bias: -7.07, normal: 4.39,
        weights: [7.98, 0.00, 0.00, 0.00, 0.00, 0.00, 5.95, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 1.58],
    },
    // credential_stuffing
    Scorer {
        bias: -5.43, normal: -1.26,
        weights: [1.71, 0.58, 0.00, 0.00, 3.14, 5.91, 1.40, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
    },
    // account_creation
    Scorer {
        bias: -5.25, normal: 0.63,
        weights: [-0.36, 0.00, 0.00, 0.00, 0.00, 0.00, 5.93, 0.00, 0.00, 0.00, 0.00, 0.00, 6.93, 0.00, 0.00, 0.00],
    },
    // spamming
    Scorer {
        bias: -4.57, normal: 6.81,
        weights: [1.84, 0.00, 0.00, 0.00, 0.00, 0.00, 2.26, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 8.73, 0.00, 0.00],
    },
    // scalping
    Scorer {
        bias: -6.80, normal: 0.75,
        weights: [3.73, 0.00, 0.00, 0.00, 0.00, 0.00, 4.78, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 9.42, 0.00],
    },
    // vulnerability_scanning
    Scorer {
        bias: -3.20, normal: 0.63,
        weights: [5.83, 1.48, 4.73, 4.72, 0.00, 0.00, -0.50, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
    },
    // scraping
    Scorer {
        bias: -6.51, normal: 0.36,
        weights: [2.33, 0.00, 0.00, 0.00, 0.00, 0.00, 5.50, 0.00, 0.00, 9.63, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
    },
    // bola
    Scorer {
        bias: -6.61, normal: 5.05,
        weights: [2.39, -1.68, 0.00, 0.00, 0.00, 0.00, 6.77, 1.63, 1.99, 0.00, 0.00, 2.30, 0.00, 0.00, 0.00, 0.00],
    },
];
