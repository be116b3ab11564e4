//! The models. Written by `make train`, not by hand.
//!
//! Columns: `pace unserved missed probes login_failures failure_share narrow hasty sequential unpopular foreign refused registrations contributions reservations heavy requests_surprise busiest_surprise misses_surprise logins_surprise posts_surprise objects_surprise private_surprise volume_surprise`.
#![allow(clippy::approx_constant, clippy::unreadable_literal, reason = "nobody typed them")]

use super::scorer::{Provenance, Scorer};

/// How they were made.
#[rustfmt::skip]
pub const PROVENANCE: Provenance = Provenance {
    command: "api-abuse simulate --train --seed 11 --population 2500 --days 3 --runs 3",
    features: "pace unserved missed probes login_failures failure_share narrow hasty sequential unpopular foreign refused registrations contributions reservations heavy requests_surprise busiest_surprise misses_surprise logins_surprise posts_surprise objects_surprise private_surprise volume_surprise",
    seeds: &[11, 12],
    held_out: &[13],
    samples: [32798, 4370],
    held_out_samples: [16158, 2183],
    areas: [0.9957, 0.9999, 0.9966, 0.9978, 1.0000, 0.9982, 0.9963, 1.0000],
    checksum: 0xae3072285a8bd418,
};

/// The models, in the order of [`crate::Threat::ALL`].
#[rustfmt::skip]
pub const SCORERS: [Scorer; 8] = [
    // resource_exhaustion
    Scorer {
        bias: -8.28, normal: 4.20,
        weights: [4.05, 0.00, 0.00, 0.00, 0.00, 0.00, 8.08, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.53, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 5.11],
    },
    // credential_stuffing
    Scorer {
        bias: -5.43, normal: 1.50,
        weights: [1.57, 0.93, 0.00, 0.00, 2.19, 4.92, 2.10, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 2.27, 0.00, 0.00, 0.00, 0.00],
    },
    // account_creation
    Scorer {
        bias: -6.94, normal: 1.33,
        weights: [1.12, 0.00, 0.00, 0.00, 0.00, 0.00, 8.13, 0.00, 0.00, 0.00, 0.00, 0.00, 6.84, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
    },
    // spamming
    Scorer {
        bias: -6.00, normal: 5.66,
        weights: [0.79, 0.00, 0.00, 0.00, 0.00, 0.00, 2.65, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 2.89, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 6.20, 0.00, 0.00, 0.00],
    },
    // scalping
    Scorer {
        bias: -7.69, normal: 0.92,
        weights: [3.71, 0.00, 0.00, 0.00, 0.00, 0.00, 7.57, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 7.91, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
    },
    // vulnerability_scanning
    Scorer {
        bias: -4.87, normal: 1.33,
        weights: [3.25, 1.44, 2.15, 1.88, 0.00, 0.00, 1.91, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.59, 4.21, 0.00, 0.00, 0.00, 0.00, 0.00],
    },
    // scraping
    Scorer {
        bias: -7.05, normal: 0.00,
        weights: [1.65, 0.00, 0.00, 0.00, 0.00, 0.00, 5.49, 0.45, 0.47, 7.17, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.96, 0.00, 0.00],
    },
    // bola
    Scorer {
        bias: -6.94, normal: 0.77,
        weights: [1.48, 1.12, 0.00, 0.00, 0.00, 0.00, 3.86, 2.33, 1.78, 0.00, 0.52, 1.59, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 6.04, 0.00],
    },
];
