//! OAT-017: fake content. Successful posts of one source against the rate at which people write.

use super::Event;
use super::posting::{self, Rates};
use crate::Threat;
use crate::evidence::Ratios;
use crate::role::Role;
use crate::sources::Source;

/// Six hundred an hour, one in six seconds, from somebody who only writes: a lively chat; no more from
/// somebody who reads.
const RATES: Rates =
    Rates { benign: 600.0, machines: [1800.0, 4000.0, 15_000.0, 60_000.0], reader: 600.0 };

/// See [`super::Observe`].
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    if event.facts.role != Role::Content
        || !event.facts.post
        || !event.facts.accepted
        || event.users > 1
    {
        return None;
    }
    let posts = &mut source.posts;
    let ratios = posting::event(
        &mut posts.contributions,
        &mut posts.others,
        event.record.head.time_ms,
        &RATES,
    );
    let ratios = posting::with_haste(ratios, event.facts.hasty_form);
    match event.facts.member {
        Some(floor) if posts.contributions.count > 1 => {
            source.walks[Threat::Spamming as usize].raise(floor);
            Some(posting::of_member(ratios))
        }
        _ => ratios,
    }
}
