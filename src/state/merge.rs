//! Lists that were read, into the lists of a zone.

use std::sync::atomic::Ordering;

use api_abuse_engine::SourceKind;
use api_abuse_engine::hash::Seed;
use api_abuse_shm::{
    Allowed, AllowlistWriter, DenyEntry, DenyKey, DenylistWriter, Inserted, Lists, Zone,
};

/// What became of lists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Merged {
    /// Denials that now hold in this zone.
    pub(crate) denials: usize,
    /// Networks that are now let through.
    pub(crate) networks: usize,
    /// Denials that could not be taken over: they are hashed with another seed, or there is no room.
    pub(crate) dropped: usize,
}

/// Takes over what lists of another zone, or of this one before a restart, have that is newer than
/// what was taken over before: what was lifted here meanwhile does not come back.
pub(crate) fn merge(
    lists: &Lists,
    zone: &Zone,
    denylist: &mut DenylistWriter<'_>,
    allowlist: &mut AllowlistWriter<'_>,
    now_ms: u64,
    wall_ms: u64,
) -> Merged {
    let merged_ms = &zone.counters().state_merged_ms;
    let since_ms = merged_ms.load(Ordering::Relaxed);
    let mut merged = Merged::default();
    for (entry, began_ms) in lists.denials_at(now_ms, wall_ms) {
        if began_ms < since_ms {
            continue;
        }
        match translate(&entry, lists, zone) {
            Some(entry) if denylist.reader().find(&entry.key, now_ms).is_some() => {}
            Some(entry) if denylist.insert(&entry, now_ms) != Inserted::Full => {
                merged.denials += 1;
            }
            _ => merged.dropped += 1,
        }
    }
    for network in lists.allowed.iter().filter(|network| network.since_ms >= since_ms) {
        merged.networks += usize::from(allowlist.insert(network) == Allowed::Added);
    }
    merged_ms.fetch_max(lists.wall_ms, Ordering::Relaxed);
    merged
}

/// An entry in the hashes of this zone. Under another seed only the application's name and the address
/// are known; `None` for what is more than that: an address alone would deny whoever shares it.
fn translate(entry: &DenyEntry, lists: &Lists, zone: &Zone) -> Option<DenyEntry> {
    if lists.seed == zone.seed() {
        return Some(*entry);
    }
    let name = lists.name(entry.key.application)?;
    let application = Seed(zone.seed()).table(name);
    let only_address = entry.key.kind == SourceKind::Address as u8;
    only_address.then_some(DenyEntry { key: DenyKey { application, ..entry.key }, ..*entry })
}
