//! What a replay says: a table for people, JSON lines for programs, progress for a terminal.

use std::io::{self, Write};
use std::time::Instant;

use api_abuse_engine::{SourceKind, explain};
use serde_json::{Map, Value, json};

use crate::access_log::text::printable;
use crate::access_log::time::rfc3339;
use crate::replay::{Conviction, Summary};

/// Lines between two signs of life.
const PROGRESS_LINES: u64 = 1 << 16;

/// Writes the outcome of a replay as it comes.
pub(crate) struct Report<W> {
    out: W,
    json: bool,
    rows: u64,
}

impl<W: Write> Report<W> {
    /// A report to `out`, for programs or for people.
    pub(crate) fn new(out: W, json: bool) -> Self {
        Self { out, json, rows: 0 }
    }

    /// One conviction. What is written is the same for the same log, whatever the machine.
    pub(crate) fn conviction(&mut self, conviction: &Conviction<'_>) -> io::Result<()> {
        self.rows += 1;
        if self.json {
            return writeln!(self.out, "{}", conviction_json(conviction));
        }
        if self.rows == 1 {
            writeln!(
                self.out,
                "{:<24} {:<18} {:<7} {:<22} {:>4} {:>8} {:>9}  {:<52} USER AGENT",
                "TIME", "SOURCE", "KEY", "THREAT", "CONF", "REQUESTS", "SECONDS", "FINDING"
            )?;
        }
        let (decision, incident) = (conviction.decision, conviction.incident);
        let evidence = explain::incident(incident);
        let seconds = incident.since_ms.saturating_sub(incident.first_ms) as f64 / 1000.0;
        let user_agent = evidence["user_agent"].as_str().unwrap_or_default();
        writeln!(
            self.out,
            "{:<24} {:<18} {:<7} {:<22} {:>4} {:>8} {:>9.1}  {:<52} {}",
            rfc3339(decision.since_ms),
            printable(conviction.address.as_bytes(), 39),
            decision.key.kind.name(),
            decision.threat.slug(),
            decision.confidence,
            incident.requests,
            seconds,
            main_finding(&evidence),
            printable(user_agent.as_bytes(), 48),
        )
    }

    /// The end of the report.
    pub(crate) fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        if self.json {
            writeln!(self.out, "{}", summary_json(summary))?;
        } else {
            self.summary_text(summary)?;
        }
        self.out.flush()
    }

    fn summary_text(&mut self, summary: &Summary) -> io::Result<()> {
        let out = &mut self.out;
        let counts = &summary.counts;
        if self.rows > 0 {
            writeln!(out)?;
        }
        writeln!(
            out,
            "lines        {} ({} parsed, {} of another format, {} too long, {} empty)",
            counts.lines, counts.parsed, counts.malformed, counts.too_long, counts.empty
        )?;
        if counts.backwards > 0 {
            let lines = counts.backwards;
            writeln!(out, "out of order {lines} lines, judged at the newest time before them")?;
            if lines > counts.parsed / 50 {
                writeln!(
                    out,
                    "             so many make bursts of what was none: sort the log by time"
                )?;
            }
        }
        if counts.broken_files > 0 {
            writeln!(out, "broken files {}", counts.broken_files)?;
        }
        if let Some((first, last)) = summary.span {
            let days = last.saturating_sub(first) as f64 / 86_400_000.0;
            writeln!(out, "time         {} to {} ({days:.2} days)", rfc3339(first), rfc3339(last))?;
        }
        let exceeded = if summary.counts.addresses_exceeded { "at least " } else { "" };
        writeln!(out, "addresses    {exceeded}{}", summary.counts.addresses)?;
        writeln!(out, "convictions  {}", summary.convictions.iter().sum::<u64>())?;
        for (threat, count) in summary.by_threat() {
            writeln!(out, "  {:<22} {count}", threat.slug())?;
        }
        let [safe, normal, paranoid] = summary.would_deny;
        writeln!(out, "would deny   safe {safe}, normal {normal}, paranoid {paranoid}")?;
        for (name, share) in [("requests", summary.requests), ("successful", summary.successful)] {
            let (all, denied, percent) = (share.all, share.denied, share.percent());
            writeln!(out, "{name:<12} {all}, of which denied {denied} ({percent:.3} %)")?;
        }
        if summary.table.1 > 0 {
            let evicted = summary.table.1;
            writeln!(
                out,
                "evicted      {evicted} sources that still mattered: give it more --memory"
            )?;
        }
        Ok(())
    }
}

/// A conviction as the contract has it.
fn conviction_json(conviction: &Conviction<'_>) -> Value {
    let (decision, incident) = (conviction.decision, conviction.incident);
    let mut key = Map::new();
    key.insert("type".to_owned(), json!(decision.key.kind.name()));
    if decision.key.kind != SourceKind::Session {
        key.insert("address".to_owned(), json!(conviction.address));
    }
    if decision.key.kind != SourceKind::Address {
        let fingerprint = format!("{:016x}", decision.key.discriminator);
        key.insert("fingerprint".to_owned(), json!(fingerprint));
    }
    json!({
        "time": rfc3339(decision.since_ms),
        "application": conviction.application,
        "key": key,
        "threat": decision.threat.slug(),
        "action": decision.action.name(),
        "confidence": decision.confidence,
        "requests_seen": incident.requests,
        "ttl_seconds": decision.ttl_ms as f64 / 1000.0,
        "evidence": explain::incident(incident),
    })
}

fn summary_json(summary: &Summary) -> Value {
    let counts = &summary.counts;
    let threats: Map<String, Value> = summary
        .by_threat()
        .map(|(threat, count)| (threat.slug().to_owned(), json!(count)))
        .collect();
    let [safe, normal, paranoid] = summary.would_deny;
    json!({"summary": {
        "lines": counts.lines,
        "parsed": counts.parsed,
        "skipped": {
            "format": counts.malformed,
            "too_long": counts.too_long,
            "empty": counts.empty,
        },
        "out_of_order": counts.backwards,
        "broken_files": counts.broken_files,
        "first": summary.span.map(|(first, _)| rfc3339(first)),
        "last": summary.span.map(|(_, last)| rfc3339(last)),
        "addresses": summary.counts.addresses,
        "addresses_exceeded": summary.counts.addresses_exceeded,
        "sources_evicted": summary.table.1,
        "convictions": summary.convictions.iter().sum::<u64>(),
        "threats": threats,
        "would_deny": {"safe": safe, "normal": normal, "paranoid": paranoid},
        "requests": summary.requests.all,
        "requests_denied": summary.requests.denied,
        "successful": summary.successful.all,
        "successful_denied": summary.successful.denied,
    }})
}

/// The finding that weighs most, in one cell of a table.
pub(crate) fn main_finding(evidence: &Value) -> String {
    let weight = |finding: &Value| finding["evidence"].as_f64().unwrap_or(0.0);
    let findings = evidence["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let heavier = |best, finding| if weight(finding) > weight(best) { finding } else { best };
    let Some(finding) = findings.iter().reduce(heavier) else { return String::new() };
    let text = |key: &str| finding[key].as_str().unwrap_or_default();
    let (measure, unit) = (text("measure"), text("unit"));
    format!("{measure} {} {unit} ({}, {})", finding["value"], text("normal"), text("multiple"))
}

/// A line on the terminal that says how far it is.
pub(crate) struct Progress {
    started: Instant,
    terminal: bool,
    next: u64,
}

impl Progress {
    /// Shows nothing when standard error is no terminal.
    pub(crate) fn new(started: Instant, terminal: bool) -> Self {
        Self { started, terminal, next: PROGRESS_LINES }
    }

    /// `lines` are done.
    pub(crate) fn show(&mut self, lines: u64) {
        if self.terminal && lines >= self.next {
            self.next = lines + PROGRESS_LINES;
            let speed = lines as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
            eprint!("\r{lines} lines, {speed:.0} a second\x1b[K");
        }
    }

    /// Takes it away.
    pub(crate) fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
