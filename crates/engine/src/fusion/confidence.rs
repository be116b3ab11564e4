//! What evidence means. Written by `make calibrate`, not by hand.

/// The command that wrote it.
pub const COMMAND: &str =
    "api-abuse simulate --calibrate --seed 21 --population 6000 --days 5 --runs 2";
/// Seeds of the simulations.
pub const SEEDS: &[u64] = &[21, 22, 23];
/// Benign source-days, and attacks.
pub const SAMPLES: [usize; 2] = [55913, 252];

/// Per cent, for each step of evidence from 0 on.
#[rustfmt::skip]
pub const CONFIDENCE: [u8; super::CONFIDENCE_STEPS] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    2, 4, 6, 10, 16, 24, 34, 46, 58, 70, 79, 86, 91, 94, 96, 97,
    98, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];
