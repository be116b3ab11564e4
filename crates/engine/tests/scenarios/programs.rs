//! Programs that people set up, and what pages and applications do by themselves: nobody is convicted.

use api_abuse_engine::record::{Method, flags};

use crate::world::*;

const CALL: u32 = flags::JSON | flags::AUTHORIZATION;

/// Sends so many, each with its gap, and expects no decision.
fn harmless(count: u32, mut hit: impl FnMut(u32) -> (u64, Hit)) {
    world(|world| {
        for n in 1..=count {
            let (gap_ms, hit) = hit(n);
            world.send(gap_ms, &hit);
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn the_same_items_asked_for_in_order_every_minute() {
    harmless(6000, |n| {
        let gap_ms = if n % 30 == 0 { 57_000 } else { 100 };
        let hit = json(get(99, &format!("/api/items/{}", n % 30), 200));
        (gap_ms, Hit { user_agent: "stock/1.0", ..hit })
    });
}

#[test]
fn a_list_that_an_application_loads_item_by_item() {
    for (user_agent, more) in [("okhttp/4.12", 0), ("Mozilla/5.0 Firefox/140.0", flags::COOKIE)] {
        harmless(600, |n| {
            let gap_ms = if n % 20 == 0 { 9000 } else { 30 };
            let hit = get(99, &format!("/api/items/{n}"), 200);
            (gap_ms, Hit { user_agent, flags: flags::JSON | more, ..hit })
        });
    }
}

/// A client's own things, in a group that nobody else is known to have anything in: a first time, and again.
#[test]
fn a_list_of_ones_own_that_is_synchronised_item_by_item() {
    for (things, pause_ms, gap_ms) in [(100, 60_000, 100), (100, 3_600_000, 1500), (120, 900, 30)] {
        for (flags, credential) in [(CALL, 5), (CALL | flags::COOKIE, 6)] {
            harmless(12 * things, |n| {
                let path = format!("/api/tasks/{}", 1 + (n - 1) % things);
                let gap_ms = if n % things == 1 { pause_ms } else { gap_ms };
                let user_agent = "sync/2.1";
                (gap_ms, Hit { user_agent, flags, credential, ..get(99, &path, 200) })
            });
        }
    }
}

/// The same with what many people use, a page of the list first, and downwards.
#[test]
fn a_catalogue_that_an_application_keeps_a_copy_of() {
    harmless(1212, |n| {
        let path = match n % 101 {
            0 => "/api/items".to_owned(),
            k => format!("/api/items/{}", 101 - k),
        };
        let hit = Hit { flags: CALL, credential: 5, ..get(99, &path, 200) };
        (if n % 101 == 0 { 60_000 } else { 120 }, Hit { user_agent: "okhttp/4.12", ..hit })
    });
}

/// Numbers in order come out of order where several are asked for at once.
#[test]
fn a_list_of_ones_own_by_ten_at_once() {
    let order = [2, 0, 6, 9, 5, 8, 7, 4, 3, 1];
    harmless(1200, |n| {
        let (block, at) = (n % 100 / 10 * 10, order[n as usize % 10]);
        let path = format!("/api/tasks/{}", 700 + block + at);
        let hit = Hit { flags: CALL, credential: 5, ..get(99, &path, 200) };
        (if n % 100 == 0 { 30_000 } else { 40 }, Hit { user_agent: "sync/2.1", ..hit })
    });
}

#[test]
fn a_link_checker_that_asked_for_robots_txt() {
    harmless(400, |n| {
        let path = match n {
            1 => "/robots.txt".to_owned(),
            _ => format!("/products/{}.html", n % 300),
        };
        let user_agent = "Mozilla/5.0 (compatible; Links/10.2; +https://links.example/)";
        (110, Hit { user_agent, ..get(99, &path, 200) })
    });
}

#[test]
fn credentials_that_are_shown_when_they_are_asked_for() {
    harmless(400, |n| {
        let path = format!("/repo/org/lib{}/artifact-{}.jar", n / 2, n / 2);
        let shown = Hit { credential: 4, flags: flags::AUTHORIZATION, ..get(99, &path, 200) };
        (200, if n % 2 == 0 { shown } else { get(99, &path, 401) })
    });
}

#[test]
fn an_application_that_is_newer_than_its_interface() {
    const NAMES: [&str; 10] =
        ["me", "feed", "flags", "inbox2", "ab", "themes", "ping", "news2", "ads2", "cfg2"];
    harmless(60, |n| {
        let path = format!("/api/{}", NAMES[n as usize % 10]);
        (100, Hit { user_agent: "okhttp/4.12", credential: 5, flags: CALL, ..get(99, &path, 404) })
    });
}

#[test]
fn what_is_looked_for_before_it_is_put_there() {
    looked_for("/dav/notes-of-day-");
    looked_for("/dav/");
}

fn looked_for(name: &str) {
    harmless(400, |n| {
        let path = format!("{name}{}", n.div_ceil(2));
        let hit = Hit {
            user_agent: "sync/3",
            flags: flags::AUTHORIZATION,
            credential: 8,
            ..get(99, &path, 404)
        };
        (60, if n % 2 == 0 { Hit { method: Method::Put, status: 201, ..hit } } else { hit })
    });
}

#[test]
fn orders_that_another_company_sends() {
    harmless(50, |n| {
        let hit = post(99, "/api/orders", 201, 300 + n % 50);
        (150, Hit { user_agent: "erp/2", credential: 5, flags: CALL, ..hit })
    });
}

#[test]
fn clicks_and_drafts_and_somebody_who_types() {
    let page = flags::JSON | flags::COOKIE;
    harmless(80, |n| (700, Hit { flags: page, ..post(99, "/cart/update", 200, 20 + n % 2) }));
    harmless(600, |n| {
        (1000, Hit { flags: page, ..post(99, "/api/messages/typing", 204, 30 + n % 2) })
    });
    harmless(600, |n| (2000, Hit { flags: page, ..post(99, "/api/posts/7", 200, 300 + n) }));
}

#[test]
fn a_password_manager_that_is_out_of_date() {
    harmless(40, |n| {
        let fits = Hit { flags: flags::SETS_COOKIE, ..post(99, "/login", 302, 40) };
        (4000, if n % 4 == 0 { fits } else { post(99, "/login", 200, 40 + n % 3) })
    });
}
