//! `api_abuse_detector process`, and `api_abuse_log`: detection beside the workers, and what it writes.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::Request;
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{attacker, guarded_files, neighbour};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

fn with(directives: &str) -> Site {
    let mut site = guarded_files();
    site.http.insert_str(0, directives);
    site
}

fn convict(nginx: &Nginx, host: u16) {
    let outcome = Attacker::new(nginx.address, attacker(host)).scan();
    assert!(outcome.denied, "{outcome:?}");
}

fn is_denied(nginx: &Nginx, host: u16) -> bool {
    nginx.client_from(attacker(host)).send(&probe("/page.html")).unwrap().status == 403
}

/// The detector runs in the helper process, as the status says it.
fn detects_apart(nginx: &Nginx) -> bool {
    let helper = nginx.helper_pids();
    helper.len() == 1 && nginx.detecting_pid() == helper.first().copied()
}

#[test]
fn detection_in_a_process_of_its_own() {
    let mut nginx = with("api_abuse_detector process;\n").start();
    assert!(eventually(PATIENCE, || detects_apart(&nginx)), "{}", nginx.error_log());
    convict(&nginx, 1);
    assert!(eventually(PATIENCE, || nginx.error_log().contains("denied client 127.1.0.1")));
    let before = nginx.helper_pids();
    nginx.reload();
    assert!(eventually(PATIENCE, || detects_apart(&nginx) && nginx.helper_pids() != before));
    assert!(is_denied(&nginx, 1));
    convict(&nginx, 2);
    // The last state is written by a process that no hook of a module tells of its end.
    nginx.restart();
    assert!(is_denied(&nginx, 1) && is_denied(&nginx, 2), "{}", nginx.error_log());
    assert!(eventually(PATIENCE, || detects_apart(&nginx)));
    let taken_up = || nginx.error_log().contains("took up the state");
    assert!(eventually(PATIENCE, taken_up), "{}", nginx.error_log());
    // And back to a worker, and to a process again.
    nginx.reconfigure(|site| site.http = site.http.replace("process;", "worker;"));
    nginx.reload();
    let by_a_worker =
        || nginx.detecting_pid().is_some_and(|pid| nginx.worker_pids().contains(&pid));
    assert!(eventually(PATIENCE, by_a_worker), "{}", nginx.error_log());
    convict(&nginx, 3);
}

#[test]
fn a_detector_that_is_killed_again_and_again_costs_no_request() {
    let nginx = with("api_abuse_detector process;\n").workers(2).start();
    assert!(eventually(PATIENCE, || detects_apart(&nginx)));
    let workers = nginx.worker_pids();
    let (over, served) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for host in 1..3 {
            let (nginx, over, served) = (&nginx, &over, &served);
            scope.spawn(move || {
                let mut client = nginx.client_from(neighbour(host));
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(client.get("/page.html").unwrap().status, 200);
                    served.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }
        for host in 1..9 {
            let pid = nginx.helper_pids()[0];
            nginx.kill9(pid);
            convict(&nginx, host);
            let back = || detects_apart(&nginx) && nginx.helper_pids() != [pid];
            assert!(eventually(PATIENCE, back), "{}", nginx.error_log());
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!((1..9).all(|host| is_denied(&nginx, host)));
    assert_eq!(nginx.worker_pids(), workers, "no worker noticed");
    assert!(served.load(Ordering::Relaxed) > 100);
}

#[test]
fn without_a_master_or_a_directory_there_is_no_other_process() {
    let site = with("api_abuse_detector process;\n").workers(1).main("master_process off;");
    let nginx = site.start();
    convict(&nginx, 1);
    assert_eq!(nginx.detecting_pid(), Some(nginx.master_pid()));
    nginx.finish();
    let (accepted, said) = with("api_abuse_detector process; api_abuse_state off;\n").test();
    assert!(!accepted && said.contains("needs the directory"), "{said}");
}

fn lines(nginx: &Nginx, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(nginx.home().join(name)).unwrap_or_default();
    // The last one may still be being written.
    let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn decisions_are_logged_as_json_and_the_log_is_opened_again() {
    for directives in
        ["api_abuse_log d.json;\n", "api_abuse_detector process; api_abuse_log d.json;\n"]
    {
        let nginx = with(directives).start();
        // What the attacker says of itself is in the line, and must not break it.
        let hostile = "\\\"}\u{e9}<script>%0a\t{";
        let mut client = nginx.client_from(attacker(1));
        let denied = (0..200).any(|number| {
            let target = format!("/x{number}\"\\%22?a=<b>");
            let request = Request::get(&target).headers(&[("User-Agent", hostile)]);
            let status = client.send(&request).unwrap().status;
            nginx.let_judge(Duration::from_millis(10));
            status == 403
        });
        assert!(denied);
        assert!(eventually(PATIENCE, || lines(&nginx, "d.json").len() == 1), "{directives}");
        let line = lines(&nginx, "d.json").remove(0);
        assert_eq!((&line["application"], &line["action"]), (&"shop".into(), &"deny".into()));
        assert_eq!(line["threat"], "vulnerability_scanning");
        assert_eq!(line["key"]["address"], "127.1.0.1");
        assert_eq!(line["key"]["type"], "client");
        assert_eq!(line["key"]["fingerprint"].as_str().unwrap().len(), 16);
        assert_eq!((&line["ttl"], &line["again"]), (&3600.into(), &false.into()));
        assert!(line["confidence"].as_u64().is_some_and(|percent| percent > 50));
        assert!(line["requests_seen"].as_u64().is_some_and(|seen| (3..200).contains(&seen)));
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 24));
        assert!(line["evidence"]["findings"].as_array().is_some_and(|all| !all.is_empty()));
        let status = nginx.status();
        assert_eq!(status["denylist"][0]["incident"], line["incident"]);

        let home = nginx.home();
        fs::rename(home.join("d.json"), home.join("d.json.1")).unwrap();
        nginx.reopen_logs();
        assert!(eventually(PATIENCE, || home.join("d.json").exists()));
        convict(&nginx, 2);
        assert!(eventually(PATIENCE, || lines(&nginx, "d.json").len() == 1), "{directives}");
        assert_eq!(lines(&nginx, "d.json.1").len(), 1);
        assert_eq!(lines(&nginx, "d.json")[0]["key"]["address"], "127.1.0.2");
    }
}
