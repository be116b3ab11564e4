//! What a source publishes, creates and reserves: the state that three detectors share, and the rate
//! test that two of them are.
//!
//! The events of a kind are a Poisson process: at most `λ0` an hour for people, one of several higher
//! rates for a machine. An event after `dt` hours has the log likelihood ratio
//! `ln(λ1 / λ0) − (λ1 − λ0) dt`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::evidence::Ratios;
use crate::facts::Facts;
use crate::role::Role;

use super::scraping::bare::Bare;

mod saved;

/// Other requests since the last post, from which on a post counts as made by somebody who reads.
pub const READS: u16 = 3;

/// Events of one kind. Plain old data.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Posts {
    /// Monotonic milliseconds of the last one, the low half first: a whole word would pad the state.
    last: [u32; 2],
    /// How many.
    pub count: u16,
    /// Of contributions, the bytes of the last one, at most 65,535; of reservations, how often another path
    /// was asked for than the one before.
    pub more: u16,
}

impl Posts {
    /// Monotonic milliseconds of the last one.
    pub fn last_ms(&self) -> u64 {
        u64::from(self.last[0]) | u64::from(self.last[1]) << 32
    }

    /// There was another one.
    pub fn set_last_ms(&mut self, now_ms: u64) {
        self.last = [now_ms as u32, (now_ms >> 32) as u32];
    }
}

/// What a source published, created and reserved. Plain old data.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct State {
    /// Accounts created.
    pub registrations: Posts,
    /// Comments, messages, reviews.
    pub contributions: Posts,
    /// Carts, reservations, orders.
    pub reservations: Posts,
    /// Reservations faster than people make them.
    pub hurried: u16,
    /// Requests for anything else since the last post.
    pub others: u16,
    /// Path of the last of them, a part of its hash.
    watched: u32,
    /// Changes to another path since the last reservation.
    strayed: u16,
    /// Of [`super::scraping`], whose own state is full.
    pub bare: Bare,
}

impl State {
    /// Whether all that it ever asked for, beside reserving, is one path.
    pub fn is_only_watching(&self) -> bool {
        self.reservations.more == 0
    }

    /// Takes in a reservation: whether the source looked at nothing but one path since the last one.
    pub(super) fn watched(&mut self) -> bool {
        core::mem::take(&mut self.strayed) == 0
    }

    /// Counts a request that is no post: somebody who looks at pages between posts reads.
    pub fn other(&mut self, facts: &Facts) {
        if facts.role != Role::Checkout || !facts.post {
            let path = (facts.path_key >> 32) as u32 | 1;
            let before = core::mem::replace(&mut self.watched, path);
            if before != 0 && before != path {
                let reservations = &mut self.reservations;
                reservations.more = reservations.more.saturating_add(1);
                self.strayed = self.strayed.saturating_add(1);
            }
        }
        if facts.role != Role::Registration && !facts.post {
            self.others = self.others.saturating_add(1);
        }
    }
}

/// Rates of one kind, events an hour.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// The fastest benign source.
    pub benign: f32,
    /// Machines.
    pub machines: [f32; 4],
    /// The fastest benign source that looks at other things between posts.
    pub reader: f32,
    /// So many other requests still count for the posts after the next one: people who share a client
    /// look around at the same time, and then post one right after the other.
    pub kept: u16,
}

/// Takes in one event; its log likelihood ratios.
pub fn event(posts: &mut Posts, others: &mut u16, now_ms: u64, rates: &Rates) -> Option<Ratios> {
    let gap_hours = now_ms.saturating_sub(posts.last_ms()) as f32 / 3_600_000.0;
    let first = posts.count == 0;
    posts.set_last_ms(now_ms);
    posts.count = posts.count.saturating_add(1);
    let reads = *others >= READS;
    *others = others.saturating_sub(READS).min(rates.kept);
    if first {
        return None;
    }
    let benign = if reads { rates.reader } else { rates.benign };
    Some(rates.machines.map(|machine| {
        let machine = machine.max(benign);
        (machine / benign).ln() - (machine - benign) * gap_hours
    }))
}

/// What a form weighs that was sent sooner than a person can fill it in, nats: people do that one time
/// in twelve (the browser fills it in), machines nearly always.
const HASTE: f32 = 2.4;

/// Adds the haste of a form to the ratios of its event.
pub fn with_haste(ratios: Option<Ratios>, hasty: bool) -> Option<Ratios> {
    match (ratios, hasty) {
        (Some(ratios), true) => Some(ratios.map(|ratio| ratio.max(0.0) + HASTE)),
        (None, true) => Some([HASTE; 4]),
        (ratios, false) => ratios,
    }
}

/// What one more post weighs from a source that looks like a member of an attack from many, nats:
/// of people who look like that, six in ten post again.
const MEMBER: f32 = 0.5;

/// The ratios of an event of such a source: its pace says nothing in its favour.
pub fn of_member(ratios: Option<Ratios>) -> Ratios {
    ratios.unwrap_or_default().map(|ratio| ratio.max(MEMBER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Walks;

    const ONCE_A_MINUTE: Rates =
        Rates { benign: 0.04, machines: [0.4, 6.0, 400.0, 3000.0], reader: 60.0, kept: 30 };

    fn evidence(rates: &Rates, gap_ms: u64, events: u64) -> f32 {
        let (mut posts, mut walks) = (Posts::default(), Walks::default());
        for n in 0..events {
            if let Some(ratios) = event(&mut posts, &mut 0, 1 + n * gap_ms, rates) {
                walks.step(&ratios);
            }
        }
        walks.evidence()
    }

    #[test]
    fn a_machine_gains_and_a_person_does_not() {
        let rates =
            Rates { benign: 6.0, machines: [30.0, 120.0, 600.0, 2400.0], reader: 60.0, kept: 0 };
        assert!(evidence(&rates, 500, 15) > 20.0);
        assert!(evidence(&rates, 60_000, 40) > 20.0, "once a minute, for long");
        assert!(evidence(&rates, 1_200_000, 200) < 3.0, "three an hour, for days");
    }

    /// Ten people behind one client look around together, then post within seconds of each other.
    #[test]
    fn what_people_looked_at_together_counts_for_each() {
        let evidence = |kept, looked: u16| {
            let rates = Rates { kept, ..ONCE_A_MINUTE };
            let (mut posts, mut walks, mut others) = (Posts::default(), Walks::default(), looked);
            for n in 0..10 {
                if let Some(ratios) = event(&mut posts, &mut others, 1 + n * 5000, &rates) {
                    walks.step(&ratios);
                }
            }
            walks.evidence()
        };
        assert!(evidence(30, 40) < 15.0);
        assert!(evidence(0, 40) > 20.0 && evidence(30, 0) > 20.0 && evidence(30, 6) > 20.0);
    }
}
