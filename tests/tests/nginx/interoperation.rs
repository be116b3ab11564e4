//! The recipes of docs/interoperation.md, each run by the program that it is for.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::Request;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::shop::Shop;
use api_abuse_tests::sites::{STATUS, ZONE, attacker, guarded_files, neighbour, shipped};
use serde_json::Value;

use crate::state::program;

const SOON: Duration = Duration::from_secs(30);

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").canonicalize().unwrap()
}

/// Runs a program that `make deps-test` installs.
fn run(command: &mut Command, input: &str) -> (bool, String) {
    let started =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}; make deps-test"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let said = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (status.success(), said)
}

/// An address that looks like another browser with each request, until it is denied.
fn convict_address(nginx: &Nginx, host: std::net::Ipv4Addr) {
    let mut client = nginx.client_from(host);
    let denied = (0..200).any(|number| {
        nginx.let_judge(Duration::from_millis(10));
        let agent = format!(
            "Mozilla/5.0 ({number}) \"key\":{{\"address\":\"192.0.2.1\",\"type\":\"address\"}}"
        );
        let request = Request::get(format!("/w{number}x")).header("User-Agent", &agent);
        client.send(&request).unwrap().status == 403
    });
    assert!(denied);
}

#[test]
fn prometheus_takes_the_metrics_and_the_alerts() {
    let nginx = guarded_files().start();
    assert!(Attacker::new(nginx.address, attacker(1)).scan().denied);
    // An entry holds before the numbers around it are published.
    let mut text = String::new();
    let published = eventually(SOON, || {
        text = nginx.client().get("/status").unwrap().text();
        text.contains("api_abuse_decisions_total{")
    });
    assert!(published, "{text}");
    let (well, said) = run(Command::new("promtool").args(["check", "metrics"]), &text);
    assert!(well && said.is_empty(), "{said}");
    let (well, said) =
        run(Command::new("promtool").args(["check", "metrics"]), "# TYPE a counter\na 1\n");
    assert!(!well && !said.is_empty(), "promtool finds what is wrong");

    fs::copy(docs().join("grafana/alerts.yml"), nginx.home().join("alerts.yml")).unwrap();
    fs::write(nginx.home().join("cases.yml"), include_str!("../../data/alerts.yml")).unwrap();
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "cases.yml"]] {
        let (well, said) =
            run(Command::new("promtool").args(arguments).current_dir(nginx.home()), "");
        assert!(well && said.contains("SUCCESS"), "{said}");
    }
}

#[test]
fn fail2ban_bans_whole_addresses_and_clients_if_told_to() {
    let site = format!(
        "{ZONE} api_abuse_log decisions.jsonl;
        server {{ listen @listen@; api_abuse shop; api_abuse_mode block; root html; {STATUS} }}"
    );
    let nginx = api_abuse_tests::nginx::Site::new(&site).start();
    assert!(Attacker::new(nginx.address, attacker(1)).scan().denied);
    convict_address(&nginx, attacker(2));
    let log = nginx.home().join("decisions.jsonl");
    let lines = || fs::read_to_string(&log).unwrap_or_default();
    let of_type = |kind: &str, host: u16| {
        let has = |line: Value| {
            line["key"]["type"] == kind && line["key"]["address"] == attacker(host).to_string()
        };
        lines().lines().any(|line| serde_json::from_str(line).is_ok_and(has))
    };
    let both = || of_type("client", 1) && of_type("address", 2);
    assert!(eventually(SOON, both), "{}", lines());
    let filter = docs().join("recipes/fail2ban/filter.conf");
    let matched = |mode: &str| {
        let filter = format!("{}{mode}", filter.display());
        let (well, said) = run(
            Command::new("fail2ban-regex")
                .args(["--print-all-matched", "--out", "ip"])
                .arg(&log)
                .arg(filter),
            "",
        );
        assert!(well, "{said}");
        said
    };
    let [address, client] = [2, 1].map(|host| attacker(host).to_string());
    let banned = matched("");
    assert!(banned.contains(&address) && !banned.contains(&client), "{banned}");
    assert!(!banned.contains("192.0.2.1"), "nobody names whom it bans: {banned}");
    let banned = matched("[mode=clients]");
    assert!(banned.contains(&address) && banned.contains(&client), "{banned}");
}

#[test]
fn nftables_takes_the_denials_of_addresses() {
    let server = "root html; location /abuse/ { api_abuse off; api_abuse_console; }";
    let nginx = api_abuse_tests::sites::guarded(server).start();
    let url = format!("http://{}/abuse/", nginx.address);
    let directory = program().parent().unwrap().to_owned();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    // Even to look, nft needs a network of its own or the right to change this one.
    let nft =
        |rules: &str| run(Command::new("unshare").args(["-rn", "nft", "-c", "-f", "-"]), rules);
    let checks = nft("table inet nothing {}\n").0;
    if checks {
        assert!(!nft("table inet nothing {").0, "nft finds what is wrong");
    } else {
        println!("skipped: nft cannot check anything here");
    }
    let export = || {
        let mut command = Command::new(docs().join("recipes/api-abuse-nftables"));
        let (well, text) = run(command.env("API_ABUSE_URL", &url).env("PATH", &path), "");
        assert!(well, "{text}");
        if checks {
            let (well, said) = nft(&text);
            assert!(well, "{said}: {text}");
        }
        text
    };
    assert!(!export().contains("elements"));
    let deny = |address: &str| {
        let denied =
            Command::new(program()).args(["deny", address, "--url", &url, "--ttl", "10m"]).status();
        assert!(denied.unwrap().success());
    };
    assert!(Attacker::new(nginx.address, attacker(1)).scan().denied);
    let host = neighbour(1).to_string();
    deny(&host);
    deny("2001:db8:7::1");
    let text = export();
    let timeout = |address: &str| {
        let (_, rest) = text.split_once(&format!("{address} timeout "))?;
        rest.split_once('s')?.0.parse::<u32>().ok()
    };
    for address in [host.as_str(), "2001:db8:7::/64"] {
        assert!(timeout(address).is_some_and(|left| (300..=600).contains(&left)), "{text}");
    }
    assert!(!text.contains(&attacker(1).to_string()), "a client is no address: {text}");
}

#[test]
fn those_who_are_denied_learn_the_number_of_their_incident() {
    let shop = Shop::open().unwrap();
    let deny_loopback = "api_abuse_zone abuse:32m; api_abuse_deny_loopback on;";
    let site =
        shipped("denied.conf", shop.address).set("api_abuse_zone abuse:32m;", &deny_loopback);
    let nginx = site.start();
    assert!(Attacker::new(nginx.address, attacker(1)).scan().denied);
    let mut client = nginx.client_from(attacker(1));
    let page = client.send(&probe("/product/1")).unwrap();
    assert_eq!((page.status, page.header("content-type")), (403, Some("text/html; charset=utf-8")));
    let text = page.text();
    let incident = text.split_once("<b>").and_then(|(_, rest)| rest.split_once("</b>")).unwrap().0;
    assert!(incident.len() >= 8 && u64::from_str_radix(incident, 16).is_ok(), "{text}");
    let agent = [("User-Agent", "scan/1.0"), ("Accept", "application/json")];
    let answer = client.send(&Request::get("/product/1").headers(&agent)).unwrap();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (403, Some("application/problem+json"))
    );
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&problem["incident"], &problem["status"]), (&incident.into(), &403.into()));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(nginx.client().get("/denied.json").unwrap().status, 404, "internal");
}
