//! Programs that mean well.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::Visitor;
use super::browser::references;
use crate::http::Request;

const APP: [(&str, &str); 3] = [
    ("User-Agent", "ShopApp/4.2 (Android 15; okhttp/4.12.0)"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "gzip"),
];

/// Logs in, keeps the token, shows its owner's orders and lists in bursts, polls for notifications.
pub(super) fn mobile_app(visitor: &mut Visitor) {
    let (email, password) = visitor.customer();
    let mut log_in = |password: &str| {
        let body = format!(r#"{{"email":"{email}","password":"{password}"}}"#);
        visitor.send(&Request::post("/api/login", "application/json", body).headers(&APP))
    };
    log_in("typed on a small keyboard");
    let Some(token) = log_in(&password).and_then(|response| {
        let body: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
        Some(format!("Bearer {}", body["token"].as_str()?))
    }) else {
        return;
    };
    let get = |path: &str| Request::get(path).headers(&APP).header("Authorization", &token);
    visitor.send(&get("/api/me"));
    let orders = visitor.send(&get("/api/orders")).and_then(|response| {
        let body: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
        Some(body["orders"].as_array()?.iter().filter_map(serde_json::Value::as_u64).collect())
    });
    let orders: Vec<u64> = orders.unwrap_or_default();
    for order in &orders {
        visitor.send(&get(&format!("/api/orders/{order}")));
        visitor.pause(300..1_500);
    }
    while visitor.goes_on() {
        let page = visitor.random.within(1..6);
        visitor.send(&get(&format!("/api/items?page={page}")));
        for _ in 0..visitor.random.within(1..8) {
            let item = (page - 1) * crate::shop::catalogue::PAGE + visitor.random.within(1..13);
            visitor.send(&get(&format!("/api/items/{item}")));
            visitor.pause(200..3_000);
        }
        if visitor.random.chance(0.3) {
            let cart = Request::post("/api/cart", "application/json", r#"{"item":"5"}"#);
            visitor.send(&cart.headers(&APP).header("Authorization", &token));
            if let Some(order) = orders.last() {
                visitor.send(&get(&format!("/api/orders/{order}")));
            }
        }
        visitor.send(&get("/api/notifications"));
        visitor.pause(3_000..9_000);
    }
}

/// Looks every few seconds, like clockwork.
pub(super) fn monitor(visitor: &mut Visitor) {
    let agent = [("User-Agent", "Mozilla/5.0 (compatible; StatusProbe/2.1)")];
    while visitor.goes_on() {
        visitor.send(&Request::get("/health").headers(&agent));
        visitor.send(&Request::new("HEAD", "/").headers(&agent));
        visitor.pause(5_000..5_001);
    }
}

/// Reads robots.txt, then everything that it may, dead links included.
pub(super) fn crawler(visitor: &mut Visitor) {
    let headers = [
        ("User-Agent", "Mozilla/5.0 (compatible; ExampleSearch/1.0; +http://search.example/bot)"),
        ("Accept", "text/html,application/xml"),
        ("From", "bot@search.example"),
    ];
    let Some(robots) = visitor.send(&Request::get("/robots.txt").headers(&headers)) else { return };
    let rules = robots.text();
    let forbidden: Vec<_> = rules.lines().filter_map(|l| l.strip_prefix("Disallow: ")).collect();
    let mut seen = HashSet::new();
    let mut waiting = VecDeque::from(["/".to_owned()]);
    if let Some(sitemap) = visitor.send(&Request::get("/sitemap.xml").headers(&headers)) {
        let text = sitemap.text().replace("<loc>", "loc=\"").replace("</loc>", "\"");
        waiting.extend(references(&text, "loc=\""));
    }
    while visitor.goes_on() {
        let Some(path) = waiting.pop_front() else { return };
        let allowed =
            !path.starts_with("/assets") && !forbidden.iter().any(|f| path.starts_with(f));
        if !allowed || !seen.insert(path.clone()) {
            continue;
        }
        if let Some(page) = visitor.send(&Request::get(&path).headers(&headers)) {
            waiting.extend(references(&page.text(), "href=\""));
        }
        visitor.pause(800..2_500);
    }
}

/// An app whose token expired while its owner was away: it asks the same again and again.
pub(super) fn expired_token(visitor: &mut Visitor) {
    let poll = Request::get("/api/notifications").headers(&APP);
    let poll = poll.header("Authorization", "Bearer 00000000deadbeef");
    while visitor.goes_on() {
        visitor.send(&poll);
        visitor.pause(4_000..6_000);
    }
}

/// Its connections die before the answer comes; it tries again, as it was written to.
pub(super) fn bad_network(visitor: &mut Visitor) {
    while visitor.goes_on() {
        let item = visitor.random.within(1..6);
        let request = Request::get(format!("/api/items/{item}")).headers(&APP);
        while visitor.random.chance(0.4) {
            // The request is on its way; the answer finds nobody.
            let _ = visitor.client.abandon(&request, Duration::from_millis(1));
            visitor.pause(500..1_500);
        }
        visitor.send(&request);
        visitor.pause(2_000..6_000);
    }
}
