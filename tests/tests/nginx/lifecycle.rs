//! Reloads, resizes, single processes: what is known survives, and what is not live is not touched.

use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::sites::{attacker, guarded_files, neighbour};

const SOON: Duration = Duration::from_secs(30);

fn convict(nginx: &Nginx, host: u16) {
    let outcome = Attacker::new(nginx.address, attacker(host)).scan();
    assert!(outcome.denied && outcome.served <= 25, "{outcome:?}");
}

fn is_denied(nginx: &Nginx, host: u16) -> bool {
    nginx.client_from(attacker(host)).send(&probe("/page.html")).unwrap().status == 403
}

fn serves(nginx: &Nginx) -> bool {
    nginx.client_from(neighbour(1)).get("/page.html").unwrap().status == 200
}

#[test]
fn a_reload_forgets_nothing() {
    let nginx = guarded_files().start();
    convict(&nginx, 1);
    let total = || nginx.metrics().total("api_abuse_requests_total");
    let before = total();
    for host in 2..5 {
        nginx.reload();
        assert!(is_denied(&nginx, 1) && serves(&nginx));
        convict(&nginx, host);
    }
    assert!(eventually(SOON, || total() > before), "counters began anew");
    assert!((1..5).all(|host| is_denied(&nginx, host)));
}

#[test]
fn half_a_suspicion_survives_a_reload() {
    let nginx = guarded_files().start();
    let mut attack = Attacker::new(nginx.address, attacker(1));
    attack.limit = 5;
    assert!(!attack.scan().denied);
    nginx.reload();
    attack.limit = 100;
    let rest = attack.scan();
    assert!(rest.denied && rest.served + 5 <= 25, "{rest:?}");
}

#[test]
fn a_zone_of_another_size_keeps_the_denials() {
    let mut nginx = guarded_files().start();
    convict(&nginx, 1);
    for (from, to) in [("abuse:16m", "abuse:24m"), ("abuse:24m", "abuse:12m")] {
        nginx.reconfigure(|site| site.http = site.http.replace(from, to));
        nginx.reload();
        assert!(is_denied(&nginx, 1), "{from} to {to} lost a denial");
        assert!(serves(&nginx));
    }
    convict(&nginx, 2);
}

#[test]
fn a_reload_that_is_refused_leaves_everything_as_it_was() {
    let mut nginx = guarded_files().expect("[emerg]").start();
    convict(&nginx, 1);
    let workers = nginx.worker_pids();
    nginx.reconfigure(|site| site.http = site.http.replace("abuse:16m", "abuse:32k"));
    nginx.hup();
    let refused = eventually(SOON, || {
        let log = nginx.error_log();
        log.contains("[emerg]") && log.contains("is too small")
    });
    assert!(refused, "{}", nginx.error_log());
    assert_eq!(nginx.worker_pids(), workers);
    assert!(is_denied(&nginx, 1) && serves(&nginx));
    convict(&nginx, 2);
    nginx.reconfigure(|site| site.http = site.http.replace("abuse:32k", "abuse:16m"));
    nginx.reload();
    assert!(is_denied(&nginx, 1) && is_denied(&nginx, 2));
}

#[test]
fn testing_a_configuration_touches_nothing_live() {
    let nginx = guarded_files().start();
    convict(&nginx, 1);
    let (detector, total) =
        (nginx.detecting_pid(), nginx.metrics().total("api_abuse_requests_total"));
    for _ in 0..5 {
        let (accepted, said) = nginx.test_configuration();
        assert!(accepted, "{said}");
    }
    assert_eq!(nginx.detecting_pid(), detector);
    assert!(nginx.metrics().total("api_abuse_requests_total") >= total);
    assert!(is_denied(&nginx, 1) && serves(&nginx));
    convict(&nginx, 2);
}

#[test]
fn the_module_can_be_taken_out_and_put_back() {
    let mut nginx = guarded_files().start();
    convict(&nginx, 1);
    for host in 2..4 {
        let mut with_module = String::new();
        nginx.reconfigure(|site| {
            site.module = false;
            let bare = "server { listen @listen@; root html; }".to_owned();
            with_module = std::mem::replace(&mut site.http, bare);
        });
        nginx.reload();
        assert!(serves(&nginx) && !is_denied(&nginx, 1), "there is nobody to deny it");
        nginx.reconfigure(|site| {
            site.module = true;
            site.http = with_module;
        });
        nginx.reload();
        assert!(serves(&nginx));
        convict(&nginx, host);
    }
}

#[test]
fn protection_can_be_switched_off_and_on_by_a_reload() {
    let mut nginx = guarded_files().start();
    convict(&nginx, 1);
    nginx.reconfigure(|site| {
        site.http = site.http.replace("api_abuse_mode block", "api_abuse_mode off");
    });
    nginx.reload();
    assert!(!is_denied(&nginx, 1));
    nginx.reconfigure(|site| {
        site.http = site.http.replace("api_abuse_mode off", "api_abuse_mode block");
    });
    nginx.reload();
    assert!(is_denied(&nginx, 1));
}

#[test]
fn every_number_of_processes_works() {
    for (workers, main) in [(1, "master_process off;"), (1, ""), (4, "")] {
        let nginx = guarded_files().workers(workers).main(main).start();
        convict(&nginx, 1);
        assert!(is_denied(&nginx, 1) && serves(&nginx), "{workers} {main}");
        let is_up = || (nginx.metrics().total("api_abuse_detector_up") - 1.0).abs() < 1e-9;
        assert!(eventually(SOON, is_up), "{workers} {main}");
        nginx.finish();
    }
}

#[test]
fn cache_processes_and_loaded_but_unused_modules_do_no_harm() {
    let mut cached = guarded_files();
    cached.http.insert_str(0, "proxy_cache_path cache keys_zone=c:1m;\n");
    let nginx = cached.start();
    convict(&nginx, 1);
    nginx.reload();
    assert!(is_denied(&nginx, 1));
    nginx.finish();

    let unused = api_abuse_tests::nginx::Site::new("server { listen @listen@; root html; }");
    let nginx = unused.file("html/page.html", "page").start();
    assert!(serves(&nginx));
    nginx.reload();
    assert!(serves(&nginx));
    let entry = nginx.entries_from(neighbour(1), 2).remove(0);
    assert!(entry.verdict.is_empty() || entry.verdict == "-", "{entry:?}");
}
