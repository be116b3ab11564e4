//! What a denylist entry says, how it lies in a slot, and where a key may lie.

use super::BUCKET;

/// Words of an entry in a file, where all of them are whole: see [`crate::Lists`].
#[cfg(not(loom))]
pub(crate) const ENTRY_WORDS: usize = 7;

/// Who an entry is about. The values are the caller's; `kind` is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DenyKey {
    /// Key of the application.
    pub application: u64,
    /// What the key is made of, 1 to 15; others are not stored.
    pub kind: u8,
    /// Network of the source.
    pub network: u64,
    /// What tells sources of one network apart.
    pub discriminator: u64,
}

/// One denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenyEntry {
    /// Who.
    pub key: DenyKey,
    /// For what; the caller's number.
    pub threat: u8,
    /// What is done; the caller's number, at most 15.
    pub action: u8,
    /// 0 to 100: what may displace what when the table is full.
    pub confidence: u8,
    /// The incident that explains it.
    pub incident: u64,
    /// Monotonic milliseconds from which on it no longer holds.
    pub expires_ms: u64,
    /// How long it was to hold, milliseconds.
    pub ttl_ms: u64,
    /// Requests that met it.
    pub hits: u32,
}

impl DenyEntry {
    /// Whether it holds at `now_ms`.
    #[inline]
    pub fn is_live(&self, now_ms: u64) -> bool {
        now_ms < self.expires_ms
    }

    /// Its words in a file.
    #[cfg(not(loom))]
    pub(crate) fn to_words(self) -> [u64; ENTRY_WORDS] {
        let facts = [self.key.kind, self.threat, self.action, self.confidence];
        [
            u64::from(self.hits) << 32 | u64::from(u32::from_le_bytes(facts)),
            self.key.application,
            self.key.network,
            self.key.discriminator,
            self.expires_ms,
            self.ttl_ms,
            self.incident,
        ]
    }

    /// `None` for words that are no entry.
    #[cfg(not(loom))]
    pub(crate) fn from_words(words: [u64; ENTRY_WORDS]) -> Option<Self> {
        let [facts, application, network, discriminator, expires_ms, ttl_ms, incident] = words;
        let [kind, threat, action, confidence] = (facts as u32).to_le_bytes();
        let key = DenyKey { application, kind, network, discriminator };
        let hits = (facts >> 32) as u32;
        let entry = Self { key, threat, action, confidence, incident, expires_ms, ttl_ms, hits };
        (kind != 0).then_some(entry)
    }
}

/// The two buckets of a key and its tag, 1 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) buckets: [usize; 2],
    pub(super) tag: u8,
}

impl Place {
    /// All slots where the key may lie.
    #[cfg(all(test, not(loom)))]
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> + use<> {
        self.buckets.into_iter().flat_map(slots_of)
    }

    /// The bucket beside `bucket`; `None` when that is none of its own, or the only one.
    pub(super) fn other(&self, bucket: usize) -> Option<usize> {
        let [first, second] = self.buckets;
        match bucket {
            _ if first == second => None,
            _ if bucket == first => Some(second),
            _ if bucket == second => Some(first),
            _ => None,
        }
    }
}

/// The slots of a bucket.
pub(super) fn slots_of(bucket: usize) -> core::ops::Range<usize> {
    bucket * BUCKET..(bucket + 1) * BUCKET
}

/// The tag of `slot` in its bucket's word; 0: no entry.
pub(super) fn tag_of(tags: u64, slot: usize) -> u8 {
    tags.to_le_bytes()[slot % BUCKET]
}

/// The secret that decides where keys lie, so that nobody can fill a bucket on purpose.
///
/// The hash is written here and not taken from a crate, because all processes of a zone must agree
/// on it, whatever their build.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed([u64; 4]);

impl Seed {
    /// Spreads the zone's seed over four words that are never trivial, by `SplitMix64` (Steele,
    /// Lea, Flood 2014).
    pub(super) fn new(seed: [u64; 2]) -> Self {
        let mut state = seed[0];
        Self(core::array::from_fn(|i| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state ^ seed[1].rotate_left(16 * i as u32);
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }))
    }

    /// What decides which networks are counted together.
    pub(super) fn of_networks(&self) -> [u64; 2] {
        let Self([a, b, ..]) = *self;
        [a.rotate_left(32), b | 1]
    }

    /// Where `key` lies among a power of two of buckets.
    #[inline]
    pub(super) fn place(&self, key: &DenyKey, buckets: usize) -> Place {
        let Self([a, b, c, d]) = *self;
        // First what the keys of one request have in common.
        let here = fold(key.network ^ a, key.application ^ b);
        let hash = fold(here ^ key.discriminator ^ c, d ^ u64::from(key.kind));
        let mask = buckets - 1;
        let first = hash as usize & mask;
        // Two different buckets, unless there is only one.
        let second = (first ^ ((hash >> 28) as usize | 1)) & mask;
        Place { buckets: [first, second], tag: ((hash >> 56) as u8).max(1) }
    }
}

/// Both halves of the 128-bit product: every bit of the inputs reaches every bit of the result.
#[inline]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
