//! `api-abuse learn` from outside: logs in, a state file and a replay that starts from it out.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const SCANNER: &str = "203.0.113.9";

fn line(log: &mut String, day: u32, minute: u32, address: &str, path: &str, status: u16) {
    let (hour, minute, second) = (minute / 60 % 24, minute % 60, minute % 7);
    writeln!(
        log,
        "{address} - - [{day:02}/Feb/2016:{hour:02}:{minute:02}:{second:02} +0000] \
         \"GET {path} HTTP/1.1\" {status} 500 \"-\" \"Mozilla/5.0 Firefox/140.0\""
    )
    .unwrap();
}

/// Two days of a shop, and somebody who guesses paths on the second.
fn history() -> String {
    let mut log = String::new();
    for n in 0..2 * 24 * 60 {
        let (day, minute) = (20 + n / 1440, n % 1440);
        let person = format!("192.0.2.{}", 1 + n % 9);
        line(&mut log, day, minute, &person, "/", 200);
        line(&mut log, day, minute, &person, "/static/app.js", 200);
        // Everybody has favourites, and most of them are the same.
        let product = [1, 2, 3, 1, 2, 1, 7 + n % 9 * 11][n as usize * 5 % 7];
        line(&mut log, day, minute, &person, &format!("/products/{product}.html"), 200);
        if n > 2000 && n < 2030 {
            line(&mut log, day, minute, "203.0.113.1", &format!("/w{n}x"), 404);
        }
    }
    log
}

/// The day after: somebody else guesses.
fn morning() -> String {
    let mut log = String::new();
    for n in 0..30 {
        line(&mut log, 22, n, SCANNER, &format!("/v{n}x"), 404);
        line(&mut log, 22, n, "192.0.2.3", "/products/1.html", 200);
    }
    log
}

fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("learn-{name}"));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("history.log"), history()).unwrap();
    fs::write(directory.join("morning.log"), morning()).unwrap();
    directory
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-abuse"));
    let (verb, rest) = arguments.split_first().unwrap();
    command.arg(verb).args(["--memory", "16m"]).args(rest);
    command.current_dir(directory).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn what_was_learned_is_told_and_used() {
    let directory = scratch("used");
    let learned = run(&directory, &["learn", "history.log", "--state", "shop.state"]);
    let told = text(&learned.stdout);
    assert!(learned.status.success(), "{}", text(&learned.stderr));
    assert!(told.contains("default: ready after 2.0 days and 8669 requests"), "{told}");
    assert!(told.contains("/products/{int}.html"), "{told}");
    assert!(!directory.join("shop.state.new").exists());
    let arguments = ["replay", "morning.log", "--json", "--state", "shop.state"];
    let replayed = run(&directory, &arguments);
    assert!(replayed.status.success(), "{}", text(&replayed.stderr));
    let first: Value =
        serde_json::from_str(text(&replayed.stdout).lines().next().unwrap()).unwrap();
    assert_eq!(first["key"]["address"], SCANNER);
    assert_eq!(first["threat"], "vulnerability_scanning");
}

#[test]
fn learning_goes_on_where_it_stopped_and_in_a_directory() {
    let directory = scratch("on");
    fs::create_dir(directory.join("state")).unwrap();
    let arguments = ["learn", "history.log", "--state", "state"];
    assert!(run(&directory, &arguments).status.success());
    assert!(directory.join("state/engine.checkpoint").is_file());
    let again = run(&directory, &["learn", "morning.log", "--state", "state"]);
    assert!(text(&again.stdout).contains("ready after 2."), "{}", text(&again.stdout));
    let seeds = run(&directory, &["learn", "morning.log", "--state", "state", "--seed", "5"]);
    assert_eq!(seeds.status.code(), Some(2), "another seed");
}

#[test]
fn each_state_has_a_seed_of_its_own_unless_told() {
    let directory = scratch("seed");
    let learn = |state: &str, more: &[&str]| {
        let arguments = [&["learn", "morning.log", "--state", state], more].concat();
        assert!(run(&directory, &arguments).status.success());
        fs::read(directory.join(state)).unwrap()
    };
    assert_ne!(learn("a", &[])[16..32], learn("b", &[])[16..32]);
    assert_eq!(learn("c", &["--seed", "7"]), learn("d", &["--seed", "7"]), "the same bytes");
}

#[test]
fn what_is_no_state_is_refused_and_left_alone() {
    let directory = scratch("refused");
    assert!(run(&directory, &["learn", "morning.log", "--state", "state"]).status.success());
    let whole = fs::read(directory.join("state")).unwrap();
    let cases: [(&[u8], &str); 3] = [
        (b"hello", "not a checkpoint"),
        (&whole[..whole.len() / 2], "torn"),
        (b"", "not a checkpoint"),
    ];
    for (bytes, message) in cases {
        fs::write(directory.join("bad"), bytes).unwrap();
        for verb in ["learn", "replay"] {
            let refused = run(&directory, &[verb, "morning.log", "--state", "bad"]);
            assert_eq!(refused.status.code(), Some(1));
            assert!(text(&refused.stderr).contains(message), "{}", text(&refused.stderr));
        }
        assert_eq!(fs::read(directory.join("bad")).unwrap(), bytes);
    }
    let missing = run(&directory, &["replay", "morning.log", "--state", "nowhere"]);
    assert_eq!(missing.status.code(), Some(1));
    let unread = run(&directory, &["learn", "nothing.log", "--state", "new"]);
    assert_eq!(unread.status.code(), Some(1));
    assert!(!directory.join("new").exists());
}
