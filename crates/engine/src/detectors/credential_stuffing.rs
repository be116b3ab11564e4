//! OAT-008, OAT-007: stolen or guessed credentials tried at a login, from one source.
//!
//! The evidence is a failed attempt with a credential that this source has not just tried. A source
//! that succeeds now and then is people; a source that repeats one stale credential is a client that
//! nobody told. How a login says no is read off its own answers: 401, 403 and 422 always, 200 with a
//! page where successes redirect, a redirect back to the form.

use std::sync::LazyLock;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Threat;
use crate::evidence::Ratios;
use crate::facts::Facts;
use crate::hash::combine;
use crate::record::{Method, RequestRecord, flags};
use crate::role::{Looks, Role};
use crate::sources::Source;

use super::{Event, Odds, remember};

mod saved;

/// What a request says about logging in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Not a login.
    None,
    /// A request to the login that tries nothing (the form itself), or whose answer says nothing.
    Visit,
    /// An attempt that succeeded.
    Success,
    /// An attempt that failed.
    Failure,
    /// A page that sets a cookie, the only answer that an interface has: either.
    Unclear,
    /// The answer of a protocol that says yes and no with 200 (XML-RPC): no, if it is always the same.
    Told,
    /// An attempt that the login did not look at: there had been too many.
    Throttled,
}

/// What is remembered of a source's attempts. Plain old data.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct State {
    /// Monotonic milliseconds of the last attempt.
    last_ms: u64,
    /// Hashes of the accounts or credentials tried last; where none is known, the lengths of the last
    /// bodies.
    credentials: [u32; 4],
    /// Requests to a login.
    pub requests: u32,
    /// Attempts that failed, each credential once.
    pub failures: u32,
    /// Attempts that succeeded.
    pub successes: u32,
    credentials_at: u8,
    /// What the size of the last answer was, a part of its hash.
    answer: u8,
    /// 1 when it asked for the form.
    asked: u8,
    padding: u8,
}

impl State {
    /// Whether an answer is as long as the last one.
    fn is_answered_alike(&mut self, bytes: u64) -> bool {
        let size = (combine(bytes, 0) >> 56) as u8;
        core::mem::replace(&mut self.answer, size) == size
    }

    /// What an attempt weighs by whether the source has just tried the same: the credential that is shown,
    /// or the account together with the length of what was sent, as passwords for one account have
    /// many. Where neither is known, the length alone stands for it, so that a device with a few accounts
    /// whose passwords are stale has tried them all; who tried more lengths than a device has accounts
    /// tries something else whenever it differs from the last. An access log knows not even that.
    fn novelty(&mut self, record: &RequestRecord<'_>, gap_ms: u64) -> Option<f32> {
        let head = &record.head;
        let unknown = head.identity == 0 && head.credential == 0;
        let tried = match (head.identity, head.credential) {
            (0, 0) => 0,
            (0, credential) => combine(credential, u64::from(head.content_length)),
            (account, _) => combine(account, u64::from(head.content_length)),
        };
        let tried = match tried {
            0 => head.content_length.wrapping_add(1),
            tried => tried as u32,
        };
        let many = unknown && self.failures as usize > self.credentials.len();
        let new = (unknown && record.has(flags::FROM_LOG))
            || if many {
                core::mem::replace(&mut self.credentials[0], tried) != tried
            } else {
                remember(&mut self.credentials, &mut self.credentials_at, tried)
            };
        // A client that shows a stale credential shows it with every request.
        let hammered = gap_ms < HAMMERED_MS && head.credential == 0;
        if new { Some(1.0) } else { hammered.then_some(HAMMERED_WEIGHT) }
    }

    /// What it says that an attempt is unlike the last ones, nats. Every password that somebody tries has a
    /// hash of its own, and an access log knows nothing.
    fn varies(&self, record: &RequestRecord<'_>) -> f32 {
        let known = record.head.credential == 0 && !record.has(flags::FROM_LOG);
        let fails = self.failures >= VARIES_FROM
            && self.successes.saturating_mul(VARIES_SUCCESSES) <= self.failures;
        if known && fails { (VARIES[1] / VARIES[0]).ln() } else { 0.0 }
    }
}

/// What a login answered so far. Plain old data; key 0 is a free slot.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Answers {
    /// Hash of application and path.
    pub key: u64,
    /// Monotonic milliseconds of the last answer.
    pub last_ms: u64,
    /// 401, 403, 422, 400.
    pub refused: u32,
    /// Redirects that do not lead back.
    pub redirected: u32,
    /// Other ways of saying no: redirects back, 400, 404 and their like.
    pub declined: u32,
    /// 2xx that say nothing by themselves: pages, and what an interface answers without a cookie.
    pub plain: u32,
    /// A bit for each of 16 groups of sources: who failed.
    pub failed: u16,
    /// A bit for each of 16 groups of sources: who succeeded.
    pub succeeded: u16,
    /// 2xx that set a cookie and are no page.
    pub cookies: u32,
}

/// Groups of sources that have all failed and never succeeded, from which on a login is taken to
/// fail for everybody: an outage, or a way of saying yes that is not understood.
const FAILS_FOR_ALL: u32 = 6;

/// Answers of a kind, from which on it says something that others are not of it.
const TELLING: u32 = 3;

/// Answers of an interface from which on it says no in no other way than it says yes, if it has not yet; one
/// attempt in twenty fails.
const SAYS_NEVER: u32 = 60;
/// Groups of sources (of 16) that it has answered so in the last hour: people, not a server on behalf of them.
const ASKED_BY: u32 = 4;

/// An outage is something of this hour.
const HOUR_MS: u64 = 3_600_000;

/// Share of failures: null for a person's pace and for a hurried source; the second of each for one that
/// does nothing else. Of people's failures at their own pace, three in ten are followed by something else
/// (the form, a page, help with the password): 0.35 · 0.7 is the share of attempts that fail *and* come
/// one after the other.
const NULL: [[f32; 2]; 2] = [[0.35, 0.25], [0.20, 0.12]];
/// Share of failures whose account or length of body is none of the last four: of somebody who forgot a
/// password and tries what it may have been, and of a list of credentials. Counts from this many failures
/// on, while at most one in nine attempts succeeded: in an office every attempt is somebody else's.
const VARIES: [f32; 2] = [0.45, 0.8];
const VARIES_FROM: u32 = 3;
const VARIES_SUCCESSES: u32 = 8;
/// Share of failures of a stuffing source: nothing fits, one in ten does, three, half.
const ALTERNATIVES: [f32; 4] = [0.97, 0.90, 0.70, 0.50];
/// The ratios of a failure and of a success, by the null.
static ODDS: LazyLock<[[Odds; 2]; 2]> =
    LazyLock::new(|| NULL.map(|nulls| nulls.map(|null| Odds::new(ALTERNATIVES, null))));
/// Failures from so many browsers may be those of a household.
const HOUSEHOLD: u32 = 4;
/// Failures from which on a source may belong to an attack from many that is on; the same of one that asked
/// for the form, or for so much else: while others attack, people forget their passwords as they always do.
const REPEATED: u32 = 2;
const FORGETFUL: u32 = 7;
const LOOKED: u32 = 2;
/// Attempts closer than this are not typed.
const HURRIED_MS: u64 = 2000;
/// What a failure weighs while the login fails for people, too, from a source that does nothing else.
const OUTAGE_WEIGHT: f32 = 0.5;
/// Attempts closer than this were made on the answer to the last one.
const AGAIN_MS: u64 = 10_000;
/// Repetitions of the same attempt closer than this are no client's retry.
const HAMMERED_MS: u64 = 500;
/// What a hammered repetition weighs, against an attempt with a new credential.
const HAMMERED_WEIGHT: f32 = 0.25;

/// Whether the request is to a login, by its role and what it carries.
pub fn concerns(record: &RequestRecord<'_>, role: Role) -> bool {
    role == Role::Login || (record.head.status == 401 && record.head.credential != 0)
}

/// Names what the request was, and learns from its answer.
pub fn classify(
    record: &RequestRecord<'_>,
    looks: Looks,
    answers: &mut Answers,
    address: u64,
    vouched: bool,
) -> Login {
    let outcome = match record.method() {
        Method::Post | Method::Put => outcome(record, looks, answers),
        // Basic authentication: every request is an attempt.
        _ if record.head.credential != 0 && record.has(flags::SUCCEEDED) => Login::Success,
        _ if record.head.credential != 0 && record.has(flags::FAILED) => Login::Failure,
        _ if record.head.credential != 0 && record.head.status == 401 => Login::Failure,
        _ => Login::Visit,
    };
    let group = 1 << (address >> 60);
    if record.head.time_ms / HOUR_MS != answers.last_ms / HOUR_MS {
        (answers.failed, answers.succeeded) = (0, 0);
    }
    match outcome {
        // Only people make an outage: whoever does nothing but fail may be the reason for the failures.
        Login::Failure if vouched => answers.failed |= group,
        Login::Success | Login::Unclear | Login::Told => answers.succeeded |= group,
        _ => {}
    }
    answers.last_ms = record.head.time_ms;
    outcome
}

impl Answers {
    fn decline(&mut self) -> Login {
        self.declined = self.declined.saturating_add(1);
        Login::Failure
    }

    /// Whether people fail here as well, and nobody succeeds: an outage, or a way of saying yes that
    /// is not understood.
    pub fn outage(&self) -> bool {
        self.succeeded == 0 && self.failed.count_ones() >= FAILS_FOR_ALL
    }
}

/// What the answer to an attempt says.
fn outcome(record: &RequestRecord<'_>, looks: Looks, answers: &mut Answers) -> Login {
    match record.head.status {
        _ if record.has(flags::SUCCEEDED) => Login::Success,
        _ if record.has(flags::FAILED) => Login::Failure,
        401 | 403 | 422 => {
            answers.refused = answers.refused.saturating_add(1);
            Login::Failure
        }
        // OAuth says invalid_grant with 400; others that there is no such account, with 404.
        400 if looks.is_interface() || record.has(flags::JSON) => answers.decline(),
        404 if record.has(flags::JSON) && answers.redirected + answers.cookies > 0 => {
            answers.decline()
        }
        429 => Login::Throttled,
        402 | 406 | 409 | 418 | 423 | 451 => answers.decline(),
        300..=399 if record.has(flags::REDIRECTS_BACK) => {
            answers.declined = answers.declined.saturating_add(1);
            if record.has(flags::SETS_COOKIE) && answers.redirected == 0 {
                return Login::Visit;
            }
            Login::Failure
        }
        300..=399 => {
            answers.redirected = answers.redirected.saturating_add(1);
            Login::Success
        }
        200..=299 => page(record, looks, answers),
        _ => Login::Visit,
    }
}

/// A 2xx answer: success of an interface, failure of a form whose successes redirect.
fn page(record: &RequestRecord<'_>, looks: Looks, answers: &mut Answers) -> Login {
    let form = match record.has(flags::FROM_LOG) {
        true if is_signed(record.query) => return Login::Visit,
        true => !looks.is_interface(),
        false => record.has(flags::HTML),
    };
    if !form {
        let known = flags::JSON | flags::FROM_LOG | flags::COOKIE | flags::AUTHORIZATION;
        let other = record.head.status == 200 && !looks.is_interface() && !record.has(known);
        let outcome = interface(record, answers);
        return match outcome {
            Login::Success if other && is_signed(record.query) => Login::Visit,
            Login::Success if other && answers.refused + answers.cookies == 0 => Login::Told,
            outcome => outcome,
        };
    }
    answers.plain = answers.plain.saturating_add(1);
    if answers.redirected > 0 {
        Login::Failure
    } else if answers.refused > 2 {
        Login::Success
    } else if record.has(flags::SETS_COOKIE) {
        Login::Unclear
    } else {
        Login::Failure
    }
}

/// The 2xx of an interface: a success, unless this login says no in no other way, its successes set a
/// cookie, and this one set none. Where all answers look alike, and always did, it may be either.
fn interface(record: &RequestRecord<'_>, answers: &mut Answers) -> Login {
    let sets = record.has(flags::SETS_COOKIE);
    answers.cookies = answers.cookies.saturating_add(u32::from(sets));
    if sets || answers.refused > 0 || record.has(flags::FROM_LOG) || record.has(flags::COOKIE) {
        return Login::Success;
    }
    answers.plain = answers.plain.saturating_add(1);
    let alike = answers.declined + answers.redirected + answers.cookies == 0;
    let asked = answers.plain >= SAYS_NEVER && answers.succeeded.count_ones() >= ASKED_BY;
    if answers.cookies >= TELLING {
        Login::Failure
    } else if alike && asked {
        Login::Unclear
    } else {
        Login::Success
    }
}

/// Whether the query holds the proof of who calls: a program's call, which no form sends. Its answer says
/// nothing of it.
fn is_signed(query: &[u8]) -> bool {
    const PROOFS: [&[u8]; 4] = [b"nonce", b"signature", b"sig", b"hmac"];
    let named = |name: &[u8]| PROOFS.iter().any(|proof| name.ends_with(proof));
    query.split(|&b| b == b'&').any(|argument| {
        argument.iter().position(|&b| b == b'=').is_some_and(|at| named(&argument[..at]))
    })
}

/// See [`super::Concerns`].
pub fn is_login(facts: &Facts) -> bool {
    facts.login != Login::None
}

/// See [`super::Observe`].
#[inline(never)]
pub fn observe(event: &Event<'_>, source: &mut Source) -> Option<Ratios> {
    let login = event.facts.login;
    if login == Login::None {
        return None;
    }
    let requests = source.requests;
    let state = &mut source.login;
    state.requests = state.requests.saturating_add(1);
    if login == Login::Visit {
        state.asked |= u8::from(event.record.is(Method::Get));
        return None;
    }
    let now_ms = event.record.head.time_ms;
    let gap_ms = now_ms.saturating_sub(state.last_ms);
    state.last_ms = now_ms;
    let hurried = state.failures > 0 && gap_ms < HURRIED_MS;
    let only = state.requests * 5 >= requests * 4;
    // Each attempt from another browser that was never here, and nothing else: no household has so many.
    let shifts = event.facts.new_client && event.users == 0 && state.failures >= HOUSEHOLD;
    let odds = &ODDS[usize::from(hurried || (only && shifts))][usize::from(only)];
    // Nobody who was let in tries to get in at once, again and again.
    let again = gap_ms < AGAIN_MS && state.requests >= 3;
    // Whoever was there while it was learned may log in on behalf of others.
    let served = event.facts.interface && (event.veteran || event.established);
    let alike = state.is_answered_alike(event.record.head.response_bytes);
    match login {
        Login::Unclear | Login::Told if served => return None,
        Login::Told if !(again && only && alike) => return None,
        Login::Throttled if !(hurried && only) => return None,
        Login::Unclear if !(again && only) => return None,
        _ => {}
    }
    if login == Login::Success {
        state.successes = state.successes.saturating_add(1);
        return Some(odds.of(false));
    }
    let weight = state.novelty(event.record, gap_ms)?;
    let varies = if weight < 1.0 { 0.0 } else { state.varies(event.record) };
    let weight = match (event.facts.login_outage, only) {
        (false, _) => weight,
        (true, true) => weight * OUTAGE_WEIGHT,
        (true, false) => return None,
    };
    state.failures = state.failures.saturating_add(1);
    // Without success, more often than people, and at a time when many are like that.
    let looked = state.asked != 0 || requests >= state.requests + LOOKED;
    let least = if looked { FORGETFUL } else { REPEATED };
    let member = event.facts.member.filter(|_| state.successes == 0 && state.failures >= least);
    if let Some(floor) = member.filter(|_| event.users <= 1) {
        source.walks[Threat::CredentialStuffing as usize].raise(floor);
    }
    Some(odds.of(true).map(|ratio| weight * (ratio + varies)))
}
