//! The housekeeping thread: whatever may block, so that the detector need not wait for it.
//!
//! It puts the detector's messages into words and its state on the disk. Lines go back to the main
//! thread, which alone may write to NGINX's logs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use api_abuse_engine::{Action, Decision, Incident};
use api_abuse_shm::{Lists, Zone};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::ffi::error_log::Level;
use crate::ffi::guard::caught;
use crate::state::{Save, State, Writer};
use crate::{decision_log, text};

/// Messages that may wait for this thread.
pub(crate) const MESSAGES: usize = 1024;
/// Lines that may wait for the main thread.
pub(crate) const LINES: usize = 1024;
/// How often the directory of the state is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What the detector has to say.
pub(crate) enum Message {
    /// A source was convicted.
    Decided { decision: Decision, application: String, incident: Option<Box<Incident>> },
    /// Something about the detector itself.
    Notice { level: Level, text: String },
    /// A state to be written.
    Save(Box<Save>),
}

/// A line for a log.
pub(crate) enum Line {
    /// For the error log.
    Error { level: Level, text: String },
    /// For `api_abuse_log`, with its line end.
    Decision(Vec<u8>),
}

/// The thread.
pub(crate) struct Housekeeping {
    messages: Receiver<Message>,
    lines: Sender<Line>,
    zone: Zone,
    logs_decisions: bool,
    writer: Option<Writer>,
}

impl Housekeeping {
    /// What the thread is given. `strangers` takes lists that others wrote.
    pub(crate) fn new(
        messages: Receiver<Message>,
        lines: Sender<Line>,
        zone: &Zone,
        logs_decisions: bool,
        state: Option<State>,
        strangers: Sender<Lists>,
    ) -> Self {
        let writer = state.map(|state| Writer::new(state, strangers));
        Self { messages, lines, zone: *zone, logs_decisions, writer }
    }

    /// Works until all senders of messages are gone.
    pub(crate) fn run(mut self) {
        loop {
            let message = self.messages.recv_timeout(LOOK);
            if matches!(message, Err(RecvTimeoutError::Disconnected)) {
                return;
            }
            if caught(|| self.handle(message.ok())).is_none() {
                self.count_lost();
            }
        }
    }

    fn handle(&mut self, message: Option<Message>) {
        match (message, &mut self.writer) {
            (Some(Message::Decided { decision, application, incident }), _) => {
                if self.logs_decisions {
                    let incident = incident.as_deref();
                    self.say(Line::Decision(decision_log::line(&decision, &application, incident)));
                }
                let level = if decision.again { Level::Notice } else { Level::Warn };
                self.say(Line::Error { level, text: decided(&decision, &application) });
            }
            (Some(Message::Notice { level, text }), _) => {
                self.say(Line::Error { level, text: format!("api_abuse: {text}") });
            }
            (Some(Message::Save(save)), Some(writer)) => {
                if let Err(problem) = writer.save(&save) {
                    let text = format!("api_abuse: {problem}");
                    self.say(Line::Error { level: Level::Error, text });
                }
            }
            (None, Some(writer)) => writer.look(),
            (_, None) => {}
        }
    }

    fn say(&self, line: Line) {
        if self.lines.try_send(line).is_err() {
            self.count_lost();
        }
    }

    fn count_lost(&self) {
        self.zone.counters().log_lines_dropped.fetch_add(1, Ordering::Relaxed);
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
