//! What speaks for abuse in a single request: one file for each threat.
//!
//! A detector is a function from the facts of a record and the source it came from to log likelihood
//! ratios, one for each of its alternatives. It keeps what it needs of the source in a state of its
//! own, which is plain old data. None convicts by itself: the ratios are evidence, and evidence of
//! all threats is mixed. The records of one source reach all its keys (client, address), each with a
//! state of its own.

use crate::Threat;
use crate::evidence::Ratios;
use crate::facts::Facts;
use crate::learned;
use crate::profiles::Feature;
use crate::record::{RequestRecord, flags};
use crate::sources::Source;

pub mod account_creation;
pub mod bola;
pub mod credential_stuffing;
pub mod patterns;
pub mod posting;
pub mod resource_exhaustion;
pub mod scalping;
pub mod scraping;
pub mod spamming;
pub mod vulnerability_scanning;

/// What a detector makes of one record of one source; `None` when it says nothing.
pub type Observe = fn(&Event<'_>, &mut Source) -> Option<Ratios>;
/// Whether a record concerns a detector at all: what does not, tells it nothing of any source.
pub type Concerns = fn(&Facts) -> bool;

/// One record, as a detector sees it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The record.
    pub record: &'a RequestRecord<'a>,
    /// What it means.
    pub facts: &'a Facts,
    /// Milliseconds since the source's last record.
    pub gap_ms: u64,
    /// Well-behaved clients behind the key: of an address, those that were vouched for; else 1.
    pub users: u32,
    /// The source has done the same for days: automation that somebody set up.
    pub established: bool,
    /// The source was there while the application was learned.
    pub veteran: bool,
    /// Objects that are private, or may be, and that the source has not asked for today: how many this
    /// one stands for, as far as can be told.
    pub new_objects: u32,
    /// What clients do at most in a day of what this record is one more of: posts of its template,
    /// private objects of its group. None while too little is known.
    pub null: Option<f32>,
}

/// All detectors: a row for each threat, in the order of [`Threat::ALL`].
pub const DETECTORS: [(Threat, Concerns, Observe); 8] = [
    (Threat::ResourceExhaustion, |_| true, resource_exhaustion::observe),
    (Threat::CredentialStuffing, credential_stuffing::is_login, credential_stuffing::observe),
    (Threat::AccountCreation, account_creation::concerns, account_creation::observe),
    (Threat::Spamming, spamming::concerns, spamming::observe),
    (Threat::Scalping, scalping::concerns, scalping::observe),
    (
        Threat::VulnerabilityScanning,
        vulnerability_scanning::concerns,
        vulnerability_scanning::observe,
    ),
    (Threat::Scraping, scraping::concerns, scraping::observe),
    (Threat::Bola, bola::concerns, bola::observe),
];

/// The detectors that a record concerns: a bit for each threat.
pub fn concerned(facts: &Facts) -> u8 {
    let bit = |(threat, concerns, _): &(Threat, Concerns, Observe)| {
        u8::from(concerns(facts)) << *threat as u8
    };
    DETECTORS.iter().map(bit).fold(0, |mask, bit| mask | bit)
}

/// Lets the detectors of `judged` look at a record of a source; the strongest ratio that one of them finds,
/// and whether a walk moved.
pub(crate) fn observe(judged: u8, event: &Event<'_>, source: &mut Source) -> (f32, bool) {
    let mut found = (0.0, false);
    // One after the other instead of in a loop: a call that is written down need not be guessed.
    let [exhaustion, stuffing, creation, spamming, scalping, scanning, scraping, bola] = DETECTORS;
    ask(exhaustion, judged, event, source, &mut found);
    ask(stuffing, judged, event, source, &mut found);
    ask(creation, judged, event, source, &mut found);
    ask(spamming, judged, event, source, &mut found);
    ask(scalping, judged, event, source, &mut found);
    ask(scanning, judged, event, source, &mut found);
    ask(scraping, judged, event, source, &mut found);
    ask(bola, judged, event, source, &mut found);
    found
}

#[inline]
fn ask(
    (threat, _, observe): (Threat, Concerns, Observe),
    judged: u8,
    event: &Event<'_>,
    source: &mut Source,
    (evidence, moved): &mut (f32, bool),
) {
    if judged & 1 << threat as u8 == 0 {
        return;
    }
    if let Some(ratios) = observe(event, source) {
        *moved |= source.walks[threat as usize].step(&ratios);
        *evidence = ratios.iter().fold(*evidence, |most, ratio| most.max(*ratio));
    }
}

/// One thing that a finding measures.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Threat whose evidence it belongs to; `None` is every threat's.
    pub threat: Option<Threat>,
    /// Name in the API.
    pub name: &'static str,
    /// What the numbers count.
    pub unit: &'static str,
    /// A high quantile of what benign sources do, for scale.
    pub normal: f32,
    /// Reads it off a source.
    pub value: fn(&Source) -> f32,
}

/// The measure of a feature that is held against what was learned.
pub(crate) fn measure_of(feature: Feature) -> Option<&'static str> {
    match feature {
        Feature::Posts => Some("posts_today"),
        Feature::PrivateObjects => Some("private_objects_today"),
        _ => None,
    }
}

/// What findings measure of the sequential tests.
pub const MEASURES: &[Measure] = &[
    measure(Threat::VulnerabilityScanning, "rare_paths_missed", "paths", 1.0, |s| {
        f32::from(s.scanning.strays)
    }),
    measure(Threat::VulnerabilityScanning, "known_probes", "requests", 0.2, |s| {
        f32::from(s.scanning.probes)
    }),
    measure(Threat::VulnerabilityScanning, "names_guessed", "paths", 2.0, |s| {
        f32::from(s.scanning.guesses)
    }),
    measure(Threat::VulnerabilityScanning, "missed_share", "of requests", 0.05, |s| {
        share(s.scanning.missed(), s.requests)
    }),
    measure(Threat::CredentialStuffing, "login_failures", "attempts", 3.0, |s| {
        s.login.failures as f32
    }),
    measure(Threat::CredentialStuffing, "login_failure_share", "of attempts", 0.35, |s| {
        share(s.login.failures, s.login.failures + s.login.successes)
    }),
    measure(Threat::CredentialStuffing, "login_share", "of requests", 0.2, |s| {
        share(s.login.requests, s.requests)
    }),
    measure(Threat::Scraping, "objects_in_a_hurry", "objects", 12.0, |s| f32::from(s.trail.hasty)),
    measure(Threat::Scraping, "sequential_objects", "objects", 10.0, |s| {
        f32::from(s.trail.sequential)
    }),
    measure(Threat::Scraping, "unpopular_objects", "objects", 8.0, |s| {
        f32::from(s.trail.unpopular)
    }),
    measure(Threat::Scraping, "bare_objects", "objects", 8.0, |s| s.posts.bare.count()),
    measure(Threat::Bola, "sequential_identifiers", "objects", 10.0, |s| {
        f32::from(s.trail.sequential)
    }),
    measure(Threat::Bola, "foreign_objects", "objects", 2.0, |s| f32::from(s.trail.foreign)),
    measure(Threat::Bola, "refused_objects", "objects", 2.0, |s| f32::from(s.trail.refused)),
    measure(Threat::AccountCreation, "accounts_created", "accounts", 1.0, |s| {
        f32::from(s.posts.registrations.count)
    }),
    measure(Threat::Spamming, "contributions", "posts", 5.0, |s| {
        f32::from(s.posts.contributions.count)
    }),
    measure(Threat::Spamming, "posts_today", "posts", 5.0, |s| s.activity.value(Feature::Posts)),
    measure(Threat::Bola, "private_objects_today", "objects", 8.0, |s| {
        s.activity.value(Feature::PrivateObjects)
    }),
    measure(Threat::Scalping, "reservations", "requests", 3.0, |s| {
        f32::from(s.posts.reservations.count)
    }),
    measure(Threat::Scalping, "hurried_reservations", "requests", 1.0, |s| {
        f32::from(s.posts.hurried)
    }),
    measure(Threat::ResourceExhaustion, "seconds_of_overload", "seconds", 1.0, |s| {
        f32::from(s.load.heavy)
    }),
    measure(Threat::ResourceExhaustion, "busy_peak", "upstreams at once", 2.0, |s| {
        f32::from(s.load.peak)
    }),
];

/// What findings measure, in the order of [`crate::decision::Finding::measure`] minus one.
pub fn measures() -> impl Iterator<Item = &'static Measure> {
    MEASURES.iter().chain(&learned::MEASURES)
}

const fn measure(
    threat: Threat,
    name: &'static str,
    unit: &'static str,
    normal: f32,
    value: fn(&Source) -> f32,
) -> Measure {
    Measure { threat: Some(threat), name, unit, normal, value }
}

fn share(part: u32, whole: u32) -> f32 {
    part as f32 / whole.max(1) as f32
}

/// Log likelihood ratios of an event that has probability `p1[m]` under alternative m and `p0` under
/// the null.
pub(crate) fn happened(p1: [f32; 4], p0: f32) -> Ratios {
    p1.map(|p1| (p1 / p0).ln())
}

/// The same for an event that did not happen.
pub(crate) fn did_not(p1: [f32; 4], p0: f32) -> Ratios {
    p1.map(|p1| ((1.0 - p1) / (1.0 - p0)).ln())
}

/// The ratios of an event whose probabilities are constants: no logarithm for each record.
pub(crate) struct Odds {
    happened: Ratios,
    did_not: Ratios,
}

impl Odds {
    /// Of an event that has probability `p1[m]` under alternative m and `p0` under the null.
    pub(crate) fn new(p1: [f32; 4], p0: f32) -> Self {
        Self { happened: happened(p1, p0), did_not: did_not(p1, p0) }
    }

    /// The ratios.
    pub(crate) fn of(&self, it_happened: bool) -> Ratios {
        if it_happened { self.happened } else { self.did_not }
    }
}

/// Nothing of what a page sends with its requests, and nothing that says who asks; an access log does not
/// know of cookies and credentials.
pub(crate) fn is_bare(record: &RequestRecord<'_>) -> bool {
    let said = record.has(flags::REFERER | flags::COOKIE | flags::AUTHORIZATION);
    !said && record.head.session == 0 && record.head.credential == 0
}

/// Remembers `value` in a ring; false when it was there already.
pub(crate) fn remember<const N: usize>(ring: &mut [u32; N], at: &mut u8, value: u32) -> bool {
    let value = value.max(1);
    if ring.contains(&value) {
        return false;
    }
    ring[usize::from(*at) % N] = value;
    *at = at.wrapping_add(1) % N as u8;
    true
}
