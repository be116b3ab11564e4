//! The pages and their assets.

use std::fmt::Write;

use super::accounts::Accounts;
use super::api::PASSWORD_CHECK;
use super::{Answer, Visit, catalogue};

/// Assets that every page has.
const STYLE: &str = "/assets/shop.css";
const SCRIPT: &str = "/assets/shop.js";

/// A PNG of one pixel. Images differ by their trailing bytes, which decoders ignore.
const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\
    \x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";

const ROBOTS: &str = "User-agent: *\nDisallow: /account\nDisallow: /cart\nDisallow: /login\n\
    Disallow: /search\nSitemap: /sitemap.xml\n";

pub(super) fn answer(visit: &Visit, accounts: &Accounts) -> Option<Answer> {
    let customer = accounts.customer(visit.session());
    let get = matches!(visit.method.as_str(), "GET" | "HEAD");
    Some(match (get, visit.path.as_str()) {
        (true, "/") => home(),
        (true, "/login") => form("Log in", "/login", ""),
        (false, "/login") => log_in(visit, accounts),
        (true, "/register") => form("Register", "/register", ""),
        (false, "/register") => register(visit, accounts),
        (true, "/account") if customer.is_none() => Answer::redirect("/login"),
        (true, "/account") => page("Your account", "<p>Your orders: none yet.</p>"),
        (true, "/cart") => page("Your cart", "<p>The cart is empty.</p>"),
        (false, "/cart") => Answer::redirect("/cart").work(6),
        (false, "/reviews") => Answer::redirect("/").work(8),
        (true, "/search") => search(visit),
        (true, "/about") => page("About us", "<p>We sell things that last.</p>"),
        (true, "/health") => Answer::new(200, "text/plain", "ok\n").work(1),
        (true, "/robots.txt") => Answer::new(200, "text/plain", ROBOTS),
        (true, "/sitemap.xml") => sitemap(),
        (true, path) => return asset(path).or_else(|| part(path, visit)),
        _ => return None,
    })
}

/// Pages with a number or a name in their path.
fn part(path: &str, visit: &Visit) -> Option<Answer> {
    let (kind, name) = path.strip_prefix('/')?.split_once('/')?;
    match kind {
        "department" => {
            let index = catalogue::DEPARTMENTS.iter().position(|d| *d == name)?;
            let number = visit.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(1);
            let products = catalogue::page_of(index, number);
            let next = format!("<a href=\"/department/{name}?page={}\">more</a>", number + 1);
            let more = if products.len() as u64 == catalogue::PAGE { &next } else { "" };
            Some(page(name, &format!("{}{more}", list(&products))))
        }
        "product" => product(name.parse().ok()?),
        _ => None,
    }
}

fn product(product: u64) -> Option<Answer> {
    if !catalogue::is_sold(product) {
        return None;
    }
    let price = catalogue::price(product);
    let mut body = format!(
        "<img src=\"/images/product-{product}.png\" alt=\"\">\n<p>{}.{:02} EUR</p>\n\
         <form method=\"post\" action=\"/cart\"><input name=\"product\" value=\"{product}\"></form>\n\
         <form method=\"post\" action=\"/reviews\"><textarea name=\"text\"></textarea></form>\n",
        price / 100,
        price % 100
    );
    body.push_str(&list(&[product % 300 + 1, product * 7 % 300 + 1, product * 11 % 300 + 1]));
    Some(page(&catalogue::name(product), &body))
}

fn home() -> Answer {
    let mut body = String::from("<img src=\"/images/banner.png\" alt=\"\">\n");
    for department in catalogue::DEPARTMENTS {
        let _ = writeln!(body, "<a href=\"/department/{department}\">{department}</a>");
    }
    let offers: Vec<u64> = (1..=8).map(|n| n * 31).collect();
    page("Things that last", &(body + &list(&offers)))
}

fn search(visit: &Visit) -> Answer {
    let words = visit.parameter("q").unwrap_or_default();
    page("Search", &list(&catalogue::search(&words))).work(40)
}

fn list(products: &[u64]) -> String {
    products.iter().fold(String::new(), |mut list, product| {
        let _ = writeln!(
            list,
            "<a href=\"/product/{product}\"><img src=\"/images/thumb-{product}.png\">{}</a>",
            catalogue::name(*product)
        );
        list
    })
}

fn page(title: &str, body: &str) -> Answer {
    let html = format!(
        "<!doctype html><html><head><title>{title}</title><link rel=\"stylesheet\" href=\"{STYLE}\">\n\
         <script src=\"{SCRIPT}\" defer></script></head><body><h1>{title}</h1>\n\
         <a href=\"/\">home</a> <a href=\"/about\">about</a> <a href=\"/cart\">cart</a>\n{body}</body></html>\n"
    );
    Answer::html(200, html).work(4)
}

fn form(title: &str, action: &str, complaint: &str) -> Answer {
    page(
        title,
        &format!(
            "<p>{complaint}</p><form method=\"post\" action=\"{action}\">\
             <input name=\"email\"><input name=\"password\" type=\"password\"></form>\n"
        ),
    )
}

fn log_in(visit: &Visit, accounts: &Accounts) -> Answer {
    let email = visit.field("email").unwrap_or_default();
    match accounts.log_in(&email, &visit.field("password").unwrap_or_default()) {
        Some(token) => Answer::redirect("/account")
            .header("Set-Cookie", format!("session={token}; HttpOnly; SameSite=Lax")),
        None => form("Log in", "/login", "E-mail address and password do not match."),
    }
    .work(PASSWORD_CHECK)
}

fn register(visit: &Visit, accounts: &Accounts) -> Answer {
    let email = visit.field("email").unwrap_or_default();
    if accounts.register(&email, &visit.field("password").unwrap_or_default()) {
        Answer::redirect("/login").work(PASSWORD_CHECK)
    } else {
        form("Register", "/register", "This address is taken.")
    }
}

fn sitemap() -> Answer {
    let mut body = String::from("<?xml version=\"1.0\"?><urlset>\n");
    for department in catalogue::DEPARTMENTS {
        let _ = writeln!(body, "<url><loc>/department/{department}</loc></url>");
    }
    // Written once a month: it still names what is gone.
    for product in (1..=catalogue::PRODUCTS).step_by(3) {
        let _ = writeln!(body, "<url><loc>/product/{product}</loc></url>");
    }
    Answer::new(200, "application/xml", body + "</urlset>\n")
}

fn asset(path: &str) -> Option<Answer> {
    let (kind, body) = match path {
        STYLE => ("text/css", "body { font-family: sans-serif }\n".repeat(60).into_bytes()),
        SCRIPT => ("text/javascript", "console.debug('shop');\n".repeat(90).into_bytes()),
        "/favicon.ico" => ("image/png", PIXEL.to_vec()),
        _ => {
            let image = path.strip_prefix("/images/")?.strip_suffix(".png")?;
            let number = image.rsplit('-').next()?;
            let known = number.parse().is_ok_and(|n: u64| n <= catalogue::PRODUCTS);
            if !known && image != "banner" {
                return None;
            }
            let padding = vec![0; 400 + image.len() * 37];
            ("image/png", [PIXEL, &padding].concat())
        }
    };
    let answer = Answer::new(200, kind, body).work(1);
    Some(answer.header("Cache-Control", "max-age=86400".into()))
}
