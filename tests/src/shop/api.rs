//! The JSON API below `/api/`.

use serde_json::{Value, json};

use super::accounts::Accounts;
use super::{Answer, Visit, catalogue};

/// Milliseconds that checking a password takes: it is meant to be slow.
pub(super) const PASSWORD_CHECK: u64 = 30;

pub(super) fn answer(path: &str, visit: &Visit, accounts: &Accounts) -> Option<Answer> {
    let customer = accounts.customer(visit.session());
    Some(match (visit.method.as_str(), path) {
        ("POST", "login") => log_in(visit, accounts),
        ("POST", "register") => register(visit, accounts),
        ("GET", "items") => items(visit),
        ("GET", "me") => personal(customer, |email| json!({ "email": email })),
        ("GET", "notifications") => personal(customer, |_| json!({ "notifications": [] })),
        ("GET", "cart") => personal(customer, |_| json!({ "items": [] })),
        ("GET", "orders") => personal(customer, |email| json!({ "orders": orders_of(&email) })),
        ("POST", "cart") => Answer::json(201, &json!({ "items": 1 })).work(6),
        ("POST", "reviews") => Answer::json(201, &json!({ "review": "thank you" })).work(8),
        ("GET", _) => match path.split_once('/') {
            Some(("items", number)) => item(number)?,
            Some(("orders", number)) => {
                let number: u64 = number.parse().ok()?;
                personal(customer, |email| json!({ "order": number, "customer": email }))
            }
            _ => return None,
        },
        _ => return None,
    })
}

fn log_in(visit: &Visit, accounts: &Accounts) -> Answer {
    let email = visit.field("email").unwrap_or_default();
    match accounts.log_in(&email, &visit.field("password").unwrap_or_default()) {
        Some(token) => Answer::json(200, &json!({ "token": token }))
            .header("Set-Cookie", format!("session={token}; HttpOnly; SameSite=Lax")),
        None => Answer::json(401, &json!({ "error": "wrong e-mail or password" })),
    }
    .work(PASSWORD_CHECK)
}

fn register(visit: &Visit, accounts: &Accounts) -> Answer {
    let email = visit.field("email").unwrap_or_default();
    let password = visit.field("password").unwrap_or_default();
    if accounts.register(&email, &password) {
        Answer::json(201, &json!({ "email": email })).work(PASSWORD_CHECK)
    } else {
        Answer::json(409, &json!({ "error": "taken" }))
    }
}

fn items(visit: &Visit) -> Answer {
    let page = visit.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(1_u64);
    let first = page.saturating_sub(1) * catalogue::PAGE + 1;
    let sold = (first..first + catalogue::PAGE).filter(|&product| catalogue::is_sold(product));
    Answer::json(200, &json!({ "page": page, "items": sold.map(describe).collect::<Vec<_>>() }))
        .work(5)
}

fn item(number: &str) -> Option<Answer> {
    let product = number.parse().ok().filter(|&product| catalogue::is_sold(product))?;
    Some(Answer::json(200, &describe(product)).work(3))
}

fn describe(product: u64) -> Value {
    json!({
        "id": product,
        "name": catalogue::name(product),
        "price": catalogue::price(product),
        "department": catalogue::department(product),
    })
}

/// The orders of a customer. Whoever is logged in may also ask for those of others, which is a mistake of
/// the shop's.
fn orders_of(email: &str) -> Vec<u64> {
    let number: String = email.chars().filter(char::is_ascii_digit).collect();
    let number: u64 = number.parse().unwrap_or_default();
    (1..=3).map(|k| 1000 + (number * 17 + k * 211) % 1500).collect()
}

fn personal(customer: Option<String>, body: impl FnOnce(String) -> Value) -> Answer {
    match customer {
        Some(customer) => Answer::json(200, &body(customer)).work(4),
        None => Answer::json(401, &json!({ "error": "log in first" })),
    }
}
