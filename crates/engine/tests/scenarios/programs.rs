//! Programs that people set up, and what pages and applications do by themselves: nobody is convicted.

use api_abuse_engine::Threat;
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

/// What other programs report is nothing that they order, write or register.
#[test]
fn what_shops_and_banks_report() {
    for path in ["/webhooks/orders", "/api/hooks/pay/customers/create"] {
        harmless(200, |n| {
            let hit = json(post(99, path, 204, 300));
            (u64::from(20 + n % 7 * 60), Hit { user_agent: "notifier/2", ..hit })
        });
    }
}

/// Two hundred pictures on a page, whose names do not say that they are; whoever takes them without the page
/// collects them.
#[test]
fn a_gallery_with_hundreds_of_pictures() {
    let picture = |n: u32| Hit { flags: 0, ..get(99, &format!("/photo/{}", 4000 + n), 200) };
    harmless(1206, |n| match n % 201 {
        0 => (5000, Hit { referer: Some("/"), ..get(99, "/album", 200) }),
        _ => (12, Hit { referer: Some("/album"), ..picture(n) }),
    });
    world(|world| {
        let user_agent = "collect/1";
        let hit = |n| Hit { user_agent, ..picture(n) };
        let requests = convicted_for(world, Threat::Scraping, 200, 12, hit);
        assert!(requests <= 60, "{requests}");
    });
}

/// What is not in a cache is nothing that was guessed: content is named by what it is.
#[test]
fn what_a_cache_of_builds_does_not_have() {
    for prefix in ["/cache/cas/", "/v2/team/app/blobs/sha256:"] {
        harmless(300, |n| {
            let path = format!(
                "{prefix}{:016x}{:048x}",
                u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                n
            );
            (20, Hit { user_agent: "build/7", flags: 0, ..get(99, &path, 404) })
        });
    }
}

/// A folder that is mounted is asked for names that may be in any; without a folder, they are looked for.
#[test]
fn a_folder_that_is_mounted() {
    const NAMES: [&str; 5] = ["desktop.ini", "folder.jpg", "thumbs", "hidden", "trashes"];
    let asked = |n: u32| {
        let path = format!("/files/dir{}/{}", n / 6, NAMES[n as usize % 5]);
        let flags = flags::AUTHORIZATION;
        Hit { user_agent: "mount/1", flags, credential: 6, ..get(99, &path, 404) }
    };
    harmless(600, |n| match n % 6 {
        1 => (20, Hit { method: Method::WebDav, status: 207, ..asked(n) }),
        _ => (20, asked(n)),
    });
    world(|world| {
        convicted_for(world, Threat::VulnerabilityScanning, 60, 20, asked);
    });
}

/// News that an application waits for all day long, which does nothing else and sends nothing along.
#[test]
fn news_that_a_program_waits_for() {
    let queries: Vec<_> = (0..3000).map(|n| &*format!("since={}", 1_000_000 + n).leak()).collect();
    harmless(3000, |n| {
        let query = queries[n as usize - 1];
        let hit = json(get(99, "/api/updates", 200));
        (u64::from(300 + n % 3 * 900), Hit { user_agent: "news/2", query, ..hit })
    });
}

/// A second factor is as good as a login: a few codes are mistyped, a hundred are guessed.
#[test]
fn codes_that_are_mistyped_and_codes_that_are_guessed() {
    let code = |status| json(post(99, "/api/2fa/verify", status, 17));
    harmless(70, |n| match n % 7 {
        0 => (9000, code(200)),
        _ => (5000, code(401)),
    });
    world(|world| {
        let attempts = convicted_for(world, Threat::CredentialStuffing, 100, 200, |_| code(401));
        assert!(attempts <= 60, "{attempts}");
    });
}
