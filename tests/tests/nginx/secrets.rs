//! What clients keep secret is nowhere to be found: not in shared memory, the state, logs, metrics.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use api_abuse_tests::attack::probe;
use api_abuse_tests::eventually;
use api_abuse_tests::http::Request;
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{STATUS, ZONE, attacker};

const SOON: Duration = Duration::from_secs(30);

/// All secrets begin with it, however they are encoded.
const MARK: &str = "ZECRET";

/// Part of each secret in base64, as Basic credentials carry it: `ZECRET` at the beginning.
const MARK_BASE64: &str = "WkVDUkVU";

/// In what is said and kept, and no secret: proof that this would find one.
const PUBLIC: &str = "qpublicpathq";

fn site() -> Site {
    Site::new(&format!(
        "{ZONE} api_abuse_log decisions.json;
         server {{ listen @listen@; api_abuse shop; api_abuse_mode block; {STATUS} root html;
           api_abuse_session $http_x_nothing $cookie_session $arg_visit $http_authorization;
           api_abuse_fingerprint $http_x_device;
           location /visit/ {{ api_abuse_session $arg_visit; }}
           location /login {{ api_abuse_endpoint login; api_abuse_identity email;
             proxy_pass http://@other@; }} }}
         server {{ listen @other@; access_log off; location / {{ return 401; }} }}"
    ))
    .file("html/page.html", "page")
}

/// Logins and a scan with secrets in all places where clients put them, until both are denied.
fn attack(nginx: &Nginx) {
    let form = "application/x-www-form-urlencoded";
    let mut stuffer = nginx.client_from(attacker(1));
    let mut scanner = nginx.client_from(attacker(2));
    let (mut stuffed, mut scanned) = (false, false);
    for n in 0..120 {
        nginx.let_judge(Duration::from_millis(15));
        let body = format!("email={MARK}mail{n}%40example.com&password={MARK}password{n}");
        let request = match n % 3 {
            0 => Request::post("/login", form, body),
            1 => Request::post("/login", form, body)
                .header("Authorization", &format!("Basic {MARK_BASE64}OnBhc3N3b3Jk{n:02}=")),
            _ => {
                let body = format!("{{\"email\":\"{MARK}mail{n}\",\"password\":\"{MARK}pass\"}}");
                Request::post("/login", "application/json", body)
            }
        };
        stuffed |= stuffer.send(&request.header("User-Agent", "stuff/1.0")).unwrap().status == 403;
        let target = format!(
            "/{PUBLIC}/.env{n}.bak?access_token={MARK}token{n}&page=2&Password={MARK}%40word"
        );
        let request = probe(target)
            .header("Cookie", &format!("theme=dark; session={MARK}cookie; other={MARK}other"))
            .header("X-Device", &format!("{MARK}device"))
            .header("Authorization", &format!("Bearer {MARK}bearer"));
        // A session that is only known by the configuration, in the query and in a parameter of the path.
        let visit = format!("/visit/;v={MARK}visit{n}?visit={MARK}visit{n}");
        stuffer.send(&probe(visit)).unwrap();
        scanned |= scanner.send(&request).unwrap().status == 403;
        if stuffed && scanned {
            return;
        }
    }
    panic!("stuffer denied: {stuffed}, scanner denied: {scanned}");
}

/// The memory that processes share with `pid`, which is the zone of the site.
fn shared_memory(pid: u32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw-s ")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        memory.seek(SeekFrom::Start(from)).unwrap();
        (&mut memory).take(to - from).read_to_end(&mut all).unwrap();
    }
    all
}

/// Whatever lies below the directory, but for what is NGINX's own to write: its access log says the
/// request as it was, and its error log quotes it.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            all.extend(files(&path));
        } else if name == "error.log" {
            let log = fs::read_to_string(path).unwrap();
            let ours: String = log.lines().filter(|line| !line.contains("request: \"")).collect();
            all.push((name, ours.into_bytes()));
        } else if !matches!(name.as_str(), "access.json" | "nginx.conf") {
            all.push((name, fs::read(path).unwrap_or_default()));
        }
    }
    all
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

#[test]
fn no_secret_is_kept_or_said() {
    let nginx = site().start();
    attack(&nginx);
    let written = |name: &str| !nginx.state_files(name).is_empty();
    assert!(eventually(SOON, || written("lists.state") && written("engine.checkpoint")));
    let explained = || nginx.status()["denylist"].to_string().contains(PUBLIC);
    assert!(eventually(SOON, explained), "{}", nginx.status());
    let metrics = nginx.client().get("/status").unwrap().body;
    let mut places = vec![
        ("shared memory".to_owned(), shared_memory(nginx.master_pid())),
        ("status".to_owned(), nginx.status().to_string().into_bytes()),
        ("metrics".to_owned(), metrics),
    ];
    let left = nginx.finish_and_read(files);
    places.extend(left);
    for place in ["shared memory", "status", "engine.checkpoint", "decisions.json"] {
        let (_, bytes) = places.iter().find(|(name, _)| name == place).expect(place);
        assert!(contains(bytes, PUBLIC), "{place} was not looked at");
    }
    for (place, bytes) in &places {
        for secret in [MARK, MARK_BASE64] {
            let at =
                bytes.windows(secret.len()).position(|w| w.eq_ignore_ascii_case(secret.as_bytes()));
            let around = at.map(|at| &bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())]);
            let around = around.map(String::from_utf8_lossy);
            assert!(around.is_none(), "a secret in {place}: {around:?}");
        }
    }
    println!("{} places, {} bytes", places.len(), places.iter().map(|p| p.1.len()).sum::<usize>());
}
