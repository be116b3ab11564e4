//! People who shop.

use super::Visitor;
use super::browser::{Browser, CHROME, EDGE, FIREFOX, PHONE};

const WORDS: [&str; 8] =
    ["oak", "reading+lamp", "kettle", "blue+rug", "desk", "tall+shelf", "mug", "clock"];

pub(super) fn with_chrome(visitor: &mut Visitor) {
    shop(&mut Browser::new(visitor, &CHROME), 0.05);
}

pub(super) fn with_edge(visitor: &mut Visitor) {
    shop(&mut Browser::new(visitor, &EDGE), 0.05);
}

pub(super) fn with_firefox(visitor: &mut Visitor) {
    shop(&mut Browser::new(visitor, &FIREFOX), 0.05);
}

/// Somebody who rarely gets the password right at once.
pub(super) fn forgetful(visitor: &mut Visitor) {
    shop(&mut Browser::new(visitor, &FIREFOX), 0.75);
}

/// iOS asks for these when a page is opened or kept, whether or not anybody has them.
pub(super) fn with_phone(visitor: &mut Visitor) {
    let mut browser = Browser::new(visitor, &PHONE);
    browser.open("/");
    for icon in [
        "/apple-touch-icon-120x120-precomposed.png",
        "/apple-touch-icon-120x120.png",
        "/apple-touch-icon-precomposed.png",
        "/apple-touch-icon.png",
    ] {
        browser.fetch_icon(icon);
    }
    shop(&mut browser, 0.2);
}

/// Looks around, searches, logs in at some time, puts things into the cart, writes a review.
fn shop(browser: &mut Browser<'_>, mistypes: f64) {
    browser.open("/");
    browser.fetch_icon("/favicon.ico");
    let mut logged_in = false;
    while browser.visitor.goes_on() {
        browser.visitor.pause(2_000..12_000);
        match browser.visitor.random.within(0..20) {
            0..=1 => {
                let word = *browser.visitor.random.pick(&WORDS);
                browser.open(&format!("/search?q={word}"));
            }
            2..=3 if !logged_in => logged_in = log_in(browser, mistypes),
            4 => {
                browser.submit("/cart", "product=12");
            }
            5 if logged_in => {
                browser.submit("/reviews", "product=12&text=As+good+as+it+looks.");
            }
            6 => browser.open("/"),
            _ => browser.follow_a_link(),
        }
    }
}

fn log_in(browser: &mut Browser<'_>, mistypes: f64) -> bool {
    let (email, password) = browser.visitor.customer();
    let email = email.replace('@', "%40");
    browser.open("/login");
    // After three wrong ones people look into their notes.
    for _ in 0..3 {
        browser.visitor.pause(4_000..9_000);
        if !browser.visitor.goes_on() || !browser.visitor.random.chance(mistypes) {
            break;
        }
        browser.submit("/login", &format!("email={email}&password={password}x"));
    }
    let response = browser.submit("/login", &format!("email={email}&password={password}"));
    response.is_some_and(|response| response.status == 302)
}
