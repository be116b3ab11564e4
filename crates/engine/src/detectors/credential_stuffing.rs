//! OAT-008, OAT-007: stolen or guessed credentials tried at a login, from one source.
//!
//! The evidence is a failed attempt with a credential that this source has not just tried. A source
//! that succeeds now and then is people; a source that repeats one stale credential is a client that
//! nobody told. How a login says no is read off its own answers: 401, 403 and 422 always, 200 with a
//! page where successes redirect, a redirect back to the form.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::evidence::Ratios;
use crate::path::Path;
use crate::record::{Method, RequestRecord, flags};
use crate::sources::Source;

use super::patterns::{is_interface, is_login};

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
    /// Redirects back.
    pub redirected_back: u32,
    /// 2xx with a page.
    pub pages: u32,
    /// A bit for each of 16 groups of sources: who failed.
    pub failed: u16,
    /// A bit for each of 16 groups of sources: who succeeded.
    pub succeeded: u16,
    /// Not used.
    pub padding: u32,
}

/// Groups of sources that have all failed and never succeeded, from which on a login is taken to
/// fail for everybody: an outage, or a way of saying yes that is not understood.
const FAILS_FOR_ALL: u32 = 6;

/// Share of failures: null for a person's pace, a hurried source, and a hurried source that does
/// nothing else.
const NULL: [f32; 3] = [0.35, 0.20, 0.12];
/// Share of failures of a stuffing source: nothing fits, one in ten does, three, half.
const ALTERNATIVES: [f32; 4] = [0.97, 0.90, 0.70, 0.50];
/// Attempts closer than this are not typed.
const HURRIED_MS: u64 = 2000;
/// Repetitions of the same attempt closer than this are no client's retry.
const HAMMERED_MS: u64 = 500;
/// What a hammered repetition weighs, against an attempt with a new credential.
const HAMMERED_WEIGHT: f32 = 0.25;

/// Whether the request is to a login, by its path, its method and what it carries.
pub fn concerns(record: &RequestRecord<'_>, path: &Path) -> bool {
    is_login(path) || (record.head.status == 401 && record.head.credential != 0)
}

/// Names what the request was, and learns from its answer.
pub fn classify(
    record: &RequestRecord<'_>,
    path: &Path,
    answers: &mut Answers,
    address: u64,
) -> Login {
    let outcome = match record.method() {
        Method::Post | Method::Put => outcome(record, path, answers),
        // Basic authentication: every request is an attempt.
        _ if record.head.credential != 0 && record.head.status == 401 => Login::Failure,
        _ => Login::Visit,
    };
    let group = 1 << (address >> 60);
    match outcome {
        Login::Failure => answers.failed |= group,
        Login::Success => answers.succeeded |= group,
        _ => {}
    }
    answers.last_ms = record.head.time_ms;
    let everybody = answers.succeeded == 0 && answers.failed.count_ones() >= FAILS_FOR_ALL;
    if everybody && outcome == Login::Failure { Login::Visit } else { outcome }
}

/// What the answer to an attempt says.
fn outcome(record: &RequestRecord<'_>, path: &Path, answers: &mut Answers) -> Login {
    match record.head.status {
        401 | 403 | 422 => {
            answers.refused = answers.refused.saturating_add(1);
            Login::Failure
        }
        // OAuth says invalid_grant with 400.
        400 if is_interface(path) => Login::Failure,
        300..=399 if record.has(flags::REDIRECTS_BACK) => {
            answers.redirected_back = answers.redirected_back.saturating_add(1);
            if record.has(flags::SETS_COOKIE) && answers.redirected == 0 {
                return Login::Visit;
            }
            Login::Failure
        }
        300..=399 => {
            answers.redirected = answers.redirected.saturating_add(1);
            Login::Success
        }
        200..=299 => page(record, path, answers),
        _ => Login::Visit,
    }
}

/// A 2xx answer: success of an interface, failure of a form whose successes redirect.
fn page(record: &RequestRecord<'_>, path: &Path, answers: &mut Answers) -> Login {
    let form =
        if record.has(flags::FROM_LOG) { !is_interface(path) } else { record.has(flags::HTML) };
    if !form {
        return Login::Success;
    }
    answers.pages = answers.pages.saturating_add(1);
    if answers.redirected > 0 {
        Login::Failure
    } else if answers.refused > 2 {
        Login::Success
    } else if record.has(flags::SETS_COOKIE) {
        Login::Visit
    } else {
        Login::Failure
    }
}

/// The log likelihood ratios of the request for one source; `None` when it says nothing.
pub fn observe(login: Login, source: &mut Source, record: &RequestRecord<'_>) -> Option<Ratios> {
    if login == Login::None {
        return None;
    }
    source.login_requests = source.login_requests.saturating_add(1);
    if login == Login::Visit {
        return None;
    }
    let gap_ms = record.head.time_ms.saturating_sub(source.last_login_ms);
    source.last_login_ms = record.head.time_ms;
    let hurried = source.login_failures > 0 && gap_ms < HURRIED_MS;
    let only = source.login_requests * 5 >= source.requests * 4;
    let p0 = NULL[usize::from(hurried) + usize::from(hurried && only)];
    if login == Login::Success {
        source.login_successes = source.login_successes.saturating_add(1);
        return Some(ALTERNATIVES.map(|p1| ((1.0 - p1) / (1.0 - p0)).ln()));
    }
    let weight = match (source.new_credential(record), gap_ms < HAMMERED_MS) {
        (true, _) => 1.0,
        (false, true) => HAMMERED_WEIGHT,
        (false, false) => return None,
    };
    source.login_failures = source.login_failures.saturating_add(1);
    Some(ALTERNATIVES.map(|p1| weight * (p1 / p0).ln()))
}
