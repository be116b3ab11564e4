//! Every wrong directive fails `nginx -t` in NGINX's own words, with file and line.

use api_abuse_tests::nginx::Site;
use api_abuse_tests::sites::{ZONE, guarded_files};

/// Marks the line that is to be named.
const HERE: &str = "# wrong";

/// What is wrong, where, and what NGINX says of it. `$` in front of a snippet puts it into a server.
const WRONG: &[(&str, &[&str])] = &[
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
    // What the module remembers of a request lies among the values of variables: nobody may set those.
    ("$set \"$api_abuse state 1\" x;", &["the duplicate \"api_abuse state 1\" variable"]),
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
    // The policy of an application. Its inner directives are the engine's, and tested there.
    ("api_abuse_application { }", &["invalid number of arguments in \"api_abuse_application\""]),
    ("api_abuse_application a b { }", &["invalid number of arguments in"]),
    ("api_abuse_application shop;", &["directive \"api_abuse_application\" has no opening \"{\""]),
    ("api_abuse_application \"a b\" { }", &["invalid value \"a b\" in \"api_abuse_application\""]),
    ("api_abuse_application \"\" { }", &["invalid value \"\" in \"api_abuse_application\""]),
    ("api_abuse_application $host { }", &["invalid value \"$host\""]),
    (
        "$api_abuse_application shop { }",
        &["\"api_abuse_application\" directive is not allowed here"],
    ),
    (
        "api_abuse_application shop { }\napi_abuse_application shop { }",
        &["duplicate \"api_abuse_application\" \"shop\", the other one is in", "nginx.conf:"],
    ),
    ("api_abuse_application shop { nonsense on; }", &["unknown directive \"nonsense\""]),
    ("api_abuse_application shop { learning; }", &["invalid number of arguments in \"learning\""]),
    ("api_abuse_application shop { learning -1; }", &["invalid value \"-1\" in \"learning\""]),
    ("api_abuse_application shop { threat all { } }", &["unexpected \"{\""]),
    ("api_abuse_application shop { allow 10.0.0.0/40; }", &["invalid value \"10.0.0.0/40\""]),
    ("api_abuse_application shop { include missing.conf; }", &["missing.conf\" failed"]),
    // Endpoints.
    ("@api_abuse_endpoint;", &["invalid number of arguments in \"api_abuse_endpoint\" directive"]),
    ("@api_abuse_endpoint login a b c;", &["invalid number of arguments in"]),
    ("api_abuse_endpoint login;", &["\"api_abuse_endpoint\" directive is not allowed here"]),
    ("@api_abuse_endpoint logout;", &["invalid value \"logout\"", "\"auto\", \"login\""]),
    ("@api_abuse_endpoint login 302;", &["invalid parameter \"302\" in \"api_abuse_endpoint\""]),
    ("@api_abuse_endpoint login success=;", &["invalid parameter \"success=\""]),
    ("@api_abuse_endpoint login failure=99;", &["invalid parameter \"failure=99\""]),
    ("@api_abuse_endpoint login success=302 success=303;", &["duplicate parameter \"success\""]),
    ("@api_abuse_endpoint login success=2xx failure=200;", &["a status is success and failure"]),
    (
        "@api_abuse_endpoint login; api_abuse_endpoint auto;",
        &["\"api_abuse_endpoint\" directive is duplicate"],
    ),
    // Values with variables.
    ("@api_abuse_session;", &["invalid number of arguments in \"api_abuse_session\" directive"]),
    ("@api_abuse_session token;", &["invalid value \"token\" in \"api_abuse_session\" directive"]),
    ("@api_abuse_session \"\";", &["invalid value \"\" in \"api_abuse_session\" directive"]),
    ("@api_abuse_session $arg_a $arg_a;", &["duplicate value \"$arg_a\" in \"api_abuse_session\""]),
    (
        "@api_abuse_session $arg_a; api_abuse_session $arg_a;",
        &["duplicate value \"$arg_a\" in \"api_abuse_session\""],
    ),
    ("@api_abuse_session $;", &["invalid variable name"]),
    ("@api_abuse_identity;", &["invalid number of arguments in \"api_abuse_identity\" directive"]),
    ("api_abuse_identity user;", &["\"api_abuse_identity\" directive is not allowed here"]),
    ("@api_abuse_identity \"\";", &["invalid value \"\" in \"api_abuse_identity\" directive"]),
    ("@api_abuse_identity a a;", &["duplicate value \"a\" in \"api_abuse_identity\" directive"]),
    ("@api_abuse_identity a b c d e f g h i;", &["invalid value \"i\"", "at most 8"]),
    ("@api_abuse_fingerprint;", &["invalid number of arguments in \"api_abuse_fingerprint\""]),
    ("@api_abuse_fingerprint ja4;", &["invalid value \"ja4\" in \"api_abuse_fingerprint\""]),
    ("@api_abuse_bypass;", &["invalid number of arguments in \"api_abuse_bypass\" directive"]),
    ("@api_abuse_bypass 1;", &["invalid value \"1\" in \"api_abuse_bypass\" directive"]),
    // The status of a denial.
    ("@api_abuse_deny_status 42;", &["must be", "between 400 and 599"]),
    ("@api_abuse_deny_status 1000;", &["must be", "between 400 and 599"]),
    ("@api_abuse_deny_status never;", &["invalid", "\"never\""]),
    ("@api_abuse_deny_status;", &["invalid number of arguments in \"api_abuse_deny_status\""]),
    ("@api_abuse_deny_status \"\";", &["invalid value \"\" in \"api_abuse_deny_status\""]),
    ("@api_abuse_deny_status 404; api_abuse_deny_status 404;", &["directive is duplicate"]),
    ("@api_abuse_mode \"\";", &["invalid value \"\" in \"api_abuse_mode\" directive"]),
    ("@api_abuse \"\";", &["invalid value \"\" in \"api_abuse\" directive"]),
    // What is kept and written, and where detection runs.
    ("api_abuse_state;", &["invalid number of arguments in \"api_abuse_state\" directive"]),
    ("api_abuse_state a b;", &["invalid number of arguments in \"api_abuse_state\" directive"]),
    ("api_abuse_state \"\";", &["invalid value \"\" in \"api_abuse_state\" directive"]),
    ("api_abuse_state nginx.conf;", &["it must be a directory or \"off\""]),
    ("api_abuse_state a; api_abuse_state off;", &["\"api_abuse_state\" directive is duplicate"]),
    ("$api_abuse_state a;", &["\"api_abuse_state\" directive is not allowed here"]),
    ("api_abuse_log;", &["invalid number of arguments in \"api_abuse_log\" directive"]),
    ("api_abuse_log \"\";", &["invalid value \"\" in \"api_abuse_log\" directive"]),
    ("api_abuse_log syslog:server=unix:/x;", &["invalid value \"syslog:server=unix:/x\""]),
    ("api_abuse_log off; api_abuse_log off;", &["\"api_abuse_log\" directive is duplicate"]),
    ("$api_abuse_log a;", &["\"api_abuse_log\" directive is not allowed here"]),
    ("api_abuse_detector;", &["invalid number of arguments in \"api_abuse_detector\" directive"]),
    ("api_abuse_detector thread;", &["invalid value \"thread\" in \"api_abuse_detector\""]),
    (
        "api_abuse_detector worker; api_abuse_detector worker;",
        &["\"api_abuse_detector\" directive is duplicate"],
    ),
    (
        "api_abuse_state off; api_abuse_detector process;",
        &["\"api_abuse_detector process\" needs the directory of \"api_abuse_state\""],
    ),
    ("$api_abuse_detector worker;", &["\"api_abuse_detector\" directive is not allowed here"]),
    (
        "api_abuse_deny_loopback on; api_abuse_deny_loopback on;",
        &["\"api_abuse_deny_loopback\" directive is duplicate"],
    ),
    // Pages.
    ("@api_abuse_console on;", &["invalid number of arguments in \"api_abuse_console\""]),
    ("api_abuse_console;", &["\"api_abuse_console\" directive is not allowed here"]),
    ("@} location = /a { api_abuse_console;", &["needs a location that is given by a prefix"]),
    ("@} location ~ a { api_abuse_console;", &["needs a location that is given by a prefix"]),
    ("@} location @a { api_abuse_console;", &["needs a location that is given by a prefix"]),
    ("api_abuse_status;", &["\"api_abuse_status\" directive is not allowed here"]),
    ("$api_abuse_status;", &["\"api_abuse_status\" directive is not allowed here"]),
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
        "api_abuse_application shop { } api_abuse_application other { threat all; learning 0; }",
        "api_abuse_application shop { deny 203.0.113.0/24; budget 100%; repeat 1.5 max=1d; }",
        "api_abuse_session $cookie_a$cookie_b $arg_a; api_abuse_session $arg_b;",
        "server { listen @other@; api_abuse_identity email user $arg_user; }",
        "api_abuse_fingerprint $http_x_ja4; api_abuse_bypass $arg_a $arg_b;",
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
fn bytes_that_are_no_text_and_huge_arguments_are_refused() {
    let huge = "x".repeat(1500);
    let rows: [(&str, &str); 13] = [
        ("@", "api_abuse HERE;"),
        ("@", "api_abuse_mode HERE;"),
        ("@", "api_abuse_endpoint HERE;"),
        ("@", "api_abuse_endpoint login success=HERE;"),
        ("@", "api_abuse_session HERE;"),
        ("@", "api_abuse_identity HERE;"),
        ("@", "api_abuse_fingerprint HERE;"),
        ("@", "api_abuse_bypass HERE;"),
        ("@", "api_abuse_deny_status HERE;"),
        ("", "api_abuse_zone HERE;"),
        ("", "api_abuse_deny_loopback HERE;"),
        ("", "api_abuse_application HERE { }"),
        ("", "api_abuse_application a { deny HERE; }"),
    ];
    for (place, snippet) in rows {
        for (argument, words) in [(huge.as_bytes(), "invalid "), (b"a\xff\xfe", "it is no UTF-8")] {
            let (before, after) = snippet.split_once("HERE").unwrap();
            let bytes = [before.as_bytes(), argument, after.as_bytes()].concat();
            let site = site(&format!("{place}include wrong.conf;")).file("wrong.conf", bytes);
            let (accepted, said) = site.test();
            let clear = said.contains(words) && said.contains("wrong.conf:1");
            // NGINX cuts a line of its log at two kilobytes, place and all.
            assert!(!accepted && clear, "{snippet}\n{said}");
        }
    }
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
