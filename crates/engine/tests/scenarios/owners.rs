//! Objects of others, where little is known yet: a site that was watched for a minute, whose few customers
//! looked at an order or three of their own; and what looks like a walk through those of others.

use api_abuse_engine::record::{Method, flags};
use api_abuse_engine::{Config, Threat};

use crate::world::*;

const CUSTOMERS: u32 = 0x0a01_0000;
const WALKER: u32 = 0x0a02_0001;
const CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/136.0.0.0 Safari/537.36";
const CURL: &str = "curl/7.88.1";
const CALL: u32 = flags::JSON | flags::AUTHORIZATION;
/// What a browser sends along with what its pages load.
const DRESSED: u32 =
    flags::ACCEPT_LANGUAGE | flags::REFERER | flags::SAME_SITE_REFERER | flags::SEC_FETCH;

/// What customers do while the site is watched: how many there are, how many orders each looks at, how
/// often, and how far from one's first number the next one's is.
#[derive(Clone, Copy, Debug)]
struct Site {
    customers: u32,
    orders: u32,
    looks: u32,
    apart: u32,
}

const fn site(customers: u32, orders: u32, looks: u32, apart: u32) -> Site {
    Site { customers, orders, looks, apart }
}

/// Nobody with a token; twenty who look at no orders; few, some and many who do.
const NOBODY: Site = site(0, 0, 0, 17);
const NO_ORDERS: Site = site(20, 0, 0, 17);
const FEW: Site = site(5, 2, 1, 17);
const FIVE: Site = site(5, 3, 1, 211);
const SOME: Site = site(12, 3, 1, 17);
const MANY: Site = site(30, 2, 2, 17);
/// Their numbers are next to each other.
const DENSE: Site = site(12, 3, 3, 3);
const SITES: [Site; 7] = [NOBODY, NO_ORDERS, FEW, FIVE, SOME, MANY, DENSE];

/// A call with the token of somebody.
fn call(who: u64, path: &str, status: u16) -> Hit {
    let hit = ask(WALKER, path, status);
    Hit { flags: CALL, credential: api_abuse_engine::hash::combine(who, 0xc0de), ..hit }
}

fn order(n: u32) -> Hit {
    Hit { user_agent: CURL, ..call(99, &format!("/api/orders/{n}"), 200) }
}

/// The same with a session in place of a token.
fn with_session(hit: Hit) -> Hit {
    let flags = (hit.flags & !flags::AUTHORIZATION) | flags::COOKIE;
    Hit { flags, session: hit.credential, credential: 0, ..hit }
}

/// The same of nobody in particular.
fn anonymous(hit: Hit) -> Hit {
    Hit { flags: hit.flags & !flags::AUTHORIZATION, credential: 0, ..hit }
}

fn after_a_minute<R>(site: Site, test: impl FnOnce(&mut World<'_>) -> R) -> R {
    let mut config = Config::new(SEED).with_application(b"shop");
    config.applications[0].policy.learning_ms = 60_000;
    let mut memory = Memory::new(2 << 20);
    let mut world = World::new(&mut memory, config, 10_000_000);
    let people = site.customers.max(6);
    for round in 0..6 {
        for customer in 0..people {
            let orders = if round < site.looks { site.orders } else { 0 };
            let numbers = (0..orders).map(|k| 1 + customer * site.apart + k * 5);
            let mut paths: Vec<_> = numbers.map(|n| format!("/api/orders/{n}")).collect();
            paths.push("/api/me".to_owned());
            paths.push(format!("/api/items/{}", 1 + (customer * 5 + round * 3) % 40));
            for (at, path) in paths.iter().enumerate() {
                let hit = call(u64::from(customer) + 1, path, 200);
                let hit = if site.customers == 0 { anonymous(hit) } else { hit };
                let address = (CUSTOMERS + customer).to_be_bytes();
                let user_agent = ["okhttp/4.12", CHROME][customer as usize % 2];
                let pause_ms = if at == 0 { 10_000 / u64::from(people) } else { 9 };
                world.send(pause_ms, &Hit { address, user_agent, ..hit });
            }
        }
    }
    assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    test(&mut world)
}

/// After how many requests a walk is convicted.
fn walked(site: Site, gap_ms: u64, hit: impl FnMut(u32) -> Hit) -> u32 {
    after_a_minute(site, |world| {
        let (requests, decision) = world.until_decided(300, gap_ms, hit).unwrap();
        let refused = decision.threat == Threat::VulnerabilityScanning;
        assert!(decision.threat == Threat::Bola || refused, "{decision:?}");
        requests
    })
}

/// A walk of so many numbers that comes by all of them, in no order.
fn shuffled(n: u32, of: u32) -> u32 {
    1 + (n * 7919) % of
}

#[test]
fn orders_walked_by_number_where_a_few_have_some() {
    for site in [FEW, FIVE, SOME, MANY, DENSE] {
        for first in [0, 1000] {
            let requests = walked(site, 100, |n| order(first + n));
            assert!(requests <= 40, "{site:?}, from {first}: {requests}");
        }
        let requests = walked(site, 50, |n| with_session(Hit { user_agent: CHROME, ..order(n) }));
        assert!(requests <= 40, "{site:?}, a session: {requests}");
        let requests = walked(site, 50, |n| anonymous(order(n)));
        assert!(requests <= 40, "{site:?}, nobody: {requests}");
        // Ten connections at once.
        let jumbled =
            |n: u32| order(1000 + n / 10 * 10 + [2, 0, 6, 9, 5, 8, 7, 4, 3, 1][n as usize % 10]);
        let requests = walked(site, 50, jumbled);
        assert!(requests <= 45, "{site:?}, ten at once: {requests}");
        let requests = walked(site, 1700, order);
        assert!(requests <= 80, "{site:?}, slowly: {requests}");
    }
}

#[test]
fn orders_walked_where_some_are_refused_or_not_there() {
    for site in [NO_ORDERS, FEW, SOME, MANY, DENSE] {
        for status in [403, 404] {
            let all = walked(site, 100, |n| Hit { status, ..order(n) });
            assert!(all <= 25, "{site:?}, {status}: {all}");
            let third = |n| Hit { status: if n % 3 == 0 { status } else { 200 }, ..order(n) };
            let requests = walked(site, 100, third);
            assert!(requests <= 75, "{site:?}, some {status}: {requests}");
        }
    }
}

/// In no order, a walk is told by those whose objects it comes by.
#[test]
fn orders_walked_in_no_order_where_some_have_some() {
    for (site, of, most) in [(SOME, 500, 80), (SOME, 100, 80), (MANY, 500, 60), (DENSE, 100, 60)] {
        let requests = walked(site, 100, |n| order(shuffled(n, of)));
        assert!(requests <= most, "{site:?} of {of}: {requests}");
    }
}

#[test]
fn orders_walked_where_nobody_has_any() {
    let requests = walked(NO_ORDERS, 100, |n| order(1000 + n));
    assert!(requests <= 80, "a program where many people are known: {requests}");
    for site in [NOBODY, NO_ORDERS] {
        let requests = walked(site, 50, |n| Hit { user_agent: CHROME, ..order(1000 + n) });
        assert!(requests <= 70, "a program that calls itself a browser: {requests}");
    }
    // Somebody's own list, for all that is known.
    assert!(walked(NOBODY, 100, order) <= 140);
}

/// Sends so many, each with its gap, on each of the sites, and expects no decision.
fn harmless(sites: &[Site], what: &str, count: u32, gap_ms: u64, hit: impl Fn(u32) -> Hit) {
    for &site in sites {
        after_a_minute(site, |world| {
            let decided = world.until_decided(count, gap_ms, &hit);
            assert!(decided.is_none(), "{what} every {gap_ms} ms, {site:?}: {decided:?}");
        });
    }
}

#[test]
fn an_application_that_loads_its_lists_item_by_item() {
    for site in [NOBODY, NO_ORDERS, FEW, FIVE, SOME] {
        after_a_minute(site, |world| {
            for list in 0..8 {
                for item in 0..25 {
                    let path = format!("/api/orders/{}", 1000 + 50 * (list * 7 % 40) + item);
                    let hit = Hit { user_agent: CHROME, ..call(97, &path, 200) };
                    world.send(if item == 0 { 25_000 } else { 30 }, &hit);
                }
            }
            assert!(world.decisions.is_empty(), "{site:?}: {:?}", world.decisions);
        });
    }
}

/// A list of so many, of which each names its number.
fn list(path: &str, of: u64) -> Hit {
    Hit { bytes: 40 * of, ..sync(path) }
}

fn sync(path: &str) -> Hit {
    Hit { user_agent: "sync/2.1", ..call(98, path, 200) }
}

#[test]
fn a_list_of_ones_own_that_is_synchronised() {
    let own = |n: u32| sync(&format!("/api/orders/{}", 5000 + n));
    for gap_ms in [100, 1500] {
        let named = |n: u32| if n % 101 == 1 { list("/api/orders", 100) } else { own(n % 101) };
        harmless(&[NOBODY, NO_ORDERS], "after the list", 1000, gap_ms, named);
        // Those of others lie between one's own.
        harmless(&SITES, "with gaps", 100, gap_ms, |n| own(n * 2 + n / 3 % 2));
        harmless(&SITES, "with wider gaps", 100, gap_ms, |n| own(n * 3));
        harmless(&SITES, "far from each other", 200, gap_ms, |n| own(n * 23));
        harmless(&SITES, "sixty, again and again", 600, gap_ms, |n| {
            sync(&format!("/api/status/{}", n % 60))
        });
    }
}

#[test]
fn what_a_program_made_itself() {
    let own = |n: u32| sync(&format!("/api/orders/{}", 5000 + n));
    let make = || Hit { method: Method::Post, status: 201, ..sync("/api/orders") };
    for gap_ms in [100, 1500] {
        harmless(&SITES, "made and read", 100, gap_ms, |n| {
            if n % 2 == 1 { make() } else { own(n / 2) }
        });
        harmless(&SITES, "made, then read", 100, gap_ms, |n| if n <= 50 { make() } else { own(n) });
        harmless(&SITES, "looked for, then put there", 200, gap_ms, |n| match n % 2 {
            1 => Hit { method: Method::Put, status: 201, ..own(n / 2) },
            _ => Hit { status: 404, ..own(n / 2) },
        });
    }
}

#[test]
fn staff_and_customers_at_their_browsers() {
    let browser = |path: &str, html: bool| {
        let kind = if html { flags::HTML } else { flags::JSON };
        let flags = kind | flags::AUTHORIZATION | DRESSED;
        Hit { user_agent: CHROME, flags, ..call(97, path, 200) }
    };
    for gap_ms in [2000, 8000] {
        for html in [false, true] {
            let path = |n: u32| format!("/api/orders/{}", 1 + n * 7919 % 600);
            harmless(&SITES, "support", 400, gap_ms, |n| browser(&path(n), html));
        }
        harmless(&SITES, "sixty orders of one's own", 66, gap_ms, |n| match n % 11 {
            1 => Hit { bytes: 900, ..browser("/api/orders", false) },
            _ => browser(&format!("/api/orders/{}", 5000 + n * 13), false),
        });
    }
    harmless(&SITES, "pictures of a page", 100, 1, |n| {
        with_session(browser(&format!("/api/photos/{n}"), false))
    });
}

/// What is done to objects of others, and asked of them, whatever the method.
#[test]
fn orders_of_others_that_are_changed_and_deleted() {
    for method in [Method::Put, Method::Patch, Method::Delete, Method::Head] {
        for number in [|n| n, |n| shuffled(n, 520)] {
            let requests = walked(MANY, 200, |n| Hit { method, ..order(number(n)) });
            assert!(requests <= 290, "{method:?}: {requests}");
        }
    }
}

/// Customers who look at a part of their own accounts, or fetch it as a file.
fn accounts(file: bool, test: impl FnOnce(&mut World<'_>)) {
    after_a_minute(NO_ORDERS, |world| {
        for _ in 0..3 {
            for n in 0..60 {
                let path = format!("/api/accounts/{}/statements", 100 + n * 3);
                let address = (CUSTOMERS + n % 20).to_be_bytes();
                let hit = Hit { address, ..call(u64::from(n % 20) + 1, &path, 200) };
                world.send(300, &if file { as_file(hit) } else { hit });
            }
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
        test(world);
    });
}

/// An order that is marked on a page of the application.
fn marked(n: u32) -> Hit {
    Hit { method: Method::Patch, user_agent: CHROME, flags: CALL | DRESSED, ..order(n) }
}

/// The same, and the answer is a PDF.
fn as_file(hit: Hit) -> Hit {
    Hit { flags: hit.flags & !flags::JSON | flags::FILE, ..hit }
}

fn statements(n: u32) -> Hit {
    Hit { user_agent: CURL, ..call(99, &format!("/api/accounts/{n}/statements"), 200) }
}

#[test]
fn parts_of_what_belongs_to_others() {
    for file in [false, true] {
        accounts(file, |world| {
            let requests = convicted_for(world, Threat::Bola, 200, 200, |n| {
                let hit = statements(100 + n);
                if file { as_file(hit) } else { hit }
            });
            assert!(requests <= 60, "{requests}");
        });
    }
    // Colleagues who fetch each other's files at their browsers, and a program that shows their pictures.
    accounts(true, |world| {
        for n in 0..200 {
            let hit = as_file(statements(100 + n % 60 * 3));
            let flags = hit.flags | DRESSED;
            world.send(4000, &Hit { user_agent: CHROME, flags, ..hit });
        }
        for n in 0..200 {
            let hit = statements(100 + n % 60 * 3);
            world.send(200, &Hit { flags: flags::AUTHORIZATION, ..hit });
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
    accounts(false, |world| {
        // Nobody's, or one's own.
        for n in 0..400 {
            world.send(200, &statements(5000 + n % 40));
        }
        // A family's.
        for n in 0..200 {
            world.send(900, &statements(100 + n % 4 * 3));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

/// The parts of uploads, in order; what one made and deletes; a list on a page that is marked as done; support
/// staff at a browser.
#[test]
fn what_people_change_by_the_dozen() {
    let quiet = |hit: fn(u32) -> Hit, count, gap_ms| {
        after_a_minute(MANY, |world| {
            for n in 0..count {
                world.send(gap_ms, &hit(n));
            }
            assert!(world.decisions.is_empty(), "{:?}", world.decisions);
        });
    };
    let part: fn(u32) -> Hit = |n| {
        let path = format!("/api/uploads/{:08x}5/{}", 7 + n / 100, n % 100);
        let address = (CUSTOMERS + n / 100 % 5).to_be_bytes();
        Hit { method: Method::Put, address, ..call(u64::from(n / 100 % 5) + 1, &path, 200) }
    };
    quiet(part, 2000, 30);
    quiet(|n| Hit { method: Method::Delete, ..order(7000 + n) }, 200, 50);
    quiet(|n| marked(1 + n * 17), 25, 20);
    quiet(|n| marked(1 + n * 17 % 500), 400, 4000);
}
