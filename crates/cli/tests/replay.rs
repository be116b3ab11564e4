//! The program from outside: logs in, convictions and exit status out.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::Value;

const SCANNER: &str = "203.0.113.9";

/// A morning of a shop: five people who look around, and one who guesses paths.
fn log() -> String {
    let mut log = String::new();
    let mut second = 0u32;
    let mut line = |address: &str, path: &str, status: u16, referer: &str, user_agent: &str| {
        second += 1;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        writeln!(
            log,
            "{address} - - [20/Feb/2016:{hour:02}:{minute:02}:{second:02} +0000] \
             \"GET {path} HTTP/1.1\" {status} 500 \"{referer}\" \"{user_agent}\""
        )
        .unwrap();
    };
    for round in 0..60 {
        for person in 1..6 {
            let address = format!("192.0.2.{person}");
            let browser = "Mozilla/5.0 Firefox/140.0";
            line(&address, "/", 200, "-", browser);
            let product = format!("/products/{}.html", (round + person) % 20);
            line(&address, &product, 200, "https://shop.example/", browser);
            line(&address, "/static/app.js", 200, "https://shop.example/", browser);
        }
        if (30..55).contains(&round) {
            line(SCANNER, &format!("/w{round}x"), 404, "-", "probe \x1b[31m");
        }
    }
    log
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-abuse"));
    command.arg("replay").args(arguments);
    if !arguments.contains(&"--memory") {
        command.args(["--memory", "16m"]);
    }
    command
}

fn replay(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// The convictions and the summary of `--json`.
fn parsed(output: &Output) -> (Vec<Value>, Value) {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap()["summary"].take();
    assert!(summary.is_object(), "the last line is the summary");
    (lines, summary)
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_scanner_is_convicted_and_people_are_not() {
    let path = scratch("plain.log");
    fs::write(&path, log()).unwrap();
    let output = replay(&["--json", path.to_str().unwrap()]);
    assert!(output.status.success());
    let (convictions, summary) = parsed(&output);
    assert_eq!(convictions.len(), 1);
    let conviction = &convictions[0];
    assert_eq!(conviction["application"], "default");
    assert_eq!(conviction["key"]["type"], "client");
    assert_eq!(conviction["key"]["address"], SCANNER);
    assert_eq!(conviction["key"]["fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(conviction["threat"], "vulnerability_scanning");
    assert!(conviction["confidence"].as_u64().unwrap() >= 90);
    assert!((5..15).contains(&conviction["requests_seen"].as_u64().unwrap()));
    assert!(conviction["time"].as_str().unwrap().starts_with("2016-02-20T00:"));
    assert!(!conviction["evidence"]["findings"].as_array().unwrap().is_empty());
    assert_eq!((&summary["lines"], &summary["parsed"]), (&925.into(), &925.into()));
    assert_eq!(summary["addresses"], 6);
    assert_eq!(summary["successful"], 900);
    assert_eq!(summary["successful_denied"], 0);
    let after = 25 - conviction["requests_seen"].as_u64().unwrap();
    assert_eq!(summary["requests_denied"], after);
    assert_eq!(errors(&output), "");
}

#[test]
fn the_same_log_gives_the_same_bytes_however_it_is_packed() {
    let log = log();
    let half = log[..log.len() / 2].rfind('\n').unwrap() + 1;
    let (early, late) = log.as_bytes().split_at(half);
    let zstd = |data| compress_to_vec(data, CompressionLevel::Fastest);
    let files: [(&str, Vec<u8>); 4] = [
        ("same", log.as_bytes().to_vec()),
        ("same.gz", gzip(log.as_bytes())),
        ("members.gz", [gzip(early), gzip(late)].concat()),
        ("frames.zst", [zstd(early), zstd(late)].concat()),
    ];
    let mut outputs = Vec::new();
    for (name, data) in files {
        let path = scratch(name);
        fs::write(&path, data).unwrap();
        for json in [true, false, true, false] {
            let arguments = [path.to_str().unwrap(), "--json"];
            let output = replay(&arguments[..=usize::from(json)]);
            assert!(output.status.success(), "{name}");
            outputs.push((json, output.stdout));
        }
        let mut child = program(&["--json", "-"])
            .stdin(File::open(&path).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success(), "{name} on standard input");
        outputs.push((true, child.wait_with_output().unwrap().stdout));
    }
    // Rotated files in the order of a glob are the same log, too.
    let (new, old) = (scratch("access.log"), scratch("access.log.1.gz"));
    fs::write(&new, late).unwrap();
    fs::write(&old, gzip(early)).unwrap();
    outputs.push((true, replay(&["--json", new.to_str().unwrap(), old.to_str().unwrap()]).stdout));
    for (json, output) in &outputs {
        let (_, first) = outputs.iter().find(|(other, _)| other == json).unwrap();
        assert!(output == first && !output.is_empty());
    }
    let table = String::from_utf8(outputs[1].1.clone()).unwrap();
    assert!(table.starts_with("TIME ") && table.contains(SCANNER), "{table}");
    assert!(table.contains("\nlines        925 (925 parsed"), "{table}");
    assert!(!table.contains('\x1b'), "a User-Agent does not reach the terminal as it is");
}

#[test]
fn damaged_input_is_reported_counted_and_passed_over() {
    let mut data = log().into_bytes();
    data.extend_from_slice(b"\r\n   \nnot a log line\n\x00\xff\xfe\x01\n");
    data.extend_from_slice(b"192.0.2.7 - - [yesterday] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"\n");
    data.extend_from_slice(b"192.0.2.7 - - [20/Feb/2016:00:00:00 +0000] \"-\" 400 0 \"-\" \"-\"\n");
    data.extend_from_slice(
        b"crawl.example - - [20/Feb/2016:09:00:00 +0000] \"\\x16\\x03\\x01\" 400 - \"-\" \"-\"\n",
    );
    data.resize(data.len() + 3_000_000, b'x');
    data.extend_from_slice(b"\nlast");
    let path = scratch("damaged.log");
    fs::write(&path, data).unwrap();
    let output = replay(&["--json", path.to_str().unwrap()]);
    assert!(output.status.success());
    let (_, summary) = parsed(&output);
    assert_eq!(summary["lines"], 934);
    assert_eq!(summary["parsed"], 927);
    assert_eq!(summary["skipped"], serde_json::json!({"format": 4, "too_long": 1, "empty": 2}));
    assert_eq!(summary["out_of_order"], 1);
    assert_eq!(summary["addresses"], 8);
    let errors = errors(&output);
    for expected in [
        "damaged.log:928: expected \" - \" after $remote_addr, found \"not a log line\"",
        "damaged.log:929: ",
        "damaged.log:930: expected a time",
        "damaged.log:933: longer than 64 KiB",
        "damaged.log:934: ",
    ] {
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
    assert_eq!(errors.lines().count(), 5, "{errors}");
}

#[test]
fn a_log_in_another_known_format_is_told_its_name() {
    let path = scratch("other_format.log");
    let request = "192.0.2.7 - - [20/Feb/2016:00:00:00 +0000] \"GET / HTTP/1.1\" 200 1";
    let json = r#"{"remote_addr":"192.0.2.7","time_local":"20/Feb/2016:00:00:00 +0000","request":"GET / HTTP/1.1","status":"200"}"#;
    fs::write(&path, format!("{request}\n{json}\nneither\n")).unwrap();
    let output = replay(&[path.to_str().unwrap()]);
    assert!(!output.status.success());
    let errors = errors(&output);
    let lines: Vec<_> = errors.lines().collect();
    assert!(lines[0].ends_with("; try --format common"), "{errors}");
    assert!(lines[1].ends_with("; try --format json"), "{errors}");
    assert!(!lines[2].contains("--format"), "{errors}");
}

#[test]
fn a_truncated_archive_gives_what_it_holds() {
    let whole = gzip(log().as_bytes());
    let path = scratch("truncated.gz");
    fs::write(&path, &whole[..whole.len() * 3 / 4]).unwrap();
    let output = replay(&["--json", path.to_str().unwrap()]);
    assert!(output.status.success());
    let (_, summary) = parsed(&output);
    assert!((500..925).contains(&summary["parsed"].as_u64().unwrap()));
    assert_eq!(summary["broken_files"], 1);
    assert_eq!(summary["skipped"]["format"], 0, "the line that was cut is not judged");
    assert!(errors(&output).contains("truncated.gz: "), "{}", errors(&output));
    let whole = compress_to_vec(log().as_bytes(), CompressionLevel::Fastest);
    let path = scratch("truncated.zst");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let output = replay(&[path.to_str().unwrap()]);
    let said = "truncated.zst: incomplete or damaged zstd stream; read up to line ";
    assert!(errors(&output).contains(said), "{}", errors(&output));
}

#[test]
fn applications_by_host() {
    let path = scratch("hosts.log");
    let hosts = ["a.example", "B.example:8080"];
    let mut log = String::new();
    for n in 0..400 {
        let host = hosts[n % 2];
        let (client, status, path) = match n % 8 {
            0 | 1 => (9, 404, format!("/w{n}")),
            person => (person, 200, "/".to_owned()),
        };
        let second = 1_455_944_445 + n;
        writeln!(log, "{second}.5 {host} 192.0.2.{client} {status} GET {path}").unwrap();
    }
    fs::write(&path, log).unwrap();
    let format = "$msec $host $remote_addr $status $request_method $request_uri";
    let output =
        replay(&["--json", "--format", format, "--application", "$host", path.to_str().unwrap()]);
    let (convictions, _) = parsed(&output);
    let mut names: Vec<_> =
        convictions.iter().map(|it| it["application"].as_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["a.example", "b.example"]);
}

#[test]
fn exit_status() {
    let path = scratch("garbage.log");
    fs::write(&path, "garbage\n").unwrap();
    let garbage = path.to_str().unwrap();
    let cases: [(&[&str], i32); 12] = [
        (&[garbage], 1),
        (&["/nonexistent"], 1),
        (&["/"], 1),
        (&[], 2),
        (&["--format", "nonsense", garbage], 2),
        (&["--memory", "much", garbage], 2),
        (&["--memory", "4k", garbage], 2),
        (&["--memory", "8000000g", garbage], 2),
        (&["--application", "", garbage], 2),
        (&["--application", "two words", garbage], 2),
        (&["--application", "$server_name", garbage], 2),
        (&["--application", "$host", garbage], 2),
    ];
    for (arguments, status) in cases {
        let output = replay(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_nginx_configuration_says_how_it_is_judged() {
    let (log_path, config) = (scratch("configured.log"), scratch("configured.conf"));
    fs::write(&log_path, log()).unwrap();
    let with = |policy: &str| {
        fs::write(
            &config,
            format!("http {{\n include x;\n api_abuse_application shop {{\n{policy}\n}}\n}}"),
        )
        .unwrap();
        let paths = [config.to_str().unwrap(), log_path.to_str().unwrap()];
        replay(&["--json", "--config", paths[0], paths[1]])
    };
    let output = with("threat vulnerability_scanning reaction=monitor;");
    let (convictions, summary) = parsed(&output);
    assert_eq!((convictions.len(), &summary["requests_denied"]), (1, &0.into()));
    assert_eq!(convictions[0]["application"], "shop", "the only one that is described");
    assert!(errors(&output).contains("line 2: \"include x\" is not followed"));

    let (convictions, summary) = parsed(&with(&format!("allow {SCANNER};")));
    assert_eq!((convictions.len(), &summary["requests_denied"]), (0, &0.into()));
    let (convictions, summary) = parsed(&with(&format!("deny {SCANNER};")));
    assert_eq!((convictions.len(), &summary["requests_denied"]), (0, &25.into()));

    let output = with("budget 5;");
    assert_eq!(output.status.code(), Some(2));
    let error = errors(&output);
    assert!(
        error.contains("invalid value \"5\" in \"budget\" directive") && error.contains(":4"),
        "{error}"
    );
}
