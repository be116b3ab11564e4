//! Benign traffic that looks like an attack convicts nobody.

use api_abuse_engine::record::{Method, flags};
use api_abuse_engine::{Config, Engine, SourceKind};

use crate::world::*;

#[test]
fn a_neighbour_at_the_same_address_is_not_denied() {
    world(|world| {
        let scanner = |n: u32| Hit { user_agent: "scan/1", ..get(3, &format!("/w{n}x"), 404) };
        let neighbour = get(3, "/products/1.html", 200);
        let mut n = 0;
        for _ in 0..60 {
            n += 1;
            world.send(30, &scanner(n));
            world.send(30, &neighbour);
        }
        let convicted: Vec<_> = world.decisions.iter().map(|d| d.key.discriminator).collect();
        assert!(convicted.contains(&SEED.table(b"scan/1")), "the scanner");
        assert!(world.decisions.iter().all(|d| d.key.kind == SourceKind::Client));
        assert!(!convicted.contains(&SEED.table(neighbour.user_agent.as_bytes())));
    });
}

#[test]
fn a_stale_credential_repeated_for_a_day_is_not_stuffing() {
    world(|world| {
        for _ in 0..2880 {
            world.send(30_000, &Hit { credential: 5, ..get(50, "/api/items/1", 401) });
            world.send(10, &post(51, "/api/login", 401, 44));
        }
        assert!(world.decisions.is_empty());
    });
}

#[test]
fn an_office_on_monday_morning_is_not_stuffing() {
    world(|world| {
        for n in 0..600u32 {
            // 30 % of attempts fail, all from one address and one browser build.
            let status = if n % 10 < 3 { 401 } else { 200 };
            world.send(
                1500,
                &Hit { flags: flags::JSON, ..post(77, "/api/login", status, 30 + n % 17) },
            );
            world.send(300, &get(77, "/", 200));
        }
        assert!(world.decisions.is_empty());
    });
}

#[test]
fn a_login_that_fails_for_everybody_convicts_nobody() {
    world(|world| {
        for n in 0..2000u32 {
            let person = (n * 7 % 200) as u8;
            world.send(20, &get(person, "/", 200));
            world.send(20, &get(person, "/products/1.html", 200));
            world.send(40, &post(person, "/login", 401, 20 + n % 13));
        }
        assert!(world.decisions.len() <= 2, "{}", world.decisions.len());
    });
}

#[test]
fn a_broken_deploy_convicts_nobody() {
    world(|world| {
        for n in 0..3000u32 {
            let person = (n % 60) as u8;
            world.send(20, &get(person, &format!("/products/{}.html", n % 40), 404));
            world.send(5, &get(person, "/static/app.js", 404));
            world.send(5, &get(person, "/", 500));
        }
        assert!(world.decisions.is_empty());
    });
}

#[test]
fn evidence_survives_the_engine() {
    let mut memory = Memory::new(2 << 20);
    let config = || Config::new(SEED).with_application(b"shop");
    let mut decisions = 0;
    for n in 0..10 {
        let mut world = World::new(&mut memory, config(), 1_000_000 + n * 100);
        world.send(1, &get(99, &format!("/w{n}x"), 404));
        decisions += world.decisions.len();
    }
    assert_eq!(decisions, 1, "a new engine over the same tables each time");
    let (mut engine, _) = Engine::attach(memory.bytes(), config()).unwrap();
    let mut again = Vec::new();
    engine.repeat_decisions(1_002_000, &mut again);
    assert_eq!(again.len(), 1);
    assert!(again[0].again);
}

#[test]
fn loopback_is_not_denied() {
    world(|world| {
        let hit = |n: u32| Hit { address: [127, 0, 0, 1], ..get(1, &format!("/w{n}x"), 404) };
        assert_eq!(until_convicted(world, 100, 20, hit), None);
    });
}

#[test]
fn a_flash_crowd_convicts_nobody() {
    world(|world| {
        for n in 0..6000u32 {
            let person = (n * 37 % 150) as u8;
            world.send(10, &get(person, "/products/77.html", 200));
            world.send(
                5,
                &Hit { referer: Some("/products/77.html"), ..get(person, "/static/app.js", 200) },
            );
            if n % 3 == 0 {
                world.send(5, &json(post(person, "/cart", if n < 600 { 200 } else { 409 }, 7)));
            }
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn a_class_that_registers_together_convicts_nobody() {
    world(|world| {
        for n in 0..60u32 {
            for path in ["/register", "/", "/products/1.html"] {
                world.send(700, &get(80, path, 200));
                world.send(100, &get(80, "/static/app.js", 200));
            }
            world.send(9000, &post(80, "/register", 201, 50 + n));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn support_staff_convicts_nobody() {
    world(|world| {
        for n in 0..800u32 {
            let staff = Hit {
                flags: flags::JSON | flags::AUTHORIZATION,
                credential: 5,
                ..get(90, &format!("/api/orders/{}", n * 7919 % 5000), 200)
            };
            world.send(8000, &staff);
            world.send(300, &json(get(90, "/api/customers", 200)));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn dead_links_followed_at_a_pace_convict_nobody() {
    world(|world| {
        for program in 100..110u8 {
            world.send(9000, &get(program, "/", 200));
            for n in 0..16 {
                world.send(1000, &get(program, &format!("/Dead/Page{program}-{n}.html"), 404));
            }
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn links_in_lower_case_miss_what_others_missed() {
    world(|world| {
        for reader in 1..40u8 {
            world.send(9000, &get(reader, "/", 200));
            for n in 0..3u8 {
                world.send(
                    1500,
                    &get(reader, &format!("/Dead/Page{}.html", (reader + n) % 12), 404),
                );
            }
        }
        for n in 0..12 {
            world.send(100, &get(120, &format!("/../dead/page{n}.html"), 400));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn signed_calls_of_a_service_are_no_logins() {
    world(|world| {
        for n in 0..400u32 {
            let call = Hit {
                user_agent: "Publisher/2",
                query: "for=service&timestamp=1458256894&nonce=Cx7aPq&signature=k3R",
                flags: flags::FROM_LOG,
                ..post(100 + (n % 50) as u8, "/wp/xmlrpc.php", 200, 0)
            };
            world.send(4000, &call);
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn a_page_that_loads_with_an_expired_token_is_not_stuffing() {
    world(|world| {
        for _ in 0..12 {
            world.send(60_000, &get(70, "/", 200));
            for n in 0..30 {
                let call = Hit { credential: 5, ..get(70, &format!("/api/parts/p{n}"), 401) };
                world.send(15, &json(call));
            }
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn a_monitor_that_logs_in_every_minute_convicts_nobody() {
    world(|world| {
        for person in 1..6 {
            let hit = json(post(person, "/api/login", 200, 40));
            world.send(4000, &Hit { flags: flags::JSON | flags::SETS_COOKIE, ..hit });
        }
        for _ in 0..3000 {
            world.send(60_000, &json(post(71, "/api/login", 200, 44)));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

/// Tokens that programs fetch, all with 200 and no cookie: what one server does on behalf of its users, what
/// an application does that fetches one for each call, and what people do.
#[test]
fn tokens_that_are_fetched_all_day_convict_nobody() {
    world(|world| {
        let token = |last, length| json(post(last, "/oauth/token", 200, length));
        for n in 0..3000u32 {
            // It was there from the beginning.
            world.send(300, &token(65, 60 + n * 7 % 23));
            let application = Hit { user_agent: "job/2", ..token(66, 77) };
            world.send(600, &application);
            if n % 10 == 0 {
                let person = 100 + (n / 10 % 60) as u8;
                world.send(900, &token(person, 60 + n % 17));
                world.send(700, &get(person, "/", 200));
            }
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn an_office_whose_login_is_throttled_convicts_nobody() {
    world(|world| {
        for n in 0..200u32 {
            world.send(700, &get(78, "/", 200));
            world.send(300, &get(78, "/static/app.js", 200));
            world.send(900, &post(78, "/login", if n < 8 { 401 } else { 429 }, 30 + n % 13));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn the_first_days_of_an_administrator_convict_nobody() {
    world(|world| {
        for person in 1..6 {
            world.send(900, &Hit { bytes: 1834, ..get(person, "/", 200) });
        }
        for n in 0..200u64 {
            let path = format!(
                "/wp-admin/{}.php",
                ["edit", "post", "users", "plugins", "themes"][n as usize % 5]
            );
            world.send(2000, &Hit { bytes: 9000 + n % 7, ..get(72, &path, 200) });
            world.send(
                2000,
                &Hit { bytes: 7000 + n % 5, ..get(72, &format!("/phpmyadmin/{}.php", n % 5), 200) },
            );
        }
        // A page of an application of one page, opened by its address.
        for n in 0..200 {
            world.send(4000, &Hit { bytes: 1834, ..get(73, &format!("/board/{n}/card"), 200) });
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn source_maps_that_a_developer_misses() {
    world(|world| {
        for n in 0..40 {
            let path = format!("/static/js/chunk-{n}.js");
            for person in [1, 74] {
                world.send(20, &Hit { referer: Some("/"), ..get(person, &path, 200) });
            }
            world.send(20, &get(74, &format!("{path}.map"), 404));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn settings_that_save_themselves_create_no_accounts() {
    world(|world| {
        for n in 0..60u32 {
            let hit = json(post(75, "/api/users/me", 200, 300 + n));
            world.send(1500, &Hit { method: Method::Put, ..hit });
            world.send(900, &json(post(75, "/api/users/search", 200, 20 + n % 9)));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}
