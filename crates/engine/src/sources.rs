//! The table of sources: everything that is remembered of who makes requests.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::evidence::Walks;
use crate::record::{RequestRecord, flags};
use crate::{SourceKey, SourceKind};

/// Misses remembered one by one, so that only a first contact counts.
pub const REMEMBERED: usize = 12;

/// What is remembered of one source in one application. Plain old data, [`SOURCE_BYTES`] bytes; key 0
/// is a free slot. Any bit pattern is valid; [`Source::sane`] clamps what a killed writer left.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Source {
    /// Hash of application and key.
    pub key: u64,
    /// Key of the application.
    pub application: u64,
    /// [`SourceKey::network`].
    pub network: u64,
    /// [`SourceKey::discriminator`].
    pub discriminator: u64,
    /// Monotonic milliseconds of the first record.
    pub first_ms: u64,
    /// Monotonic milliseconds of the last record.
    pub last_ms: u64,
    /// Denied until then; 0 when it is not.
    pub denied_until_ms: u64,
    /// Incident of the last conviction.
    pub incident: u64,
    /// Monotonic milliseconds of the last attempt to log in.
    pub last_login_ms: u64,
    /// Evidence for each threat.
    pub walks: [Walks; 8],
    /// Hashes of the paths missed last.
    missed: [u32; REMEMBERED],
    /// Hashes of the credentials tried last, or lengths of the bodies that carried them.
    credentials: [u32; 4],
    /// Judged requests.
    pub requests: u32,
    /// Those that succeeded.
    pub served: u32,
    /// A bit for each of 32 groups of templates that it was served.
    pub templates: u32,
    /// Requests to a login.
    pub login_requests: u32,
    /// Attempts that failed, each credential once.
    pub login_failures: u32,
    /// Attempts that succeeded.
    pub login_successes: u32,
    /// A bit for each of 32 groups of vouched clients (addresses only).
    pub users: u32,
    /// The same for those of them that were convicted.
    pub convicted_users: u32,
    /// Requests of convicted clients (addresses only).
    pub convicted_requests: u32,
    /// Rare paths missed where the application has nothing like them.
    pub strays: u16,
    /// Names of the application's own kind that missed, in a hurry.
    pub guesses: u16,
    /// Known probes and payloads.
    pub probes: u16,
    /// Convictions so far.
    pub convictions: u16,
    /// Where in `missed` and `credentials` the next goes.
    missed_at: u8,
    credentials_at: u8,
    /// [`SourceKind`].
    pub kind: u8,
    /// Bit s: sensitivity s would have denied it.
    pub would_deny: u8,
}

/// Bytes of one source.
pub const SOURCE_BYTES: usize = size_of::<Source>();

impl Source {
    /// Whether it behaved well often enough to count as a user: three requests served over two
    /// templates, and nothing against it.
    pub fn is_vouched(&self) -> bool {
        self.served >= 3 && self.templates.count_ones() >= 2 && self.peak() < 5.0
    }

    /// The highest walk, nats: an upper bound of the evidence that costs no logarithm.
    pub fn peak(&self) -> f32 {
        self.walks.iter().flat_map(|walks| walks.0).fold(0.0, f32::max)
    }

    /// Remembers a missed path; false when it was remembered already.
    pub fn first_contact(&mut self, path_key: u64) -> bool {
        remember(&mut self.missed, &mut self.missed_at, (path_key >> 32) as u32)
    }

    /// Remembers the credential of an attempt; false when the source has just tried it. Where no
    /// credential is known, the length of the body stands for it.
    pub fn new_credential(&mut self, record: &RequestRecord<'_>) -> bool {
        let head = &record.head;
        if head.credential != 0 {
            return remember(
                &mut self.credentials,
                &mut self.credentials_at,
                head.credential as u32,
            );
        }
        if record.has(flags::FROM_LOG) {
            return true;
        }
        let last = &mut self.credentials[0];
        core::mem::replace(last, head.content_length.wrapping_add(1))
            != head.content_length.wrapping_add(1)
    }

    /// The key that this source is.
    pub fn source_key(&self) -> Option<SourceKey> {
        let kind = SourceKind::from_u8(self.kind)?;
        Some(SourceKey { kind, network: self.network, discriminator: self.discriminator })
    }

    /// Clamps what no run of the engine leaves.
    pub fn sane(&mut self) {
        self.walks.iter_mut().for_each(Walks::sane);
    }
}

fn remember<const N: usize>(ring: &mut [u32; N], at: &mut u8, value: u32) -> bool {
    let value = value.max(1);
    if ring.contains(&value) {
        return false;
    }
    ring[usize::from(*at) % N] = value;
    *at = at.wrapping_add(1) % N as u8;
    true
}

/// Slots of a bucket.
const WAYS: usize = 8;

/// All sources: buckets of eight slots over caller-given memory.
#[derive(Debug)]
pub struct Sources<'m> {
    slots: &'m mut [Source],
    /// Sources evicted although something spoke for keeping them.
    pub evicted: u64,
    /// Sources in the table.
    pub live: u64,
}

impl<'m> Sources<'m> {
    /// A table over `slots`, whose number must be a multiple of 8.
    pub fn new(slots: &'m mut [Source]) -> Self {
        debug_assert!(slots.len() >= WAYS && slots.len() % WAYS == 0);
        slots.iter_mut().for_each(Source::sane);
        let live = slots.iter().filter(|slot| slot.key != 0).count() as u64;
        Self { slots, evicted: 0, live }
    }

    /// The source of a key, made if it is new. Where its bucket is full, the source of least evidence
    /// and greatest age gives way, but never one that is denied or under suspicion: then the
    /// newcomer is not tracked, and `None` says so.
    pub fn touch(
        &mut self,
        key: u64,
        who: SourceKey,
        application: u64,
        now_ms: u64,
    ) -> Option<usize> {
        let buckets = (self.slots.len() / WAYS) as u64;
        let start = (((key >> 32) * buckets) >> 32) as usize * WAYS;
        let bucket = &self.slots[start..start + WAYS];
        if let Some(way) = bucket.iter().position(|slot| slot.key == key) {
            return Some(start + way);
        }
        let keep = |slot: &Source| match slot.key {
            0 => (0, 0),
            _ if slot.denied_until_ms > now_ms || slot.convictions > 0 => (u32::MAX, slot.last_ms),
            _ => {
                let age = now_ms.saturating_sub(slot.last_ms);
                let evidence = slot.peak() * crate::evidence::decay(age);
                (1 + (evidence * 16.0) as u32 + u32::from(slot.users != 0), slot.last_ms)
            }
        };
        let way = (0..WAYS).min_by_key(|&way| keep(&bucket[way]))?;
        let victim = keep(&bucket[way]).0;
        if victim >= SUSPECT {
            self.evicted += 1;
            return None;
        }
        self.live += u64::from(victim == 0);
        self.evicted += u64::from(victim > 1);
        self.slots[start + way] = Source {
            key,
            application,
            network: who.network,
            discriminator: who.discriminator,
            kind: who.kind as u8,
            first_ms: now_ms,
            last_ms: now_ms,
            ..Source::default()
        };
        Some(start + way)
    }

    /// The source in a slot that [`Self::touch`] returned.
    pub fn get_mut(&mut self, slot: usize) -> &mut Source {
        &mut self.slots[slot]
    }

    /// All sources.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.slots.iter().filter(|slot| slot.key != 0)
    }
}

/// Weight from which a source is not evicted: about five nats.
const SUSPECT: u32 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spray_of_new_sources_does_not_flush_a_suspect() {
        let mut slots = vec![Source::default(); 64];
        let mut sources = Sources::new(&mut slots);
        let who = SourceKey::address([0; 16]);
        let suspect = sources.touch(1, who, 1, 0);
        if let Some(slot) = suspect {
            sources.get_mut(slot).walks[0].0[0] = 12.0;
        }
        for key in 2..10_000 {
            sources.touch(crate::hash::combine(key, 7), who, 1, key);
        }
        assert_eq!(sources.touch(1, who, 1, 10_000), suspect);
        assert_eq!(suspect.map(|slot| sources.get_mut(slot).peak()), Some(12.0));
        assert_eq!(sources.live, 64);
    }

    #[test]
    fn first_contacts() {
        let mut source = Source::default();
        assert!(source.first_contact(5 << 32));
        assert!(!source.first_contact(5 << 32));
        for path in 10..(10 + REMEMBERED as u64) {
            assert!(source.first_contact(path << 32));
        }
        assert!(source.first_contact(5 << 32), "forgotten after {REMEMBERED} others");
    }
}
