//! Changes that operators make at run time, as a worker asks for them.
//!
//! Only the lease holder writes the lists. A worker hands in a [`Command`], goes on with its requests,
//! and asks for the answer whenever it likes (a timer will do): nothing blocks. Once the answer is
//! there the change holds in every worker. A command without an answer may still come to hold.

use api_abuse_shm::{Answer, Command, Progress, Ticket};

use crate::ffi::process;
use crate::worker;

/// In the place of a threat: an operator's own denial.
pub(crate) const OPERATOR_THREAT: u8 = u8::MAX;

/// A command that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending(Ticket);

/// Hands in a command. `None` when too many are under way, a text of it is too long, or this process
/// answers no requests.
pub(crate) fn submit(command: &Command) -> Option<Pending> {
    let pending = |worker: &worker::Worker| {
        let ticket = worker.zone.submit(process::pid(), command)?;
        worker.ring();
        Some(Pending(ticket))
    };
    worker::with(pending).flatten()
}

impl Pending {
    /// The answer, once. [`Progress::Gone`]: it was handed out before.
    pub(crate) fn poll(self) -> Progress<Answer> {
        let progress = worker::with(|worker| worker.zone.commands().poll(self.0));
        match progress {
            Some(Progress::Waiting) => Progress::Waiting,
            Some(Progress::Answered(words)) => {
                Answer::from_words(&words).map_or(Progress::Gone, Progress::Answered)
            }
            Some(Progress::Gone) | None => Progress::Gone,
        }
    }
}
