//! What speaks for abuse in a single request: one file for each threat.
//!
//! A detector has two halves. `classify` looks at the record and at what is known of the application
//! and names what happened, once for each record. `observe` looks at the source it came from and
//! turns that into log likelihood ratios, once for each key (client, address). Neither convicts.

pub mod credential_stuffing;
pub mod patterns;
pub mod vulnerability_scanning;

/// What findings measure: name, unit and what is normal, in the order of
/// [`crate::decision::Finding::measure`] minus one.
pub const MEASURES: [Measure; 7] = [
    Measure { name: "rare_paths_missed", unit: "paths", normal: 1.0 },
    Measure { name: "known_probes", unit: "requests", normal: 0.2 },
    Measure { name: "names_guessed", unit: "paths", normal: 2.0 },
    Measure { name: "missed_share", unit: "of requests", normal: 0.05 },
    Measure { name: "login_failures", unit: "attempts", normal: 3.0 },
    Measure { name: "login_failure_share", unit: "of attempts", normal: 0.35 },
    Measure { name: "login_share", unit: "of requests", normal: 0.2 },
];

/// One thing that a finding measures.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Name in the API.
    pub name: &'static str,
    /// What the numbers count.
    pub unit: &'static str,
    /// A high quantile of what benign sources do, for scale.
    pub normal: f32,
}
