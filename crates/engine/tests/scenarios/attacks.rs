//! Attackers are convicted, soon.

use api_abuse_engine::record::flags;
use api_abuse_engine::{SourceKind, Threat};

use crate::world::*;

#[test]
fn a_scanner_is_convicted_after_a_few_requests() {
    world(|world| {
        let requests =
            until_convicted(world, 100, 20, |n| get(99, &format!("/w{n}x"), 404)).unwrap();
        assert!(requests <= 10, "{requests}");
        let decision = world.decisions[0];
        assert_eq!(decision.threat, Threat::VulnerabilityScanning);
        assert_eq!(decision.key.kind, SourceKind::Client);
        assert_eq!(decision.ttl_ms, 3_600_000);
        let incident = world.engine.incident(decision.incident).unwrap();
        let explained = api_abuse_engine::explain::incident(incident);
        assert_eq!(explained["requests"], requests);
        assert_eq!(explained["findings"][0]["measure"], "rare_paths_missed");
        assert_eq!(explained["exemplars"].as_array().unwrap().len(), 5);
    });
}

#[test]
fn a_scanner_that_hides_among_honest_requests_is_convicted() {
    world(|world| {
        let requests = until_convicted(world, 400, 500, |n| match n % 5 {
            0 => get(99, &format!("/hidden{n}"), 404),
            k => get(99, &format!("/products/{k}.html"), 200),
        });
        assert!(requests.unwrap() <= 200, "{requests:?}");
    });
}

#[test]
fn changing_the_user_agent_with_each_request_does_not_help() {
    const AGENTS: [&str; 8] = ["a/1", "b/1", "c/1", "d/1", "e/1", "f/1", "g/1", "h/1"];
    world(|world| {
        let requests = until_convicted(world, 100, 50, |n| Hit {
            user_agent: AGENTS[n as usize % 8],
            ..get(99, &format!("/w{n}x"), 404)
        });
        assert!(requests.unwrap() <= 12, "{requests:?}");
        assert_eq!(world.decisions[0].key.kind, SourceKind::Address);
    });
}

#[test]
fn failed_logins_by_status_and_by_form() {
    for status in [401, 403, 422, 200] {
        world(|world| {
            for person in 1..6 {
                world.send(
                    5000,
                    &Hit { flags: flags::SETS_COOKIE, ..post(person, "/login", 302, 30) },
                );
            }
            let attempts =
                until_convicted(world, 100, 100, |n| post(99, "/login", status, 20 + n % 11))
                    .unwrap();
            assert!(attempts <= 16, "{status}: {attempts}");
            assert_eq!(world.decisions[0].threat, Threat::CredentialStuffing);
        });
    }
}

/// Leaked credentials whose lengths are few, in no order: most of them are as long as one of the last four.
#[test]
fn guesses_of_few_lengths() {
    world(|world| {
        for person in 1..6 {
            world.send(5000, &Hit { flags: flags::SETS_COOKIE, ..post(person, "/login", 302, 30) });
        }
        let attempts = until_convicted(world, 120, 100, |n| {
            post(99, "/login", 200, 40 + n.wrapping_mul(2_654_435_761) % 6)
        });
        assert!(attempts.unwrap() <= 20, "{attempts:?}");
    });
}

#[test]
fn guessed_basic_credentials() {
    world(|world| {
        let attempts = until_convicted(world, 100, 200, |n| Hit {
            credential: u64::from(n) + 1000,
            ..get(99, "/private/", 401)
        });
        assert!(attempts.unwrap() <= 16, "{attempts:?}");
    });
}

#[test]
fn phones_and_broken_pages_convict_nobody() {
    world(|world| {
        for person in 1..200 {
            for icon in
                ["/apple-touch-icon.png", "/apple-touch-icon-precomposed.png", "/favicon.ico"]
            {
                world.send(50, &get(person, icon, 404));
            }
            // A page that lost its images and links, opened for the first time by each.
            for n in 0..15 {
                let path = format!("/static/img/{person}-{n}.png");
                world.send(20, &Hit { referer: Some("/"), ..get(person, &path, 404) });
            }
            // Objects that are gone.
            for n in 0..10u32 {
                world.send(20, &get(person, &format!("/api/items/{}", 9000 + n), 404));
            }
        }
        assert!(world.decisions.is_empty());
    });
}

#[test]
fn accounts_in_bulk() {
    world(|world| {
        let requests = convicted_for(world, Threat::AccountCreation, 60, 500, |n| {
            post(99, "/register", 201, 60 + n % 9)
        });
        assert!(requests <= 15, "{requests}");
    });
}

#[test]
fn spam_in_bulk() {
    world(|world| {
        let requests =
            convicted_for(world, Threat::Spamming, 60, 250, |_| post(99, "/feedback", 201, 44));
        assert!(requests <= 20, "{requests}");
    });
}

#[test]
fn a_scalper_polls_and_reserves() {
    world(|world| {
        let requests = convicted_for(world, Threat::Scalping, 200, 125, |n| match n % 2 {
            0 => json(get(99, "/api/items/77", 200)),
            _ => json(post(99, "/cart", if n < 60 { 200 } else { 409 }, 7)),
        });
        assert!(requests <= 80, "{requests}");
    });
}

#[test]
fn a_catalogue_walked_by_number() {
    world(|world| {
        let requests = convicted_for(world, Threat::Scraping, 200, 50, |n| {
            json(get(99, &format!("/api/items/{n}"), 200))
        });
        assert!(requests <= 60, "{requests}");
    });
}

#[test]
fn pages_taken_without_a_breath() {
    world(|world| {
        let requests = convicted_for(world, Threat::Scraping, 300, 120, |n| {
            get(99, &format!("/products/{}.html", n * 7919 % 300), 200)
        });
        assert!(requests <= 60, "{requests}");
    });
}

/// Some people look at their orders now and then.
fn people_with_orders(world: &mut World<'_>) {
    for person in 40..50u8 {
        for _ in 0..3 {
            let own = get(person, &format!("/api/orders/{}", 5000 + 37 * u32::from(person)), 200);
            let credential = u64::from(person) << 59 | 1;
            let flags = flags::JSON | flags::AUTHORIZATION;
            world.send(4000, &Hit { flags, credential, ..own });
        }
    }
}

#[test]
fn orders_of_others_walked_by_number() {
    // Where nobody is known to have orders, nor to use the shop at all, a hundred may be a list of one's own.
    for (known, most) in [(true, 40), (false, 140)] {
        world(|world| {
            if known {
                people_with_orders(world);
            }
            let requests = convicted_for(world, Threat::Bola, 200, 50, |n| Hit {
                flags: flags::JSON | flags::AUTHORIZATION,
                credential: 77,
                ..get(99, &format!("/api/orders/{}", 1000 + n), 200)
            });
            assert!(requests <= most, "{requests}, known: {known}");
        });
    }
}

#[test]
fn an_expensive_call_kept_busy() {
    world(|world| {
        let requests = convicted_for(world, Threat::ResourceExhaustion, 2000, 31, |_| Hit {
            upstream_ms: 260,
            ..json(get(99, "/api/report", 200))
        });
        assert!(requests <= 900, "{requests} requests, {} s", requests * 31 / 1000);
    });
}

#[test]
fn monitors_batches_and_single_page_applications_convict_nobody() {
    world(|world| {
        for n in 0..20_000u32 {
            match n % 4 {
                0 => world.send(25, &get(60, "/health", 200)),
                1 => world.send(25, &json(get(61, &format!("/api/items/{}", n * 31 % 400), 200))),
                2 => world.send(25, &json(post(62, "/api/metrics", 204, 30))),
                _ => world.send(25, &json(get(63, "/api/notifications", 200))),
            };
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn asking_for_robots_txt_makes_a_scanner_no_crawler() {
    world(|world| {
        world.send(300, &get(99, "/robots.txt", 200));
        let requests = until_convicted(world, 40, 400, |n| get(99, &format!("/w{n}x"), 404));
        assert!(requests.unwrap() <= 10, "{requests:?}");
    });
}

#[test]
fn passwords_guessed_for_one_account() {
    world(|world| {
        let attempts = until_convicted(world, 60, 900, |n| {
            json(Hit { identity: 7, ..post(99, "/api/login", 401, 40 + n * 7 % 11) })
        });
        assert!(attempts.unwrap() <= 20, "{attempts:?}");
    });
}

#[test]
fn a_login_that_never_says_no_by_status() {
    world(|world| {
        for person in 1..6 {
            let hit = post(person, "/api/login", 200, 40);
            world.send(4000, &Hit { flags: flags::JSON | flags::SETS_COOKIE, ..hit });
        }
        let attempts =
            until_convicted(world, 60, 600, |n| json(post(99, "/api/login", 200, 30 + n % 11)));
        assert!(attempts.unwrap() <= 16, "{attempts:?}");
        assert_eq!(world.decisions[0].threat, Threat::CredentialStuffing);
    });
}

/// It answers 200 with a few words of JSON, whether the password fits or not, and sets no cookie.
#[test]
fn a_login_whose_answers_all_look_alike() {
    world(|world| {
        // Whoever is there from the beginning belongs to what is learned.
        world.send(90_000_000, &get(1, "/", 200));
        for n in 0..80u8 {
            let person = [192, 0, 2, 60 + n % 8];
            let attempt = json(post(n, "/api/login", 200, 30 + u32::from(n % 11)));
            world.send(1500, &Hit { address: person, ..attempt });
            world.send(1500, &Hit { address: person, ..get(n, "/", 200) });
        }
        let attempts =
            until_convicted(world, 60, 900, |n| json(post(99, "/api/login", 200, 30 + n % 11)));
        assert!(attempts.unwrap() <= 24, "{attempts:?}");
        assert_eq!(world.decisions[0].threat, Threat::CredentialStuffing);
    });
}

#[test]
fn a_login_that_throttles() {
    world(|world| {
        let attempts = until_convicted(world, 60, 300, |n| {
            json(post(99, "/api/login", if n < 6 { 401 } else { 429 }, 30 + n % 11))
        });
        assert!(attempts.unwrap() <= 16, "{attempts:?}");
    });
}

/// An application of one page answers every name with it.
#[test]
fn names_that_only_attacks_use_where_everything_is_answered() {
    world(|world| {
        for person in 1..6 {
            world.send(900, &Hit { bytes: 1834, ..get(person, "/", 200) });
        }
        let names =
            ["/.env", "/.git/config", "/wp-login.php", "/backup.sql", "/phpinfo.php", "/.aws/x"];
        let requests = until_convicted(world, 40, 100, |n| {
            let path = match n % 2 {
                0 => names[n as usize / 2 % names.len()].to_owned(),
                _ => format!("/cgi-bin/test{n}"),
            };
            Hit { bytes: 1834, ..get(99, &path, 200) }
        });
        assert!(requests.unwrap() <= 10, "{requests:?}");
    });
}

#[test]
fn conditions_that_are_there_for_their_truth() {
    world(|world| {
        let requests = until_convicted(world, 40, 300, |n| Hit {
            query: ["id=1%29+AND+5472%3D5472", "id=1%27+AND+%288817%3D2201"][n as usize % 2],
            ..get(99, "/products/3.html", 200)
        });
        assert!(requests.unwrap() <= 16, "{requests:?}");
    });
}

#[test]
fn numbers_walked_by_ten_at_once() {
    world(|world| {
        people_with_orders(world);
        let order = [2, 0, 6, 9, 5, 8, 7, 4, 3, 1];
        let requests = convicted_for(world, Threat::Bola, 200, 50, |n| Hit {
            flags: flags::JSON | flags::AUTHORIZATION,
            credential: 77,
            ..get(99, &format!("/api/orders/{}", 1000 + n / 10 * 10 + order[n as usize % 10]), 200)
        });
        assert!(requests <= 45, "{requests}");
    });
}

/// As logins do that set a cookie before anybody is let in.
#[test]
fn a_page_with_a_cookie_again_and_again() {
    world(|world| {
        let attempts = until_convicted(world, 60, 800, |n| Hit {
            flags: flags::HTML | flags::SETS_COOKIE,
            ..post(99, "/wp-login.php", 200, 60 + n * 7 % 13)
        });
        assert!(attempts.unwrap() <= 18, "{attempts:?}");
    });
}
