//! Applications that are built in other ways than the shop of the other tests.

use api_abuse_engine::Threat;
use api_abuse_engine::record::flags;

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
