//! The run-time allowlist as requests ask it.

use std::cell::{Cell, RefCell};

use api_abuse_engine::{Cidr, CidrSet};
use api_abuse_shm::{AllowEntry, Allowlist};

/// What this worker made of the list in the zone. A request compares one word; the list is read
/// again only when that word has changed.
pub(crate) struct RunTimeAllowlist {
    list: Allowlist<'static>,
    /// The word when the list was read.
    seen: Cell<u64>,
    /// The word that says that nobody is let through, as far as that is known: none when somebody is.
    nobody: Cell<u64>,
    networks: RefCell<CidrSet>,
}

impl RunTimeAllowlist {
    pub(crate) fn new(list: Allowlist<'static>) -> Self {
        Self { list, seen: Cell::new(0), nobody: Cell::new(0), networks: RefCell::default() }
    }

    /// Whether there may be any network.
    #[inline]
    pub(crate) fn may_hold(&self) -> bool {
        self.list.changes() != self.nobody.get()
    }

    /// Whether an address (IPv4 mapped) is let through.
    #[inline]
    pub(crate) fn contains(&self, address: [u8; 16]) -> bool {
        let changes = self.list.changes();
        if changes != self.seen.get() {
            self.read_again(changes);
        }
        self.may_hold() && self.networks.borrow().contains(address)
    }

    #[cold]
    fn read_again(&self, changes: u64) {
        // While an entry is being written, what was known before holds.
        if let Some(entries) = self.list.entries() {
            let networks = networks(&entries);
            // No list is changed so often.
            self.nobody.set(if networks.is_empty() { changes } else { u64::MAX });
            self.networks.replace(networks);
            self.seen.set(changes);
        }
    }
}

/// The networks of the entries. What is no network is none.
pub(crate) fn networks(entries: &[AllowEntry]) -> CidrSet {
    entries.iter().filter_map(network).collect()
}

/// The network of an entry.
pub(crate) fn network(entry: &AllowEntry) -> Option<Cidr> {
    std::str::from_utf8(&entry.network).ok()?.parse().ok()
}
