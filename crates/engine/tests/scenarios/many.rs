//! Attacks from many sources, and days on which many sources have the same trouble.

use api_abuse_engine::Threat;
use api_abuse_engine::record::flags;

use crate::world::*;

const BROWSERS: [&str; 8] = [
    "Mozilla/5.0 Firefox/140.0",
    "Mozilla/5.0 Firefox/139.0",
    "Mozilla/5.0 Firefox/138.0",
    "Mozilla/5.0 Chrome/138",
    "Mozilla/5.0 Chrome/137",
    "Mozilla/5.0 Chrome/136",
    "Mozilla/5.0 Safari/18",
    "Mozilla/5.0 Safari/17",
];

/// The `n`th person, as seen by the shop: one of 200 addresses.
fn person(n: u32, hit: Hit) -> Hit {
    Hit { address: [198, 51, 100, (n % 200) as u8], user_agent: BROWSERS[n as usize % 8], ..hit }
}

/// The `n`th member: one of so many new addresses, with everybody's browsers.
fn member(n: u32, of: u32, hit: Hit) -> Hit {
    let address = [203, 0, 113, (n % of) as u8];
    Hit { address, user_agent: BROWSERS[(n % of) as usize % 8], ..hit }
}

/// A person comes, and logs in; one in eight has to try again.
fn log_in(world: &mut World<'_>, n: u32, works: bool) {
    world.send(300, &person(n, get(0, "/", 200)));
    world.send(300, &person(n, get(0, "/login", 200)));
    if !works || n % 8 == 0 {
        world.send(900, &person(n, post(0, "/login", 401, 20 + n % 7)));
    }
    let status = if works { 302 } else { 401 };
    let set = flags::SETS_COOKIE;
    world.send(900, &Hit { flags: set, ..person(n, post(0, "/login", status, 30 + n % 5)) });
}

fn convicted(world: &World<'_>, network: [u8; 3]) -> usize {
    let [a, b, c] = network.map(u64::from);
    let wanted = 0xffff_0000_0000 + (a << 24) + (b << 16) + (c << 8);
    let mut members: Vec<u64> = world
        .decisions
        .iter()
        .map(|decision| decision.key.network)
        .filter(|network| network & !0xff == wanted)
        .collect();
    members.sort_unstable();
    members.dedup();
    members.len()
}

#[test]
fn stuffing_with_everybodys_browsers_convicts_the_members_and_nobody_else() {
    world(|world| {
        for n in 0..1500 {
            log_in(world, n, true);
        }
        for n in 0..1500 {
            log_in(world, n, true);
            if n % 4 == 0 {
                world.send(100, &member(n / 4, 50, post(0, "/login", 401, 20 + n % 11)));
            }
        }
        assert!(convicted(world, [203, 0, 113]) >= 45, "{}", convicted(world, [203, 0, 113]));
        assert_eq!(convicted(world, [198, 51, 100]), 0);
        let stuffing = |threat| threat == Threat::CredentialStuffing;
        assert!(world.decisions.iter().all(|decision| stuffing(decision.threat)));
    });
}

/// While an attack is on, somebody new shops in a browser, then mistypes the password twice in the
/// application on the same line, which asks for no form.
#[test]
fn while_others_attack_a_household_mistypes_in_an_application() {
    world(|world| {
        for n in 0..1500 {
            log_in(world, n, true);
        }
        for n in 0..1500u32 {
            log_in(world, n, true);
            if n % 4 == 0 {
                world.send(100, &member(n / 4, 50, post(0, "/login", 401, 20 + n % 11)));
            }
            if n >= 700 && n % 20 == 0 {
                let home = |hit| Hit { address: [192, 0, 2, (n / 20) as u8], ..hit };
                let browser = |hit| Hit { user_agent: BROWSERS[1], ..home(hit) };
                for path in ["/", "/products/7.html", "/static/app.js", "/products/8.html"] {
                    world.send(700, &browser(get(0, path, 200)));
                }
                let app = |hit| Hit { user_agent: "Shop/3 (Android)", ..home(hit) };
                for length in [31, 30] {
                    world.send(6000, &app(json(post(0, "/login", 401, length))));
                }
                world.send(6000, &app(json(post(0, "/login", 200, 29))));
            }
        }
        assert!(convicted(world, [203, 0, 113]) >= 45, "{}", convicted(world, [203, 0, 113]));
        assert_eq!(convicted(world, [192, 0, 2]), 0);
    });
}

/// Nobody can log in, and those whose browser has the page in its cache ask for nothing else.
#[test]
fn an_outage_of_the_password_backend_convicts_nobody() {
    world(|world| {
        for n in 0..1500 {
            log_in(world, n, true);
        }
        for n in 0..1500 {
            log_in(world, n, false);
            if n % 4 == 0 {
                world.send(100, &member(n / 4, 50, post(0, "/login", 401, 20 + n % 3)));
            }
        }
        assert_eq!(convicted(world, [198, 51, 100]), 0);
        assert_eq!(convicted(world, [203, 0, 113]), 0);
    });
}

#[test]
fn spam_from_twenty_addresses() {
    world(|world| {
        for n in 0..400 {
            world.send(2000, &person(n, get(0, &format!("/products/{}.html", n % 30), 200)));
            world
                .send(9000, &person(n, post(0, &format!("/products/{}/reviews", n % 30), 201, 90)));
        }
        for n in 0..300 {
            world.send(1000, &member(n, 20, post(0, &format!("/products/{n}/reviews"), 201, 400)));
        }
        assert_eq!(convicted(world, [203, 0, 113]), 20);
        assert_eq!(convicted(world, [198, 51, 100]), 0);
    });
}

/// What another company's servers deliver comes from many new addresses that do nothing else, as it
/// always did.
#[test]
fn deliveries_from_new_addresses_every_day_are_the_habit_of_the_application() {
    world(|world| {
        for n in 0..4000u32 {
            let address = [203, (n / 250) as u8, (n / 20 % 13) as u8, (n % 250) as u8];
            let hit =
                Hit { address, user_agent: "delivery/2", ..post(0, "/api/messages", 201, 99) };
            world.send(60_000, &hit);
            world.send(500, &hit);
        }
        assert_eq!(world.decisions.len(), 0);
    });
}

#[test]
fn a_pool_of_scalpers_is_told_from_the_crowd() {
    world(|world| {
        for n in 0..400 {
            world.send(700, &person(n, get(0, "/products/7.html", 200)));
            world.send(50, &person(n, get(0, "/static/app.js", 200)));
            world.send(900, &person(n, json(post(0, "/cart", 200, 24))));
        }
        for n in 0..2000u32 {
            let crowd = n + 40;
            world.send(60, &person(crowd, get(0, "/products/7.html", 200)));
            world.send(20, &person(crowd, get(0, "/static/app.js", 200)));
            for _ in 0..3 {
                world.send(20, &person(crowd, json(post(0, "/cart", 409, 24))));
            }
            world.send(20, &member(n / 3, 20, json(get(0, "/api/items/7", 200))));
            if n % 3 == 2 {
                world.send(20, &member(n / 3, 20, json(post(0, "/cart", 409, 24))));
            }
        }
        assert_eq!(convicted(world, [203, 0, 113]), 20);
        assert_eq!(convicted(world, [198, 51, 100]), 0);
    });
}

/// Somebody new comes, looks at a page or has the login among the bookmarks, and finds the password in the
/// end.
fn forgets(world: &mut World<'_>, network: [u8; 3], n: u32, cold: bool, fails: u32) {
    let [a, b, c] = network;
    let who = |hit: Hit| Hit { address: [a, b, c, n as u8], ..person(n, hit) };
    if !cold {
        world.send(300, &who(get(0, "/", 200)));
        world.send(30, &who(get(0, "/static/app.js", 200)));
    }
    world.send(300, &who(get(0, "/login", 200)));
    for k in 0..fails {
        world.send(4000, &who(post(0, "/login", 401, 20 + k * 5 % 7)));
    }
    world.send(4000, &Hit { flags: flags::SETS_COOKIE, ..who(post(0, "/login", 302, 29)) });
}

/// While an attack is on, others have trouble with their passwords as they always had. They are no members.
#[test]
fn who_forgets_a_password_while_an_attack_is_on_is_no_member() {
    for (cold, fails) in [(false, 3), (false, 6), (true, 3), (true, 5)] {
        world(|world| {
            for n in 0..1500 {
                log_in(world, n, true);
                if n % 25 == 24 {
                    forgets(world, [100, 64, 6], n / 25, cold, fails);
                }
            }
            for n in 0..1500u32 {
                log_in(world, n, true);
                if n % 4 == 0 {
                    world.send(100, &member(n / 4, 50, post(0, "/login", 401, 20 + n % 11)));
                }
                if n % 25 == 24 {
                    forgets(world, [100, 64, 7], n / 25, cold, fails);
                }
            }
            let (hurt, caught) = (convicted(world, [100, 64, 7]), convicted(world, [203, 0, 113]));
            assert_eq!((hurt, convicted(world, [198, 51, 100])), (0, 0), "{cold} {fails}");
            // Where as many people fail five times in a row, fewer stand out.
            assert!(caught >= if cold { 5 } else { 45 }, "{cold} {fails}: {caught}");
        });
    }
}

/// A chain of shops has new tills, which do nothing but order, while the shop is short of something.
#[test]
fn new_tills_are_no_pool_of_scalpers() {
    world(|world| {
        for n in 0..400 {
            world.send(700, &person(n, get(0, "/products/7.html", 200)));
            world.send(900, &person(n, json(post(0, "/cart", 200, 24))));
        }
        for n in 0..900u32 {
            let till = Hit { user_agent: "till/2", ..member(n, 12, post(0, "/orders", 201, 40)) };
            let flags = flags::JSON | flags::AUTHORIZATION;
            world.send(300, &Hit { flags, credential: u64::from(n % 12) + 7, ..till });
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}
