//! Applications that are built in other ways than the shop of the other tests.

use api_abuse_engine::Threat;
use api_abuse_engine::record::flags;
use api_abuse_engine::role::Role;

use crate::world::*;

/// A forum whose login, registration and posts are one script each, or all of them one script: what is
/// done stands in the query.
#[test]
fn one_path_serves_an_application() {
    let cases = [
        ("/ucp.php", "mode=login", Threat::CredentialStuffing, 16),
        ("/index.php", "action=login2", Threat::CredentialStuffing, 16),
        ("/index.php", "route=account/login", Threat::CredentialStuffing, 16),
        ("/", "login/login", Threat::CredentialStuffing, 16),
        ("/ucp.php", "mode=register", Threat::AccountCreation, 8),
        ("/wp-login.php", "action=register", Threat::AccountCreation, 8),
    ];
    for (path, query, threat, most) in cases {
        world(|world| {
            for person in 1..6 {
                let hit = Hit { query, flags: flags::SETS_COOKIE, ..post(person, path, 302, 30) };
                world.send(5000, &Hit { query, flags: flags::HTML, ..get(person, path, 200) });
                world.send(5000, &hit);
            }
            let status = if threat == Threat::AccountCreation { 302 } else { 200 };
            let attempts = convicted_for(world, threat, 100, 1500, |n| Hit {
                query,
                ..post(99, path, status, 20 + n % 11)
            });
            assert!(attempts <= most, "{path}?{query}: {attempts}");
        });
    }
}

/// A query that only names what comes afterwards, or what is shown, says nothing of what is done.
#[test]
fn a_query_that_leads_to_a_login_is_none() {
    for query in ["next=/login", "return_to=%2Flogin", "page=orders", "tab=comments"] {
        world(|world| {
            for n in 0..200u8 {
                let hit = post(1 + n % 5, "/preferences", 200, 40 + u32::from(n));
                let hit = Hit { query, flags: flags::HTML | flags::COOKIE, ..hit };
                world.send(900, &hit);
            }
            assert!(world.decisions.is_empty(), "{query}: {:?}", world.decisions);
        });
    }
}

/// XML-RPC says no with 200, too: whoever is told the same whatever it tries, is told no. Programs that
/// write through it are told something else each time, and prove who they are, or try nothing new.
#[test]
fn a_login_by_remote_procedure_calls() {
    let call = |n: u32, bytes: u64| Hit { flags: 0, bytes, ..post(99, "/xmlrpc.php", 200, n) };
    world(|world| {
        let threat = Threat::CredentialStuffing;
        let attempts = convicted_for(world, threat, 100, 300, |n| call(200 + n * 7 % 13, 674));
        assert!(attempts <= 20, "{attempts}");
    });
    let programs: [fn(Hit, u32) -> Hit; 4] = [
        |hit, n| Hit { bytes: 500 + u64::from(n * n % 97), ..hit },
        |hit, _| Hit { query: "for=jetpack&nonce=a&signature=b", ..hit },
        |hit, _| Hit { length: 500, ..hit },
        |hit, _| Hit { flags: flags::COOKIE, ..hit },
    ];
    for program in programs {
        world(|world| {
            for n in 0..300 {
                world.send(900, &program(call(200 + n * 7 % 13, 674), n));
            }
            assert!(world.decisions.is_empty(), "{:?}", world.decisions);
        });
    }
}

/// One page that answers ever other questions is as many pages: to who asks one after another, not to
/// somebody who types, and is shown a piece of a page for each letter.
#[test]
fn a_search_is_collected_by_its_queries() {
    let queries = leaked(120, |n| format!("q=word{}x", n * 7919));
    let ask = |n: u32| Hit { query: queries[n as usize % 120], ..get(99, "/search", 200) };
    world(|world| {
        let requests = convicted_for(world, Threat::Scraping, 120, 300, ask);
        assert!(requests <= 60, "{requests}");
    });
    world(|world| {
        for n in 0..600 {
            let gap_ms = if n % 25 == 0 { 4000 } else { 180 };
            world.send(gap_ms, &Hit { referer: Some("/search"), ..ask(n) });
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

fn leaked(count: u32, query: impl Fn(u32) -> String) -> Vec<&'static str> {
    (0..count).map(|n| &*query(n).leak()).collect()
}

/// A feed that is scrolled to its hundredth page, and news that are asked for all day long by the number of
/// the last: what others have not asked for is not rare, and what is in order no walk.
#[test]
fn a_list_that_is_scrolled_and_news_that_are_waited_for() {
    let cookie = flags::JSON | flags::COOKIE;
    let cases = [
        ("/api/feed", 100, 700, "page", FIREFOX, cookie, 0),
        ("/api/feed", 100, 350, "limit=20&offset", FIREFOX, cookie, 0),
        ("/json/events", 4000, 5000, "queue_id=a&last_event_id", FIREFOX, cookie, 0),
        ("/api/events", 4000, 5000, "since", "app/3.1 CFNetwork/1490", CALLS, 7),
    ];
    for (path, count, gap_ms, name, user_agent, flags, credential) in cases {
        world(|world| {
            for _ in 0..80 {
                for person in 1..6 {
                    world.send(100, &Hit { query: "page=1", ..json(get(person, path, 200)) });
                }
            }
            let base = Hit { user_agent, flags, credential, ..get(99, "/", 200) };
            for page in ["/", "/api/config", "/api/me", "/products/3.html"] {
                world.send(400, &Hit { path: page.to_owned(), ..base.clone() });
            }
            let referer = (user_agent == FIREFOX).then_some("/");
            for query in leaked(count, |n| format!("{name}={n}")) {
                world.send(gap_ms, &Hit { path: path.to_owned(), query, referer, ..base.clone() });
            }
            assert!(world.decisions.is_empty(), "{path}?{name}: {:?}", world.decisions);
        });
    }
}

const CALLS: u32 = flags::JSON | flags::AUTHORIZATION;

/// The same list page by page by a program; by one that says all that a browser would, later.
#[test]
fn a_list_that_is_copied_page_by_page() {
    for (user_agent, referer, most) in [("python/3", None, 60), (FIREFOX, Some("/"), 160)] {
        world(|world| {
            let queries = leaked(400, |n| format!("limit=50&page={n}"));
            let hit = json(get(99, "/api/items", 200));
            let requests = convicted_for(world, Threat::Scraping, 400, 250, |n| Hit {
                query: queries[n as usize - 1],
                user_agent,
                referer,
                ..hit.clone()
            });
            assert!(requests <= most, "{user_agent}: {requests}");
        });
    }
}

/// Packages that are looked for in one registry after another: what misses there is no name that was tried.
#[test]
fn packages_that_another_registry_has() {
    world(|world| {
        for n in 0..300 {
            let path = format!("/maven/com/acme/lib{n}x/1.{n}/lib{n}x-1.{n}-sources.jar");
            world.send(30, &Hit { flags: 0, ..get(99, &path, 404) }.agent("Apache-Maven/3.9"));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

/// Whose objects these are, the configuration may say: a walk through what is everybody's is nobody's concern
/// before it is scraping; one through what is somebody's is one where nobody else has been yet, too.
#[test]
fn a_configuration_says_whose_objects_these_are() {
    let paper = |person: u8, number: u32, role: Role| Hit {
        flags: CALLS,
        credential: u64::from(person) << 59 | 1,
        role,
        ..get(person, &format!("/api/papers/{number}"), 200)
    };
    let walk = |role: Role, known: bool| {
        let mut requests = None;
        world(|world| {
            for person in (40..50).filter(|_| known) {
                for _ in 0..3 {
                    world.send(4000, &paper(person, 7000 + 37 * u32::from(person), role));
                }
            }
            requests = until_convicted(world, 90, 50, |n| paper(99, 5000 + n, role));
        });
        requests.unwrap_or(u32::MAX)
    };
    assert!(walk(Role::Auto, true) <= 75 && walk(Role::Auto, false) > walk(Role::Object, false));
    assert_eq!(walk(Role::Catalog, true), u32::MAX);
    assert!(walk(Role::Object, true) <= 60 && walk(Role::Object, false) <= 60);
}
