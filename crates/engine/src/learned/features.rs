//! What a client looks like to the models: [`COUNT`] numbers from 0 to 255.
//!
//! Shares are themselves; counts are logarithms against the count that is as much as any source ever
//! has; so a feature says the same of an application with ten requests a minute and of one with ten
//! thousand a second. The last eight are how surprising the client's day is to the application's profile.

use crate::profiles::{self, Profile};
use crate::sources::Source;

/// How many.
pub const COUNT: usize = 24;

/// The features of a client, each 0 to 255.
pub type Features = [u8; COUNT];

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// Its name in tables.
    pub name: &'static str,
    /// Reads it off a source, 0 to 1.
    value: fn(&Source, &Profile) -> f32,
}

/// All of them. [`super::scorers`] was trained on exactly these.
pub const FEATURES: [Feature; COUNT] = [
    feature("pace", |s, _| log(per_minute(s), 6000.0)),
    feature("unserved", |s, _| 1.0 - share(s.served, s)),
    feature("missed", |s, _| share(s.scanning.missed(), s)),
    feature("probes", |s, _| log(f32::from(s.scanning.probes), 32.0)),
    feature("login_failures", |s, _| log(s.login.failures as f32, 256.0)),
    feature("failure_share", |s, _| {
        let attempts = s.login.failures + s.login.successes;
        s.login.failures as f32 / attempts.max(4) as f32
    }),
    feature("narrow", |s, _| 1.0 - s.templates.count_ones() as f32 / 16.0),
    feature("hasty", |s, _| share(s.trail.hasty.into(), s)),
    feature("sequential", |s, _| share(s.trail.sequential.into(), s)),
    feature("unpopular", |s, _| share(s.trail.unpopular.into(), s)),
    feature("foreign", |s, _| share(s.trail.foreign.into(), s)),
    feature("refused", |s, _| share(s.trail.refused.into(), s)),
    feature("registrations", |s, _| log(s.posts.registrations.count.into(), 64.0)),
    feature("contributions", |s, _| log(s.posts.contributions.count.into(), 256.0)),
    feature("reservations", |s, _| log(s.posts.reservations.count.into(), 256.0)),
    feature("heavy", |s, _| log(s.load.heavy.into(), 64.0)),
    feature("requests_surprise", |s, p| surprise(s, p, profiles::Feature::Requests)),
    feature("busiest_surprise", |s, p| surprise(s, p, profiles::Feature::Busiest)),
    feature("misses_surprise", |s, p| surprise(s, p, profiles::Feature::Misses)),
    feature("logins_surprise", |s, p| surprise(s, p, profiles::Feature::Logins)),
    feature("posts_surprise", |s, p| surprise(s, p, profiles::Feature::Posts)),
    feature("objects_surprise", |s, p| surprise(s, p, profiles::Feature::Objects)),
    feature("private_surprise", |s, p| surprise(s, p, profiles::Feature::PrivateObjects)),
    feature("volume_surprise", |s, p| surprise(s, p, profiles::Feature::Volume)),
];

const fn feature(name: &'static str, value: fn(&Source, &Profile) -> f32) -> Feature {
    Feature { name, value }
}

/// The features of a source of an application with this profile.
pub fn of(source: &Source, profile: &Profile) -> Features {
    FEATURES.map(|feature| {
        // Rounded half up by hand: the mathematics library takes a call for each.
        let value = (feature.value)(source, profile).clamp(0.0, 1.0) * 255.0;
        let whole = value as u8;
        whole + u8::from(value - f32::from(whole) >= 0.5)
    })
}

/// How surprising what a client did in its day is to the profile, of [`MOST_SURPRISE`]; 0 while there is none.
fn surprise(source: &Source, profile: &Profile, of: profiles::Feature) -> f32 {
    profile.surprise(of, source.activity.value(of)) / MOST_SURPRISE
}

/// What nobody of some hundred has ever done, nats.
const MOST_SURPRISE: f32 = 7.0;

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
        let profile = Profile::default();
        assert_eq!(of(&Source::default(), &profile)[..2], [0, 255]);
        let mut source = Source { requests: 64, served: 32, last_ms: 60_000, ..Source::default() };
        source.templates = 0xf;
        source.trail.sequential = 16;
        source.login.failures = u32::MAX / 2;
        let features = of(&source, &profile);
        let at = |name: &str| {
            let at = FEATURES.iter().position(|feature| feature.name == name);
            at.map(|at| features[at])
        };
        assert_eq!(at("unserved"), Some(128));
        assert_eq!(at("sequential"), Some(64));
        assert_eq!(at("narrow"), Some(191));
        assert_eq!([at("login_failures"), at("failure_share")], [Some(255); 2]);
        assert_eq!(at("pace"), Some(122));
        assert_eq!(at("busiest_surprise"), Some(0), "nothing was learned");
    }
}
