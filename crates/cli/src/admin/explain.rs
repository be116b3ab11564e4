//! `api-abuse explain`: why somebody was convicted.

use std::fmt::Write as _;

use api_abuse_engine::Cidr;
use clap::Args;
use serde_json::Value;

use super::server::{Api, Trouble};
use super::table::{Colour, Table};
use super::words::{duration, number, source, text, threat, time};
use super::{Console, Failure};

/// Arguments of `explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// An incident, as lists, logs and error pages name it; or an address, which means its newest one
    #[arg(value_name = "INCIDENT|ADDRESS")]
    what: String,
    #[command(flatten)]
    console: Console,
}

/// Asks and says.
pub(crate) fn run(arguments: &Explain) -> Result<(), Failure> {
    let api = arguments.console.api();
    let id = incident_of(&api, &arguments.what)?;
    let incident = api.get(&format!("incidents/{id}"), &[]).map_err(|trouble| {
        if trouble.is("unknown_id") {
            let what = &arguments.what;
            return Failure::Refused(format!(
                "there is no incident {what} any more: old ones make room"
            ));
        }
        trouble.into()
    })?;
    arguments.console.say(&incident, || report(&incident))
}

/// The incident that is meant.
fn incident_of(api: &Api, what: &str) -> Result<String, Failure> {
    if what.parse::<Cidr>().is_err() {
        return Ok(super::url::encoded(what));
    }
    let found = api.get("incidents", &[("q", Some(what)), ("limit", Some("1"))])?;
    if let Some(id) = found["entries"][0]["id"].as_str() {
        return Ok(id.to_owned());
    }
    let denied = api.get("denylist", &[("q", Some(what)), ("limit", Some("1"))])?;
    let why = match denied["entries"][0]["origin"].as_str() {
        Some("operator") => {
            format!("{what} is denied by an operator's own entry, not for what it did")
        }
        Some(_) => format!("{what} is denied, but its incident had to make room for newer ones"),
        None => format!("there is no incident of {what}"),
    };
    Err(Trouble::refused(why).into())
}

fn report(incident: &Value) -> String {
    let evidence = &incident["evidence"];
    let head = format!("{} of {}", threat(incident), source(&incident["key"]));
    let mut out =
        format!("incident      {}: {}\n", text(&incident["id"], 20), Colour::Bold.paint(&head));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<13} {value}");
    };
    line("application", &text(&incident["application"], 64));
    line("who", &who(incident));
    line("what is done", &what_is_done(incident));
    line("confidence", &number(&incident["confidence"]));
    line(
        "evidence",
        &format!(
            "{} nats, {} are enough",
            number(&evidence["evidence"]),
            number(&evidence["threshold"])
        ),
    );
    line(
        "convicted",
        &format!(
            "{}, after {} requests in {}",
            time(&incident["since"]),
            number(&evidence["requests"]),
            duration(&evidence["seconds"])
        ),
    );
    line("met by", &format!("{} requests since", number(&incident["hits"])));
    line("user agent", &text(&evidence["user_agent"], 120));
    out.push('\n');
    out.push_str(&findings(evidence));
    out.push('\n');
    out.push_str(&exemplars(evidence));
    let considered = evidence["considered"].as_array().map_or(&[][..], Vec::as_slice);
    for (row, other) in considered.iter().enumerate() {
        let (gap, why) = (if row == 0 { "\n" } else { "" }, text(&other["rejected"], 200));
        let _ = writeln!(out, "{gap}not {}: {why}", text(&other["alternative"], 40));
    }
    let neighbours = incident["neighbours"].as_array().map_or(&[][..], Vec::as_slice);
    if !neighbours.is_empty() {
        out.push('\n');
    }
    for neighbour in neighbours {
        let (id, when) = (text(&neighbour["id"], 20), time(&neighbour["since"]));
        let _ = writeln!(out, "same address: incident {id}, {}, {when}", threat(neighbour));
    }
    if !incident["denylist"].is_null() {
        let id = text(&incident["id"], 20);
        let _ = write!(out, "\nTo lift it: api-abuse remove {id}\n");
    }
    out
}

fn who(incident: &Value) -> String {
    let key = &incident["key"];
    let kind = text(&key["type"], 10);
    let mut who = match key["fingerprint"].as_str() {
        Some(_) => format!("{kind} with fingerprint {}", text(&key["fingerprint"], 16)),
        None => kind,
    };
    if incident["address"].is_string() && incident["address"] != key["address"] {
        let _ = write!(who, " (at {})", text(&incident["address"], 50));
    }
    match incident["evidence"]["effective_users"].as_f64() {
        Some(users) if users > 0.0 => {
            let _ = write!(who, "; other well-behaved clients of the address: {users}");
        }
        _ => {}
    }
    who
}

fn what_is_done(incident: &Value) -> String {
    let action = text(&incident["action"], 10);
    if incident["grace"] == true {
        return "nothing: it was lifted lately and did the same again".to_owned();
    }
    if incident["tripped"] == true {
        return "nothing: the circuit breaker was open".to_owned();
    }
    if incident["denylist"].is_null() {
        return format!("{action}: over by now, it expired or was lifted");
    }
    format!("{} until {}", Colour::of_action(&action).paint(&action), time(&incident["expires"]))
}

fn findings(evidence: &Value) -> String {
    let mut table = Table::new(&[
        "MEASURE",
        ">VALUE",
        "UNIT",
        "NORMAL",
        "FROM",
        ">MULTIPLE",
        "THREAT",
        ">EVIDENCE",
    ]);
    for finding in evidence["findings"].as_array().into_iter().flatten() {
        table.row([
            text(&finding["measure"], 40),
            number(&finding["value"]),
            text(&finding["unit"], 20),
            text(&finding["normal"], 20),
            text(&finding["normal_from"], 20),
            text(&finding["multiple"], 20),
            text(&finding["threat"], 30),
            number(&finding["evidence"]),
        ]);
    }
    table.text()
}

fn exemplars(evidence: &Value) -> String {
    let mut table = Table::new(&["TIME", "METHOD", ">STATUS", ">EVIDENCE", "PATH"]);
    for exemplar in evidence["exemplars"].as_array().into_iter().flatten() {
        table.row([
            time(&exemplar["time"]),
            text(&exemplar["method"], 16),
            number(&exemplar["status"]),
            number(&exemplar["evidence"]),
            text(&exemplar["path"], 110),
        ]);
    }
    if table.is_empty() { String::new() } else { table.text() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn incident() -> Value {
        json!({
            "id": "0000014b", "application": "shop", "threat": "vulnerability_scanning", "action": "deny",
            "key": { "type": "client", "address": "203.0.113.66", "fingerprint": "9f3c01aa7be4d210" },
            "confidence": 99, "since": "2026-11-22T19:40:10.101Z", "expires": "2026-11-22T20:40:10.101Z",
            "denylist": "5f-1", "tripped": false, "grace": false, "address": "203.0.113.66", "hits": 1201,
            "evidence": {
                "evidence": 24.61, "threshold": 20.72, "requests": 11, "seconds": 3.68,
                "considered": [{ "alternative": "shared_address", "rejected": "others behave well" }],
                "effective_users": 3, "user_agent": "evil\u{1b}]0;x\u{7}",
                "findings": [{ "measure": "rare_paths_missed", "threat": "vulnerability_scanning",
                    "unit": "paths", "value": 326, "normal": "< 10", "normal_from": "shipped", "multiple": "33x", "evidence": 24.61 }],
                "exemplars": [{ "time": "2026-11-22T19:40:09.871Z", "method": "GET",
                    "path": "/.git/config", "status": 404, "evidence": 3.1 }]
            },
            "neighbours": [{ "id": "00000102", "threat": "scraping", "since": "2026-11-22T11:02:51.000Z" }]
        })
    }

    #[test]
    fn value_normal_and_multiple_are_side_by_side() {
        let report = report(&incident());
        let finding = report.lines().find(|line| line.starts_with("rare_paths_missed")).unwrap();
        let cells: Vec<_> =
            finding.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells[1..6], ["326", "paths", "< 10", "shipped", "33x"]);
        for part in [
            "/.git/config",
            "api-abuse remove 0000014b",
            "not shared_address: others",
            "00000102",
            "after 11 requests in 3.7 s",
        ] {
            assert!(report.contains(part), "{part}: {report}");
        }
        assert!(!report.contains('\u{1b}') && !report.contains('\u{7}'), "hostile text is escaped");
    }

    #[test]
    fn what_is_over_is_not_lifted() {
        let mut incident = incident();
        incident["denylist"] = Value::Null;
        let said = report(&incident);
        assert!(said.contains("over by now") && !said.contains("To lift it"), "{said}");
        incident["grace"] = json!(true);
        assert!(report(&incident).contains("lifted lately"));
    }
}
