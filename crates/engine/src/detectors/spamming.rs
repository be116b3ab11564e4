//! OAT-017: fake content. Successful posts of one source against the rate at which people write, and
//! against how many those who write to the same template write in a day.

use super::posting::{self, READS, Rates};
use super::{Event, did_not, happened};
use crate::Threat;
use crate::evidence::Ratios;
use crate::facts::Facts;
use crate::profiles::Feature;
use crate::role::Role;
use crate::sources::Source;

/// Six hundred an hour, one in six seconds, from somebody who only writes: a lively chat; no more from
/// somebody who reads.
const RATES: Rates =
    Rates { benign: 600.0, machines: [1800.0, 4000.0, 15_000.0, 60_000.0], reader: 600.0, kept: 0 };

/// How many times the null of posts a day spammers write; one that is beyond the null weighs the
/// logarithm.
const SPAMS: [f32; 2] = [4.0, 8.0];
/// What a post beyond the null weighs from somebody who reads between posts, or was there while the
/// application was learned.
const READER: f32 = 0.25;
/// What nobody has looked at anything before a post says, nats: most people come to it from a page.
const COLD: f32 = 0.5;
/// Posts as long as the last one, within this many bytes or one in so many.
const ALIKE: (u16, u16) = (8, 50);
/// Probability of that, for spam from a template and for people.
const ALIKE_SPAM: [f32; 4] = [0.7; 4];
const ALIKE_PEOPLE: f32 = 0.3;
/// Probability of a post without Referer, cookie or credential, for spam and for people: where a page sends
/// no Referer, some visitors have no cookie either.
const BARE_SPAM: [f32; 4] = [0.65; 4];
const BARE_PEOPLE: f32 = 0.3;

/// See [`super::Concerns`].
pub fn concerns(facts: &Facts) -> bool {
    facts.role == Role::Content && facts.post && facts.accepted
}

/// See [`super::Observe`].
#[inline(never)]
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    if !concerns(event.facts) || event.users > 1 {
        return None;
    }
    let beyond = beyond(event, source);
    let posts = &mut source.posts;
    // What people write at most in a day, they may write within the hour.
    let benign = event.null.unwrap_or(0.0).max(RATES.benign);
    let rates = Rates { benign, reader: benign, ..RATES };
    let now_ms = event.record.head.time_ms;
    let rate = posting::event(&mut posts.contributions, &mut posts.others, now_ms, &rates);
    let rate = posting::with_haste(rate, event.facts.hasty_form);
    let ratios = match (beyond, rate) {
        (Some([few, many, alike]), rate) => {
            let rate = rate.unwrap_or_default();
            Some([few.max(rate[0]), many.max(rate[1]), alike.max(rate[2]), rate[3]])
        }
        (None, rate) => rate,
    };
    match event.facts.member {
        Some(floor) if source.posts.contributions.count > 1 => {
            source.walks[Threat::Spamming as usize].raise(floor);
            Some(posting::of_member(ratios))
        }
        _ => ratios,
    }
}

/// What one more post says, by itself, against a busier spammer, and together with how it was made:
/// `None` while as many are normal, and for automation that somebody set up.
fn beyond(event: &Event<'_>, source: &mut Source) -> Option<[f32; 3]> {
    let length = u16::try_from(event.record.head.content_length).unwrap_or(u16::MAX);
    let last = core::mem::replace(&mut source.posts.contributions.more, length);
    let null = event.null.filter(|_| !event.established)?;
    if source.activity.value(Feature::Posts) <= null {
        return None;
    }
    let reads = source.posts.others >= READS;
    let weight = if reads || event.veteran { READER } else { 1.0 };
    let days = event.gap_ms as f32 / 86_400_000.0;
    let [few, many] = SPAMS.map(|times| times.ln() - (times - 1.0) * null * days);
    let same = length > 0 && length.abs_diff(last) <= ALIKE.0.max(last / ALIKE.1);
    let alike =
        if same { happened(ALIKE_SPAM, ALIKE_PEOPLE) } else { did_not(ALIKE_SPAM, ALIKE_PEOPLE) };
    let bare = if super::is_bare(event.record) {
        happened(BARE_SPAM, BARE_PEOPLE)
    } else {
        did_not(BARE_SPAM, BARE_PEOPLE)
    };
    let cold =
        if source.posts.others == 0 && source.posts.contributions.count > 0 { COLD } else { 0.0 };
    Some([few, many, many + cold + alike[0] + bare[0]].map(|ratio| ratio * weight))
}
