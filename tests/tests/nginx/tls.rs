//! Every version of HTTP as the world speaks it, over TLS and QUIC.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use api_abuse_tests::eventually;
use api_abuse_tests::nginx::{Nginx, Site, built_with};
use api_abuse_tests::sites::{attacker, guarded};

const SOON: Duration = Duration::from_secs(30);

/// A site with a certificate of its own making, on 127.0.0.5; over QUIC, too, if NGINX can.
fn site() -> Site {
    let path = |name: &str| env::temp_dir().join(format!("{name}-{}.pem", std::process::id()));
    let (certificate, key) = (path("certificate"), path("key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
    let quic = if built_with("http_v3_module") { "listen 127.0.0.5:@port@ quic;" } else { "" };
    let server = format!(
        "listen 127.0.0.5:@port@ ssl http2; {quic} root html; location = /text {{ return 200 text; }}
         ssl_certificate certificate.pem; ssl_certificate_key key.pem;"
    );
    let site = guarded(&server)
        .file("html/page.html", "page")
        .file("certificate.pem", fs::read(&certificate).unwrap())
        .file("key.pem", fs::read(&key).unwrap());
    let _ = (fs::remove_file(certificate), fs::remove_file(key));
    site.expect("directive is deprecated")
}

/// Version and status of a GET with curl.
fn get(nginx: &Nginx, option: &str, host: u16, path: &str) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--insecure", option, "--interface", &attacker(host).to_string()])
        .args(["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"])
        .arg(format!("https://127.0.0.5:{}{path}", nginx.address.port()))
        .output()
        .expect("curl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// As [`get`], over HTTP/3 with the client that `make test-http3` installs.
fn get_over_quic(python: &OsStr, nginx: &Nginx, host: u16, path: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/http3-get");
    let url = format!("https://127.0.0.5:{}{path}", nginx.address.port());
    let output = Command::new(python)
        .arg(script)
        .args([attacker(host).to_string(), url])
        .output()
        .expect("the client starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A page is served, a scan is denied in time, then the page is denied, too, and what NGINX answers before it
/// asks about access; and each is one entry of the log.
fn serves_then_denies(nginx: &Nginx, host: u16, version: &str, get: impl Fn(&str) -> String) {
    assert_eq!(get("/page.html"), format!("{version} 200"));
    assert_eq!(get("/text"), format!("{version} 200"));
    let served = (0..60).take_while(|n| {
        nginx.let_judge(Duration::from_millis(4));
        get(&format!("/.env{n}.bak")) != format!("{version} 403")
    });
    let served = served.count();
    assert!((1..=25).contains(&served), "HTTP/{version}: {served}");
    assert_eq!(get("/page.html"), format!("{version} 403"));
    assert_eq!(get("/text"), format!("{version} 403"));
    let entries = nginx.entries_from(attacker(host), served + 5);
    // Each request came to whichever worker was free, and each worker writes its lines by itself.
    let denied = entries.iter().filter(|entry| entry.verdict == "DENIED").count();
    assert_eq!((entries.len(), denied), (served + 5, 3));
}

#[test]
fn every_version_over_tls_is_served_recorded_and_denied() {
    let nginx = site().start();
    for (host, (option, version)) in (1..).zip([("--http1.1", "1.1"), ("--http2", "2")]) {
        serves_then_denies(&nginx, host, version, |path| get(&nginx, option, host, path));
    }
    // Debian's NGINX and curl have no HTTP/3; `make test-http3` has both, and insists.
    match env::var_os("HTTP3_PYTHON") {
        Some(python) => {
            assert!(built_with("http_v3_module"), "this NGINX has no HTTP/3");
            serves_then_denies(&nginx, 3, "3", |path| get_over_quic(&python, &nginx, 3, path));
        }
        None => println!("HTTP/3: see make test-http3"),
    }
    let counted = || nginx.metrics().total("api_abuse_requests_total");
    let sent = nginx.access_log().len() as f64;
    assert!(eventually(SOON, || (counted() - sent).abs() < 0.5), "{sent}");
}
