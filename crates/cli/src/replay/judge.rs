//! The judging half of a replay: the engine, and what its denials would have cost.

use std::io;

use api_abuse_engine::decision::{Action, Decision};
use api_abuse_engine::record::Verdict;
use api_abuse_engine::source::address_of;
use api_abuse_engine::{Engine, Incident, RequestRecord, SourceKind, Threat};
use hashbrown::HashMap;

use super::batch::Batch;
use super::intake::Counts;
use crate::access_log::address;
use crate::denials::Denials;

/// A conviction, with what its numbers stand for.
#[derive(Debug)]
pub(crate) struct Conviction<'a> {
    pub(crate) decision: &'a Decision,
    pub(crate) incident: &'a Incident,
    pub(crate) application: String,
    /// The address, or the host name that stands in the log; empty for sessions.
    pub(crate) address: String,
}

/// The outcome of a replay.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) counts: Counts,
    /// Epoch milliseconds of the first and the last record.
    pub(crate) span: Option<(u64, u64)>,
    /// Live in the engine's tables, and given up to make room.
    pub(crate) table: (u64, u64),
    /// Convictions by threat, in the order of [`Threat::ALL`].
    pub(crate) convictions: [u64; 8],
    /// Sources that each sensitivity (safe, normal, paranoid) would have denied.
    pub(crate) would_deny: [u64; 3],
    pub(crate) requests: Share,
    /// Those that were answered with 2xx or 3xx.
    pub(crate) successful: Share,
}

/// How many of some would have been denied.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    pub(crate) all: u64,
    pub(crate) denied: u64,
}

/// Judges batches.
pub(super) struct Judge<'m> {
    engine: Engine<'m>,
    decisions: Vec<Decision>,
    tally: Tally,
}

/// What denials would have done.
struct Tally {
    denials: Denials,
    names: HashMap<u64, String>,
    span: Option<(u64, u64)>,
    convictions: [u64; 8],
    requests: Share,
    successful: Share,
}

impl<'m> Judge<'m> {
    pub(super) fn new(engine: Engine<'m>) -> Self {
        Self {
            engine,
            decisions: Vec::new(),
            tally: Tally {
                denials: Denials::new(),
                names: HashMap::new(),
                span: None,
                convictions: [0; 8],
                requests: Share::default(),
                successful: Share::default(),
            },
        }
    }

    /// Judges a batch and tells of each conviction in it.
    pub(super) fn take(
        &mut self,
        batch: &Batch,
        tell: &mut impl FnMut(&Conviction<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.tally.names.extend(batch.names.iter().cloned());
        let (tally, mut outcome) = (&mut self.tally, Ok(()));
        self.engine.turns(batch.records(), &mut self.decisions, |engine, record, decisions| {
            if outcome.is_ok() {
                outcome = tally.settle(engine, decisions, tell);
            }
            tally.meet(engine, record);
        });
        outcome?;
        self.tally.settle(&self.engine, &mut self.decisions, tell)
    }
}

impl Tally {
    /// Puts what was decided into force and tells of it.
    fn settle(
        &mut self,
        engine: &Engine<'_>,
        decisions: &mut Vec<Decision>,
        tell: &mut impl FnMut(&Conviction<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        for decision in decisions.drain(..) {
            self.convictions[decision.threat as usize] += 1;
            self.denials.add(&decision);
            if let Some(incident) = engine.incident(decision.incident) {
                tell(&self.conviction(engine, &decision, incident))?;
            }
        }
        Ok(())
    }

    /// One record, one turn: a denial is in force from the next request on, and what is decided does
    /// not depend on how the lines were batched. A denied request carries the verdict that a module
    /// in monitor mode would have given it.
    fn meet(&mut self, engine: &Engine<'_>, record: &mut RequestRecord<'_>) {
        let head = &record.head;
        let now_ms = head.time_ms;
        self.span = Some((self.span.map_or(now_ms, |(first, _)| first), now_ms));
        let status = head.status;
        let by_policy = engine.denies(head.application, head.address);
        let denial = self.denials.find(record).map(|denial| denial.action);
        let action = if by_policy { Some(Action::Deny) } else { denial };
        record.head.verdict = match action {
            None | Some(Action::Monitor) => Verdict::Passed,
            Some(Action::Throttle) => Verdict::ThrottledMonitor,
            Some(Action::Deny) => Verdict::DeniedMonitor,
        } as u8;
        self.requests.count(action.is_some());
        if (200..400).contains(&status) {
            self.successful.count(action.is_some());
        }
    }

    fn conviction<'a>(
        &self,
        engine: &Engine<'_>,
        decision: &'a Decision,
        incident: &'a Incident,
    ) -> Conviction<'a> {
        let network = decision.key.network;
        let address = match (decision.key.kind, self.names.get(&network)) {
            (SourceKind::Session, _) => String::new(),
            (_, Some(name)) => name.clone(),
            (_, None) => address::display(address_of(network)),
        };
        let statistics = engine.applications();
        let application = statistics
            .iter()
            .find(|statistics| statistics.key == decision.application)
            .map_or("(other)".into(), |statistics| statistics.name());
        Conviction { decision, incident, application: application.into_owned(), address }
    }
}

impl<'m> Judge<'m> {
    /// The engine, and the outcome.
    pub(super) fn finish(self, counts: Counts) -> (Engine<'m>, Summary) {
        let mut would_deny = [0; 3];
        for statistics in self.engine.applications().iter().filter(|slot| slot.key != 0) {
            for (sum, count) in would_deny.iter_mut().zip(statistics.would_deny) {
                *sum += count;
            }
        }
        let summary = Summary {
            counts,
            span: self.tally.span,
            table: self.engine.sources(),
            convictions: self.tally.convictions,
            would_deny,
            requests: self.tally.requests,
            successful: self.tally.successful,
        };
        (self.engine, summary)
    }
}

impl Share {
    fn count(&mut self, denied: bool) {
        self.all += 1;
        self.denied += u64::from(denied);
    }

    /// In percent; 0 of nothing.
    pub(crate) fn percent(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.denied as f64 * 100.0 / self.all as f64 }
    }
}

impl Summary {
    /// Convictions of each threat that had any.
    pub(crate) fn by_threat(&self) -> impl Iterator<Item = (Threat, u64)> + '_ {
        Threat::ALL.into_iter().zip(self.convictions).filter(|(_, count)| *count > 0)
    }
}
