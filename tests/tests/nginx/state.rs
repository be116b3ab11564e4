//! What survives the end of NGINX, and what NGINX survives when that cannot be read or written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::Client;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::nginx::life::Daemon;
use api_abuse_tests::sites::{attacker, guarded_files, neighbour};

const PATIENCE: Duration = Duration::from_secs(60);

fn convict(nginx: &Nginx, host: u16) {
    let outcome = Attacker::new(nginx.address, attacker(host)).scan();
    assert!(outcome.denied, "{outcome:?}");
}

fn status_of(client: &mut Client) -> u16 {
    client.send(&probe("/page.html")).unwrap().status
}

fn is_denied(nginx: &Nginx, host: u16) -> bool {
    status_of(&mut nginx.client_from(attacker(host))) == 403
}

fn serves(nginx: &Nginx) -> bool {
    nginx.client_from(neighbour(1)).get("/page.html").unwrap().status == 200
}

/// The second of the day of a time as RFC 3339 writes it.
fn second(time: &serde_json::Value) -> u32 {
    let digits = |at: usize| time.as_str().unwrap()[at..at + 2].parse::<u32>().unwrap();
    (digits(11) * 60 + digits(14)) * 60 + digits(17)
}

fn count(nginx: &Nginx, metric: &str) -> f64 {
    nginx.metrics().total(metric)
}

#[test]
fn a_restart_forgets_nothing() {
    let mut nginx = guarded_files().start();
    convict(&nginx, 1);
    let mut attack = Attacker::new(nginx.address, attacker(2));
    attack.limit = 5;
    assert!(!attack.scan().denied);
    assert!(eventually(PATIENCE, || count(&nginx, "api_abuse_requests_total") > 10.0));
    let (entry, requests) =
        (nginx.status()["denylist"][0].clone(), count(&nginx, "api_abuse_requests_total"));
    nginx.restart();
    // The very first request.
    assert!(is_denied(&nginx, 1), "{}", nginx.error_log());
    assert!(serves(&nginx));
    let taken_up = || nginx.error_log().contains("took up the state");
    assert!(eventually(PATIENCE, taken_up), "{}", nginx.error_log());
    attack.limit = 100;
    let rest = attack.scan();
    assert!(rest.denied && rest.served + 5 <= 25, "half a suspicion was forgotten: {rest:?}");
    assert!(eventually(PATIENCE, || count(&nginx, "api_abuse_requests_total") > requests));
    let again = nginx.status();
    let again = again["denylist"].as_array().unwrap().iter().find(|e| e["id"] == entry["id"]);
    let again = again.expect("the same entry");
    for field in ["threat", "action", "confidence", "incident", "evidence", "application"] {
        assert_eq!(again[field], entry[field], "{field}");
    }
    let apart = second(&again["expires"]).abs_diff(second(&entry["expires"]));
    assert!(apart.min(86_400 - apart) <= 2, "it ends when it would have ended: {again}");
    for _ in 0..2 {
        nginx.terminate_and_restart();
        assert!(is_denied(&nginx, 1) && is_denied(&nginx, 2) && serves(&nginx));
    }
}

#[test]
fn the_directory_is_made_for_the_workers_and_nobody_else_may_read_it() {
    let mut nginx = guarded_files().start();
    convict(&nginx, 1);
    nginx.restart();
    let directory = fs::metadata(nginx.home().join("api_abuse_state")).unwrap();
    assert_eq!(directory.permissions().mode() & 0o777, 0o700);
    let owner = fs::metadata(nginx.home().join("tmp/proxy")).unwrap().uid();
    assert_eq!(directory.uid(), owner, "as NGINX makes its own");
    for name in ["lists.state", "engine.checkpoint"] {
        let file = fs::metadata(nginx.home().join("api_abuse_state").join(name)).unwrap();
        assert!(file.permissions().mode() & 0o777 == 0o600 && file.len() > 50, "{name}");
    }
    assert!(nginx.state_files("lists.state.new").is_empty());
}

#[test]
fn a_loss_of_power_loses_seconds_at_most() {
    let mut nginx = guarded_files().start();
    convict(&nginx, 1);
    let saved = |file: &str| !nginx.state_files(file).is_empty();
    assert!(eventually(PATIENCE, || saved("lists.state") && saved("engine.checkpoint")));
    nginx.crash_and_restart();
    assert!(is_denied(&nginx, 1) && serves(&nginx), "{}", nginx.error_log());
    convict(&nginx, 2);
}

#[test]
fn killed_workers_take_nothing_with_them() {
    let nginx = guarded_files().workers(3).start();
    convict(&nginx, 1);
    for host in 2..4 {
        let workers = nginx.worker_pids();
        for pid in &workers {
            nginx.kill9(*pid);
        }
        let back = eventually(PATIENCE, || {
            let new = nginx.worker_pids();
            new.len() == 3 && new.iter().all(|pid| !workers.contains(pid))
        });
        assert!(back && is_denied(&nginx, 1) && serves(&nginx));
        convict(&nginx, host);
    }
}

#[test]
fn switched_off_nothing_is_kept_and_no_directory_is_made() {
    let mut site = guarded_files();
    site.http.insert_str(0, "api_abuse_state off;\n");
    let mut nginx = site.start();
    convict(&nginx, 1);
    nginx.restart();
    assert!(!is_denied(&nginx, 1) && serves(&nginx));
    assert!(!nginx.home().join("api_abuse_state").exists());
}

#[test]
fn a_zone_of_another_size_goes_on_with_what_was_learned() {
    let mut nginx = guarded_files().start();
    convict(&nginx, 1);
    let mut attack = Attacker::new(nginx.address, attacker(2));
    attack.limit = 5;
    assert!(!attack.scan().denied);
    nginx.reconfigure(|site| site.http = site.http.replace("abuse:16m", "abuse:40m"));
    nginx.restart();
    assert!(is_denied(&nginx, 1));
    let taken_up = || nginx.error_log().contains("took up the state");
    assert!(eventually(PATIENCE, taken_up), "{}", nginx.error_log());
    attack.limit = 100;
    let rest = attack.scan();
    assert!(rest.denied && rest.served + 5 <= 25, "{rest:?}");
    // By a reload, too: there the old zone's workers write while the new one's begin.
    nginx.reconfigure(|site| site.http = site.http.replace("abuse:40m", "abuse:20m"));
    nginx.reload();
    assert!(is_denied(&nginx, 1) && is_denied(&nginx, 2) && serves(&nginx));
    nginx.restart();
    assert!(is_denied(&nginx, 1) && is_denied(&nginx, 2), "{}", nginx.error_log());
}

#[test]
fn another_binary_goes_on_where_this_one_is() {
    let daemon = Daemon::start(guarded_files());
    let deny = |host| {
        let outcome = Attacker::new(daemon.address, attacker(host)).scan();
        assert!(outcome.denied, "{outcome:?}");
    };
    let denied = |host: u16| status_of(&mut daemon.client().from(attacker(host))) == 403;
    deny(1);
    let saved = || daemon.state_bytes("lists.state");
    assert!(eventually(PATIENCE, || saved() > 0), "{}", daemon.error_log());
    let (old, new) = daemon.upgrade();
    // Whoever answers, old or new.
    assert!((0..20).all(|_| denied(1)), "{}", daemon.error_log());
    // Decided by one of the two: in the end the new one knows it, whoever it was.
    for host in 2..5 {
        deny(host);
    }
    daemon.quit(old);
    let known = eventually(PATIENCE, || (1..5).all(denied));
    assert!(known, "{}", daemon.error_log());
    assert_eq!(daemon.master(), new);
    assert_eq!(daemon.client().from(neighbour(1)).get("/page.html").unwrap().status, 200);
}

/// Garbage, an empty file, the beginning of a good one, a good one of another version, a link and a
/// directory in the place of the files.
#[test]
fn hostile_files_are_moved_aside_and_nginx_starts() {
    let mut nginx = guarded_files().start();
    convict(&nginx, 1);
    nginx.restart();
    let directory = nginx.home().join("api_abuse_state");
    let good = |name: &str| fs::read(directory.join(name)).unwrap();
    for name in ["lists.state", "engine.checkpoint"] {
        let whole = good(name);
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        let mut newer = whole.clone();
        newer[8] = 77;
        let bad =
            [b"GET / HTTP/1.1\r\n".to_vec(), Vec::new(), whole[..100].to_vec(), changed, newer];
        for (number, bytes) in bad.into_iter().enumerate() {
            nginx.restart_with(|_| {
                fs::write(directory.join(name), &bytes).unwrap();
            });
            assert!(serves(&nginx), "{name} {number}");
            let aside = format!("{name}.refused-");
            let moved = || {
                let files = nginx.state_files(&aside);
                files.iter().any(|file| fs::read(file).unwrap() == bytes)
            };
            assert!(eventually(PATIENCE, moved), "{name} {number}: {}", nginx.error_log());
            let said = || nginx.error_log().contains(&format!("{name}\" is not used"));
            assert!(eventually(PATIENCE, said), "{}", nginx.error_log());
            for file in nginx.state_files(&aside) {
                fs::remove_file(file).unwrap();
            }
            convict(&nginx, 10 + number as u16);
        }
        nginx.restart_with(|_| {
            let _ = fs::remove_file(directory.join(name));
            std::os::unix::fs::symlink("/etc/passwd", directory.join(name)).unwrap();
        });
        assert!(serves(&nginx) && fs::read("/etc/passwd").is_ok());
        convict(&nginx, 30);
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_said_counted_and_nothing_else() {
    let mut nginx = guarded_files().start();
    let directory = nginx.home().join("api_abuse_state");
    let away = nginx.home().join("away");
    fs::rename(&directory, &away).unwrap();
    convict(&nginx, 1);
    let errors = || count(&nginx, "api_abuse_state_errors_total");
    assert!(eventually(PATIENCE, || errors() >= 2.0), "{}", nginx.error_log());
    assert!(is_denied(&nginx, 1) && serves(&nginx));
    let said = |nginx: &Nginx| nginx.error_log().matches("the state cannot be written").count();
    assert!(eventually(PATIENCE, || said(&nginx) == 1), "once, not each time");
    // A file in its place is no better; the directory again is.
    fs::write(&directory, "file").unwrap();
    convict(&nginx, 2);
    let before = errors();
    assert!(eventually(PATIENCE, || errors() > before));
    fs::remove_file(&directory).unwrap();
    fs::rename(&away, &directory).unwrap();
    convict(&nginx, 3);
    assert!(eventually(PATIENCE, || !nginx.state_files("engine.checkpoint").is_empty()));
    nginx.restart();
    assert!((1..4).all(|host| is_denied(&nginx, host)), "{}", nginx.error_log());
}

/// Two days of a shop in combined format.
fn history() -> String {
    let mut log = String::new();
    for n in 0..2 * 24 * 60 {
        let (day, hour, minute) = (20 + n / 1440, n / 60 % 24, n % 60);
        for path in ["/", "/page.html", "/static/app.js"] {
            log.push_str(&format!(
                "192.0.2.{} - - [{day}/Feb/2026:{hour:02}:{minute:02}:{:02} +0000] \
                 \"GET {path} HTTP/1.1\" 200 500 \"-\" \"Mozilla/5.0 Firefox/140.0\"\n",
                1 + n % 9,
                n % 7,
            ));
        }
    }
    log
}

fn application_state(nginx: &Nginx) -> String {
    let status = nginx.status();
    let all = status["applications"].as_array().unwrap();
    let shop = all.iter().find(|application| application["name"] == "shop").expect("the shop");
    shop["state"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_learned_from_logs_makes_a_new_installation_ready() {
    let mut nginx = guarded_files().file("history.log", history()).start();
    assert!(serves(&nginx));
    assert!(eventually(PATIENCE, || application_state(&nginx) == "learning"));
    nginx.restart_with(|home| {
        // As if it had never run.
        fs::remove_dir_all(home.join("api_abuse_state")).unwrap();
        let learned = Command::new(program())
            .args(["learn", "--application", "shop", "history.log", "--state", "api_abuse_state/"])
            .current_dir(home)
            .output()
            .unwrap();
        assert!(learned.status.success(), "{learned:?}");
    });
    let taken_up = || nginx.error_log().contains("took up the state");
    assert!(eventually(PATIENCE, taken_up), "{}", nginx.error_log());
    assert!(serves(&nginx));
    let is_ready = |nginx: &Nginx| application_state(nginx) == "ready";
    assert!(eventually(PATIENCE, || is_ready(&nginx)), "{}", nginx.error_log());
    assert!(nginx.state_files("engine.checkpoint.refused").is_empty());
    convict(&nginx, 1);
    // And the module's own state is one that it reads, too.
    nginx.restart();
    assert!(is_denied(&nginx, 1) && serves(&nginx));
    assert!(eventually(PATIENCE, || is_ready(&nginx)));
    let replayed = Command::new(program())
        .args(["learn", "--application", "shop", "history.log", "--state", "api_abuse_state"])
        .current_dir(nginx.home())
        .output()
        .unwrap();
    assert!(replayed.status.success(), "{replayed:?}");
}

/// The program `api-abuse`, as the sources beside these tests have it: one that lies there may be older.
pub(crate) fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let directory = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "-p", "api-abuse"]);
        if directory.ends_with("release") {
            cargo.arg("--release");
        }
        // A target directory may have one for the system inside.
        cargo.arg("--target-dir").arg(directory.parent().unwrap());
        assert!(cargo.status().unwrap().success(), "{cargo:?}");
        directory.join("api-abuse")
    });
    program.clone()
}

/// A directory on a disk that is full. Needs the right to mount one.
#[test]
fn a_full_disk_is_said_counted_and_nothing_else() {
    let mut nginx = guarded_files().start();
    let directory = nginx.home().join("api_abuse_state");
    let mount = |arguments: &[&str]| {
        let mounted = Command::new("mount").args(arguments).arg(&directory).output();
        mounted.is_ok_and(|output| output.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs"]) {
        println!("skipped: nothing can be mounted here");
        return;
    }
    let full = Unmount(&directory);
    convict(&nginx, 1);
    let errors = || count(&nginx, "api_abuse_state_errors_total");
    assert!(eventually(PATIENCE, || errors() >= 1.0), "{}", nginx.error_log());
    let said = || nginx.error_log().contains("the state cannot be written");
    assert!(eventually(PATIENCE, said), "{}", nginx.error_log());
    assert!(is_denied(&nginx, 1) && serves(&nginx));
    // The lists are small enough, and are not torn by what did not fit behind them.
    assert!(eventually(PATIENCE, || !nginx.state_files("lists.state").is_empty()));
    assert!(nginx.state_files("engine.checkpoint").is_empty(), "nothing half-written");
    drop(full);
    convict(&nginx, 2);
    nginx.restart();
    assert!(is_denied(&nginx, 1) && is_denied(&nginx, 2));
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}
