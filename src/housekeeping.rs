//! The housekeeping thread: whatever may block, so that the detector need not wait for it.
//!
//! It puts the detector's messages into words. The lines go back to the main thread, which alone
//! may write to NGINX's error log.

use std::sync::atomic::Ordering;

use api_abuse_engine::{Action, Decision};
use api_abuse_shm::Zone;
use crossbeam_channel::{Receiver, Sender};

use crate::ffi::error_log::Level;
use crate::ffi::guard::caught;
use crate::text;

/// Messages that may wait for this thread.
pub(crate) const MESSAGES: usize = 1024;
/// Lines that may wait for the main thread.
pub(crate) const LINES: usize = 1024;

/// What the detector has to say.
pub(crate) enum Message {
    /// A source was convicted.
    Decided { decision: Decision, application: String },
    /// Something about the detector itself.
    Notice { level: Level, text: String },
}

/// A line for the error log.
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) text: String,
}

/// Works until all senders of messages are gone.
pub(crate) fn run(messages: &Receiver<Message>, lines: &Sender<Line>, zone: Zone) {
    for message in messages {
        let sent = caught(|| lines.try_send(in_words(message)).is_ok());
        if sent != Some(true) {
            zone.counters().log_lines_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn in_words(message: Message) -> Line {
    match message {
        Message::Decided { decision, application } => {
            let level = if decision.again { Level::Notice } else { Level::Warn };
            Line { level, text: decided(&decision, &application) }
        }
        Message::Notice { level, text } => Line { level, text: format!("api_abuse: {text}") },
    }
}

fn decided(decision: &Decision, application: &str) -> String {
    let done = match decision.action {
        Action::Monitor => "would deny",
        Action::Throttle => "throttled",
        Action::Deny => "denied",
    };
    let again = if decision.again { " again" } else { "" };
    format!(
        "api_abuse: {done}{again} {} {} application \"{}\" threat {} confidence {} incident {} \
         for {}s",
        decision.key.kind.name(),
        text::source(decision.key),
        text::printable(application.as_bytes()),
        decision.threat.slug(),
        decision.confidence,
        text::incident(decision.incident),
        decision.ttl_ms / 1000,
    )
}
