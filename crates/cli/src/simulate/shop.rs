//! The application that the population uses: a shop with pages, an API, three kinds of login, orders
//! that belong to people, and everything else that the classes need. It answers by the path alone, so
//! whoever guesses names gets what an application would give.

use api_abuse_engine::record::{Method, NO_UPSTREAM, flags};

use super::random::Random;

/// Products and API items.
pub(super) const PRODUCTS: u64 = 2003;
/// Categories of the catalogue.
pub(super) const CATEGORIES: u64 = 24;
/// Number of the first order.
pub(super) const FIRST_ORDER: u64 = 10_000;
/// Orders of each person.
pub(super) const ORDERS_EACH: u64 = 3;

/// One request, as an agent makes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// Path of the same-site Referer, empty for none.
    pub(super) referer: &'a str,
    pub(super) length: u32,
    /// What Authorization shows, 0 for none.
    pub(super) credential: u64,
    pub(super) cookie: bool,
    /// Asks only whether it changed.
    pub(super) conditional: bool,
    /// Whether the application accepts it: the password fits, the object is one's own, the token is
    /// valid, there is stock.
    pub(super) right: bool,
    /// The client is gone before the answer.
    pub(super) aborted: bool,
}

impl<'a> Request<'a> {
    /// An honest GET.
    pub(super) fn get(path: &'a str) -> Self {
        Self {
            method: Method::Get,
            path,
            query: "",
            referer: "",
            length: 0,
            credential: 0,
            cookie: false,
            conditional: false,
            right: true,
            aborted: false,
        }
    }

    /// A POST of so many bytes.
    pub(super) fn post(path: &'a str, length: u32) -> Self {
        Self { method: Method::Post, length, ..Self::get(path) }
    }
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) flags: u32,
    pub(super) bytes: u64,
    pub(super) upstream_ms: u32,
}

/// A time in which things fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
    pub(super) kind: Kind,
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Assets and pages are 404 or 500, for everybody.
    BrokenDeploy,
    /// The API answers 503.
    Outage,
}

/// The application.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) troubles: Vec<Trouble>,
    /// People who have orders.
    pub(super) owners: u64,
}

impl Shop {
    /// A shop with this many customers.
    pub(super) fn new(owners: u64) -> Self {
        Self { troubles: Vec::new(), owners: owners.max(7) }
    }

    /// The order `k` of a person. Orders are numbered as they come in, so neighbours belong to others.
    pub(super) fn order_of(&self, person: u64, k: u64) -> u64 {
        let all = self.owners * ORDERS_EACH;
        let nth = (person % self.owners) * ORDERS_EACH + k % ORDERS_EACH;
        FIRST_ORDER + (nth * 7919) % all
    }

    /// Whether trouble of a kind is on.
    pub(super) fn troubled(&self, now_ms: u64) -> Option<Kind> {
        let on = |trouble: &&Trouble| (trouble.from_ms..trouble.until_ms).contains(&now_ms);
        self.troubles.iter().find(on).map(|trouble| trouble.kind)
    }

    /// Answers a request.
    pub(super) fn answer(&self, request: &Request<'_>, now_ms: u64, random: &mut Random) -> Answer {
        let interface = request.path.starts_with("/api/") || request.path == "/graphql";
        let mut answer = match self.troubled(now_ms) {
            Some(Kind::BrokenDeploy) if random.chance(0.7) => html(404),
            Some(Kind::BrokenDeploy) => html(500),
            Some(Kind::Outage) if interface => Answer { upstream_ms: 3000, ..json(503) },
            _ => self.route(request, interface),
        };
        if request.conditional && answer.status == 200 {
            answer = Answer { status: 304, bytes: 200, ..answer };
        }
        if answer.upstream_ms != NO_UPSTREAM {
            let wait = random.lognormal(f64::from(answer.upstream_ms), 0.4);
            answer.upstream_ms = wait as u32;
        }
        if request.aborted {
            answer = Answer { status: 499, bytes: 0, flags: 0, ..answer };
        }
        answer
    }

    fn route(&self, request: &Request<'_>, interface: bool) -> Answer {
        let mut segments = request.path.split('/').skip(1);
        let head = segments.next().unwrap_or_default();
        let (second, third) = (segments.next(), segments.next());
        if interface {
            return self.interface(request, second.unwrap_or_default(), third);
        }
        let post = request.method == Method::Post;
        match (head, second) {
            ("", None) => html(200),
            ("static" | "img", Some(_)) => asset(request.path),
            ("favicon.ico" | "robots.txt" | "sitemap.xml" | "feed.xml", None) => {
                Answer { flags: 0, ..html(200) }
            }
            ("health", None) => Answer { upstream_ms: 2, ..json(200) },
            ("category", Some(name)) => found(number(name, "c").is_some_and(|n| n < CATEGORIES)),
            ("products", Some(_)) if post && third == Some("reviews") => redirect(0),
            ("products", Some(name)) => {
                found(number(name, "").is_some_and(|n| (1..=PRODUCTS).contains(&n)))
            }
            ("search", None) => Answer { upstream_ms: 120, ..html(200) },
            ("login", None) if post && request.right => redirect(flags::SETS_COOKIE),
            ("login" | "register" | "feedback" | "account" | "cart", None) if !post => html(200),
            ("login", None) => Answer { upstream_ms: 90, ..html(200) },
            ("register", None) if request.right => redirect(flags::SETS_COOKIE),
            ("feedback" | "checkout", None) => redirect(0),
            ("cart", None) => json(if request.right { 200 } else { 409 }),
            ("account", Some("orders")) => self.order(request, third, html),
            ("private", Some(_)) => {
                html(if request.right && request.credential != 0 { 200 } else { 401 })
            }
            ("dav", Some(_)) => dav(request.method),
            ("chat", Some(_)) => json(if post { 201 } else { 200 }),
            _ => html(404),
        }
    }

    fn interface(&self, request: &Request<'_>, name: &str, id: Option<&str>) -> Answer {
        let post = request.method == Method::Post;
        match (name, id) {
            ("login" | "notifications" | "sync", None) if !request.right => json(401),
            ("login", None) => Answer { upstream_ms: 90, ..json(200) },
            ("register", None) => json(201),
            ("items", Some(id)) => {
                let found = number(id, "").is_some_and(|n| (1..=PRODUCTS).contains(&n));
                json(if found { 200 } else { 404 })
            }
            ("orders", Some(_)) => self.order(request, id, json),
            ("metrics", None) => json(204),
            ("report", None) => Answer { upstream_ms: 260, bytes: 90_000, ..json(200) },
            ("items" | "search" | "notifications" | "sync" | "stock" | "", None) => json(200),
            ("cart", None) if post => json(if request.right { 200 } else { 409 }),
            _ => json(404),
        }
    }

    fn order(&self, request: &Request<'_>, id: Option<&str>, page: fn(u16) -> Answer) -> Answer {
        let Some(id) = id else { return page(200) };
        let known = FIRST_ORDER..FIRST_ORDER + self.owners * ORDERS_EACH;
        let exists = number(id, "").is_some_and(|n| known.contains(&n));
        page(match (exists, request.right) {
            (true, true) => 200,
            (true, false) => 403,
            (false, _) => 404,
        })
    }
}

/// The number in `c12`, `12`, `12.html`.
fn number(text: &str, prefix: &str) -> Option<u64> {
    let text = text.strip_prefix(prefix)?;
    text.strip_suffix(".html").unwrap_or(text).parse().ok()
}

fn html(status: u16) -> Answer {
    let bytes = if status == 200 { 18_000 } else { 1_200 };
    Answer { status, flags: flags::HTML, bytes, upstream_ms: 35 }
}

fn found(found: bool) -> Answer {
    html(if found { 200 } else { 404 })
}

fn json(status: u16) -> Answer {
    Answer { status, flags: flags::JSON, bytes: 900, upstream_ms: 18 }
}

/// After a form that was accepted.
fn redirect(flags: u32) -> Answer {
    Answer { status: 302, flags, bytes: 400, upstream_ms: 60 }
}

fn asset(path: &str) -> Answer {
    let known = path.starts_with("/static/") || path.starts_with("/img/products/");
    let status = if known && !path.contains("map") { 200 } else { 404 };
    Answer { status, flags: 0, bytes: 30_000, upstream_ms: NO_UPSTREAM }
}

fn dav(method: Method) -> Answer {
    let status = match method {
        Method::WebDav => 207,
        Method::Put => 201,
        Method::Delete => 204,
        _ => 200,
    };
    Answer { status, flags: 0, bytes: 2_000, upstream_ms: 25 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_like_a_shop() {
        let shop = Shop::new(100);
        let mut random = Random::new(1);
        let mut status = |request: Request<'_>| shop.answer(&request, 0, &mut random).status;
        assert_eq!(status(Request::get("/")), 200);
        assert_eq!(status(Request::get("/products/7.html")), 200);
        assert_eq!(status(Request::get("/products/9999.html")), 404);
        assert_eq!(status(Request::get("/.env")), 404);
        assert_eq!(status(Request::post("/login", 30)), 302);
        assert_eq!(status(Request { right: false, ..Request::post("/login", 30) }), 200);
        assert_eq!(status(Request { right: false, ..Request::post("/api/login", 30) }), 401);
        let order = format!("/api/orders/{}", shop.order_of(5, 1));
        assert_eq!(status(Request::get(&order)), 200);
        assert_eq!(status(Request { conditional: true, ..Request::get("/static/app.js") }), 304);
    }

    #[test]
    fn every_order_has_one_owner() {
        let shop = Shop::new(100);
        let mut orders: Vec<u64> = (0..100)
            .flat_map(|person| (0..ORDERS_EACH).map(move |k| (person, k)))
            .map(|(p, k)| shop.order_of(p, k))
            .collect();
        orders.sort_unstable();
        orders.dedup();
        assert_eq!(orders.len(), 300);
    }
}
