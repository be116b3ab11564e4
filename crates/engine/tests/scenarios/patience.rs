//! Attackers that take their time, or do what people do; and machines that somebody set up.

use api_abuse_engine::Threat;

use crate::world::*;

#[test]
fn a_scanner_that_hides_fifteen_of_sixteen_requests() {
    world(|world| {
        let requests =
            convicted_for(world, Threat::VulnerabilityScanning, 4000, 900, |n| match n % 16 {
                0 => get(99, &format!("/w{n}/x{}", n * 7), 404),
                k => get(99, &format!("/products/{}.html", k % 4), 200),
            });
        assert!(requests > 200, "{requests}: as patient as it was");
    });
}

/// One in a hundred of somebody's requests misses; of a crawler that says so, one in 25.
#[test]
fn old_links_convict_nobody() {
    world(|world| {
        for n in 0..6000u32 {
            let old = |every: u32| n % every == 0;
            let page = format!("/products/{}.html", n * 17 % 40);
            let gone = format!("/w{n}/x{}", n * 7);
            let of = |last, every| {
                if old(every) { get(last, &gone, 404) } else { get(last, &page, 200) }
            };
            world.send(5000, &of(98, 100));
            let crawler = "Mozilla/5.0 (compatible; linkbot/1.0; +http://links.example/)";
            world.send(500, &Hit { user_agent: crawler, ..of(97, 25) });
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

/// The program reads what the sitemap names; the browser that does the same is none.
#[test]
fn a_cache_that_is_warmed_is_not_scraped() {
    world(|world| {
        let page = |n: u32| get(96, &format!("/products/{n}.html"), 200);
        let warmer = |hit| Hit { user_agent: "warmer/1.0", ..hit };
        world.send(500, &warmer(get(96, "/sitemap.xml", 200)));
        for n in 1..2000 {
            world.send(125, &warmer(page(n)));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
        world.send(500, &get(95, "/sitemap.xml", 200));
        let scraper = |n| Hit { address: [192, 0, 2, 95], ..page(n) };
        assert!(convicted_for(world, Threat::Scraping, 100, 125, scraper) < 60);
    });
}

/// A program with a list of pages, that never asks for the sitemap: the first night, and the second. Not
/// so a browser that does the same, and not so who comes by links.
#[test]
fn a_cache_that_is_warmed_from_a_list() {
    world(|world| {
        let page = |n: u32| get(96, &format!("/products/{n}.html"), 200);
        let warmer = |hit| Hit { user_agent: "curl/7.88.1", ..hit };
        for night in 0..3 {
            world.send(86_000_000, &warmer(get(96, "/", 200)));
            for n in 1 + u32::from(night == 0)..2000 {
                world.send(125, &warmer(page(n)));
            }
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
        let scraper = |n| Hit { address: [192, 0, 2, 95], ..page(n) };
        assert!(convicted_for(world, Threat::Scraping, 100, 125, scraper) < 60);
        let crawler = |n| Hit {
            address: [192, 0, 2, 94],
            referer: Some("/"),
            user_agent: "Scrapy/2.8 (+https://scrapy.example)",
            ..page(n)
        };
        world.decisions.clear();
        assert!(convicted_for(world, Threat::Scraping, 100, 125, crawler) < 60);
    });
}

/// A monitor looks at fifty pages, one after another, every five minutes.
#[test]
fn pages_that_a_monitor_looks_at() {
    world(|world| {
        const NAMES: [&str; 5] = ["about", "terms", "jobs", "press", "help"];
        for n in 0..5000u32 {
            let (gap_ms, name) = (if n % 50 == 0 { 280_000 } else { 300 }, n as usize % 5);
            let path = format!("/{}/{}", NAMES[name], NAMES[n as usize / 5 % 5]);
            let path = if n % 50 < 25 { path } else { format!("/products/{}.html", n % 25) };
            world.send(gap_ms, &Hit { user_agent: "check_http/2.3", ..get(93, &path, 200) });
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

/// A browser sends more along with what its pages load, and people do other things.
#[test]
fn objects_by_popularity_without_anything_that_a_page_sends_along() {
    world(|world| {
        // The square of a uniform number: a few are asked for often.
        let uniform = |n: u32| n.wrapping_mul(2_654_435_761) >> 20;
        let object = |n: u32| format!("/api/items/{}", (uniform(n) * uniform(n)) >> 15);
        // Whoever is there from the beginning belongs to what is learned.
        world.send(90_000_000, &get(1, "/", 200));
        let requests =
            convicted_for(world, Threat::Scraping, 1500, 500, |n| json(get(99, &object(n), 200)));
        assert!((30..90).contains(&requests), "{requests}");
    });
}

/// Ten requests a second, as ever; for ten minutes every one of them takes three seconds and fails.
#[test]
fn a_partner_is_not_to_blame_for_an_outage() {
    world(|world| {
        for n in 0..20_000u32 {
            let down = (10_000..16_000).contains(&n);
            let (status, upstream_ms) = if down { (503, 3000) } else { (200, 18) };
            let hit = json(get(94, &format!("/api/items/{}", n * 7 % 30), status));
            let partner = Hit { credential: 9, user_agent: "partner/1", upstream_ms, ..hit };
            world.send(100, &partner);
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}
