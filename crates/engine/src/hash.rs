//! Seeded hashes. Every hash of input that a client chooses is keyed with the zone's seed, so
//! nobody outside can craft collisions.

use core::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use siphasher::sip::SipHasher13;

/// The zone's random seed: the key of every hash that the module makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u64; 2]);

impl Seed {
    /// Hash of `bytes` for tables and sketches: fast, keyed, and never zero (zero means *none*).
    #[inline]
    pub fn table(self, bytes: &[u8]) -> u64 {
        self.table_of([bytes])
    }

    /// As [`Self::table`], of several texts. Which of them a byte is in counts.
    #[inline]
    pub fn table_of<const N: usize>(self, texts: [&[u8]; N]) -> u64 {
        let mut hasher = FixedState::with_seed(self.0[0]).build_hasher();
        for text in texts {
            hasher.write(text);
        }
        (hasher.finish() ^ self.0[1]).max(1)
    }

    /// Hash of something secret (a session, a credential): SipHash-1-3 under the whole key, so that
    /// what is stored cannot be turned back by whoever reads a log or a snapshot without the key.
    /// Never zero.
    pub fn secret(self, bytes: &[u8]) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(bytes);
        hasher.finish().max(1)
    }

    /// What [`Self::secret`] hashes with, for what comes in pieces.
    pub(crate) fn hasher(self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

/// Combines two hashes: multiply-fold, as foldhash and wyhash do.
#[inline]
pub fn combine(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd1b5_4a32_d192_ed03);
    (product as u64) ^ ((product >> 64) as u64)
}
