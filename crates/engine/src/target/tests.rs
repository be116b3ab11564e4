//! What is remembered of targets, beside what would be worked out again.

use super::*;
use crate::record::RecordHead;

/// What is remembered is what would be worked out again, whatever was there before.
#[test]
fn nothing_is_mixed_up() {
    let (patterns, seed) = (Patterns::new().unwrap(), Seed([3, 4]));
    let mut targets = Targets::default();
    let mut checked = 0;
    for round in 0..2 {
        for n in 0..2 * PATHS {
            let path = match n % 4 {
                0 => format!("/users/{n}/orders.json"),
                1 => format!("/a%2fb/../{n:x}/login"),
                2 => format!("//img/{n}.png"),
                _ => format!("/x/<script>{n}"),
            };
            let agent = if n % 3 == 0 { format!("bot/{n}") } else { format!("Firefox {n}") };
            let record = RequestRecord {
                head: RecordHead::default(),
                application: b"",
                path: path.as_bytes(),
                query: b"",
                user_agent: agent.as_bytes(),
            };
            assert_eq!(targets.agents.of(&record, &patterns).crawler, n % 3 == 0);
            let key = seed.table(path.as_bytes());
            let keys = Keys { path: key, ..Keys::default() };
            let found = targets.of(&record, &keys, &patterns, seed);
            let fresh = Target::new(key, path.as_bytes(), &patterns, seed);
            let normal = Path::new(path.as_bytes());
            assert_eq!((found.role, found.attack), (fresh.role, n % 4 == 3), "{path}");
            let texts: Vec<&[u8]> = found.steps().0.iter().map(|it| it.text(&normal)).collect();
            assert_eq!(texts, normal.segments().collect::<Vec<_>>(), "{round}");
            assert_eq!(found.number, fresh.number);
            let missed = |it: &mut Target| it.missed(path.as_bytes(), &patterns, seed).name;
            assert_eq!(missed(found), missed(&mut { fresh }));
            checked += 1;
        }
    }
    assert_eq!(checked, 4 * PATHS);
}
