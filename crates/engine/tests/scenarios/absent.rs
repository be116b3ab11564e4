//! Programs whose job brings many misses: nobody is convicted. Whoever does as they do and looks for names is; and
//! the same names, written in other ways, are the same.

use api_abuse_engine::Threat;
use api_abuse_engine::hash::combine;
use api_abuse_engine::record::{Method, flags};

use crate::world::*;

/// What a program asks for.
fn tool(path: &str, status: u16) -> Hit {
    Hit { user_agent: "fetch/2", flags: 0, ..get(99, path, status) }
}

/// A word that is in no path yet.
fn word(n: u32) -> String {
    let mut rest = combine(u64::from(n), 77) >> 20;
    let mut text = String::from("w");
    while rest > 0 {
        text.push(char::from(b'g' + (rest % 18) as u8));
        rest /= 18;
    }
    text.truncate(9);
    text
}

fn digest(n: u32) -> String {
    let half = |k: u64| combine(u64::from(n), k);
    format!("{:016x}{:016x}{:08x}", half(1), half(2), half(3) as u32)
}

/// Sends so many, and expects no decision.
fn harmless(count: u32, gap_ms: u64, mut hit: impl FnMut(u32) -> Hit) {
    world(|world| {
        // Whoever is there from the beginning belongs to what is learned.
        world.send(90_000_000, &get(1, "/", 200));
        for n in 1..=count {
            world.send(gap_ms, &hit(n));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

/// After how many requests it is convicted, and of this.
fn after(threat: Threat, limit: u32, gap_ms: u64, hit: impl FnMut(u32) -> Hit) -> u32 {
    let mut requests = 0;
    world(|world| {
        world.send(90_000_000, &get(1, "/", 200));
        requests = convicted_for(world, threat, limit, gap_ms, hit);
    });
    requests
}

/// Each object of a repository is asked for by itself before the pack that has them all; backups that are named
/// by digests, and names of as many letters, are looked for.
#[test]
fn a_repository_whose_objects_are_packed() {
    for every in [3, u32::MAX] {
        harmless(400, 25, |n| {
            let digest = digest(n);
            let status = if n % every == 0 { 200 } else { 404 };
            tool(&format!("/team/app.git/objects/{}/{}", &digest[..2], &digest[2..]), status)
        });
    }
    let backup = |n| tool(&format!("/team/{}.sql", digest(n)), 404);
    assert!(after(Threat::VulnerabilityScanning, 40, 25, backup) <= 9);
    let hidden = |n| tool(&format!("/objects/ab/{}{}", word(n), word(n + 1000)), 404);
    assert!(after(Threat::VulnerabilityScanning, 40, 25, hidden) <= 9);
}

/// A name may be a package of each place above it, too. Whoever only ever looks for places is found, later.
#[test]
fn modules_that_are_looked_for_at_each_level() {
    let of = |n: u32| {
        let (place, name) = (word(n / 12), word(n / 4 + 1000));
        match n % 4 {
            0 => tool(&format!("/m.example/{place}/{name}/@v/list"), 200),
            1 => tool(&format!("/m.example/{place}/@v/list"), 404),
            2 => tool(&format!("/m.example/{place}/{name}/@v/v1.{}.0.info", n % 7), 200),
            _ => tool(&format!("/m.example/{place}/{name}/part/@v/list"), 404),
        }
    };
    harmless(600, 20, of);
    world(|world| {
        for n in 0..40 {
            world.send(900, &Hit { address: [192, 0, 2, 90], ..of(4 * n) });
        }
        let threat = Threat::VulnerabilityScanning;
        let places = |n| tool(&format!("/{}/@v/list", word(n)), 404);
        let requests = convicted_for(world, threat, 200, 25, places);
        assert!(requests <= 150, "{requests}");
    });
}

/// Files that say themselves what they are, of which a fifth is in another registry; nothing else that hides
/// four of five requests among them is one.
#[test]
fn artifacts_that_another_registry_has() {
    let of = |n: u32, missing: &str| {
        let (group, name, version) = (word(n / 12), word(n / 4 + 500), n / 4 % 9);
        let path = format!("/repo/org/{group}/{name}/1.{version}/{name}-1.{version}");
        let end = ["pom", "pom.sha1", "jar", "jar.sha1"][n as usize % 4];
        match n / 4 % 5 {
            0 => tool(&format!("{path}{missing}.{end}"), 404),
            _ => tool(&format!("{path}.{end}"), 200),
        }
    };
    harmless(1200, 30, |n| of(n, ""));
    let named = |n| {
        let name = word(n);
        tool(&format!("/repo/{name}/{name}-1.0.sum"), 404)
    };
    let threat = Threat::VulnerabilityScanning;
    assert!(after(threat, 60, 30, named) <= 30);
    let hidden = |n| match n % 5 {
        0 => tool(&format!("/{}/{}", word(n), word(n + 1)), 404),
        _ => tool(&format!("/products/{}.html", n % 4), 200),
    };
    assert!(after(threat, 400, 30, hidden) <= 120);
}

/// An application asks each of a hundred things for what its server does not have yet. Ever other names, below
/// ever other things, are a list of names.
#[test]
fn an_application_that_asks_each_thing_for_what_is_not_there_yet() {
    harmless(200, 150, |n| json(tool(&format!("/api/items/{n}/badges"), 404)));
    let names = |n| json(tool(&format!("/api/items/{n}/{}", word(n)), 404));
    assert!(after(Threat::VulnerabilityScanning, 40, 150, names) <= 9);
    let attacks = |n| tool(&format!("/{n}/.env"), 404);
    assert!(after(Threat::VulnerabilityScanning, 40, 150, attacks) <= 9);
}

fn leaked(count: u32, of: impl Fn(u32) -> String) -> Vec<&'static str> {
    (0..=count).map(|n| &*of(n).leak()).collect()
}

/// A book, or a topic, whose pages lead from one to the next, and have no pictures. Not so in a hurry, nor from
/// anywhere else, nor without end.
#[test]
fn pages_of_a_book_that_are_read_one_after_the_other() {
    let pages = leaked(600, |n| format!("/topic/{n}"));
    let page = |n: u32, from: u32| Hit {
        referer: Some(pages[from as usize]),
        flags: flags::HTML | flags::ACCEPTS_HTML,
        ..get(99, pages[n as usize], 200)
    };
    for gap_ms in [5000, 20_000] {
        harmless(140, gap_ms, |n| page(n, n - 1));
    }
    let threat = Threat::Scraping;
    assert!(after(threat, 600, 5000, |n| page(n, n - 1)) <= 220);
    assert!(after(threat, 200, 1500, |n| page(n, n - 1)) <= 60);
    assert!(after(threat, 200, 20_000, |n| page(n, 1)) <= 60);
}

/// A list that is gone through by how much of it was seen is one that is gone through by its pages.
#[test]
fn a_list_that_is_copied_by_its_offset() {
    let queries = leaked(400, |n| format!("limit=50&offset={}", 50 * n));
    let of = |n: u32, referer: Option<&'static str>| Hit {
        query: queries[n as usize],
        referer,
        ..json(get(99, "/api/items", 200))
    };
    assert!(after(Threat::Scraping, 400, 250, |n| of(n, Some("/"))) <= 160);
    assert!(after(Threat::Scraping, 400, 250, |n| of(n, None)) <= 60);
    harmless(100, 350, |n| of(n, Some("/")));
}

/// Ways to write the same path, or to ask for it.
const WAYS: [fn(Hit, u32) -> Hit; 9] = [
    |hit, _| hit,
    |hit, _| Hit { method: Method::Head, ..hit },
    |hit, n| Hit { query: leaked(1, |_| format!("r={}", digest(n)))[0], ..hit },
    |hit, n| {
        let other = |(at, byte): (usize, char)| match n >> (at % 9) & 1 {
            1 => byte.to_ascii_uppercase(),
            _ => byte,
        };
        Hit { path: hit.path.char_indices().map(other).collect(), ..hit }
    },
    |hit, _| Hit { path: hit.path.replace('/', "//"), ..hit },
    |hit, _| Hit { path: hit.path.replace('s', "%73").replace('w', "%57"), ..hit },
    |hit, _| Hit { path: format!("{}/", hit.path), ..hit },
    |hit, n| Hit { path: format!("{};v={n}", hit.path), ..hit },
    |hit, _| Hit { path: format!("/./x/..{}", hit.path), ..hit },
];

#[test]
fn a_scan_is_one_however_it_is_written() {
    for (at, way) in WAYS.into_iter().enumerate() {
        let of = |n| way(get(99, &format!("/{}", word(n)), 404), n);
        let requests = after(Threat::VulnerabilityScanning, 40, 300, of);
        assert!(requests <= 9, "{at}: {requests}");
    }
    let dotted = |n| get(99, &format!("/{}.", word(n)), 404);
    assert!(after(Threat::VulnerabilityScanning, 40, 300, dotted) <= 9);
}

/// Who only asks for what a GET would answer gets nothing: HEAD is no walk.
#[test]
fn a_walk_is_one_however_it_is_written() {
    for (at, way) in WAYS.into_iter().enumerate().filter(|(at, _)| *at != 1) {
        let of = |n: u32| way(json(get(99, &format!("/api/items/{n}"), 200)), n);
        let requests = after(Threat::Scraping, 400, 300, of);
        assert!(requests <= 60, "scraping {at}: {requests}");
        let order = |credential: u64, last, n: u32| Hit {
            flags: flags::JSON | flags::AUTHORIZATION,
            credential,
            ..get(last, &format!("/api/orders/{n}"), 200)
        };
        world(|world| {
            for n in 0..240u32 {
                let person = 10 + (n % 40) as u8;
                let own =
                    order(u64::from(person) << 56 | 5, person, u32::from(person) * 5 + n / 40 % 2);
                world.send(500, &own);
            }
            let walk = |n| way(order(4242, 99, n).agent("fetch/2"), n);
            let requests = convicted_for(world, Threat::Bola, 200, 300, walk);
            assert!(requests <= 60, "bola {at}: {requests}");
        });
    }
}
