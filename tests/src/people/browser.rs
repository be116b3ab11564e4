//! A browser: headers like a browser's, assets once, links followed.

use std::collections::HashSet;

use super::Visitor;
use crate::http::{Request, Response};

/// Chrome on Windows.
pub(super) const CHROME: [(&str, &str); 5] = [
    (
        "User-Agent",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    ("Accept-Language", "de-DE,de;q=0.9,en;q=0.8"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Connection", "keep-alive"),
];

/// Edge on Windows.
pub(super) const EDGE: [(&str, &str); 5] = [
    (
        "User-Agent",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
    ),
    ("Accept-Language", "en-GB,en;q=0.9"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Connection", "keep-alive"),
];

/// Firefox on Linux.
pub(super) const FIREFOX: [(&str, &str); 4] = [
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"),
    ("Accept-Language", "fr,en-US;q=0.7,en;q=0.3"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Connection", "keep-alive"),
];

/// Safari on an iPhone.
pub(super) const PHONE: [(&str, &str); 4] = [
    (
        "User-Agent",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    ),
    ("Accept-Language", "en-GB,en;q=0.9"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Connection", "keep-alive"),
];

/// A browser with a cache, a cookie and the page it shows.
#[derive(Debug)]
pub(super) struct Browser<'v> {
    pub(super) visitor: &'v mut Visitor,
    headers: &'static [(&'static str, &'static str)],
    cached: HashSet<String>,
    cookie: Option<String>,
    /// Path of the page that is open.
    page: String,
    /// Links on that page.
    links: Vec<String>,
}

impl<'v> Browser<'v> {
    pub(super) fn new(
        visitor: &'v mut Visitor,
        headers: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            visitor,
            headers,
            cached: HashSet::new(),
            cookie: None,
            page: String::new(),
            links: Vec::new(),
        }
    }

    /// Opens a page with everything that belongs to it.
    pub(super) fn open(&mut self, path: &str) {
        let request = self.dress(Request::get(path), "text/html,application/xhtml+xml,*/*;q=0.8");
        if let Some(response) = self.visitor.send(&request) {
            self.show(path, &response);
        }
    }

    /// Sends a form and shows what comes back.
    pub(super) fn submit(&mut self, path: &str, fields: &str) -> Option<Response> {
        let request = Request::post(path, "application/x-www-form-urlencoded", fields);
        let request = self.dress(request, "text/html,application/xhtml+xml,*/*;q=0.8");
        let response = self.visitor.send(&request)?;
        if let Some(cookie) = response.cookie() {
            self.cookie = Some(cookie.to_owned());
        }
        match response.header("location").map(str::to_owned) {
            Some(location) => self.open(&location),
            None => self.show(path, &response),
        }
        Some(response)
    }

    /// Fetches something that no page names, once: an icon.
    pub(super) fn fetch_icon(&mut self, path: &str) {
        if self.cached.insert(path.to_owned()) {
            let request = self.dress(Request::get(path), "image/avif,image/webp,*/*");
            self.visitor.send(&request);
        }
    }

    /// Follows one of the links of the page, or starts again at the front page.
    pub(super) fn follow_a_link(&mut self) {
        let link = match self.links.as_slice() {
            [] => "/".to_owned(),
            links => self.visitor.random.pick(links).clone(),
        };
        self.open(&link);
    }

    fn show(&mut self, path: &str, response: &Response) {
        path.clone_into(&mut self.page);
        let html = response.text();
        self.links = references(&html, "href=\"").filter(|l| !l.starts_with("/assets")).collect();
        let sheets = references(&html, "href=\"").filter(|l| l.starts_with("/assets"));
        let assets: Vec<_> = sheets.chain(references(&html, "src=\"")).collect();
        for asset in assets {
            if !self.cached.insert(asset.clone()) {
                continue;
            }
            let accept = if asset.ends_with(".css") { "text/css,*/*;q=0.1" } else { "*/*" };
            let request = self.dress(Request::get(&asset), accept);
            self.visitor.send(&request);
        }
    }

    fn dress(&self, request: Request, accept: &str) -> Request {
        let mut request = request.headers(self.headers).header("Accept", accept);
        if !self.page.is_empty() {
            let site = self.visitor.client.server();
            request = request.header("Referer", &format!("http://{site}{}", self.page));
        }
        match &self.cookie {
            Some(cookie) => request.header("Cookie", cookie),
            None => request,
        }
    }
}

/// Values of an attribute, in the order of the page.
pub(super) fn references<'h>(html: &'h str, attribute: &str) -> impl Iterator<Item = String> + 'h {
    let pieces: Vec<&str> = html.split(attribute).skip(1).collect();
    pieces.into_iter().filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
}
