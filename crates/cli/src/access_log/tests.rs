//! Formats and hostile lines.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::address::{self, Client};
use super::number::{duration_ms, thousandths, upstream_ms};
use super::text::{printable, unescape};
use super::{Expected, Field, Format, Line, time};
use api_abuse_engine::hash::Seed;
use api_abuse_engine::record::NO_UPSTREAM;

const LINE: &str = r#"192.0.2.7 - bob [20/Feb/2016:05:00:45 +0000] "GET /a?b=c HTTP/1.1" 200 187 "https://shop.example/" "Mozilla/5.0 (x)""#;

fn text<'a>(line: &Line<'a>, field: Field) -> Option<&'a str> {
    line.get(field).map(|value| std::str::from_utf8(value).unwrap())
}

/// A format, a line of it, and what the line says.
type Case = (&'static str, &'static str, &'static [(Field, Option<&'static str>)]);

const CASES: &[Case] = &[
    (
        "combined",
        LINE,
        &[
            (Field::Address, Some("192.0.2.7")),
            (Field::Time, Some("20/Feb/2016:05:00:45 +0000")),
            (Field::Request, Some("GET /a?b=c HTTP/1.1")),
            (Field::Status, Some("200")),
            (Field::BodyBytes, Some("187")),
            (Field::Referer, Some("https://shop.example/")),
            (Field::UserAgent, Some("Mozilla/5.0 (x)")),
            (Field::Host, None),
        ],
    ),
    ("common", LINE, &[(Field::BodyBytes, Some("187")), (Field::UserAgent, None)]),
    // A quote inside, as Apache writes it and as careless programs do.
    (
        "combined",
        r#"::1 - - [x] "GET /\" HTTP/1.1" 404 - "-" "a \"b\" \\" "more""#,
        &[
            (Field::Request, Some(r#"GET /\" HTTP/1.1"#)),
            (Field::BodyBytes, None),
            (Field::Referer, None),
            (Field::UserAgent, Some(r#"a \"b\" \\"#)),
        ],
    ),
    (
        "combined",
        r#"h - - [x] "GET /"x"y HTTP/1.1" 404 0 "r" "u""#,
        &[(Field::Request, Some(r#"GET /"x"y HTTP/1.1"#)), (Field::Status, Some("404"))],
    ),
    (
        "$msec|$remote_addr|${host}|$request_method|$request_uri|$status|$request_time|$upstream_response_time",
        "1455944445.123|192.0.2.7|shop.example|GET|/a b|200|0.250|0.1, 0.2 : 0.3",
        &[
            (Field::Msec, Some("1455944445.123")),
            (Field::Host, Some("shop.example")),
            (Field::RequestUri, Some("/a b")),
            (Field::RequestTime, Some("0.250")),
            (Field::UpstreamTime, Some("0.1, 0.2 : 0.3")),
        ],
    ),
    // `escape=json` as a log_format.
    (
        r#"{"t":"$time_iso8601","ip":"$remote_addr","r":"$request","s":$status,"h":"$http_x"}"#,
        r#"{"t":"2016-02-20T05:00:45+00:00","ip":"192.0.2.7","r":"GET /\"x","s":200,"h":"x"}"#,
        &[(Field::Request, Some(r#"GET /\"x"#)), (Field::Status, Some("200"))],
    ),
    (
        "json",
        r#"{"time":"2016-02-20T05:00:45Z","ip":"192.0.2.7","method":"GET","path":"/a","status":200,"bytes":1,"ua":"u","x":null,"tags":["a",{"b":[]}]}"#,
        &[
            (Field::Time, Some("2016-02-20T05:00:45Z")),
            (Field::Address, Some("192.0.2.7")),
            (Field::RequestUri, Some("/a")),
            (Field::Status, Some("200")),
            (Field::UserAgent, Some("u")),
        ],
    ),
    (
        "json",
        r#"{"ts":1455944445.1,"request":{"remote_ip":"192.0.2.7","uri":"/a","headers":{"User-Agent":["curl"]}},"status":404,"duration":0.01}"#,
        &[
            (Field::Time, Some("1455944445.1")),
            (Field::Uri, Some("/a")),
            (Field::UserAgent, Some("curl")),
            (Field::RequestTime, Some("0.01")),
        ],
    ),
];

#[test]
fn lines_of_many_formats() {
    for (format, line, expected) in CASES {
        let compiled = Format::compile(format).unwrap();
        let found = compiled.parse(line.as_bytes()).unwrap();
        for (field, value) in *expected {
            assert_eq!(text(&found, *field), *value, "{format}: {field:?}");
        }
    }
}

#[test]
fn lines_of_the_shipped_format_are_read() {
    let shipped = include_str!("../../../../nginx-conf/log_format.conf");
    let format: String = shipped.split('\'').skip(1).step_by(2).collect();
    let values = [
        ("msec", Field::Time, "1455944445.123"),
        ("remote_addr", Field::Address, "192.0.2.7"),
        ("request_method", Field::Method, "GET"),
        ("request_uri", Field::Uri, "/a?b=c"),
        ("status", Field::Status, "404"),
        ("body_bytes_sent", Field::BodyBytes, "153"),
        ("request_time", Field::RequestTime, "0.250"),
        ("http_user_agent", Field::UserAgent, "curl/8"),
    ];
    let mut line = format.replace("$pid", "7");
    for (variable, _, value) in values {
        let with = line.replace(&format!("${variable}"), value);
        assert_ne!(line, with, "${variable}");
        line = with;
    }
    let json = Format::compile("json").unwrap();
    let found = json.parse(line.as_bytes()).unwrap();
    for (variable, field, value) in values {
        assert_eq!(text(&found, field), Some(value), "${variable}: {line}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let combined = Format::compile("combined").unwrap();
    let cases: [(&[u8], &str, usize); 5] = [
        (b"garbage", "\" - \" after $remote_addr", 0),
        (b"192.0.2.7 - x", "\" [\" after $remote_user", 12),
        (b"192.0.2.7 - x [y] \"GET / HTTP/1.1 200", "\"\\\" \" after $request", 19),
        (b"\x00\xff\xfe", "\" - \" after $remote_addr", 0),
        (b"a - b [c] \"d\" 2", "\" \" after $status", 14),
    ];
    for (line, what, at) in cases {
        assert_eq!(combined.parse(line).unwrap_err(), Expected { what, at });
    }
    let json = Format::compile("json").unwrap();
    let deep = "{\"a\":".repeat(40);
    for (line, what) in [
        ("[]", "a JSON object"),
        ("{\"a\":1", "the end of the JSON object"),
        ("{\"a\" 1}", "\":\" after a JSON key"),
        ("{\"a\":\"b", "the end of a JSON string"),
        ("{\"a\":\"b\\", "the end of a JSON string"),
        ("{\"a\":[1}", "brackets that match"),
        ("{\"a\":}", "a JSON value"),
        ("{1:2}", "a JSON string"),
        (r#"{"time":1,"status":200,"uri":"/"}"#, "a client address, as \"remote_addr\" or \"ip\""),
        (r#"{"ip":"192.0.2.7","status":200,"uri":"/"}"#, "a time, as \"time\" or \"msec\""),
        (r#"{"ip":"192.0.2.7","ts":1,"uri":"/"}"#, "a status, as \"status\" or \"code\""),
        (
            r#"{"ip":"192.0.2.7","ts":1,"status":200,"request":null}"#,
            "what was asked for, as \"request\" or \"request_uri\"",
        ),
        (&deep, "less nesting"),
    ] {
        let expected = json.parse(line.as_bytes()).unwrap_err();
        assert_eq!(expected.what, what, "{line}");
        assert!(expected.at <= line.len(), "{line}: {expected:?}");
    }
}

#[test]
fn formats_that_cannot_work_are_refused() {
    for (format, part) in [
        ("apache", "unknown log format"),
        ("$remote_addr$status", "nothing between"),
        ("$remote_addr ${status", "closing bracket"),
        ("$remote_addr $ x", "invalid variable name"),
        ("$remote_addr $request $status", "$time_local"),
        ("$time_local $request $status", "$remote_addr"),
        ("$remote_addr [$time_local] $request", "$status"),
        ("$remote_addr [$time_local] $status", "$request"),
    ] {
        let message = Format::compile(format).unwrap_err();
        assert!(message.contains(part), "{format}: {message}");
    }
}

/// Whatever stands in a line: an answer, no panic.
#[test]
fn damaged_lines() {
    let mut state = 1u64;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let (mut understood, mut refused) = (0, 0);
    for (format, line, _) in CASES {
        let format = Format::compile(format).unwrap();
        for round in 0..4000 {
            let mut line = line.as_bytes().to_vec();
            for _ in 0..random() % 4 {
                let at = random() as usize % line.len();
                line[at] = b"\\\"{}[]:,- \x00\xff0u"[random() as usize % 14];
            }
            line.truncate(if round % 2 == 0 { line.len() } else { random() as usize % line.len() });
            let Ok(found) = format.parse(&line) else {
                refused += 1;
                continue;
            };
            understood += 1;
            let mut scratch = Vec::new();
            for field in [Field::Request, Field::UserAgent, Field::RequestUri] {
                unescape(found.get(field).unwrap_or_default(), &mut scratch);
            }
            let _ = found.get(Field::Time).and_then(time::parse).map(time::rfc3339);
            let _ = found.get(Field::Address).map(|text| address::parse(text, Seed([1, 2])));
            let _ = upstream_ms(found.get(Field::UpstreamTime));
        }
    }
    assert!(understood > 1000 && refused > 1000, "{understood} {refused}");
}

#[test]
fn times() {
    let cases: [(&str, Option<&str>); 22] = [
        ("20/Feb/2016:05:00:45 +0000", Some("2016-02-20T05:00:45.000Z")),
        ("20/Feb/2016:05:00:45 +0130", Some("2016-02-20T03:30:45.000Z")),
        ("31/Dec/2015:23:59:60 -0500", Some("2016-01-01T04:59:59.000Z")),
        ("29/Feb/2000:00:00:00 +0000", Some("2000-02-29T00:00:00.000Z")),
        ("2016-02-20T05:00:45+00:00", Some("2016-02-20T05:00:45.000Z")),
        ("2016-02-20T05:00:45.1234567Z", Some("2016-02-20T05:00:45.123Z")),
        ("2016-02-20 05:00:45,5", Some("2016-02-20T05:00:45.500Z")),
        ("2016-02-20T05:00:45-0100", Some("2016-02-20T06:00:45.000Z")),
        ("1455944445", Some("2016-02-20T05:00:45.000Z")),
        ("1455944445.123", Some("2016-02-20T05:00:45.123Z")),
        ("1455944445123", Some("2016-02-20T05:00:45.123Z")),
        ("1455944445123456", Some("2016-02-20T05:00:45.123Z")),
        ("1455944445123456789", Some("2016-02-20T05:00:45.123Z")),
        ("20/Foo/2016:05:00:45 +0000", None),
        ("20/Feb/2016:25:00:45 +0000", None),
        ("20/Feb/2016:05:00:45", None),
        ("01/Jan/1970:00:00:00 +0100", None),
        ("2016-13-20T05:00:45Z", None),
        ("2016-02-20", None),
        ("2016-02-20T05:00:45X", None),
        ("x", None),
        ("", None),
    ];
    for (text, expected) in cases {
        let found = time::parse(text.as_bytes()).map(time::rfc3339);
        assert_eq!(found.as_deref(), expected, "{text}");
    }
}

#[test]
fn numbers() {
    assert_eq!(thousandths(b"0.1234"), Some(123));
    assert_eq!(thousandths(b"12"), Some(12_000));
    assert_eq!(thousandths(b".5"), None);
    assert_eq!(thousandths(b"-1"), None);
    assert_eq!(thousandths(b"9999999999999999999"), None);
    assert_eq!(duration_ms(Some(b"1.5")), 1500);
    assert_eq!(duration_ms(None), 0);
    assert_eq!(upstream_ms(Some(b"0.1, 0.2 : 0.3")), 600);
    assert_eq!(upstream_ms(Some(b"-, 0.2")), 200);
    assert_eq!(upstream_ms(Some(b"-")), NO_UPSTREAM);
    assert_eq!(upstream_ms(None), NO_UPSTREAM);
}

#[test]
fn addresses() {
    let seed = Seed([1, 2]);
    let parse = |text: &str| address::parse(text.as_bytes(), seed);
    let v4 = parse("192.0.2.7").unwrap();
    assert_eq!(parse("::ffff:192.0.2.7"), Some(v4));
    let v6 = parse("2001:db8::7").unwrap();
    assert_eq!(parse("[2001:db8::7]:443"), Some(v6));
    assert_eq!(parse("2001:db8::7%eth0"), Some(v6));
    assert_eq!(parse("unix:"), Some(Client::Address([0; 16])));
    let Some(Client::Name(name)) = parse("Host-1.example") else { panic!("a name") };
    assert_eq!(name[0], 0xfd);
    assert_eq!(parse("host-1.EXAMPLE"), Some(Client::Name(name)));
    assert_ne!(parse("host-2.example"), Some(Client::Name(name)));
    for text in ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "a b", "\u{1}\u{2}", "<script>"] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn escapes() {
    let mut scratch = Vec::new();
    let cases: [(&[u8], &[u8]); 8] = [
        (b"plain", b"plain"),
        (br"a\x22b\x5Cc", b"a\"b\\c"),
        (br#"a\"b\\"#, b"a\"b\\"),
        (br"\u0022\u00e9", "\"é".as_bytes()),
        (br"\n\t\/", b"\n\t/"),
        (br"\xZZ\u12", br"\xZZ\u12"),
        (br"\q", br"\q"),
        (b"end\\", b"end\\"),
    ];
    for (raw, expected) in cases {
        assert_eq!(unescape(raw, &mut scratch), expected);
    }
    assert_eq!(printable(b"a\x1b[31m\xff", 40), "a\\u{1b}[31m\u{fffd}");
    assert_eq!(printable(b"abcdef", 4), "abc…");
}
