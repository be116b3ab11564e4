//! A source as it stands in a checkpoint: what every version knows, and what the detectors of this
//! version remember of it. When these change, the rest is still read.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Clock, Restore};
use crate::detectors::{
    credential_stuffing, posting, resource_exhaustion, scraping, vulnerability_scanning,
};
use crate::evidence::Walks;
use crate::learned;
use crate::profiles::Activity;
use crate::sources::{ASKED_ALONE, Source};

const DAY_MS: u64 = 86_400_000;

/// What every version knows.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Core {
    key: u64,
    application: u64,
    network: u64,
    discriminator: u64,
    first_ms: u64,
    last_ms: u64,
    denied_until_ms: u64,
    incident: u64,
    walks: [Walks; 8],
    grace_until_ms: u64,
    requests: u32,
    served: u32,
    templates: u32,
    users: u32,
    convicted_users: u32,
    convicted_requests: u32,
    /// Days since the day that `today` counts.
    days_ago: u32,
    today: u32,
    usual: u32,
    convictions: u16,
    kind: u8,
    would_deny: u8,
    asked: u8,
    days: u8,
    hold: u8,
    lifted: u8,
    reserved: u32,
}

/// What the detectors remember.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct States {
    scanning: vulnerability_scanning::State,
    login: credential_stuffing::State,
    trail: scraping::State,
    posts: posting::State,
    load: resource_exhaustion::State,
    activity: Activity,
}

/// One source.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Saved {
    core: Core,
    states: States,
    /// The session that a client stands for; version 1 ends before it.
    session: u64,
}

/// Changes with what the states mean, as far as their sizes show it; a detector that gives its state
/// another meaning at the same size counts [`MEANING`] up.
pub(super) const LAYOUT: u64 = MEANING
    | (size_of::<vulnerability_scanning::State>() as u64) << 16
    | (size_of::<credential_stuffing::State>() as u64) << 24
    | (size_of::<scraping::State>() as u64) << 32
    | (size_of::<posting::State>() as u64) << 40
    | (size_of::<resource_exhaustion::State>() as u64) << 48;
const MEANING: u64 = 8;

impl Saved {
    /// The source, if a checkpoint should carry it: suspects, convicted and lifted ones, those that
    /// were vouched for, and the addresses that have users.
    pub(super) fn of(source: &Source, now_ms: u64) -> Option<Self> {
        let matters = source.peak() >= 1.0
            || source.convictions > 0
            || source.denied_until_ms > now_ms
            || source.grace(now_ms) != 0
            || source.users != 0
            || source.is_vouched()
            || source.days > 0;
        matters.then(|| Self {
            core: Core {
                key: source.key,
                application: source.application,
                network: source.network,
                discriminator: source.discriminator,
                first_ms: source.first_ms,
                last_ms: source.last_ms,
                denied_until_ms: source.denied_until_ms,
                incident: source.incident,
                walks: source.walks,
                grace_until_ms: u64::from(source.grace_until_s) * 1000,
                requests: source.requests,
                served: source.served,
                templates: source.templates,
                users: source.users,
                convicted_users: source.convicted_users,
                convicted_requests: source.convicted_requests,
                days_ago: ((now_ms / DAY_MS) as u32).saturating_sub(source.day),
                today: source.today,
                usual: source.usual,
                convictions: source.convictions,
                kind: source.kind,
                would_deny: source.would_deny,
                asked: source.asked & !ASKED_ALONE,
                days: source.days,
                hold: source.hold,
                lifted: source.lifted,
                reserved: 0,
            },
            states: States {
                scanning: source.scanning,
                login: source.login,
                trail: source.trail,
                posts: source.posts,
                load: source.load,
                activity: source.activity,
            },
            session: source.session,
        })
    }
}

impl Core {
    /// The source, at the clock of now; `None` when it makes no sense.
    pub(super) fn source(
        &self,
        states: Option<&States>,
        session: Option<u64>,
        clock: &Clock,
    ) -> Option<Source> {
        let mut states = states.copied().unwrap_or_default();
        states.restore(clock);
        // A day that is not over goes on, whatever the clocks say about midnight.
        let days_ago = u64::from(self.days_ago) + clock.gap_ms / DAY_MS;
        let denied_until_ms = clock.moment(self.denied_until_ms);
        let mut source = Source {
            key: self.key,
            application: self.application,
            network: self.network,
            discriminator: self.discriminator,
            first_ms: clock.moment(self.first_ms),
            last_ms: clock.moment(self.last_ms).min(clock.now_ms),
            denied_until_ms,
            incident: self.incident,
            session: session.unwrap_or(0),
            walks: self.walks,
            requests: self.requests,
            served: self.served,
            templates: self.templates,
            users: self.users,
            convicted_users: self.convicted_users,
            convicted_requests: self.convicted_requests,
            convictions: self.convictions,
            kind: self.kind,
            would_deny: self.would_deny,
            asked: self.asked & !ASKED_ALONE,
            days: self.days,
            hold: self.hold,
            lifted: self.lifted,
            day: ((clock.now_ms / DAY_MS) as u32).wrapping_sub(days_ago as u32),
            today: self.today,
            usual: self.usual,
            grace_until_s: (clock.moment(self.grace_until_ms) / 1000) as u32,
            form_ms: 0,
            scanning: states.scanning,
            login: states.login,
            trail: states.trail,
            posts: states.posts,
            load: states.load,
            activity: states.activity,
            learned: learned::State::default(),
        };
        source.clamp();
        if denied_until_ms != 0 && denied_until_ms <= clock.now_ms {
            // Served its time while nobody watched; its next request finds that out.
            source.denied_until_ms = 1;
        }
        let key = crate::engine::source_hash(source.application, source.source_key()?);
        (source.key == key).then_some(source)
    }
}

impl Restore for States {
    fn restore(&mut self, clock: &Clock) {
        self.login.restore(clock);
        self.trail.restore(clock);
        self.posts.restore(clock);
        self.load.restore(clock);
        self.activity.restore(clock);
    }
}
