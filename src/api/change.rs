//! A change that the lease holder makes, and the answer that waits for it.

use api_abuse_shm::{Answer, Command, Outcome, Progress};

use super::problem::Problem;
use crate::commands::{self, Pending};
use crate::ffi::clock;
use crate::ffi::content::{Job, Step, Turn};
use crate::ffi::request::Request;
use crate::ffi::response::Reply;

/// How long an answer waits.
const PATIENCE_MS: u64 = 2000;
/// How often it is looked for: the holder takes about as long.
const POLL_MS: u64 = 2;

/// What is made of the holder's answer.
type Then = Box<dyn Fn(&Request<'_>, Answer) -> Result<Reply, Problem>>;

struct Change {
    pending: Pending,
    until_ms: u64,
    then: Then,
}

/// Hands in a command, and answers with what `then` makes of the outcome.
pub(super) fn submit(
    command: &Command,
    then: impl Fn(&Request<'_>, Answer) -> Result<Reply, Problem> + 'static,
) -> Result<Step, Problem> {
    let pending = commands::submit(command).ok_or_else(Problem::unavailable)?;
    let until_ms = clock::monotonic_us() / 1000 + PATIENCE_MS;
    Ok(Step::Work(Box::new(Change { pending, until_ms, then: Box::new(then) })))
}

impl Job for Change {
    fn turn(&mut self, request: &Request<'_>) -> Turn {
        let reply = match self.pending.poll() {
            Progress::Waiting if clock::monotonic_us() / 1000 < self.until_ms => {
                return Turn::Again(POLL_MS);
            }
            Progress::Waiting | Progress::Gone => Err(Problem::unavailable()),
            Progress::Answered(answer) => match answer.outcome {
                Outcome::Done | Outcome::Updated => (self.then)(request, answer),
                Outcome::NotFound => Err(Problem::unknown_id()),
                Outcome::Full => {
                    let detail = "The table is full: remove an entry, or enlarge api_abuse_zone";
                    Err(Problem::new(507, "full", detail))
                }
                Outcome::Invalid => Err(Problem::unavailable()),
            },
        };
        Turn::Reply(reply.unwrap_or_else(|problem| problem.reply(request)))
    }
}
