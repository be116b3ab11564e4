//! `api-abuse deny | allow | remove`. Each is done when it returns: NGINX answers when the change
//! holds in every worker.

use api_abuse_engine::Cidr;
use clap::Args;
use serde_json::{Map, Value, json};

use super::server::{Api, Trouble};
use super::words::{duration, source, text, threat};
use super::{Console, Failure};

/// Arguments of `deny`.
#[derive(Args, Debug)]
pub(crate) struct Deny {
    /// An IPv4 address, or an IPv6 address, which stands for its /64
    address: String,
    #[command(flatten)]
    console: Console,
    /// Application; not needed when there is one only
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// For how long, in NGINX's time syntax
    #[arg(long, default_value = "1h", value_name = "TIME")]
    ttl: String,
}

/// Arguments of `allow`.
#[derive(Args, Debug)]
pub(crate) struct Allow {
    /// An address, or a network without host bits, as in 192.0.2.0/24
    #[arg(value_name = "ADDRESS|CIDR")]
    address: String,
    #[command(flatten)]
    console: Console,
    /// What it is, for those who read the list later
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    comment: String,
}

/// Arguments of `remove`.
#[derive(Args, Debug)]
pub(crate) struct Remove {
    /// An incident or entry; or an address or network: its denials are lifted, and its entry of the
    /// allowlist is removed
    #[arg(value_name = "ID|ADDRESS|CIDR")]
    what: String,
    #[command(flatten)]
    console: Console,
    /// Lift denials of this application only
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
}

/// Denies an address.
pub(crate) fn deny(arguments: &Deny) -> Result<(), Failure> {
    let api = arguments.console.api();
    let application = match &arguments.application {
        Some(application) => application.clone(),
        None => only_application(&api)?,
    };
    let members = members([
        ("application", application.into()),
        ("address", arguments.address.as_str().into()),
        ("ttl", arguments.ttl.as_str().into()),
    ]);
    let entry = api.post("denylist", members)?;
    arguments.console.say(&entry, || {
        let (who, application) = (source(&entry["key"]), text(&entry["application"], 64));
        format!("{who} is denied in {application} for {}\n", duration(&entry["ttl_seconds"]))
    })
}

/// Allows an address or a network.
pub(crate) fn allow(arguments: &Allow) -> Result<(), Failure> {
    let address = arguments.address.as_str().into();
    let members = members([("address", address), ("comment", arguments.comment.as_str().into())]);
    let entry = arguments.console.api().post("allowlist", members)?;
    arguments.console.say(&entry, || format!("{} is allowed\n", text(&entry["address"], 50)))
}

/// Lifts denials, or removes from the allowlist.
pub(crate) fn remove(arguments: &Remove) -> Result<(), Failure> {
    let (api, what) = (arguments.console.api(), arguments.what.as_str());
    let removed = if what.parse::<Cidr>().is_ok() {
        by_address(&api, what, arguments.application.as_deref())?
    } else {
        by_id(&api, what)?
    };
    let lines = |entry: &Value| match entry["list"].as_str() {
        Some("allowlist") => format!("{} is no longer allowed\n", text(&entry["address"], 50)),
        _ => format!("{} is no longer denied ({})\n", text(&entry["address"], 50), threat(entry)),
    };
    let answer = json!({ "removed": removed });
    arguments.console.say(&answer, || removed.iter().map(lines).collect())
}

/// The only application that there is.
fn only_application(api: &Api) -> Result<String, Failure> {
    let status = api.get("status", &[])?;
    let known = status["applications"].as_array().map_or(&[][..], Vec::as_slice);
    match known {
        [one] => Ok(one["name"].as_str().unwrap_or_default().to_owned()),
        [] => Err(Failure::Refused("no application is configured".to_owned())),
        several => {
            let names: Vec<_> = several.iter().map(|known| text(&known["name"], 64)).collect();
            Err(Failure::Usage(format!("--application says which one: {}", names.join(", "))))
        }
    }
}

/// Removes what is denied in a network, and its own entry of the allowlist.
fn by_address(api: &Api, network: &str, application: Option<&str>) -> Result<Vec<Value>, Failure> {
    let mut removed = Vec::new();
    let query = [("q", Some(network)), ("application", application)];
    let denied = api.all("denylist", &query, usize::MAX)?;
    for entry in denied["entries"].as_array().into_iter().flatten() {
        if gone(api, "denylist", entry)? {
            removed.push(lifted(entry));
        }
    }
    let mut wider = Vec::new();
    if application.is_none() {
        let allowed = api.all("allowlist", &[], usize::MAX)?;
        let wanted = parsed(network);
        for entry in allowed["entries"].as_array().into_iter().flatten() {
            let Some(held) = entry["address"].as_str().and_then(parsed) else { continue };
            let own = entry["origin"] == "operator" && Some(held) == wanted;
            if own && gone(api, "allowlist", entry)? {
                removed.push(
                    json!({ "list": "allowlist", "id": entry["id"], "address": entry["address"] }),
                );
            } else if wanted.is_some_and(|wanted| held.contains(wanted.first().octets())) {
                wider.push(text(&entry["address"], 50));
            }
        }
    }
    if !removed.is_empty() {
        return Ok(removed);
    }
    let hint = match wider.first() {
        Some(held) => format!("; it is allowed as {held}"),
        None => String::new(),
    };
    Err(Trouble::refused(format!("{network} is neither denied nor in the allowlist{hint}")).into())
}

/// Removes an entry, or what an incident made.
fn by_id(api: &Api, id: &str) -> Result<Vec<Value>, Failure> {
    match api.get(&format!("incidents/{}", super::url::encoded(id)), &[]) {
        Ok(incident) => {
            let Some(entry) = incident["denylist"].as_str() else {
                let why = format!("incident {id} is over: its denial expired or was lifted");
                return Err(Failure::Refused(why));
            };
            api.delete("denylist", entry)?;
            let mut lifted = lifted(&incident);
            lifted["id"] = entry.into();
            return Ok(vec![lifted]);
        }
        Err(trouble) if trouble.is("unknown_id") => {}
        Err(trouble) => return Err(trouble.into()),
    }
    for list in ["denylist", "allowlist"] {
        let entry = json!({ "id": id, "address": id, "list": list, "threat": null });
        if gone(api, list, &entry)? {
            return Ok(vec![entry]);
        }
    }
    Err(Failure::Refused(format!("there is no incident, denial or entry of the allowlist {id}")))
}

/// Removes an entry, and says whether it was still there.
fn gone(api: &Api, list: &str, entry: &Value) -> Result<bool, Trouble> {
    match api.delete(list, entry["id"].as_str().unwrap_or_default()) {
        Ok(()) => Ok(true),
        Err(trouble) if trouble.is("unknown_id") => Ok(false),
        Err(trouble) => Err(trouble),
    }
}

fn lifted(entry: &Value) -> Value {
    json!({
        "list": "denylist",
        "id": entry["id"],
        "address": source(&entry["key"]),
        "application": entry["application"],
        "threat": entry["threat"],
    })
}

fn parsed(network: &str) -> Option<Cidr> {
    network.parse().ok()
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
