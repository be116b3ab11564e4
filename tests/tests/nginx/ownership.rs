//! A directory of the state that is somebody else's: NGINX's master makes it the workers' own, as it does
//! with its temporary directories, and what is in it is read by whoever may.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::sites::{attacker, guarded_files, neighbour};

const PATIENCE: Duration = Duration::from_secs(60);

fn convict(nginx: &Nginx, host: u16) {
    let outcome = Attacker::new(nginx.address, attacker(host)).scan();
    assert!(outcome.denied, "{outcome:?}");
}

fn is_denied(nginx: &Nginx, host: u16) -> bool {
    nginx.client_from(attacker(host)).send(&probe("/page.html")).unwrap().status == 403
}

fn serves(nginx: &Nginx) -> bool {
    nginx.client_from(neighbour(1)).get("/page.html").unwrap().status == 200
}

/// Owner and mode that the directory is found with.
const FOUND: [(u32, u32); 4] = [(12345, 0o700), (0, 0o700), (12345, 0o500), (12345, 0o000)];

#[test]
fn a_directory_with_another_owner_or_mode_is_made_the_workers() {
    let mut nginx = guarded_files().start();
    let directory = nginx.home().join("api_abuse_state");
    let owner = directory.metadata().unwrap().uid();
    if chown(&directory, Some(12345), None).is_err() {
        println!("skipped: only root can give a directory away");
        return;
    }
    chown(&directory, Some(owner), None).unwrap();
    convict(&nginx, 1);
    for (host, (uid, mode)) in (2..).zip(FOUND) {
        nginx.restart_with(|_| {
            chown(&directory, Some(uid), None).unwrap();
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        });
        let found = directory.metadata().unwrap();
        assert_eq!((found.uid(), found.mode() & 0o700), (owner, 0o700), "{uid} {mode:o}");
        assert!((1..host).all(|host| is_denied(&nginx, host)) && serves(&nginx), "{uid} {mode:o}");
        convict(&nginx, host);
    }
    nginx.restart();
    assert!((1..6).all(|host| is_denied(&nginx, host)), "{}", nginx.error_log());
}

#[test]
fn files_that_the_workers_may_not_read_are_said_and_replaced() {
    let mut nginx = guarded_files().start();
    let directory = nginx.home().join("api_abuse_state");
    convict(&nginx, 1);
    nginx.restart_with(|_| {
        for name in ["lists.state", "engine.checkpoint"] {
            let file = directory.join(name);
            if chown(&file, Some(12345), None).is_ok() {
                fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
            }
        }
    });
    assert!(serves(&nginx), "{}", nginx.error_log());
    convict(&nginx, 2);
    nginx.restart();
    assert!(is_denied(&nginx, 2) && serves(&nginx), "{}", nginx.error_log());
    let readable = || {
        let mut files =
            ["lists.state", "engine.checkpoint"].map(|name| directory.join(name)).into_iter();
        files.all(|file| file.metadata().is_ok_and(|file| file.mode() & 0o777 == 0o600))
    };
    assert!(eventually(PATIENCE, readable), "{}", nginx.error_log());
}
