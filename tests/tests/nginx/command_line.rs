//! `api-abuse status | list | explain | deny | allow | remove` against a real NGINX: what it says is
//! what happened, what it changes holds when it returns, and how it fails is what is documented.

use std::process::{Command, Output};

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::sites::{attacker, guarded, neighbour};
use serde_json::Value;

use crate::state::program;

fn start() -> Nginx {
    let server = "root html;
        location /abuse/ { api_abuse off; api_abuse_console; access_log off; }
        location /private/ { api_abuse off; api_abuse_console;
            auth_basic console; auth_basic_user_file html/users; }
        location /refused/ { api_abuse off; api_abuse_console; deny all; }";
    let site = guarded(server).file("html/page.html", "page").workers(2);
    // ada:secret
    site.file("html/users", "ada:{PLAIN}secret\n").start()
}

/// What a call of the program ended with: its status, output and complaint.
struct Ended {
    status: i32,
    out: String,
    complaint: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            status: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            complaint: text(&output.stderr),
        }
    }
}

fn call_at(url: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(program());
    command.args(arguments).env("API_ABUSE_URL", url).env_remove("API_ABUSE_USER");
    command.output().unwrap().into()
}

fn call(nginx: &Nginx, arguments: &[&str]) -> Ended {
    call_at(&format!("http://{}/abuse/", nginx.address), arguments)
}

/// What it says when it succeeds.
fn says(nginx: &Nginx, arguments: &[&str]) -> String {
    let ended = call(nginx, arguments);
    assert_eq!((ended.status, ended.complaint.as_str()), (0, ""), "{arguments:?}");
    assert!(!ended.out.contains('\u{1b}'), "no colour where nobody looks: {}", ended.out);
    ended.out
}

fn json(nginx: &Nginx, arguments: &[&str]) -> Value {
    let out = says(nginx, &[arguments, &["--json"]].concat());
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
}

fn served(nginx: &Nginx, host: std::net::Ipv4Addr) -> u16 {
    nginx.client_from(host).send(&probe("/page.html")).unwrap().status
}

#[test]
fn a_conviction_is_listed_explained_and_lifted() {
    let nginx = start();
    let outcome = Attacker::new(nginx.address, attacker(1)).scan();
    assert!(outcome.denied, "{outcome:?}");
    let host = attacker(1).to_string();
    let list = json(&nginx, &["list"]);
    assert_eq!((&list["total"], list["entries"].as_array().unwrap().len()), (&1.into(), 1));
    let incident = list["entries"][0]["incident"].as_str().unwrap().to_owned();
    let table = says(&nginx, &["list", "--threat", "vulnerability_scanning", "--q", &host]);
    assert!(table.contains(&host) && table.contains(&incident), "{table}");
    assert_eq!(says(&nginx, &["list", "--threat", "scraping"]), "nobody is denied\n");
    assert!(says(&nginx, &["list", "incidents"]).contains("in force"));
    let status = says(&nginx, &["status"]);
    assert!(status.contains("shop") && status.contains("detector      up"), "{status}");
    assert_eq!(json(&nginx, &["status"])["applications"][0]["denied_sources"], 1);

    let why = json(&nginx, &["explain", &incident]);
    assert_eq!(why["id"], incident.as_str());
    let report = says(&nginx, &["explain", &host]);
    assert!(report.contains("scan/1.0"), "{report}");
    assert!(report.contains(&format!("api-abuse remove {incident}")), "{report}");
    for finding in why["evidence"]["findings"].as_array().unwrap() {
        let row = report.lines().find(|row| row.starts_with(finding["measure"].as_str().unwrap()));
        for cell in ["value", "normal", "multiple"] {
            let cell = finding[cell].as_str().map_or(finding[cell].to_string(), str::to_owned);
            assert!(row.is_some_and(|row| row.contains(&cell)), "{cell}: {report}");
        }
    }

    let said = says(&nginx, &["remove", &incident]);
    assert!(said.contains(&host) && said.contains("no longer denied"), "{said}");
    assert_eq!(served(&nginx, attacker(1)), 200, "it holds when it is said");
    let again = call(&nginx, &["remove", &incident]);
    assert_eq!(again.status, 1);
    assert!(again.complaint.contains("is over"), "{}", again.complaint);
    assert!(says(&nginx, &["explain", &incident]).contains("over by now"));
}

#[test]
fn what_is_denied_and_allowed_holds_until_it_is_removed() {
    let nginx = start();
    let host = neighbour(1).to_string();
    assert_eq!(served(&nginx, neighbour(1)), 200);
    let said = says(&nginx, &["deny", &host, "--ttl", "1h 30m"]);
    assert_eq!(said, format!("{host} is denied in shop for 1 h 30 min\n"), "the only application");
    assert_eq!(served(&nginx, neighbour(1)), 403);
    let list = json(&nginx, &["list", "--threat", "none", "--application", "shop"]);
    assert_eq!((&list["total"], &list["entries"][0]["origin"]), (&1.into(), &"operator".into()));
    let asked = call(&nginx, &["explain", &host]);
    assert!(asked.status == 1 && asked.complaint.contains("operator's own"), "{}", asked.complaint);
    assert!(says(&nginx, &["remove", &host]).contains("no longer denied"));
    assert_eq!(served(&nginx, neighbour(1)), 200);

    let network = "127.2.200.0/24";
    says(&nginx, &["deny", &host]);
    let entry = json(&nginx, &["allow", network, "--comment", "the \u{1b}[31moffice"]);
    assert_eq!(entry["address"], network);
    assert_eq!(served(&nginx, neighbour(1)), 200, "what is allowed is not denied any more");
    let table = says(&nginx, &["list", "allowed"]);
    assert!(table.contains(network) && table.contains("\\u{1b}[31moffice"), "{table}");
    let refused = call(&nginx, &["deny", &host]);
    assert!(refused.status == 1 && refused.complaint.contains("allow"), "{}", refused.complaint);
    let refused = call(&nginx, &["remove", &host]);
    let hint = format!("it is allowed as {network}");
    assert!(refused.status == 1 && refused.complaint.contains(&hint), "{}", refused.complaint);
    let removed = json(&nginx, &["remove", network]);
    assert_eq!(removed["removed"][0]["list"], "allowlist");
    says(&nginx, &["deny", &host]);
    assert_eq!(served(&nginx, neighbour(1)), 403);
}

#[test]
fn failures_say_what_to_do_and_scripts_can_tell_them_apart() {
    let nginx = start();
    let at = |path: &str| format!("http://{}{path}", nginx.address);
    let console = at("/abuse/");
    let closed = "http://127.0.0.1:1/abuse/".to_owned();
    let cases: [(&str, &[&str], i32, &str); 12] = [
        (&console, &["explain", "ffffffff"], 1, "no incident ffffffff"),
        (&console, &["explain", "192.0.2.1"], 1, "no incident of 192.0.2.1"),
        (&console, &["remove", "ffffffff"], 1, "no incident, denial or entry"),
        (&console, &["remove", "192.0.2.1"], 1, "neither denied nor"),
        (&console, &["allow", "192.0.2.7/24"], 1, "192.0.2.0/24 is meant?"),
        (&console, &["deny", "192.0.2.7", "--ttl", "soon"], 1, "1 second to 365 days"),
        (&console, &["list", "allowed", "--threat", "spamming"], 2, "--q alone"),
        (&console, &["list", "--threat", "weather"], 2, "credential_stuffing"),
        (&console, &["status", "--url", "https://127.0.0.1/"], 2, "ssh -L"),
        (&at("/page.html"), &["status"], 1, "api_abuse_console"),
        (&at("/refused/"), &["status"], 1, "`allow` and `deny`"),
        (&closed, &["status"], 3, "Is NGINX running"),
    ];
    for (url, arguments, status, words) in cases {
        let ended = call_at(url, arguments);
        assert_eq!(ended.status, status, "{arguments:?}: {}", ended.complaint);
        assert!(ended.complaint.contains(words), "{arguments:?}: {}", ended.complaint);
        assert_eq!(ended.out, "", "{arguments:?}");
    }
    assert_eq!(json(&nginx, &["list", "allowed"])["total"], 0, "what is refused changes nothing");
    let private = at("/private/");
    let ended = call_at(&private, &["status"]);
    assert!(ended.status == 1 && ended.complaint.contains("--user"), "{}", ended.complaint);
    assert_eq!(call_at(&private, &["status", "--user", "ada:secret"]).status, 0);
    assert_eq!(call_at(&private, &["status", "--user", "ada:wrong"]).status, 1);
    let inside = private.replace("http://", "http://ada:secret@");
    assert_eq!(call_at(&inside, &["list"]).status, 0, "in the address");
}
