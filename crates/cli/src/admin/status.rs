//! `api-abuse status`: mode, applications and health at a glance.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use super::table::{Colour, Table};
use super::words::{duration, number, text, time};
use super::{Console, Failure};

/// Arguments of `status`.
#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    console: Console,
}

/// Asks and says.
pub(crate) fn run(arguments: &Status) -> Result<(), Failure> {
    let status = arguments.console.api().get("status", &[])?;
    arguments.console.say(&status, || report(&status))
}

fn report(status: &Value) -> String {
    let mut out = format!(
        "version       {} in NGINX {}\nmode          {}\ntime          {}, since {}\n\n",
        text(&status["version"], 20),
        text(&status["nginx"], 20),
        text(&status["mode"], 20),
        time(&status["time"]),
        time(&status["started"]),
    );
    let applications = status["applications"].as_array().map_or(&[][..], Vec::as_slice);
    out.push_str(&table(applications));
    for application in applications {
        for remedy in remedies(application) {
            let _ = writeln!(out, "{}: {remedy}", text(&application["name"], 64));
        }
    }
    out.push('\n');
    out.push_str(&health(&status["health"]));
    out
}

fn table(applications: &[Value]) -> String {
    let mut table = Table::new(&[
        "APPLICATION",
        "STATE",
        "MODE",
        ">REQUESTS",
        ">DENIED",
        ">THROTTLED",
        ">CLIENTS",
        ">NOW DENIED",
        ">CONVICTIONS",
    ]);
    for application in applications {
        let (state, colour) = state(application);
        let requests = &application["requests"];
        let sum = |names: &[&str]| -> String {
            names.iter().filter_map(|name| requests[name].as_u64()).sum::<u64>().to_string()
        };
        let all: u64 =
            requests.as_object().map_or(0, |all| all.values().filter_map(Value::as_u64).sum());
        let plain = |text: String| (text, Colour::Plain);
        table.painted([
            plain(text(&application["name"], 40)),
            (state, colour),
            plain(text(&application["mode"], 20)),
            plain(all.to_string()),
            plain(sum(&["DENIED"])),
            plain(sum(&["THROTTLED"])),
            plain(number(&application["clients"]["active"])),
            plain(number(&application["denied_sources"])),
            plain(convictions(application).to_string()),
        ]);
    }
    if table.is_empty() { "no application is configured\n".to_owned() } else { table.text() }
}

fn state(application: &Value) -> (String, Colour) {
    match application["state"].as_str().unwrap_or_default() {
        "ready" => ("ready".to_owned(), Colour::Green),
        "learning" => {
            let left = &application["learning"]["remaining_seconds"];
            (format!("learning, {} left", duration(left)), Colour::Yellow)
        }
        "tripped" => ("tripped".to_owned(), Colour::Red),
        "no_traffic" => ("no traffic".to_owned(), Colour::Yellow),
        _ => (text(&application["state"], 20), Colour::Plain),
    }
}

fn convictions(application: &Value) -> u64 {
    let threats = application["decisions"].as_object();
    let actions =
        threats.into_iter().flat_map(|threats| threats.values()).filter_map(Value::as_object);
    actions.flat_map(|actions| actions.values()).filter_map(Value::as_u64).sum()
}

/// What looks wrong with an application, and what to do.
fn remedies(application: &Value) -> Vec<&'static str> {
    let mut remedies = Vec::new();
    match application["state"].as_str() {
        Some("no_traffic") => {
            remedies.push("no traffic yet: is `api_abuse` enabled where requests arrive?");
        }
        Some("tripped") => remedies.push(
            "the circuit breaker is open, nobody is denied: `api-abuse list` shows who would be",
        ),
        _ => {}
    }
    for note in application["notes"].as_array().into_iter().flatten() {
        match note.as_str() {
            Some("one_address") => {
                remedies.push("nearly every client has the same address: is realip configured?");
            }
            Some("loopback_only") => remedies.push(
                "every client comes from loopback, where detectors deny nobody: is realip configured?",
            ),
            _ => {}
        }
    }
    remedies
}

fn health(health: &Value) -> String {
    if health.is_null() {
        return "health        no api_abuse_zone: add one to the http block\n".to_owned();
    }
    let (detector, ring, enforcement) =
        (&health["detector"], &health["ring"], &health["enforcement"]);
    let up = if detector["up"] == true {
        Colour::Green.paint("up")
    } else {
        Colour::Red.paint("down: nobody new is convicted; the error log says why")
    };
    let mut out = format!(
        "detector      {up}, in {} {}, {} behind\n",
        text(&detector["runs_in"], 20),
        number(&detector["process"]),
        duration(&detector["lag_seconds"]),
    );
    let _ = writeln!(
        out,
        "records       {} judged, {} dropped",
        number(&ring["records_judged"]),
        number(&ring["records_dropped"])
    );
    if let Some(p99) = enforcement["p99_seconds"].as_f64() {
        let milliseconds = p99 * 1000.0;
        let _ = writeln!(out, "enforcement   in {milliseconds:.1} ms (99 of 100 convictions)");
    }
    for table in health["tables"].as_array().into_iter().flatten() {
        let _ = write!(
            out,
            "{:<13} {} of {}",
            text(&table["name"], 13),
            number(&table["used"]),
            number(&table["size"])
        );
        let lost = table["lost"].as_u64().unwrap_or(0);
        let lost = if lost > 0 { format!(", {lost} lost: a larger zone") } else { String::new() };
        let _ = writeln!(out, "{lost}");
    }
    let file = &health["state_file"];
    if file.is_null() {
        out.push_str("state         off: nothing survives a restart\n");
    } else {
        let errors = file["errors"].as_u64().unwrap_or(0);
        let _ = write!(
            out,
            "state         {}, saved {}",
            text(&file["path"], 200),
            time(&file["saved"])
        );
        let errors = if errors > 0 { format!(", {errors} errors") } else { String::new() };
        let _ = writeln!(out, "{errors}");
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_comes_with_a_remedy() {
        let application = json!({
            "name": "shop", "state": "learning", "mode": "block",
            "learning": { "remaining_seconds": 10_800 },
            "requests": { "PASSED": 7, "DENIED": 2, "THROTTLED": 1 },
            "decisions": { "scraping": { "deny": 2, "monitor": 1 }, "spam": { "deny": 1 } },
            "denied_sources": 3, "clients": { "active": 9, "denied": 3 }, "notes": ["one_address"]
        });
        let status = json!({
            "version": "1", "nginx": "1.22.1", "mode": "block", "time": "2026-11-22T20:14:45.123Z",
            "started": null, "applications": [application], "health": null
        });
        let report = report(&status);
        let row = report.lines().find(|line| line.starts_with("shop  ")).unwrap();
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!(
            cells,
            ["shop", "learning,", "3", "h", "left", "block", "10", "2", "1", "9", "3", "4"]
        );
        assert!(report.contains("shop: nearly every client has the same address"), "{report}");
        assert!(report.contains("no api_abuse_zone"), "{report}");
    }

    #[test]
    fn health_says_what_was_lost() {
        let text = health(&json!({
            "detector": { "up": false, "process": 1, "runs_in": "worker", "lag_seconds": 0 },
            "tables": [{ "name": "sources", "used": 5, "size": 8, "lost": 12 }],
            "state_file": null
        }));
        for part in ["down", "sources       5 of 8, 12 lost", "nothing survives"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
