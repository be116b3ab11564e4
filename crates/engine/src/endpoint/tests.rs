use super::*;
use crate::hash::Seed;

const APPLICATION: u64 = 77;

fn with_endpoints(test: impl FnOnce(&mut dyn FnMut(&str, Option<u64>) -> Resolved)) {
    let mut nodes = vec![Node::default(); 4096];
    let mut endpoints = Endpoints::new(&mut nodes);
    test(&mut |path, source| {
        let source = source.map(|source| source << 60);
        let mut target = Target::plain(path.as_bytes(), Seed([1, 2]));
        endpoints.resolve(APPLICATION, (&mut target, path.as_bytes()), source, 1)
    });
}

#[test]
fn typed_segments_share_a_template() {
    with_endpoints(|resolve| {
        assert!(!resolve("/users/1", Some(1)).known);
        let first = resolve("/users/1", None);
        let other = resolve("/users/99", None);
        assert!(first.known && other.known && other.object);
        assert_eq!(first.template, other.template);
        assert!(!resolve("/users/1/orders", None).known);
        assert!(!resolve("/admin", None).known);
    });
}

#[test]
fn a_flood_of_names_does_not_merge_established_ones() {
    with_endpoints(|resolve| {
        for visit in 0..60 {
            resolve("/api/v1/login", Some(visit % 5));
        }
        let before = resolve("/api/v1/login", None);
        for name in 0..500 {
            resolve(&format!("/api/v1/slug-of-{}", words(name)), Some(name % 16));
        }
        let after = resolve("/api/v1/login", None);
        assert_eq!((after.template, after.object), (before.template, false));
        let unseen = resolve("/api/v1/never-seen-before", None);
        assert!(unseen.known && unseen.object, "{unseen:?}");
        assert_ne!(unseen.template, before.template);
    });
}

#[test]
fn siblings_count_distinct_names() {
    with_endpoints(|resolve| {
        for name in 0..10 {
            for again in 0..3 {
                resolve(&format!("/{}.html", words(name)), Some(again));
            }
        }
        assert_eq!(resolve("/gone.html", None).siblings, 10);
        assert_eq!(resolve("/gone.php", None).siblings, 0);
    });
}

fn words(mut n: u64) -> String {
    let mut text = String::new();
    while n > 0 {
        text.push(char::from(b'a' + (n % 26) as u8));
        n /= 26;
    }
    format!("w{text}")
}
