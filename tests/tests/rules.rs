//! The repository's own rules, where no compiler checks them. `make check` runs this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_push_string,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "a test fails loudly, and is in no hurry"
)]

#[path = "rules/pages.rs"]
mod pages;

use std::fs;
use std::path::{Path, PathBuf};

/// Where unsafe code may be: the binding to NGINX, the registration tables that it reads, and what
/// turns bytes of the shared zone into words.
const UNSAFE: [&str; 6] = [
    "src/ffi.rs",
    "src/ffi/",
    "src/module.rs",
    "crates/shm/src/attach.rs",
    "crates/shm/src/attach/",
    // Forks processes to kill them.
    "crates/shm/tests/",
];

/// What the engine does without: clocks, files, sockets, threads. Its tests may have them.
const IMPURE: [&str; 8] = [
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant::now",
    "std::env",
];

/// Lines of a file, and of a function.
const FILE_MAX: usize = 400;
const FUNCTION_MAX: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// All Rust files of the repository as (path from the root, text).
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for directory in ["src", "crates", "tests"] {
        collect(&root().join(directory), &mut files);
    }
    assert!(files.len() > 20, "only {} files: looked in the wrong place", files.len());
    files
}

fn collect(directory: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The code of a line: without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// The part of a file before its unit tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

fn complain(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn unsafe_code_stays_where_it_belongs() {
    let mut complaints = Vec::new();
    for (name, text) in sources() {
        let allowed = UNSAFE.iter().any(|place| name.starts_with(place));
        for (number, line) in text.lines().enumerate() {
            let words = code(line).split(|c: char| !c.is_alphanumeric() && c != '_');
            let quoted = code(line).contains('"');
            if !allowed && !quoted && words.into_iter().any(|word| word == "unsafe") {
                complaints.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn the_engine_is_pure() {
    let mut complaints = Vec::new();
    let mut files = 0;
    for (name, text) in sources() {
        if !name.starts_with("crates/engine/src/") {
            continue;
        }
        files += 1;
        for (number, line) in product(&text).lines().enumerate() {
            if IMPURE.iter().any(|word| code(line).contains(word)) {
                complaints.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(files > 5, "{files} files of the engine");
    let library = fs::read_to_string(root().join("crates/engine/src/lib.rs")).unwrap();
    assert!(library.contains("#![forbid(unsafe_code)]"));
    complain(&complaints);
}

#[test]
fn the_lower_layers_know_nothing_of_each_other_or_of_nginx() {
    for (manifest, forbidden) in [
        ("crates/engine/Cargo.toml", &["nginx-sys", "ngx", "api-abuse-shm", "libc"][..]),
        ("crates/shm/Cargo.toml", &["nginx-sys", "ngx", "api-abuse-engine"][..]),
        ("tests/Cargo.toml", &["nginx-sys", "ngx", "api-abuse-shm", "api-abuse-engine"][..]),
    ] {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        for name in forbidden {
            let depends = text.lines().any(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '.', '=']))
            });
            assert!(!depends, "{manifest} depends on {name}");
        }
    }
}

#[test]
fn files_and_functions_fit_into_a_head() {
    let mut complaints = Vec::new();
    for (name, text) in sources() {
        let lines = text.lines().count();
        if lines > FILE_MAX {
            complaints.push(format!("{name}: {lines} lines, at most {FILE_MAX}"));
        }
        for (start, length) in functions(&text) {
            if length > FUNCTION_MAX {
                complaints.push(format!("{name}:{start}: {length} lines, at most {FUNCTION_MAX}"));
            }
        }
        if name.ends_with("/mod.rs") {
            complaints.push(format!("{name}: foo.rs beside foo/, never mod.rs"));
        }
    }
    complain(&complaints);
}

/// What the page does not use: every way to turn text into markup or code, and other hosts.
const DANGEROUS: [&str; 12] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "DOMParser",
    "createContextualFragment",
    "srcdoc",
    "eval(",
    "new Function",
    "https://",
    "@import",
    "<style",
];

#[test]
fn the_console_writes_text_only_and_asks_nobody_else() {
    let mut complaints = Vec::new();
    let mut files = 0;
    for entry in fs::read_dir(root().join("console")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        files += 1;
        if text.lines().count() > FILE_MAX {
            complaints.push(format!("console/{name}: more than {FILE_MAX} lines"));
        }
        for (number, line) in text.lines().enumerate() {
            // The name of SVG is no address.
            let line = line.replace("http://www.w3.org/2000/svg", "");
            let inline = name == "index.html"
                && (line.contains(" style=")
                    || line.contains(" on")
                    || (line.contains("<script") && !line.contains(" src=\"")));
            let dangerous = DANGEROUS.iter().any(|word| line.contains(word));
            if inline || dangerous || line.contains("http://") {
                complaints.push(format!("console/{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(files > 10, "{files} files of the console");
    complain(&complaints);
}

/// First line and length of every function; rustfmt puts the closing brace under the `fn`.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let mut functions = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let trimmed = line.trim_start();
        let is_function = trimmed.split('(').next().is_some_and(|head| {
            head.split('<').next().unwrap_or_default().split(' ').rev().nth(1) == Some("fn")
        });
        if is_function && !trimmed.ends_with(';') && !trimmed.ends_with('}') {
            open.push((number, indent));
        } else if trimmed == "}" && open.last().is_some_and(|&(_, fn_indent)| fn_indent == indent) {
            let (start, _) = open.pop().unwrap();
            functions.push((start + 1, number - start + 1));
        }
    }
    functions
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (dashboard, documented) = (read("docs/grafana/dashboard.json"), read("docs/metrics.md"));
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut asked = 0;
    for expression in targets.map(|target| target["expr"].as_str().unwrap()) {
        let words = expression.split(|c: char| !c.is_alphanumeric() && c != '_');
        for name in words.filter(|word| word.starts_with("api_abuse_")) {
            let family = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(documented.contains(&format!("`{family}`")), "{name} in {expression}");
            asked += 1;
        }
    }
    assert!(asked > 8, "{asked} metrics");
}

#[test]
fn workflows_call_targets_that_exist() {
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let makefiles = read(&root().join("Makefile")) + &read(&root().join("packaging/targets.mk"));
    let is_target =
        |word: &str| makefiles.lines().any(|line| line.starts_with(&format!("{word}:")));
    let mut called = 0;
    for entry in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        for line in read(&path).lines() {
            let Some((_, words)) = line.split_once("run: make ") else { continue };
            for word in words.split(' ').filter(|word| !word.contains(['$', '{', '}', '.'])) {
                assert!(is_target(word), "{}: make {word}", path.display());
                called += 1;
            }
        }
    }
    assert!(called > 3, "{called} targets");
}

#[test]
fn finds_functions_and_their_lengths() {
    let text = "pub fn a(\n    x: u8,\n) -> u8 {\n    if x {\n    }\n}\nfn b() {}\nimpl X {\n    fn c<T>() {\n    }\n}\n";
    assert_eq!(functions(text), [(1, 6), (9, 2)]);
}
