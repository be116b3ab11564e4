//! An answer that is given before the access phase: is its source denied?

use crate::ffi::request::Request;
use crate::phases::access::{Outcome, act};
use crate::request_state::{RequestState, is_early};
use crate::worker;

/// Judges a request that the access phase never saw, by the location that it got to, when its answer is
/// about to be sent: what `return` says, where `rewrite` redirects to, that it asked too often. What
/// NGINX could not read is answered as ever.
#[cold]
pub(crate) fn handle(request: &Request<'_>) -> Outcome {
    if !request.is_main() || request.is_known() || is_early(request) {
        return Outcome::Pass;
    }
    let outcome = worker::of(request).and_then(|worker| {
        let state = RequestState::judge(request, worker)?;
        Some(act(request, state, worker))
    });
    let outcome = outcome.unwrap_or(Outcome::Pass);
    if let Outcome::Deny(denial) = outcome {
        request.take_back_answer();
        denial.announce(request);
    }
    outcome
}
