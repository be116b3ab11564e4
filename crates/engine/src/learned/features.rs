//! What a client looks like to the models: [`COUNT`] numbers from 0 to 255.
//!
//! Shares are themselves; counts are logarithms against the count that is as much as any source ever
//! has; so a feature says the same of an application with ten requests a minute and of one with ten
//! thousand a second.

use crate::sources::Source;

/// How many.
pub const COUNT: usize = 16;

/// The features of a client, each 0 to 255.
pub type Features = [u8; COUNT];

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// Its name in tables.
    pub name: &'static str,
    /// Reads it off a source, 0 to 1.
    value: fn(&Source) -> f32,
}

/// All of them. [`super::scorers`] was trained on exactly these.
pub const FEATURES: [Feature; COUNT] = [
    feature("pace", |s| log(per_minute(s), 6000.0)),
    feature("unserved", |s| 1.0 - share(s.served, s)),
    feature("missed", |s| share(s.scanning.missed(), s)),
    feature("probes", |s| log(f32::from(s.scanning.probes), 32.0)),
    feature("login_failures", |s| log(s.login.failures as f32, 256.0)),
    feature("failure_share", |s| {
        let attempts = s.login.failures + s.login.successes;
        s.login.failures as f32 / attempts.max(4) as f32
    }),
    feature("narrow", |s| 1.0 - s.templates.count_ones() as f32 / 16.0),
    feature("hasty", |s| share(s.trail.hasty.into(), s)),
    feature("sequential", |s| share(s.trail.sequential.into(), s)),
    feature("unpopular", |s| share(s.trail.unpopular.into(), s)),
    feature("foreign", |s| share(s.trail.foreign.into(), s)),
    feature("refused", |s| share(s.trail.refused.into(), s)),
    feature("registrations", |s| log(s.posts.registrations.count.into(), 64.0)),
    feature("contributions", |s| log(s.posts.contributions.count.into(), 256.0)),
    feature("reservations", |s| log(s.posts.reservations.count.into(), 256.0)),
    feature("heavy", |s| log(s.load.heavy.into(), 64.0)),
];

const fn feature(name: &'static str, value: fn(&Source) -> f32) -> Feature {
    Feature { name, value }
}

/// The features of a source.
pub fn of(source: &Source) -> Features {
    FEATURES.map(|feature| ((feature.value)(source).clamp(0.0, 1.0) * 255.0).round() as u8)
}

/// 0 for nothing, 1 for `most`.
fn log(count: f32, most: f32) -> f32 {
    (1.0 + count).ln() / (1.0 + most).ln()
}

fn share(part: u32, source: &Source) -> f32 {
    part as f32 / source.requests.max(1) as f32
}

/// Requests a minute since the first, of at least a minute.
fn per_minute(source: &Source) -> f32 {
    let minutes = source.last_ms.saturating_sub(source.first_ms) as f32 / 60_000.0;
    source.requests as f32 / minutes.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_bounded_and_say_what_their_names_say() {
        assert_eq!(of(&Source::default())[..2], [0, 255]);
        let mut source = Source { requests: 64, served: 32, last_ms: 60_000, ..Source::default() };
        source.templates = 0xf;
        source.trail.sequential = 16;
        source.login.failures = u32::MAX / 2;
        let features = of(&source);
        let at = |name: &str| {
            let at = FEATURES.iter().position(|feature| feature.name == name);
            at.map(|at| features[at])
        };
        assert_eq!(at("unserved"), Some(128));
        assert_eq!(at("sequential"), Some(64));
        assert_eq!(at("narrow"), Some(191));
        assert_eq!([at("login_failures"), at("failure_share")], [Some(255); 2]);
        assert_eq!(at("pace"), Some(122));
    }
}
