//! What the engine gives to the profiles of its applications, and takes from them.

use crate::detectors;
use crate::detectors::credential_stuffing::Login;
use crate::detectors::vulnerability_scanning::is_miss;
use crate::engine::Engine;
use crate::facts::{Facts, owner};
use crate::fusion::Sensitivity;
use crate::hash::combine;
use crate::profiles::{Count, Feature, Profile};
use crate::record::{NO_UPSTREAM, RequestRecord};
use crate::role::Role;
use crate::slots::Slots;
use crate::source::network_of;
use crate::target::Target;

/// Nothing is learned for this long after an event of an attack from many sources.
const ALARM_MS: u64 = 3_600_000;

impl Facts {
    /// What the record adds to the day of a source.
    #[inline]
    pub(crate) fn count(&self, record: &RequestRecord<'_>) -> Count {
        let head = &record.head;
        let chance = combine(head.time_ms ^ head.fingerprint, self.path_key);
        let upstream_ms = if head.upstream_ms == NO_UPSTREAM { 0 } else { head.upstream_ms };
        let mut count = Count {
            now_ms: head.time_ms,
            template: self.template,
            private_object: self.private_object,
            miss: is_miss(head.status),
            upstream: Count::part::<100>(u64::from(upstream_ms), chance),
            volume: Count::part::<8192>(head.response_bytes, chance),
            chance,
            ..Count::default()
        };
        let published = |role| self.role == role && self.post && self.accepted;
        count.one(Feature::Logins, matches!(self.login, Login::Success | Login::Failure));
        count.one(Feature::Registrations, published(Role::Registration));
        count.one(Feature::Posts, published(Role::Content));
        count.one(Feature::Reservations, published(Role::Checkout));
        count.one(Feature::Objects, self.visit.is_some());
        count
    }

    /// What follows from the others. Not in the expression that makes them, which writes them where they stay.
    pub(crate) fn complete(&mut self) {
        self.private_object = self.find_private_object();
        self.habit = self.find_habit();
        self.threats = detectors::concerned(self);
    }

    /// [`Self::private_object`].
    fn find_private_object(&self) -> Option<u64> {
        let visit = self.visit.filter(|_| !self.place)?;
        let may_be = self.authenticated && visit.id.is_some() && !visit.public;
        (visit.private || visit.sealed || visit.apart || may_be).then_some(visit.key)
    }

    /// [`Self::habit`], once the private object is known.
    fn find_habit(&self) -> (Feature, u64) {
        match self.visit {
            Some(visit) if self.private_object.is_some() => (Feature::PrivateObjects, visit.group),
            _ if self.role == Role::Content && self.post && self.accepted => {
                (Feature::Posts, self.template)
            }
            _ => (Feature::Requests, 0),
        }
    }
}

impl Engine<'_> {
    /// The profile of an application, by its slot; those that came too late share the last.
    pub(crate) fn profile_mut(&mut self, application: usize) -> &mut Profile {
        &mut self.profiles[application.min(self.profiles.len() - 1)]
    }

    /// What was learned of an application, by its key.
    pub fn profile(&self, application: u64) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.key == application && application != 0)
    }

    /// What clients do at most in a day on the template of a path: posts, or private objects of its
    /// group. None while too little is known.
    pub fn normal(&mut self, application: u64, feature: Feature, path: &[u8]) -> Option<f32> {
        let mut target = Target::plain(path, self.config.seed);
        let resolved = self.endpoints.resolve(application, (&mut target, path), None, 0);
        let template = match feature {
            Feature::PrivateObjects => resolved.group,
            _ => resolved.template,
        };
        let learner = self.habits.get(feature, template)?.learner();
        (learner.null > 0.0).then_some(learner.null)
    }

    /// Puts the profile of a checkpoint where its application is; false when it is nobody's.
    pub(crate) fn restore_profile(&mut self, profile: &Profile) -> bool {
        let slot = self.applications.iter().position(|slot| slot.key == profile.key);
        let place = slot.filter(|_| profile.key != 0).and_then(|at| self.profiles.get_mut(at));
        place.map(|place| *place = *profile).is_some()
    }

    /// Brings the profile of an application to the time of a record, before it is judged.
    pub(crate) fn advance(&mut self, application: usize, now_ms: u64, ready: bool, tripped: bool) {
        let key = self.applications[application].key;
        let profile = self.profile_mut(application);
        if profile.key == 0 {
            *profile = Profile::new(key);
        }
        profile.advance(now_ms, ready);
        if tripped {
            profile.freeze(now_ms, ALARM_MS);
        }
    }

    /// What is normal a day of what a record is one more of: for its template, and for the application.
    /// None while too little is known.
    pub(crate) fn null(
        &mut self,
        facts: &Facts,
        application: usize,
        now_ms: u64,
        ready: bool,
    ) -> Option<(f32, f32)> {
        let (feature, template) = facts.habit;
        if template == 0 {
            return None;
        }
        let habit = self.habits.null(feature, template, now_ms, ready)?;
        Some((habit, self.profile_mut(application).null(feature)))
    }

    /// Lets a well-behaved client add its day to what is normal. Automation that somebody set up is a
    /// normal of its own.
    pub(crate) fn learn(
        &mut self,
        slots: &Slots,
        record: &RequestRecord<'_>,
        facts: &Facts,
        application: usize,
        ready: bool,
    ) {
        let Some(client) = slots.client else { return };
        let now_ms = record.head.time_ms;
        let at = application.min(self.profiles.len() - 1);
        let profile = &mut self.profiles[at];
        if facts.member.is_some() {
            profile.freeze(now_ms, ALARM_MS);
        }
        let source = self.sources.get_mut(client);
        // A sample moves on while nothing is certain: what is normal would else be cut off where
        // suspicion begins.
        let peak = slots.client_peak();
        let trusted = source.is_vouched_at(peak)
            || (source.activity.is_sample() && peak < Sensitivity::Normal.threshold() / 2.0);
        if profile.is_frozen(now_ms) || !trusted || source.is_established() {
            return;
        }
        if facts.authenticated {
            profile.meet(owner(record, 0));
        }
        let before = source.activity;
        // Its own, which lie further off.
        let (network, fingerprint) = (network_of(record.head.address), record.head.fingerprint);
        if profile.learn(&mut source.activity, network, fingerprint, now_ms) {
            let habit = facts.habit;
            self.habits.learn(&mut source.activity, &before, habit, now_ms, ready);
        }
    }

    /// Takes out what a convicted client had added today.
    #[cold]
    #[inline(never)]
    pub(crate) fn unlearn(&mut self, slots: &Slots, application: usize, now_ms: u64) {
        let Some(client) = slots.client else { return };
        let at = application.min(self.profiles.len() - 1);
        let activity = &mut self.sources.get_mut(client).activity;
        self.habits.unlearn(activity, now_ms);
        self.profiles[at].unlearn(activity);
    }
}
