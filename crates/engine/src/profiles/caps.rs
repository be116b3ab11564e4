//! How many samples of a day one network and one fingerprint may add.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::hash::combine;

/// Cells of networks.
const NETWORKS: usize = 512;
/// Cells of fingerprints.
const FINGERPRINTS: usize = 256;
/// Samples of a day, at most: a sample of a large application is as good as the whole.
const SAMPLES: u32 = 50_000;
/// One in so many samples may come from one network (/24, /48), and this many in any case.
pub const NETWORK_SHARE: u32 = 64;
/// See [`NETWORK_SHARE`].
pub const NETWORK_LEAST: u32 = 3;
/// One in so many samples may come from one fingerprint, and this many in any case.
pub const FINGERPRINT_SHARE: u32 = 8;
/// See [`FINGERPRINT_SHARE`].
pub const FINGERPRINT_LEAST: u32 = 32;

/// Samples of a day by network and fingerprint. Networks that share a cell share its cap, so chance
/// makes it stricter, never laxer.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Caps {
    samples: u32,
    networks: [u16; NETWORKS],
    fingerprints: [u16; FINGERPRINTS],
    padding: u32,
}

impl Default for Caps {
    fn default() -> Self {
        Self { samples: 0, networks: [0; NETWORKS], fingerprints: [0; FINGERPRINTS], padding: 0 }
    }
}

impl Caps {
    /// A new day.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether a sample from here is one too many; counted if not. `network` is a word of
    /// [`crate::source::network_of`].
    pub fn admit(&mut self, network: u64, fingerprint: u64) -> bool {
        let wide = if network >> 32 == 0xffff { network >> 8 } else { network >> 16 };
        let at = combine(wide, 0x2f) as usize % NETWORKS;
        let by = combine(fingerprint, 0x2e) as usize % FINGERPRINTS;
        let cap = |share: u32, least: u32| (self.samples / share).max(least);
        if self.samples >= SAMPLES
            || u32::from(self.networks[at]) >= cap(NETWORK_SHARE, NETWORK_LEAST)
            || u32::from(self.fingerprints[by]) >= cap(FINGERPRINT_SHARE, FINGERPRINT_LEAST)
        {
            return false;
        }
        self.samples += 1;
        self.networks[at] += 1;
        self.fingerprints[by] += 1;
        true
    }
}
