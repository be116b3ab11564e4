//! Throttling: a source may do a little, and is told when it may do more.

use std::fs;
use std::path::Path;
use std::time::Duration;

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::http::Client;
use api_abuse_tests::sites::{attacker, guarded, neighbour};

/// Makes a throttle of every denial in the saved lists, whose words are described in the module's
/// sources: eleven of head, ten for each application, seven for each denial, a checksum.
fn throttle_instead_of_deny(home: &Path) {
    let file = home.join("api_abuse_state/lists.state");
    let bytes = fs::read(&file).unwrap();
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let mut words: Vec<u64> = bytes.chunks_exact(8).map(word).collect();
    words.pop();
    let (applications, denials) = (words[8] as usize, words[9] as usize);
    assert!(denials > 0);
    for denial in 0..denials {
        let facts = &mut words[11 + applications * 10 + denial * 7];
        assert_eq!(*facts >> 16 & 0xff, 2, "denied");
        *facts ^= 3 << 16;
    }
    let sum = words.iter().fold(words[0], |sum, word| {
        let product = u128::from(sum ^ word) * 0x9e37_79b9_7f4a_7c15;
        (product as u64 ^ (product >> 64) as u64).wrapping_add(1)
    });
    words.push(sum);
    fs::write(file, words.into_iter().flat_map(u64::to_le_bytes).collect::<Vec<_>>()).unwrap();
}

#[test]
fn a_throttled_source_may_do_a_little() {
    let server = "root html; location /watched/ { api_abuse_mode monitor; root html; }";
    let site = guarded(server).file("html/page.html", "page").file("html/watched/f", "file");
    let mut nginx = site.start();
    for host in [1, 2] {
        assert!(Attacker::new(nginx.address, attacker(host)).scan().denied);
    }
    nginx.restart_with(throttle_instead_of_deny);
    let get = |client: &mut Client, path: &str| client.send(&probe(path)).unwrap();
    let mut client = nginx.client_from(attacker(1));
    let refused = (0..50).map(|_| get(&mut client, "/page.html")).find(|r| r.status != 200);
    let refused = refused.expect("an end of the burst");
    assert_eq!(refused.status, 429, "{}", nginx.error_log());
    assert_eq!(refused.header("Retry-After"), Some("1"));
    assert_eq!(refused.header("Cache-Control"), Some("no-store"));
    // A token comes back every second.
    let patience = Duration::from_secs(20);
    assert!(eventually(patience, || get(&mut client, "/page.html").status == 200));
    let verdicts = || -> Vec<String> {
        let entries = nginx.access_log().into_iter();
        let mine = entries.filter(|entry| entry.from == attacker(1).to_string());
        mine.map(|entry| entry.verdict).collect()
    };
    let known = || {
        let all = verdicts();
        let first = all.iter().position(|verdict| verdict == "THROTTLED");
        // What it may do is no throttled request.
        first.is_some_and(|first| all[first - 5..first].iter().all(|verdict| verdict == "PASSED"))
    };
    assert!(eventually(patience, known), "{:?}", verdicts());

    // In monitor mode it is only said, and the bucket is the same in every worker.
    let mut watched = nginx.client_from(attacker(2));
    assert!((0..30).all(|_| get(&mut watched, "/watched/f").status == 200));
    let entries = nginx.entries_from(attacker(2), 30);
    assert!(entries.iter().any(|entry| entry.verdict == "THROTTLED_MONITOR"));
    assert!(entries.iter().all(|entry| entry.verdict != "THROTTLED"));
    let mut innocent = nginx.client_from(neighbour(1));
    assert!((0..30).all(|_| innocent.get("/page.html").unwrap().status == 200));
}
