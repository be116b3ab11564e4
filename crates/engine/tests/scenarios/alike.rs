//! People and programs that do for a while what an attack does: nobody is convicted. Each has its twin, who is.

use api_abuse_engine::Threat;
use api_abuse_engine::record::flags;

use crate::world::*;

/// Sends so many, each with its gap, and expects no decision.
fn harmless(count: u32, mut hit: impl FnMut(u32) -> (u64, Hit)) {
    world(|world| {
        // Whoever is there from the beginning belongs to what is learned.
        world.send(90_000_000, &get(1, "/", 200));
        for n in 1..=count {
            let (gap_ms, hit) = hit(n);
            world.send(gap_ms, &hit);
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

/// Three accounts, each with a password that was changed elsewhere, every minute for a day.
#[test]
fn a_device_with_three_stale_passwords() {
    harmless(3000, |n| (29_000, json(post(99, "/api/login", 401, 41 + 3 * (n % 3)))));
}

/// Tries a dozen that it may have been, and gives up.
#[test]
fn somebody_who_forgot_a_password() {
    harmless(13, |n| match n {
        13 => (9000, get(99, "/password/reset", 200)),
        _ => (20_000, post(99, "/api/login", 401, 40 + n * 7 % 6)),
    });
}

#[test]
fn a_list_of_credentials_at_leisure() {
    world(|world| {
        let hit = |n: u32| json(post(99, "/api/login", 401, 24 + n * 7 % 24));
        let requests = convicted_for(world, Threat::CredentialStuffing, 60, 60_000, hit);
        assert!(requests <= 18, "{requests}");
    });
}

/// One after another of an archive, in order or not, with its pictures, as its pages link to each other. Not
/// so who loads no pictures, nor who is in a hurry.
#[test]
fn a_reader_of_a_whole_archive() {
    for step in [1, 7919] {
        harmless(900, |n| {
            let page = format!("/products/{}.html", 100 + n / 3 * step % 1600);
            let referer = Some("/products/1.html");
            let hit = match n % 3 {
                0 => Hit { referer, ..get(99, &page, 200) },
                k => Hit { flags: 0, referer, ..get(99, &format!("/img/{n}-{k}.jpg"), 200) },
            };
            (if n % 3 == 0 { 14_000 } else { 90 }, hit)
        });
    }
    for (gap_ms, pictures) in [(14_000, false), (300, true)] {
        world(|world| {
            let hit = |n: u32| match n % 3 {
                0 => {
                    let page = format!("/products/{}.html", 100 + n / 3);
                    Hit { referer: Some("/products/1.html"), ..get(99, &page, 200) }
                }
                _ if !pictures => get(99, "/feed/latest", 200),
                k => Hit { flags: 0, ..get(99, &format!("/img/{n}-{k}.jpg"), 200) },
            };
            convicted_for(world, Threat::Scraping, 400, gap_ms, hit);
        });
    }
}

/// In a sale: asks whether it is there, and takes it, again and again, as the button does that.
#[test]
fn somebody_who_wants_what_is_sold_out() {
    let page = flags::JSON | flags::COOKIE;
    harmless(90, |n| match n % 3 {
        0 => (4000, Hit { flags: page, ..post(99, "/api/cart", 409, 24) }),
        _ => (2000, Hit { flags: page, ..get(99, "/api/items/7", 200) }),
    });
}

/// A till: what it sells is there.
#[test]
fn a_till_that_asks_before_it_orders() {
    harmless(120, |n| {
        let hit = match n % 3 {
            0 => post(99, "/api/orders", 201, 240),
            _ => get(99, "/api/stock", 200),
        };
        (7000, Hit { user_agent: "till/3.1", ..json(hit) })
    });
}

#[test]
fn a_scalper_that_takes_its_time() {
    world(|world| {
        // Whoever is there from the beginning belongs to what is learned.
        world.send(90_000_000, &get(1, "/", 200));
        let requests = convicted_for(world, Threat::Scalping, 200, 3000, |n| match n % 3 {
            0 => json(post(99, "/api/cart", 409, 24)),
            _ => json(get(99, "/api/items/7", 200)),
        });
        assert!(requests <= 60, "{requests}");
    });
}

/// A page that sends no Referer shows ten things after each list, all at once or one after the other.
#[test]
fn things_that_a_page_shows_without_a_referer() {
    for gap_ms in [40, 150] {
        harmless(1100, |n| {
            let path = match n % 11 {
                0 => format!("/api/search/{}", n % 40),
                k => format!("/api/items/{}", (n / 11 * 31 + k * 17) % 400),
            };
            (if n % 11 == 0 { 9000 } else { gap_ms }, json(get(99, &path, 200)))
        });
    }
}

/// The pictures of a site are elsewhere, and a browser keeps to itself where it was.
#[test]
fn somebody_who_says_nothing_reads_an_evening() {
    harmless(80, |n| (25_000, get(99, &format!("/products/{}.html", n * 31 % 400), 200)));
    harmless(160, |n| {
        let path = if n % 5 == 0 {
            "/api/search".to_owned()
        } else {
            format!("/api/items/{}", n * 31 % 400)
        };
        (9000, json(get(99, &path, 200)))
    });
}

/// Its scripts name things that are no paths; it says what it is, and takes its time.
#[test]
fn a_crawler_that_takes_strings_for_paths() {
    world(|world| {
        for person in 1..6 {
            for name in ["player", "player.min", "wp-player", "jquery"] {
                world.send(90, &get(person, &format!("/wp-includes/js/player/{name}.js"), 200));
            }
        }
        let crawler = |hit| Hit { user_agent: "crawler-of.example.com", ..hit };
        for round in 0..6 {
            world.send(1000, &crawler(get(99, "/robots.txt", 200)));
            world.send(1000, &crawler(get(99, "/products/1.html", 200)));
            for name in ["player-full.js", "flash.js", "skin.js"] {
                let path = format!("/wp-includes/js/player/{round}{name}");
                world.send(1000, &crawler(get(99, &path, 404)));
            }
            for path in ["audio/mpeg", "application/x-mpegURL", "+b.height()+", "text/css"] {
                world.send(1000, &crawler(get(99, &format!("/{path}{round}"), 404)));
            }
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
        let scanner = |n: u32| Hit {
            user_agent: "wpscan.example.com",
            ..get(98, &format!("/wp-includes/x{n}/"), 404)
        };
        assert!(convicted_for(world, Threat::VulnerabilityScanning, 20, 1000, scanner) <= 9);
    });
}
