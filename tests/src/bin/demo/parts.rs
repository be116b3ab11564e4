//! The demo's parts one by one, where each has a process or a container of its own:
//! `demo shop ADDRESS`, `demo people ADDRESS`, `demo attackers ADDRESS`. They end with SIGTERM.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::people::Crowd;
use api_abuse_tests::shop::Shop;

use crate::attackers::ATTACKERS;
use crate::{ATTACK, PACE, PEACE};

/// From one round of attacks to the next.
const TRUCE: Duration = Duration::from_secs(60);

type Part = fn(SocketAddr, &AtomicBool) -> bool;

/// The part of this name: it runs until told to stop, and says whether all went well.
pub(crate) fn named(name: &str) -> Option<Part> {
    match name {
        "shop" => Some(shop),
        "people" => Some(people),
        "attackers" => Some(attackers),
        _ => None,
    }
}

/// The shop, on this address.
fn shop(address: SocketAddr, stop: &AtomicBool) -> bool {
    let shop = Shop::open_at(address).expect("a shop on this address");
    println!("The shop is open on {}.", shop.address);
    wait(Duration::MAX, stop);
    println!("{} requests reached the shop.", shop.served());
    true
}

/// People who use the shop at this address; nobody of them may be refused.
fn people(address: SocketAddr, stop: &AtomicBool) -> bool {
    let crowd = Crowd::enter(address, 20_261_122, PACE);
    wait(Duration::MAX, stop);
    let visits = crowd.leave();
    println!("People made {} requests, {} were refused.", visits.requests, visits.refused);
    visits.requests > 0 && visits.refused == 0
}

/// Attackers on the shop at this address, again and again.
fn attackers(address: SocketAddr, stop: &AtomicBool) -> bool {
    wait(PEACE, stop);
    while !stop.load(Ordering::Relaxed) {
        println!("{} attackers begin.", ATTACKERS.len());
        let mut attacks: Vec<_> =
            ATTACKERS.iter().map(|attacker| attacker.start(address)).collect();
        wait(ATTACK, stop);
        for attack in &mut attacks {
            attack.end();
        }
        wait(TRUCE, stop);
    }
    true
}

fn wait(duration: Duration, stop: &AtomicBool) {
    let begun = Instant::now();
    while begun.elapsed() < duration && !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
    }
}
