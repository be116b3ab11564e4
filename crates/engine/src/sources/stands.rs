//! A client that stands for its address and for its session: what both did is what it did, as long as it is
//! the only one.
//!
//! When a second client comes, the address gets a record that begins as the first client stands
//! ([`Source::widened`]). A session gets one ([`Source::narrowed`]) when it comes from a second client, when another
//! session comes from its client, and as soon as there is something against the client: whoever is suspected is
//! kept by records, which do not give way to strangers, and not by pairs, which do. What a client did before
//! its session began was hardly anything, or the session has a record from the beginning; what it does
//! without the session meanwhile is held against the session up to [`LITTLE`].

use super::{ASKED_ALONE, ASKED_SESSIONS, ASKED_VOUCHED, Hold, Source, bit};
use crate::SourceKind;
use crate::approach::Keys;
use crate::conviction::suspect_slot;
use crate::engine::{Engine, source_hash};
use crate::evidence::Walks;
use crate::fusion::Sensitivity;
use crate::learned;
use crate::record::RecordHead;
use crate::slots::Slots;
use crate::source::SourceKey;
use crate::tables::Suspect;

/// Evidence from which on a session has a record of its own, nats: who has less may be vouched for.
const LITTLE: f32 = 2.0;
/// Requests of a client, and milliseconds since the first, up to which all that it did is taken for its
/// session's.
const BEGINNING: u32 = 16;
/// See [`BEGINNING`].
const BEGINNING_MS: u64 = 3_600_000;
/// How often a client looks whether what it stands for knows nobody else, requests.
const LOOKS: u32 = 16;

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
            session: 0,
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

    /// What a session knows, of this hash, when this client has stood for it: walks of at most `most` nats.
    fn narrowed(&self, key: u64, most: f32) -> Self {
        let address =
            SourceKey { kind: SourceKind::Address, network: self.network, discriminator: 0 };
        let mut session = Self {
            key,
            network: 0,
            discriminator: self.session,
            kind: SourceKind::Session as u8,
            walks: self.walks.map(|walks| Walks::at(walks.values().map(|nats| nats.min(most)))),
            users: bit(source_hash(self.application, address)),
            convicted_users: 0,
            convicted_requests: 0,
            convictions: 0,
            denied_until_ms: 0,
            incident: 0,
            would_deny: 0,
            hold: 0,
            asked: 0,
            lifted: 0,
            grace_until_s: 0,
            form_ms: 0,
            learned: learned::State::default(),
            session: 0,
            ..*self
        };
        session.activity.forget_sample();
        session
    }

    /// Whether it stands for its address, and need not look whether that still holds.
    pub(crate) fn is_alone(&self) -> bool {
        self.asked & ASKED_ALONE != 0 && self.requests % LOOKS != 0
    }

    /// Whether it stands for this session, and need not look whether that still holds.
    pub(crate) fn is_only(&self, session: u64) -> bool {
        self.session == session && self.requests % LOOKS != 0
    }

    /// Whether a session that this client shows for the first time did all that the client did.
    fn may_stand(&self, now_ms: u64) -> bool {
        let age_ms = now_ms.saturating_sub(self.first_ms);
        self.session == 0
            && self.asked & ASKED_SESSIONS == 0
            && self.requests <= BEGINNING
            && age_ms <= BEGINNING_MS
            && (self.convictions, self.users, self.lifted, self.denied_until_ms) == (0, 0, 0, 0)
            && self.peak() < LITTLE
    }
}

impl Engine<'_> {
    /// The record of an address, made when a second client comes; `None` while its client stands for
    /// it, and where there is no place.
    #[inline]
    pub(crate) fn address(
        &mut self,
        head: &RecordHead,
        keys: &Keys,
        client: Option<usize>,
    ) -> Option<usize> {
        let source = client.map(|slot| self.sources.get(slot));
        if source.is_some_and(Source::is_alone) {
            None
        } else {
            self.address_apart(head, keys, client)
        }
    }

    /// The same for an address that its client may not stand for.
    #[inline(never)]
    fn address_apart(
        &mut self,
        head: &RecordHead,
        keys: &Keys,
        client: Option<usize>,
    ) -> Option<usize> {
        let met = self.singles.meet(keys.address);
        let first = met.filter(|_| met != client);
        let first = first.filter(|&slot| {
            let first = self.sources.client(slot, head.application);
            first.is_some_and(|first| first.network == keys.network)
        });
        let known = if met.is_none() { self.sources.find(keys.address) } else { None };
        if let (None, None, Some(client)) = (first, known, client) {
            // The first to come, or the other one has been forgotten: nothing spoke for keeping it.
            self.sources.get_mut(client).asked |= ASKED_ALONE;
            self.singles.insert(keys.address, client);
            return None;
        }
        if let Some(client) = client {
            self.sources.get_mut(client).asked &= !ASKED_ALONE;
        }
        if known.is_some() {
            return known;
        }
        let first = first.map(|slot| {
            let first = self.sources.get_mut(slot);
            first.asked &= !ASKED_ALONE;
            *first
        });
        let who = SourceKey { kind: SourceKind::Address, network: keys.network, discriminator: 0 };
        let now_ms = head.time_ms;
        let slot = self.sources.touch(keys.address, who, head.application, now_ms)?;
        if let Some(first) = first {
            self.sources.put(slot, &first.widened(keys.address), now_ms);
            self.copy_suspect(first.key, keys.address);
        }
        self.singles.remove(keys.address);
        Some(slot)
    }

    /// The record of a session; `None` while its client stands for it, and where there is no place.
    #[inline]
    pub(crate) fn session(
        &mut self,
        head: &RecordHead,
        keys: &Keys,
        client: Option<usize>,
        address: Option<usize>,
    ) -> Option<usize> {
        if head.session == 0 {
            return None;
        }
        let source = client.map(|slot| self.sources.get(slot));
        let stands = source.is_some_and(|source| source.is_only(head.session));
        if stands { None } else { self.session_apart(head, keys, client, address) }
    }

    /// The same for a session that its client may not stand for.
    #[inline(never)]
    fn session_apart(
        &mut self,
        head: &RecordHead,
        keys: &Keys,
        client: Option<usize>,
        address: Option<usize>,
    ) -> Option<usize> {
        let (application, now_ms) = (head.application, head.time_ms);
        let itself =
            |engine: &Self| client.filter(|&slot| engine.sources.get(slot).key == keys.client);
        if let Some(slot) = client {
            let session = self.sources.get(slot).session;
            if session != 0 && session != head.session {
                self.part(slot, f32::MAX, now_ms);
            }
        }
        let known = self.sources.find(keys.session).or_else(|| {
            let met = self.singles.meet(keys.session).filter(|&slot| Some(slot) != client)?;
            let first = self.sources.client(met, application)?;
            if first.session == head.session { self.part(met, f32::MAX, now_ms) } else { None }
        });
        let Some(slot) = itself(self) else { return known };
        let convicted = address.is_some_and(|slot| self.sources.get(slot).convictions > 0);
        let source = self.sources.get_mut(slot);
        let stands = source.session == head.session || (!convicted && source.may_stand(now_ms));
        if known.is_none() && stands {
            source.session = head.session;
            self.singles.insert(keys.session, slot);
            return None;
        }
        (source.session, source.asked) = (0, source.asked | ASKED_SESSIONS);
        let who = SourceKey::session(head.session);
        known.or_else(|| self.sources.touch(keys.session, who, application, now_ms))
    }

    /// Gives the session of a record's client a record of its own when there is something against the client.
    /// What requests without the session add is held against it up to [`LITTLE`].
    #[inline]
    pub(crate) fn suspect_session(&mut self, slots: &Slots, head: &RecordHead) {
        let Some(client) = slots.client else { return };
        if slots.client_peak() >= LITTLE && self.sources.get(client).session != 0 {
            let most = if head.session == 0 { LITTLE } else { f32::MAX };
            self.part(client, most, head.time_ms);
        }
    }

    /// Gives the session that a client stands for a record, which begins as the client stands, with walks of
    /// at most `most` nats; its slot, if there is place.
    #[inline(never)]
    fn part(&mut self, client: usize, most: f32, now_ms: u64) -> Option<usize> {
        let first = *self.sources.get(client);
        let who = SourceKey::session(first.session);
        let key = source_hash(first.application, who);
        let slot = self.sources.find(key).or_else(|| {
            let slot = self.sources.touch(key, who, first.application, now_ms)?;
            self.sources.put(slot, &first.narrowed(key, most), now_ms);
            if most > LITTLE {
                self.copy_suspect(first.key, key);
            }
            Some(slot)
        });
        self.singles.remove(key);
        let client = self.sources.get_mut(client);
        if client.key == first.key {
            (client.session, client.asked) = (0, client.asked | ASKED_SESSIONS);
        }
        slot
    }

    /// Puts up the pair of a session that a client from a checkpoint stands for.
    pub(crate) fn restore_session(&mut self, client: usize) {
        let source = self.sources.get(client);
        if source.session != 0 {
            let key = source_hash(source.application, SourceKey::session(source.session));
            self.singles.insert(key, client);
        }
    }

    /// The requests of a suspect for a key that begins as it stands.
    fn copy_suspect(&mut self, from: u64, to: u64) {
        let kept = self.suspects.get(suspect_slot(self.suspects, from));
        let kept = kept.filter(|suspect| suspect.key == from).copied();
        let place = suspect_slot(self.suspects, to);
        if let (Some(kept), Some(place)) = (kept, self.suspects.get_mut(place)) {
            *place = Suspect { key: to, ..kept };
        }
    }

    /// Addresses and sessions for which their only client stands: they take no record.
    pub fn singles(&self) -> u64 {
        self.singles.count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_session_begins_as_its_client_stands() {
        let mut client =
            Source { key: 7 << 59, kind: SourceKind::Client as u8, ..Source::default() };
        (client.requests, client.served, client.session, client.form_ms) = (9, 8, 5, 3);
        (client.network, client.discriminator, client.users) = (0xffff_0000_0001, 77, 1);
        client.asked = ASKED_VOUCHED;
        client.walks[2] = Walks::at([3.5, 1.5, 0.0, 0.0]);
        let who = SourceKey::session(5);
        let key = source_hash(0, who);
        let session = client.narrowed(key, f32::MAX);
        assert_eq!((session.key, session.source_key()), (key, Some(who)));
        assert_eq!((session.requests, session.walks), (9, client.walks));
        assert_eq!((session.users.count_ones(), session.asked, session.session), (1, 0, 0));
        let session = client.narrowed(key, LITTLE);
        assert_eq!(session.walks[2].values(), [2.0, 1.5, 0.0, 0.0]);
    }

    #[test]
    fn who_has_a_past_stands_for_nobody() {
        let client = Source { first_ms: 1000, requests: 3, ..Source::default() };
        assert!(client.may_stand(2000));
        assert!(!client.may_stand(1001 + BEGINNING_MS));
        let others = [
            Source { requests: BEGINNING + 1, ..client },
            Source { session: 9, ..client },
            Source { asked: ASKED_SESSIONS, ..client },
            Source { convictions: 1, ..client },
            Source { users: 1, ..client },
            Source { lifted: 1, ..client },
            Source { denied_until_ms: 1, ..client },
            Source { walks: [Walks::at([LITTLE; 4]); 8], ..client },
        ];
        assert!(others.iter().all(|other| !other.may_stand(2000)));
    }
}
