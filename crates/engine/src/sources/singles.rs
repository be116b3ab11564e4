//! Addresses that one client alone uses, so far: most of them.
//!
//! What such an address did is what its client did, so it needs no record of its own, and no record is
//! judged for it a second time. It is known by a pair of keys. When a second client comes, the
//! address gets a record that begins as the first client's stands ([`Source::widened`]); which client
//! that was is known as long as the pair is. A pair that had to give way costs no evidence: the client
//! holds it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{ASKED_VOUCHED, Hold, Source, bit};
use crate::SourceKind;
use crate::approach::Keys;
use crate::conviction::suspect_slot;
use crate::engine::Engine;
use crate::evidence::Walks;
use crate::fusion::Sensitivity;
use crate::learned;
use crate::record::RecordHead;
use crate::source::SourceKey;
use crate::tables::Suspect;
use crate::target::to_front;

/// Pairs of a line.
pub const PAIRS: usize = 4;

/// Keys of an address and of its only client; zeros are a free place.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pair {
    address: u64,
    client: u64,
}

/// Pairs that share a cache line, the one that was met last in front. Plain old data; any bit pattern
/// is valid.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Line([Pair; PAIRS]);

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// This client alone uses it.
    Alone,
    /// Another client alone did.
    Other(u64),
    /// Nothing: it is new, or has a record.
    Unknown,
}

/// All pairs, over caller-given memory.
#[derive(Debug)]
pub struct Singles<'m>(&'m mut [Line]);

impl<'m> Singles<'m> {
    /// A table over `lines`, at least one.
    pub fn new(lines: &'m mut [Line]) -> Self {
        debug_assert!(!lines.is_empty());
        Self(lines)
    }

    /// Who is known to use an address.
    pub fn meet(&mut self, address: u64, client: u64) -> Met {
        let line = self.line_mut(address);
        let Some(at) = line.iter().position(|pair| pair.address == address) else {
            return Met::Unknown;
        };
        to_front(line, at);
        if line[0].client == client { Met::Alone } else { Met::Other(line[0].client) }
    }

    /// Writes down who uses an address; the pair that was met longest ago gives way.
    pub fn insert(&mut self, address: u64, client: u64) {
        let line = self.line_mut(address);
        let same = line.iter().position(|pair| pair.address == address);
        to_front(line, same.unwrap_or(PAIRS - 1));
        line[0] = Pair { address, client };
    }

    /// The address has a record now.
    pub fn remove(&mut self, address: u64) {
        let line = self.line_mut(address);
        if let Some(at) = line.iter().position(|pair| pair.address == address) {
            line[at..].rotate_left(1);
            line[PAIRS - 1] = Pair::default();
        }
    }

    /// Reads the line of an address: see [`Engine::approach`].
    pub(crate) fn approach(&self, address: u64) -> u64 {
        self.0[self.at(address)].0[0].address
    }

    /// Whether an address is known.
    pub(crate) fn knows(&self, address: u64) -> bool {
        // No branch for each: where it stands cannot be guessed.
        let line = &self.0[self.at(address)].0;
        line.iter().map(|pair| u32::from(pair.address == address)).sum::<u32>() != 0
    }

    /// Addresses that are known.
    pub fn count(&self) -> usize {
        self.0.iter().flat_map(|line| line.0).filter(|pair| pair.address != 0).count()
    }

    fn at(&self, address: u64) -> usize {
        (((address >> 32) * self.0.len() as u64) >> 32) as usize
    }

    fn line_mut(&mut self, address: u64) -> &mut [Pair; PAIRS] {
        let at = self.at(address);
        &mut self.0[at].0
    }
}

impl Source {
    /// What an address knows, of this hash, when this client has been its only one.
    pub(crate) fn widened(&self, key: u64) -> Self {
        let suspicion = Sensitivity::Normal.threshold() / 2.0;
        let convicted = self.convictions > 0;
        let vouched = self.asked & ASKED_VOUCHED != 0 || self.is_vouched();
        let itself = convicted && self.incident != 0 && self.hold == Hold::Held as u8;
        let mut address = Self {
            key,
            discriminator: 0,
            kind: SourceKind::Address as u8,
            users: if vouched { bit(self.key) } else { 0 },
            convicted_users: self.convicted_users | if itself { bit(self.key) } else { 0 },
            denied_until_ms: 0,
            incident: 0,
            would_deny: 0,
            hold: 0,
            lifted: 0,
            grace_until_s: 0,
            learned: learned::State::default(),
            ..*self
        };
        address.activity.forget_sample();
        if convicted {
            // As a conviction leaves the wider keys: dealt with, but suspicion stays.
            address.walks =
                self.walks.map(|walks| Walks::at(walks.values().map(|nats| nats.min(suspicion))));
        }
        address
    }
}

impl Engine<'_> {
    /// The record of an address, made when a second client comes; `None` while its client stands for
    /// it, and where there is no place.
    pub(crate) fn address(
        &mut self,
        head: &RecordHead,
        keys: &Keys,
        client: Option<usize>,
    ) -> Option<usize> {
        let (kind, network) = (SourceKind::Address, keys.network);
        let who = SourceKey { kind, network, discriminator: 0 };
        let (application, now_ms) = (head.application, head.time_ms);
        let first = match self.singles.meet(keys.address, keys.client) {
            Met::Alone if client.is_some() => return None,
            Met::Alone => None,
            Met::Other(first) => self.sources.find(first).map(|slot| *self.sources.get(slot)),
            Met::Unknown => {
                let known = self.sources.find(keys.address);
                if known.is_none() && client.is_some() {
                    self.singles.insert(keys.address, keys.client);
                    return None;
                }
                if known.is_some() {
                    return known;
                }
                None
            }
        };
        if first.is_none() && client.is_some() {
            // The other one has been forgotten: nothing spoke for keeping it.
            self.singles.insert(keys.address, keys.client);
            return None;
        }
        let slot = self.sources.touch(keys.address, who, application, now_ms)?;
        if let Some(first) = first {
            self.sources.put(slot, &first.widened(keys.address), now_ms);
            let kept = suspect_slot(self.suspects, first.key);
            let kept = self.suspects.get(kept).filter(|suspect| suspect.key == first.key).copied();
            let place = suspect_slot(self.suspects, keys.address);
            if let (Some(kept), Some(place)) = (kept, self.suspects.get_mut(place)) {
                *place = Suspect { key: keys.address, ..kept };
            }
        }
        self.singles.remove(keys.address);
        Some(slot)
    }

    /// Addresses that one client alone uses, and for which it stands: they take no record.
    pub fn singles(&self) -> u64 {
        self.singles.count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_kept_by_when_they_were_met() {
        let mut lines = [Line::default()];
        let mut singles = Singles::new(&mut lines);
        for address in 1..=4 {
            assert_eq!(singles.meet(address, 10 + address), Met::Unknown);
            singles.insert(address, 10 + address);
        }
        assert_eq!(singles.meet(1, 11), Met::Alone);
        assert_eq!(singles.meet(2, 99), Met::Other(12));
        singles.insert(5, 15);
        assert!(!singles.knows(3), "met longest ago");
        assert_eq!([1, 2, 4, 5].map(|address| singles.knows(address)), [true; 4]);
        singles.remove(2);
        assert_eq!((singles.meet(2, 12), singles.count()), (Met::Unknown, 3));
        singles.insert(4, 44);
        assert_eq!((singles.meet(4, 44), singles.count()), (Met::Alone, 3));
    }

    #[test]
    fn an_address_begins_as_its_client_stands() {
        let mut client =
            Source { key: 7 << 59, kind: SourceKind::Client as u8, ..Source::default() };
        (client.requests, client.served, client.templates) = (9, 9, 3);
        client.users = 0xff;
        client.walks[2] = Walks::at([1.5; 4]);
        let address = client.widened(5);
        assert_eq!((address.key, address.kind), (5, SourceKind::Address as u8));
        assert_eq!((address.requests, address.walks[2]), (9, client.walks[2]));
        assert_eq!(address.users, 1 << 7, "its own users are sessions, not clients");
        client.walks[2] = Walks::at([25.0; 4]);
        (client.convictions, client.incident, client.hold) = (1, 3, Hold::Held as u8);
        client.denied_until_ms = 1000;
        let address = client.widened(5);
        assert!(address.peak() < 11.0 && address.peak() > 10.0, "suspicion stays");
        assert_eq!((address.convictions, address.denied_until_ms), (1, 0));
        assert_eq!((address.effective_users(), address.convicted_users), (0, 1 << 7));
    }
}
