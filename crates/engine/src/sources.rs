//! The table of sources: everything that is remembered of who makes requests.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::detectors::{
    credential_stuffing, posting, resource_exhaustion, scraping, vulnerability_scanning,
};
use crate::evidence::Walks;
use crate::{SourceKey, SourceKind};

/// What is remembered of one source in one application. Plain old data, [`SOURCE_BYTES`] bytes; key 0
/// is a free slot; any bit pattern is valid.
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
    /// The decision about it holds until then; 0 when there is none.
    pub denied_until_ms: u64,
    /// Incident of the last conviction.
    pub incident: u64,
    /// Evidence for each threat.
    pub walks: [Walks; 8],
    /// Judged requests.
    pub requests: u32,
    /// Those that succeeded.
    pub served: u32,
    /// A bit for each of 32 groups of templates that it was served.
    pub templates: u32,
    /// A bit for each of 32 groups: of vouched clients (of an address), of vouched sessions (of a
    /// client), of addresses (of a session).
    pub users: u32,
    /// The same for those clients and sessions that were convicted.
    pub convicted_users: u32,
    /// Requests of convicted clients (addresses only).
    pub convicted_requests: u32,
    /// Convictions so far.
    pub convictions: u16,
    /// [`SourceKind`].
    pub kind: u8,
    /// Bit s: sensitivity s would have denied it.
    pub would_deny: u8,
    /// It asked for robots.txt.
    pub asked_robots: u8,
    /// Days in a row with about as many requests.
    pub(crate) days: u8,
    /// [`Hold`]: what the decision does.
    pub hold: u8,
    /// A bit for each threat that an operator lifted; holds until `grace_until_s`.
    pub lifted: u8,
    /// The day, of the monotonic clock, and its requests; requests of a usual day.
    pub(crate) day: u32,
    pub(crate) today: u32,
    pub(crate) usual: u32,
    /// Monotonic seconds.
    pub grace_until_s: u32,
    /// Monotonic milliseconds when it last asked for a form.
    pub form_ms: u64,
    /// Misses.
    pub scanning: vulnerability_scanning::State,
    /// Attempts to log in.
    pub login: credential_stuffing::State,
    /// Objects it went through.
    pub trail: scraping::State,
    /// What it published, created, reserved.
    pub posts: posting::State,
    /// What it cost.
    pub load: resource_exhaustion::State,
}

/// What a decision about a source does. Any other value in a source counts as [`Self::Monitored`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Hold {
    /// Nothing: it was said, and is not said again while it holds.
    Monitored = 0,
    /// The source is denied or throttled.
    Held = 1,
    /// Nothing, because the circuit breaker is open.
    Spared = 2,
}

/// Bytes of one source.
pub const SOURCE_BYTES: usize = size_of::<Source>();

impl Source {
    /// Whether it behaved well often enough to count as a user: three requests served over two
    /// templates, and nothing against it.
    pub fn is_vouched(&self) -> bool {
        self.served >= 3 && self.templates.count_ones() >= 2 && self.peak() < 2.0
    }

    /// The highest walk, nats: an upper bound of the evidence that costs no logarithm.
    pub fn peak(&self) -> f32 {
        self.walks.iter().map(Walks::peak).fold(0.0, f32::max)
    }

    /// Well-behaved clients behind the key that were not convicted: of an address, those that were
    /// vouched for; else one.
    pub fn effective_users(&self) -> u32 {
        if self.kind == SourceKind::Address as u8 {
            (self.users & !self.convicted_users).count_ones()
        } else {
            1
        }
    }

    /// Whether a decision about it is in force, and does this.
    pub fn is(&self, hold: Hold, now_ms: u64) -> bool {
        self.denied_until_ms > now_ms && self.hold == hold as u8
    }

    /// The threats for which it is in grace: lifted lately.
    pub fn grace(&self, now_ms: u64) -> u8 {
        if u64::from(self.grace_until_s) * 1000 > now_ms { self.lifted } else { 0 }
    }

    /// Well-behaved others behind the key, beside the one of this hash.
    pub fn others(&self, key: u64) -> u32 {
        (self.users & !self.convicted_users & !bit(key)).count_ones()
    }

    /// Counts a request towards its day.
    pub fn count_day(&mut self, now_ms: u64) {
        let day = (now_ms / 86_400_000) as u32;
        if day != self.day {
            let twice = |count: u32| count.saturating_mul(2);
            let steady = self.today <= twice(self.usual) && self.usual <= twice(self.today);
            let next = day == self.day.wrapping_add(1) && self.today > 0;
            self.days =
                if next && (steady || self.usual == 0) { self.days.saturating_add(1) } else { 0 };
            let smooth = (3 * u64::from(self.usual) + u64::from(self.today)) / 4;
            self.usual = if steady { smooth as u32 } else { self.today };
            (self.day, self.today) = (day, 0);
        }
        self.today = self.today.saturating_add(1);
    }

    /// Established automation: three days of about the same, and today no more than twice that.
    pub fn is_established(&self) -> bool {
        self.days >= 3 && self.today <= self.usual.saturating_mul(2)
    }

    /// The key that this source is.
    pub fn source_key(&self) -> Option<SourceKey> {
        let kind = SourceKind::from_u8(self.kind)?;
        Some(SourceKey { kind, network: self.network, discriminator: self.discriminator })
    }
}

/// The bit of a source, by its hash, in [`Source::users`].
pub(crate) fn bit(key: u64) -> u32 {
    1 << (key >> 59)
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
        let start = self.bucket(key);
        let bucket = &self.slots[start..start + WAYS];
        if let Some(way) = bucket.iter().position(|slot| slot.key == key) {
            return Some(start + way);
        }
        let keep = |slot: &Source| match slot.key {
            0 => (0, 0),
            _ if slot.denied_until_ms > now_ms
                || slot.convictions > 0
                || slot.grace(now_ms) != 0 =>
            {
                (u32::MAX, slot.last_ms)
            }
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

    /// The slot of a key that is there.
    pub fn find(&self, key: u64) -> Option<usize> {
        let start = self.bucket(key);
        let bucket = &self.slots[start..start + WAYS];
        bucket.iter().position(|slot| slot.key == key && key != 0).map(|way| start + way)
    }

    fn bucket(&self, key: u64) -> usize {
        let buckets = (self.slots.len() / WAYS) as u64;
        (((key >> 32) * buckets) >> 32) as usize * WAYS
    }

    /// The source in a slot that [`Self::touch`] or [`Self::find`] returned.
    pub fn get(&self, slot: usize) -> &Source {
        &self.slots[slot]
    }

    /// The source in a slot that [`Self::touch`] returned.
    pub fn get_mut(&mut self, slot: usize) -> &mut Source {
        &mut self.slots[slot]
    }

    /// Slots.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.slots.len()
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
            sources.get_mut(slot).walks[0] = Walks::at([12.0, 0.0, 0.0, 0.0]);
        }
        for key in 2..10_000 {
            sources.touch(crate::hash::combine(key, 7), who, 1, key);
        }
        assert_eq!(sources.touch(1, who, 1, 10_000), suspect);
        assert_eq!(suspect.map(|slot| sources.get_mut(slot).peak()), Some(12.0));
        assert_eq!(sources.live, 64);
    }
}
