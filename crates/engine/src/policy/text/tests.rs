use super::*;

/// Reads directives written with one space between words.
fn read(lines: &[&str]) -> Result<Policy, String> {
    let mut text = PolicyText::default();
    for line in lines {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        text.directive(&words)?;
    }
    Ok(text.policy())
}

#[test]
fn nothing_written_is_the_default() {
    assert_eq!(read(&[]), Ok(Policy::default()));
    assert_eq!(read(&["threat scraping", "threat all"]), Ok(Policy::default()));
}

#[test]
fn what_is_written_holds() {
    let policy = read(&[
        "threat scraping reaction=throttle ttl=30m",
        "threat all sensitivity=paranoid reaction=monitor",
        "threat bola sensitivity=safe",
        "learning 2d",
        "allow 192.0.2.0/24 2001:db8::/32",
        "allow 198.51.100.7",
        "deny 203.0.113.9",
        "repeat 1.5 max=2d",
        "budget 2.5%",
    ])
    .unwrap();
    let threat = |threat| *policy.threat(threat);
    let (paranoid, hour) = (Sensitivity::Paranoid, 3_600_000);
    let other = ThreatPolicy { reaction: Reaction::Monitor, sensitivity: paranoid, ttl_ms: hour };
    assert_eq!(threat(Threat::Scalping), other);
    let scraping = ThreatPolicy { reaction: Reaction::Throttle, ttl_ms: hour / 2, ..other };
    assert_eq!(threat(Threat::Scraping), scraping, "one threat before all, in any order");
    assert_eq!(threat(Threat::Bola), ThreatPolicy { sensitivity: Sensitivity::Safe, ..other });
    assert_eq!(policy.learning_ms, 48 * hour);
    assert_eq!(policy.repeat, Repeat { factor: 1.5, max_ms: 48 * hour });
    assert_eq!(policy.budget_percent, 2.5);
    let v4 = |text: &str| text.parse::<core::net::Ipv4Addr>().unwrap().to_ipv6_mapped().octets();
    assert!(policy.allow.contains(v4("192.0.2.255")) && policy.allow.contains(v4("198.51.100.7")));
    assert!(!policy.allow.contains(v4("203.0.113.9")) && policy.deny.contains(v4("203.0.113.9")));
}

#[test]
fn what_is_wrong_is_said_with_its_value_and_a_remedy() {
    let cases = [
        (
            "",
            "unknown directive \"\", expected one of threat, learning, allow, deny, repeat, budget",
        ),
        ("thread all", "unknown directive \"thread\""),
        ("threat", "invalid number of arguments in \"threat\" directive"),
        ("learning 1h 2h", "invalid number of arguments in \"learning\" directive"),
        (
            "threat spam",
            "invalid value \"spam\" in \"threat\" directive, it must be \"all\" or one of",
        ),
        (
            "threat all deny",
            "invalid parameter \"deny\" in \"threat\" directive, it must be reaction=",
        ),
        ("threat all reaction=kill", "invalid parameter \"reaction=kill\""),
        ("threat all sensitivity=", "invalid parameter \"sensitivity=\""),
        (
            "threat all ttl=0",
            "invalid value \"0\" in \"threat\" directive, it must be a time from 1s",
        ),
        ("threat all ttl=11y", "invalid value \"11y\""),
        ("threat all ttl=1h ttl=1h", "duplicate parameter \"ttl\""),
        (
            "learning soon",
            "invalid value \"soon\" in \"learning\" directive, it must be a time from 0",
        ),
        ("allow localhost", "invalid value \"localhost\" in \"allow\" directive, expected an IPv4"),
        (
            "deny 10.0.0.0/33",
            "invalid value \"10.0.0.0/33\" in \"deny\" directive, expected a prefix",
        ),
        ("deny 10.0.0.1/8", "low address bits of \"10.0.0.1/8\" are meaningless in \"deny\""),
        ("repeat 0.5", "invalid value \"0.5\" in \"repeat\" directive, it must be a factor"),
        ("repeat 1e3", "invalid value \"1e3\""),
        ("repeat 2 24h", "invalid parameter \"24h\" in \"repeat\" directive, it must be max=TIME"),
        ("budget 5", "invalid value \"5\" in \"budget\" directive"),
        ("budget 0%", "invalid value \"0%\""),
        ("budget 100.1%", "invalid value \"100.1%\""),
        ("budget NaN%", "invalid value \"NaN%\""),
    ];
    for (line, message) in cases {
        let error = read(&[line]).unwrap_err();
        assert!(error.starts_with(message), "{line}: {error}");
    }
    let error = PolicyText::default().directive(&[b"allow", b"\xff"]).unwrap_err();
    assert_eq!(error, "invalid value \"\\xff\": it is no UTF-8");
}

#[test]
fn twice_is_a_mistake() {
    for line in ["learning 1h", "repeat 2", "budget 5%", "threat all", "threat bola"] {
        let error = read(&[line, line]).unwrap_err();
        assert!(error.ends_with("directive is duplicate"), "{line}: {error}");
    }
    assert!(read(&["allow ::1", "allow ::1"]).is_ok(), "as NGINX's own");
}

#[test]
fn times_as_nginx_writes_them() {
    for (text, ms) in [
        ("0", 0),
        ("90", 90_000),
        ("90s", 90_000),
        ("250ms", 250),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        ("1d 2h 3m 4s 5ms", 93_784_005),
        ("1m 30", 90_000),
        ("1M", 30 * 86_400_000),
        ("1y1w", 372 * 86_400_000),
    ] {
        assert_eq!(parse_time(text), Some(ms), "{text}");
    }
    for text in ["", " ", "h", "1h ", "-1", "1.5h", "1m1h", "1h1h", "1x", "1 h", "30 1m"] {
        let expected = if text == "1h " { Some(3_600_000) } else { None };
        assert_eq!(parse_time(text), expected, "{text:?}");
    }
    assert_eq!(parse_time("99999999999999999999"), None);
    assert_eq!(parse_time("18446744073709551615y"), None);
}

#[test]
fn names_of_applications() {
    assert!(is_application_name(b"shop") && is_application_name(b"www.example.com:8080"));
    let long = [b'a'; APPLICATION_MAX + 1];
    assert!(is_application_name(&long[1..]) && !is_application_name(&long));
    assert!(!is_application_name(b"") && !is_application_name(b"a b"));
}
