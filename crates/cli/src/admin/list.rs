//! `api-abuse list`: who is denied, who is allowed, who was convicted.

use std::fmt::Write as _;

use api_abuse_engine::Threat;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::table::{Colour, Table};
use super::words::{number, source, text, threat, time};
use super::{Console, Failure};

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The denylist: detectors' denials and operators' own
    Denied,
    /// The allowlist
    Allowed,
    /// Convictions, newest first, those that are over included
    Incidents,
}

/// Arguments of `list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Which list
    #[arg(value_enum, default_value = "denied")]
    what: What,
    #[command(flatten)]
    console: Console,
    /// Only this application
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// Only this threat, as in `credential_stuffing`; `none`: operators' own
    #[arg(long, value_name = "THREAT", value_parser = threats())]
    threat: Option<String>,
    /// Only what has been denied as an address, a client or a session
    #[arg(long = "type", value_name = "TYPE", value_parser = ["address", "client", "session"])]
    kind: Option<String>,
    /// An address or a CIDR: what is in it. Otherwise part of an address, or the beginning of an
    /// incident, fingerprint or session
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// since, expires, hits, confidence or address, with - in front for the greatest first (denied only)
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    sort: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Names that shells complete.
fn threats() -> PossibleValuesParser {
    Threat::ALL.into_iter().map(Threat::slug).chain(["none"]).collect::<Vec<_>>().into()
}

/// Asks and says.
pub(crate) fn run(arguments: &List) -> Result<(), Failure> {
    let (what, console) = (arguments.what, &arguments.console);
    let (application, threat) = (arguments.application.as_deref(), arguments.threat.as_deref());
    if what == What::Allowed && (application.is_some() || threat.is_some()) {
        let why = "the allowlist holds for all applications and threats: --q alone searches it";
        return Err(Failure::Usage(why.to_owned()));
    }
    let kind = arguments.kind.as_deref();
    if what != What::Denied && (arguments.sort.is_some() || kind.is_some()) {
        return Err(Failure::Usage("--sort and --type are for the denied".to_owned()));
    }
    let (call, render): (_, fn(&[Value]) -> String) = match what {
        What::Denied => ("denylist", denied),
        What::Allowed => ("allowlist", allowed),
        What::Incidents => ("incidents", incidents),
    };
    let query = [
        ("application", application),
        ("threat", threat),
        ("type", kind),
        ("q", arguments.q.as_deref()),
        ("sort", arguments.sort.as_deref()),
    ];
    let limit = arguments.limit.map_or(usize::MAX, |limit| limit as usize);
    let list = console.api().all(call, &query, limit)?;
    console.say(&list, || {
        let rows = list["entries"].as_array().map_or(&[][..], Vec::as_slice);
        let total = list["total"].as_u64().unwrap_or(0);
        let mut out = render(rows);
        if total > rows.len() as u64 {
            let _ = writeln!(out, "{} of {total}", rows.len());
        }
        out
    })
}

fn denied(rows: &[Value]) -> String {
    let mut table = Table::new(&[
        "SOURCE",
        "TYPE",
        "APPLICATION",
        "THREAT",
        "ACTION",
        ">CONF",
        "SINCE",
        "EXPIRES",
        ">HITS",
        "INCIDENT",
    ]);
    for row in rows {
        let action = text(&row["action"], 10);
        let colour = Colour::of_action(&action);
        let plain = |text: String| (text, Colour::Plain);
        table.painted([
            plain(source(&row["key"])),
            plain(text(&row["key"]["type"], 10)),
            plain(text(&row["application"], 40)),
            plain(threat(row)),
            (action, colour),
            plain(number(&row["confidence"])),
            plain(time(&row["since"])),
            plain(time(&row["expires"])),
            plain(number(&row["hits"])),
            plain(text(&row["incident"], 20)),
        ]);
    }
    if table.is_empty() { "nobody is denied\n".to_owned() } else { table.text() }
}

fn allowed(rows: &[Value]) -> String {
    let mut table = Table::new(&["ADDRESS", "APPLICATION", "SINCE", "BY", "COMMENT"]);
    for row in rows {
        let application = if row["application"].is_null() {
            "all".to_owned()
        } else {
            text(&row["application"], 40)
        };
        table.row([
            text(&row["address"], 50),
            application,
            time(&row["since"]),
            text(&row["origin"], 20),
            text(&row["comment"], 128),
        ]);
    }
    if table.is_empty() { "nobody is allowed by name\n".to_owned() } else { table.text() }
}

fn incidents(rows: &[Value]) -> String {
    let mut table = Table::new(&[
        "INCIDENT",
        "SOURCE",
        "TYPE",
        "APPLICATION",
        "THREAT",
        "ACTION",
        ">CONF",
        ">REQUESTS",
        "SINCE",
        "NOW",
    ]);
    for row in rows {
        table.row([
            text(&row["id"], 20),
            source(&row["key"]),
            text(&row["key"]["type"], 10),
            text(&row["application"], 40),
            threat(row),
            text(&row["action"], 10),
            number(&row["confidence"]),
            number(&row["requests"]),
            time(&row["since"]),
            if row["denylist"].is_null() { "over" } else { "in force" }.to_owned(),
        ]);
    }
    if table.is_empty() { "nobody was convicted\n".to_owned() } else { table.text() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_for_people() {
        let row = json!({
            "id": "5f-1", "application": "shop", "threat": null, "action": "deny", "confidence": 100,
            "key": { "type": "address", "address": "192.0.2.1" }, "incident": null,
            "since": "2026-11-22T19:40:10.101Z", "expires": "2026-11-22T20:40:10.101Z", "hits": 4
        });
        let table = denied(&[row]);
        let line = table.lines().nth(1).unwrap();
        let cells: Vec<_> =
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let wanted = [
            "192.0.2.1",
            "address",
            "shop",
            "operator",
            "deny",
            "100",
            "2026-11-22 19:40:10",
            "2026-11-22 20:40:10",
            "4",
            "-",
        ];
        assert_eq!(cells, wanted);
        assert_eq!(denied(&[]), "nobody is denied\n");
        let row = json!({ "address": "192.0.2.0/24", "application": null, "comment": "a\nb" });
        assert!(allowed(&[row]).contains("a\\nb"), "one row is one line");
    }
}
