use api_abuse_engine::Threat;
use api_abuse_engine::policy::Reaction;

use super::*;

const SHOP: &str = r#"
# A comment with { and ; in it
user www-data;
events { worker_connections 64; }
http {
    include mime.types;
    log_format main '$remote_addr "$request" ; {'; # quoted
    map $uri $x { default 0; "~^/a{2}" 1; }
    api_abuse_application shop {
        threat scraping reaction=throttle ttl=30m;
        learning "2d";
        allow 192.0.2.0/24
              2001:db8::/32;
    }
    server {
        set $name "a\"b ${x}c";
        location /account { api_abuse_endpoint login success=302; location /account/new { api_abuse_endpoint registration; } }
        location = /account/status { api_abuse_endpoint ignore; }
        location ~ \.php$ { api_abuse_endpoint content; }
        location / { return 200; }
    }
}
"#;

#[test]
fn reads_what_says_how_requests_are_judged() {
    let config = NginxConfig::parse(SHOP.as_bytes(), None).unwrap();
    let [shop] = &config.applications[..] else { panic!("{:?}", config.applications) };
    assert_eq!(shop.name, b"shop");
    assert_eq!(shop.policy.threat(Threat::Scraping).reaction, Reaction::Throttle);
    assert_eq!(shop.policy.learning_ms, 172_800_000);
    let v4 = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().to_ipv6_mapped().octets();
    assert!(shop.policy.allow.contains(v4("192.0.2.9")));
    for (path, role) in [
        ("/account", Role::Login),
        ("/account/x", Role::Login),
        ("/account/new", Role::Registration),
        ("/account/status", Role::Ignore),
        ("/account/status/x", Role::Login),
        ("/index.php", Role::Auto),
        ("/", Role::Auto),
    ] {
        assert_eq!(config.roles.of(path.as_bytes()), role, "{path}");
    }
    let notes = config.notes.join("\n");
    for note in
        ["line 6: \"include mime.types\"", "line 17: answers", "line 19: \"api_abuse_endpoint\""]
    {
        assert!(notes.contains(note), "{notes}");
    }
}

#[test]
fn mistakes_are_told_with_value_remedy_and_line() {
    for (text, message, line) in [
        ("api_abuse_application a {\n  threat spam;\n}", "invalid value \"spam\" in \"threat\"", 2),
        ("api_abuse_application a {\n  learning\n  soon;\n}", "invalid value \"soon\"", 2),
        ("api_abuse_application { }", "invalid number of arguments", 1),
        ("api_abuse_application \"a b\" { }", "invalid application name \"a b\"", 1),
        ("api_abuse_application a;", "directive \"api_abuse_application\" has no opening", 1),
        ("api_abuse_application a { }\napi_abuse_application a { }", "duplicate application", 2),
        ("api_abuse_application a { allow { } }", "directive is not terminated", 1),
        ("http {\nserver {\n}\n", "unexpected end of file, the block of line 1", 4),
        ("http { user", "unexpected end of file, expecting", 1),
        ("}", "unexpected \"}\"", 1),
        ("a }", "unexpected \"}\"", 1),
        (";", "unexpected \";\"", 1),
        ("\n{", "unexpected \"{\"", 2),
        ("a 'b\nc", "unexpected end of file, a quote", 1),
        ("a 'b'c;", "unexpected \"c\" after a closing quote", 1),
        ("location /x { api_abuse_endpoint door; }", "invalid value \"door\"", 1),
        ("location /x { api_abuse_endpoint; }", "invalid number of arguments", 1),
    ] {
        let (found, at) = NginxConfig::parse(text.as_bytes(), None).unwrap_err();
        assert!(found.starts_with(message), "{text}: {found}");
        assert_eq!(at, line, "{text}: {found}");
    }
    let deep = "a {".repeat(100_000);
    assert!(NginxConfig::parse(deep.as_bytes(), None).unwrap_err().0.contains("blocks"));
}

#[test]
fn any_text_is_read_or_refused() {
    const BYTES: &[u8] = b"a ;{}'\"\\#\n$ api_abuse_application";
    let (mut random, mut read, mut refused) = (7u64, 0, 0);
    for round in 0..3000u64 {
        let text: Vec<u8> = (0..60)
            .map(|n| {
                random = api_abuse_engine::hash::combine(random, round + n);
                BYTES[(random >> 40) as usize % BYTES.len()]
            })
            .collect();
        match NginxConfig::parse(&text, None) {
            Ok(_) => read += 1,
            Err((what, line)) => {
                refused += 1;
                let lines = 1 + text.iter().filter(|&&byte| byte == b'\n').count();
                assert!(
                    !what.is_empty() && (1..=lines).contains(&(line as usize)),
                    "{what}: {line}"
                );
            }
        }
    }
    assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
}

#[test]
fn included_files_are_read_as_nginx_reads_them() {
    let home = std::env::temp_dir().join(format!("api-abuse-include-{}", std::process::id()));
    let write = |name: &str, text: &str| {
        let path = home.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("mime.types", "types { text/html html; }");
    write("sites/b.conf", "server { location /b { include roles.conf; } }");
    write("sites/a.conf", "server { location /a { api_abuse_endpoint object; } }");
    write("sites/.hidden.conf", "nonsense");
    write("roles.conf", "api_abuse_endpoint login;");
    write("policy.conf", "learning 2d; threat all ttl=2h;");
    let main =
        "http { include mime.types;\n include sites/*.conf; include gone.conf;\n include loop.conf;
        api_abuse_application shop { include policy.conf; budget 3%; } }";
    write("nginx.conf", main);
    write("loop.conf", "include loop.conf;");
    let config = NginxConfig::read(&home.join("nginx.conf")).unwrap();
    assert_eq!([b"/a", b"/b"].map(|path| config.roles.of(path)), [Role::Object, Role::Login]);
    let policy = &config.applications[0].policy;
    assert_eq!((policy.learning_ms, policy.threats[0].ttl_ms), (172_800_000, 7_200_000));
    assert!((policy.budget_percent - 3.0).abs() < 1e-6);
    let [gone, endless] = &config.notes[..] else { panic!("{:?}", config.notes) };
    assert!(gone.starts_with("line 2: \"include gone.conf\" is not followed: "), "{gone}");
    assert!(
        endless.contains("loop.conf line 1: \"include loop.conf\" is not followed"),
        "{endless}"
    );
    write("policy.conf", "\nlearning soon;");
    let Err(Failure::Usage(wrong)) = NginxConfig::read(&home.join("nginx.conf")) else { panic!() };
    for part in ["invalid value \"soon\"", "policy.conf:2, which is included in ", "nginx.conf:4"] {
        assert!(wrong.contains(part), "{wrong}");
    }
    std::fs::remove_dir_all(home).unwrap();
}
