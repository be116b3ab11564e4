//! NGINX's own access log, as JSON: the witness for everything said about requests.

use std::net::Ipv4Addr;

use serde_json::Value;

/// The `log_format` that [`Entry`] reads: the one that people are given. `escape=json` keeps hostile
/// bytes inside their field.
pub const FORMAT: &str = include_str!("../../nginx-conf/log_format.conf");

/// One request, as the log says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Seconds since the epoch, when it was logged, at a resolution of a millisecond.
    pub time: f64,
    /// The worker that served it.
    pub pid: u32,
    /// Client address.
    pub from: String,
    /// Method; empty when NGINX could not read one.
    pub method: String,
    /// Request target as sent.
    pub uri: String,
    /// Final status.
    pub code: u16,
    /// User-Agent.
    pub agent: String,
    /// `$api_abuse_status`
    pub verdict: String,
    /// `$api_abuse_threat`
    pub threat: String,
    /// `$api_abuse_confidence`
    pub confidence: String,
    /// `$api_abuse_incident`
    pub incident: String,
    /// `$api_abuse_application`
    pub application: String,
    /// `$api_abuse_source`
    pub source: String,
}

impl Entry {
    /// Whether the request was denied, or throttled.
    pub fn denied(&self) -> bool {
        matches!(self.verdict.as_str(), "DENIED" | "THROTTLED")
    }
}

/// Reads a log; a line that is no JSON is an error, but the last one may still be being written.
pub fn parse(log: &[u8]) -> Result<Vec<Entry>, String> {
    let text = String::from_utf8_lossy(log);
    let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> Result<Entry, String> {
    // A request that was given up before it had a status: no number to JSON.
    let line = &line.replace("\"code\":000,", "\"code\":0,");
    let value: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    Ok(Entry {
        time: value["time"].as_f64().ok_or_else(|| format!("no time: {line}"))?,
        pid: value["pid"].as_u64().unwrap_or_default() as u32,
        from: text("from"),
        method: text("method"),
        uri: text("uri"),
        code: value["code"].as_u64().unwrap_or_default() as u16,
        agent: text("agent"),
        verdict: text("verdict"),
        threat: text("threat"),
        confidence: text("confidence"),
        incident: text("incident"),
        application: text("application"),
        source: text("source"),
    })
}

/// What became of one source.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// Requests that were not denied, over the whole log.
    pub served: usize,
    /// Requests that were.
    pub denied: usize,
    /// Seconds from its first request to its first denial.
    pub seconds: Option<f64>,
    /// Threat of the first denial.
    pub threat: String,
    /// Confidence of the first denial.
    pub confidence: String,
    /// Incident of the first denial.
    pub incident: String,
}

/// The fate of the source at this address.
pub fn fate(entries: &[Entry], address: Ipv4Addr) -> Fate {
    let address = address.to_string();
    let mut fate = Fate::default();
    let mut first = None;
    for entry in entries.iter().filter(|entry| entry.from == address) {
        let first = *first.get_or_insert(entry.time);
        if !entry.denied() {
            fate.served += 1;
            continue;
        }
        fate.denied += 1;
        if fate.seconds.is_none() {
            fate.seconds = Some(entry.time - first);
            fate.threat.clone_from(&entry.threat);
            fate.confidence.clone_from(&entry.confidence);
            fate.incident.clone_from(&entry.incident);
        }
    }
    fate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fate_counts_what_was_served_before_and_after_the_first_denial() {
        let line = |time: &str, verdict: &str| {
            format!(
                r#"{{"time":{time},"pid":1,"from":"127.1.0.1","code":200,"verdict":"{verdict}","threat":"bola"}}"#
            )
        };
        let log = [line("1.0", "PASSED"), line("1.5", "DENIED"), line("2.0", "PASSED")].join("\n");
        let entries = parse(format!("{log}\n{{\"time\":3.").as_bytes()).unwrap();
        let fate = fate(&entries, Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!((fate.served, fate.denied, fate.threat.as_str()), (2, 1, "bola"));
        assert!((fate.seconds.unwrap() - 0.5).abs() < 1e-9);
        assert!(parse(b"nonsense\n").is_err());
    }
}
