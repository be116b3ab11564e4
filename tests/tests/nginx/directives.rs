//! Every wrong directive fails `nginx -t` in NGINX's own words, with file and line.

use api_abuse_tests::nginx::Site;
use api_abuse_tests::sites::{ZONE, guarded_files};

/// Marks the line that is to be named.
const HERE: &str = "# wrong";

/// What is wrong, where, and what NGINX says of it. `$` in front of a snippet puts it into a server.
const WRONG: [(&str, &[&str]); 23] = [
    // The zone.
    ("api_abuse_zone;", &["invalid number of arguments in \"api_abuse_zone\" directive"]),
    ("api_abuse_zone abuse;", &["invalid zone size \"abuse\""]),
    ("api_abuse_zone :16m;", &["invalid zone name \":16m\""]),
    ("api_abuse_zone abuse:lots;", &["invalid zone size \"abuse:lots\""]),
    ("api_abuse_zone abuse:-1m;", &["invalid zone size \"abuse:-1m\""]),
    ("api_abuse_zone abuse:64k;", &["zone \"abuse\" is too small"]),
    ("api_abuse_zone abuse:16m extra;", &["invalid number of arguments"]),
    (
        "api_abuse_zone abuse:16m; api_abuse_zone abuse:16m;",
        &["\"api_abuse_zone\" directive is duplicate"],
    ),
    (
        "api_abuse_zone abuse:16m; api_abuse_zone other:16m;",
        &["\"api_abuse_zone\" directive is duplicate"],
    ),
    ("$api_abuse_zone abuse:16m;", &["\"api_abuse_zone\" directive is not allowed here"]),
    // The application.
    ("@api_abuse;", &["invalid number of arguments in \"api_abuse\" directive"]),
    ("@api_abuse shop; api_abuse other;", &["\"api_abuse\" directive is duplicate"]),
    (
        "@api_abuse a2345678901234567890123456789012345678901234567890123456789012345;",
        &["\"api_abuse\" directive"],
    ),
    ("$api_abuse shop;", &["api_abuse_zone"]),
    // The mode.
    ("@api_abuse_mode sometimes;", &["invalid value \"sometimes\""]),
    (
        "@api_abuse_mode block; api_abuse_mode monitor;",
        &["\"api_abuse_mode\" directive is duplicate"],
    ),
    (
        "@api_abuse_mode block monitor;",
        &["invalid number of arguments in \"api_abuse_mode\" directive"],
    ),
    // The status of a denial.
    ("@api_abuse_deny_status 42;", &["must be", "between 400 and 599"]),
    ("@api_abuse_deny_status 1000;", &["must be", "between 400 and 599"]),
    ("@api_abuse_deny_status never;", &["invalid", "\"never\""]),
    // The rest.
    ("@api_abuse_status json;", &["invalid number of arguments in \"api_abuse_status\" directive"]),
    (
        "api_abuse_deny_loopback maybe;",
        &[
            "invalid value \"maybe\" in \"api_abuse_deny_loopback\" directive",
            "it must be \"on\" or \"off\"",
        ],
    ),
    (
        "$api_abuse_deny_loopback on;",
        &["\"api_abuse_deny_loopback\" directive is not allowed here"],
    ),
];

/// `$`: in a server, without a zone. `@`: in a location of a server, with a zone.
fn site(snippet: &str) -> Site {
    let (zone, server) = match snippet.split_at(1) {
        ("$", rest) => ("", format!("{rest} {HERE}\n")),
        ("@", rest) => (ZONE, format!("location / {{\n{rest} {HERE}\n}}")),
        _ => return Site::new(&format!("{snippet} {HERE}\nserver {{ listen @listen@; }}")),
    };
    Site::new(&format!("{zone}\nserver {{ listen @listen@;\n{server}\n}}"))
}

#[test]
fn wrong_directives_are_refused_with_file_and_line() {
    let mut failures = Vec::new();
    for (snippet, wording) in WRONG {
        let site = site(snippet);
        let line = site.line_of(HERE).unwrap();
        let (accepted, said) = site.test();
        let place = format!("nginx.conf:{line}");
        let clear = wording.iter().all(|words| said.contains(words)) && said.contains(&place);
        if accepted || !clear || !said.contains("[emerg]") {
            failures.push(format!("{snippet}\n  expected {wording:?} in {place}\n  got {said}"));
        }
    }
    println!("{} wrong configurations", WRONG.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn right_directives_are_accepted_silently() {
    let right = [
        "api_abuse_zone abuse:16m;",
        "api_abuse_zone abuse:16m; api_abuse shop; api_abuse_mode block; api_abuse_deny_status 404;",
        "api_abuse_zone abuse:8192k; api_abuse $host; api_abuse_deny_loopback on; api_abuse_mode off;",
        "api_abuse shop; api_abuse_zone abuse:16m;",
        "api_abuse off;",
        "api_abuse_mode block;",
        "map $host $name { default a; } api_abuse_zone abuse:16m; api_abuse $name;",
    ];
    for http in right {
        let (accepted, said) = Site::new(&format!("{http}\nserver {{ listen @listen@; }}")).test();
        assert!(accepted, "{http}\n{said}");
        let quiet = said.lines().all(|line| line.starts_with("nginx: "));
        assert!(quiet && !said.contains("[warn]"), "{http}\n{said}");
    }
    let inherited = guarded_files().main("# nothing\n");
    assert!(inherited.test().0);
}

#[test]
fn an_unknown_variable_is_named() {
    // NGINX itself finds this out when it has read everything, and names no line.
    let (accepted, said) = site("@api_abuse $nobody_sets_this;").test();
    assert!(!accepted && said.contains("unknown \"nobody_sets_this\" variable"), "{said}");
}

#[test]
fn an_application_without_a_zone_is_said_where_it_stands() {
    // The application may be named before the zone, so only the end of http { } can tell.
    let (accepted, said) = site("$api_abuse shop;").test();
    assert!(!accepted && said.contains("[emerg]") && said.contains("api_abuse_zone"), "{said}");
    // Switched off, it needs none.
    assert!(site("$api_abuse off;").test().0);
}
