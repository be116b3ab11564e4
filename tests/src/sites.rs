//! The sites that tests run: small ones made for a question, and the configurations in `nginx-conf/`
//! that people copy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::nginx::Site;

/// Directives of `http { }` that every guarded site starts with.
pub const ZONE: &str = "api_abuse_zone abuse:16m; api_abuse_deny_loopback on;";

/// Where the metrics are. They are no part of the application, so looking at them is not counted.
pub const STATUS: &str = "location = /status { api_abuse off; api_abuse_status; access_log off; }";

/// A server in block mode with the application `shop`, and these directives in `server { }`.
pub fn guarded(server: &str) -> Site {
    Site::new(&format!(
        "{ZONE}\nserver {{ listen @listen@; api_abuse shop; api_abuse_mode block;\n\
         {STATUS}\n{server}\n}}"
    ))
}

/// The same with files only: everything but `/page.html` and `/1k.bin` answers 404.
pub fn guarded_files() -> Site {
    guarded("root html;").file("html/page.html", "page").file("html/1k.bin", [b'x'; 1024])
}

/// A server in this mode in front of an application; every path goes there.
pub fn guarded_application(application: SocketAddr, mode: &str) -> Site {
    Site::new(&format!(
        "{ZONE}\nupstream application {{ server {application}; keepalive 32; }}\n\
         server {{ listen @listen@; api_abuse shop; api_abuse_mode {mode};\n{STATUS}\n\
         location / {{ proxy_pass http://application; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; proxy_set_header Host $http_host; }}\n}}"
    ))
}

/// The repository's directory with configurations for people.
pub fn shipped_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../nginx-conf")
}

/// A shipped configuration, word for word but for what differs on every machine: where NGINX
/// listens, where the application is, and where logs go.
pub fn shipped(name: &str, application: SocketAddr) -> Site {
    let path = shipped_directory().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for needed in ["listen 80;", "127.0.0.1:8080"] {
        assert!(text.contains(needed), "{name} has no {needed:?}: it would not be this site");
    }
    let log_format = fs::read(shipped_directory().join("log_format.conf")).unwrap();
    Site::whole(&text)
        .file("log_format.conf", log_format)
        .set("listen 80;", &"listen @listen@;")
        .set("127.0.0.1:8080", &application)
        .set("/var/log/nginx/", &"")
}

/// Host number `host` among the attackers.
pub const fn attacker(host: u16) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (host >> 8) as u8, host as u8)
}

/// Host number `host` among the benign clients of the tests; the demo's people live elsewhere.
pub const fn neighbour(host: u16) -> Ipv4Addr {
    Ipv4Addr::new(127, 2, 200 + (host >> 8) as u8, host as u8)
}
