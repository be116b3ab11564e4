//! More denials than anybody should need: what the API and the console make of a long denylist.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::eventually;
use crate::http::Request;
use crate::nginx::{Nginx, Site};

/// How many there are.
pub const DENIALS: u32 = 100_000;
/// Connections that deny at the same time; each waits until its denial holds.
const CONNECTIONS: usize = 24;
const PATIENCE: Duration = Duration::from_secs(120);

/// A site whose denylist has room for them. A request is from whom its `X-Forwarded-For` says.
pub fn roomy_site() -> Site {
    Site::new(
        "api_abuse_zone abuse:64m; api_abuse_state off;
        set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;
        server { listen @listen@; api_abuse shop; api_abuse_mode block; root html;
            keepalive_requests 1000000;
            location /abuse/ { api_abuse off; api_abuse_console; access_log off; } }",
    )
    .file("html/page.html", "page")
}

/// The address of this denial: 10.0.0.0, 10.0.0.1 and so on.
pub fn denied(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number)
}

/// Denies [`DENIALS`] addresses through the API.
pub fn deny_all(nginx: &Nginx) {
    let next = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = nginx.client();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= DENIALS {
                        return;
                    }
                    let body =
                        json!({ "application": "shop", "address": denied(number), "ttl": "1d" });
                    let request =
                        Request::post("/abuse/api/denylist", "application/json", body.to_string());
                    let request = request.header("X-API-Abuse", "1");
                    // A detector that gets no processor for two seconds has not answered; it goes on later, and
                    // the entry may be there by the time of the next try.
                    let made = eventually(PATIENCE, || {
                        let answer = client.send(&request).unwrap();
                        assert!([200, 201, 503].contains(&answer.status), "{}", answer.text());
                        answer.status != 503
                    });
                    assert!(made, "the detector is not there");
                }
            });
        }
    });
}
