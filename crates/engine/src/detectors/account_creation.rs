//! OAT-019: fake accounts in bulk. Successful registrations of one source against the rate at which
//! people who share an address and a browser make them.

use super::Event;
use super::posting::{self, Rates};
use crate::Threat;
use crate::evidence::Ratios;
use crate::facts::Facts;
use crate::record::Method;
use crate::role::Role;
use crate::sources::Source;

/// One a day from somebody who looks at nothing else at all. A class of students that registers
/// together does, and may be as fast as two a minute for long; so may the clients behind a carrier's address,
/// who use what they registered for. They look around at the same time and register one right after the
/// other: what ten of them looked at counts for ten.
const RATES: Rates =
    Rates { benign: 0.04, machines: [0.4, 6.0, 400.0, 3000.0], reader: 120.0, kept: 30 };

/// See [`super::Concerns`].
pub fn concerns(facts: &Facts) -> bool {
    facts.role == Role::Registration && facts.post && facts.accepted
}

/// See [`super::Observe`].
#[inline(never)]
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    let posted = event.record.method() == Method::Post;
    if !concerns(event.facts) || !posted || event.users > 1 {
        return None;
    }
    let posts = &mut source.posts;
    let ratios = posting::event(
        &mut posts.registrations,
        &mut posts.others,
        event.record.head.time_ms,
        &RATES,
    );
    let ratios = posting::with_haste(ratios, event.facts.hasty_form);
    match event.facts.member {
        Some(floor) if posts.registrations.count > 1 => {
            source.walks[Threat::AccountCreation as usize].raise(floor);
            Some(posting::of_member(ratios))
        }
        _ => ratios,
    }
}
