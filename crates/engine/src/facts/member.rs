//! Whether a request looks like part of an attack from many sources ([`crate::campaign`]).

use super::is_post;
use crate::campaign::{Kind, Occurrence};
use crate::detectors::credential_stuffing::Login;
use crate::engine::Engine;
use crate::record::{RequestRecord, flags};
use crate::role::Role;
use crate::sources::{Source, bit};

/// Events of one source that count towards an alarm, so that one source raises none.
const COUNTED: u32 = 4;
/// A client that was there longer ago than this does not look like a member.
const NEW_MS: u64 = 86_400_000;

/// What a request tried, and what came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) role: Role,
    pub(super) login: Login,
    pub(super) accepted: bool,
    pub(super) hasty_form: bool,
}

impl Engine<'_> {
    /// Follows the attempts at an application; the evidence at which the source of this one starts
    /// if it looks like a member of an attack that is on, nats.
    pub(super) fn member(
        &mut self,
        record: &RequestRecord<'_>,
        [client, address]: [Option<usize>; 2],
        attempt: Attempt,
        interface: bool,
    ) -> Option<f32> {
        if is_followed(attempt.role) {
            self.follow(record, client?, address, attempt, interface)
        } else {
            None
        }
    }

    #[inline(never)]
    fn follow(
        &mut self,
        record: &RequestRecord<'_>,
        client: usize,
        address: Option<usize>,
        attempt: Attempt,
        interface: bool,
    ) -> Option<f32> {
        let head = &record.head;
        let source = self.sources.get(client);
        // Known is who came from here before, with whatever browser.
        let since_ms = address.map_or(source.first_ms, |address| {
            self.sources.get(address).first_ms.min(source.first_ms)
        });
        let sight = Sight::of(source, record, attempt)?;
        let new = head.time_ms.saturating_sub(since_ms) < NEW_MS;
        let kind = match attempt.role {
            Role::Login if interface => Kind::LoginInterface,
            Role::Login => Kind::LoginPage,
            Role::Registration => Kind::Registration,
            Role::Content => Kind::Content,
            _ => Kind::Checkout,
        };
        let marked = sight.bad && sight.cold && new;
        let event = Occurrence {
            kind,
            fingerprint: head.fingerprint,
            network: address.map_or(source.network, |address| self.sources.get(address).network),
            since_ms,
            marked,
            counts: sight.before < COUNTED || (!marked && attempt.role != Role::Login),
            failed: attempt.login == Login::Failure,
            vouched: source.is_vouched(),
            now_ms: head.time_ms,
        };
        // Somebody else behaves well there: a household, in which somebody forgot a password.
        let others = !bit(source.key);
        let household = attempt.role == Role::Login
            && address.is_some_and(|address| self.sources.get(address).users & others != 0);
        let application = head.application;
        let cold = self.campaigns.event(application, &event);
        let event = match attempt.role {
            Role::Login => Occurrence { kind: Kind::FailedLogin, marked: sight.bad, ..event },
            Role::Registration | Role::Content => Occurrence {
                kind: Kind::HastyForm,
                fingerprint: head.fingerprint ^ attempt.role as u64,
                marked: attempt.hasty_form,
                counts: true,
                ..event
            },
            _ => return cold,
        };
        let other = self.campaigns.event(application, &event);
        cold.into_iter().chain(other).reduce(f32::max).filter(|_| !household)
    }
}

/// Whether attempts at an endpoint of this role are followed.
fn is_followed(role: Role) -> bool {
    matches!(role, Role::Login | Role::Registration | Role::Content | Role::Checkout)
}

/// What an attempt looks like, by its source.
struct Sight {
    /// What an attack does: a failed login; what was posted, created or reserved.
    bad: bool,
    /// Made by a client that was hardly anywhere else, or without the time that people take.
    cold: bool,
    /// Attempts of this source before, of which only the first count.
    before: u32,
}

impl Sight {
    /// `None` for what is no attempt.
    fn of(source: &Source, record: &RequestRecord<'_>, attempt: Attempt) -> Option<Self> {
        let only = |others: u32| (others + 1) * 5 >= source.requests * 4;
        let posts = &source.posts;
        let known = record.has(flags::AUTHORIZATION) || record.head.session != 0;
        match attempt.role {
            Role::Login => {
                let state = &source.login;
                matches!(attempt.login, Login::Success | Login::Failure).then(|| Self {
                    bad: attempt.login == Login::Failure && state.successes == 0,
                    cold: only(state.requests),
                    before: state.failures,
                })
            }
            Role::Registration | Role::Content => {
                let of = match attempt.role {
                    Role::Registration => &posts.registrations,
                    _ => &posts.contributions,
                };
                let count = u32::from(of.count);
                (is_post(record) && attempt.accepted).then(|| Self {
                    bad: true,
                    cold: only(count) && !known,
                    before: count,
                })
            }
            Role::Checkout => is_post(record).then(|| Self {
                bad: posts.reservations.count > 0,
                // Tills, and other companies' orders, show who they are and are given what they ask for.
                cold: posts.is_only_watching() && !(known && attempt.accepted),
                before: u32::from(posts.reservations.count),
            }),
            _ => None,
        }
    }
}
