//! Denylist and run-time allowlist as bytes that survive a restart.
//!
//! Words, little endian: a head, names of applications, denials, networks that are let through, and a
//! checksum that finds damage. Monotonic times are only worth something beside the wall clock of
//! their moment, so both are in the head, and a reader shifts what it reads by the time that passed.
//! Everything may be hostile: lengths are compared with what is there, and nothing is allocated by
//! what the bytes say.

use core::fmt;

use crate::allowlist::{ALLOW_WORDS, AllowEntry};
use crate::denylist::{DenyEntry, ENTRY_WORDS, fold};
use crate::layout::HISTORY_WORDS;

/// "APILISTS".
const MAGIC: u64 = u64::from_be_bytes(*b"APILISTS");
/// The version that is written and understood.
const VERSION: u64 = 2;
/// Magic, version, words in all, seed, instance, wall clock, monotonic clock, and four counts.
const HEAD_WORDS: usize = 12;
/// Bytes of an application's name.
const NAME_MAX: usize = 64;
const NAME_WORDS: usize = 2 + NAME_MAX / 8;
/// The longest time that is believed to have passed, milliseconds: 400 days.
const GAP_MAX_MS: u64 = 400 * 86_400_000;

/// Both lists, and what it takes to understand them elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Seed of the zone, under which applications and sources were hashed.
    pub seed: [u64; 2],
    /// Which zone wrote them.
    pub instance: u64,
    /// Wall clock when they were written, milliseconds since 1970.
    pub wall_ms: u64,
    /// Monotonic clock of the same moment, milliseconds.
    pub now_ms: u64,
    /// Keys of applications and their names, at most 64 bytes each.
    pub applications: Vec<(u64, Vec<u8>)>,
    /// Live denials.
    pub denials: Vec<DenyEntry>,
    /// Networks that are let through.
    pub allowed: Vec<AllowEntry>,
    /// Counts of each hour, as they lie in [`crate::Zone::history`].
    pub history: Vec<[u64; HISTORY_WORDS]>,
}

/// Why bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedError {
    /// They do not begin as saved lists do.
    Foreign,
    /// They are of another version.
    Version(u64),
    /// They end too early or too late.
    Torn,
    /// They have changed.
    Checksum,
}

impl fmt::Display for SavedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("these are no saved lists"),
            Self::Version(found) => {
                write!(f, "lists of version {found}, this is version {VERSION}")
            }
            Self::Torn => f.write_str("torn: it is not as long as what was written"),
            Self::Checksum => f.write_str("its checksum does not match, it is damaged"),
        }
    }
}

impl std::error::Error for SavedError {}

impl Lists {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let allowed: Vec<_> = self.allowed.iter().filter_map(AllowEntry::to_words).collect();
        let counts =
            [self.applications.len(), self.denials.len(), allowed.len(), self.history.len()];
        let sizes = [NAME_WORDS, ENTRY_WORDS, ALLOW_WORDS, HISTORY_WORDS];
        let sections = counts.iter().zip(sizes).map(|(count, size)| count * size);
        let length = HEAD_WORDS + sections.sum::<usize>() + 1;
        let mut words = Vec::with_capacity(length);
        words.extend([MAGIC, VERSION, length as u64, self.seed[0], self.seed[1], self.instance]);
        words.extend([self.wall_ms, self.now_ms]);
        words.extend(counts.map(|count| count as u64));
        for (key, name) in &self.applications {
            let len = name.len().min(NAME_MAX);
            let mut bytes = [0; NAME_MAX];
            bytes[..len].copy_from_slice(&name[..len]);
            words.extend([*key, len as u64]);
            words.extend(bytes.chunks_exact(8).map(to_word));
        }
        words.extend(self.denials.iter().flat_map(|entry| entry.to_words()));
        words.extend(allowed.into_iter().flatten());
        words.extend(self.history.iter().flatten());
        words.push(checksum(&words));
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// What [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`SavedError`]; entries that make no sense are left out.
    pub fn decode(bytes: &[u8]) -> Result<Self, SavedError> {
        let words: Vec<u64> = bytes.chunks_exact(8).map(to_word).collect();
        if words.first() != Some(&MAGIC) {
            return Err(SavedError::Foreign);
        }
        match words.get(1) {
            Some(&VERSION) => {}
            Some(&found) => return Err(SavedError::Version(found)),
            None => return Err(SavedError::Torn),
        }
        let whole = words.len() > HEAD_WORDS
            && bytes.len() % 8 == 0
            && words.get(2) == Some(&(words.len() as u64));
        let Some((sum, words)) = words.split_last().filter(|_| whole) else {
            return Err(SavedError::Torn);
        };
        if *sum != checksum(words) {
            return Err(SavedError::Checksum);
        }
        let (head, rest) = words.split_at(HEAD_WORDS);
        let mut rest = rest;
        let mut take = |count: u64, size: usize| {
            let len = usize::try_from(count).ok()?.checked_mul(size)?;
            let (taken, left) = rest.split_at_checked(len)?;
            rest = left;
            Some(taken)
        };
        let sections = [(8, NAME_WORDS), (9, ENTRY_WORDS), (10, ALLOW_WORDS), (11, HISTORY_WORDS)]
            .map(|(count, size)| take(head[count], size));
        let [Some(names), Some(denials), Some(allowed), Some(history)] = sections else {
            return Err(SavedError::Torn);
        };
        Ok(Self {
            seed: [head[3], head[4]],
            instance: head[5],
            wall_ms: head[6],
            now_ms: head[7],
            applications: names.chunks_exact(NAME_WORDS).map(application).collect(),
            denials: denials.chunks_exact(ENTRY_WORDS).filter_map(denial).collect(),
            allowed: allowed.chunks_exact(ALLOW_WORDS).filter_map(network).collect(),
            history: history
                .chunks_exact(HISTORY_WORDS)
                .filter_map(|row| row.try_into().ok())
                .collect(),
        })
    }

    /// The denials that are still live, in the clock of now: each lasts as long as was left of it,
    /// less the time that has passed by the wall clock (which is believed to be neither negative nor
    /// more than 400 days). With each comes when it began, wall clock milliseconds since 1970.
    pub fn denials_at(
        &self,
        now_ms: u64,
        wall_ms: u64,
    ) -> impl Iterator<Item = (DenyEntry, u64)> + '_ {
        let gap_ms = wall_ms.saturating_sub(self.wall_ms).min(GAP_MAX_MS);
        self.denials.iter().filter_map(move |entry| {
            let left_ms = entry.expires_ms.saturating_sub(self.now_ms).min(GAP_MAX_MS);
            let left_ms = left_ms.checked_sub(gap_ms).filter(|left_ms| *left_ms > 0)?;
            let expires_ms = now_ms.saturating_add(left_ms);
            Some((DenyEntry { expires_ms, ..*entry }, self.began_ms(entry)))
        })
    }

    fn began_ms(&self, entry: &DenyEntry) -> u64 {
        let began = i128::from(self.wall_ms) + i128::from(entry.expires_ms)
            - i128::from(entry.ttl_ms)
            - i128::from(self.now_ms);
        u64::try_from(began.max(0)).unwrap_or(u64::MAX)
    }

    /// Name of an application.
    pub fn name(&self, key: u64) -> Option<&[u8]> {
        let found = self.applications.iter().find(|(known, _)| *known == key);
        found.map(|(_, name)| &name[..])
    }
}

fn to_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn application(words: &[u64]) -> (u64, Vec<u8>) {
    let len = (words[1] as usize).min(NAME_MAX);
    (words[0], words[2..].iter().flat_map(|word| word.to_le_bytes()).take(len).collect())
}

fn denial(words: &[u64]) -> Option<DenyEntry> {
    DenyEntry::from_words(words.try_into().ok()?)
}

fn network(words: &[u64]) -> Option<AllowEntry> {
    AllowEntry::from_words(words.try_into().ok()?)
}

/// Finds damage, not forgery.
fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(MAGIC, |sum, word| fold(sum ^ word, 0x9e37_79b9_7f4a_7c15).wrapping_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DenyKey;

    fn lists() -> Lists {
        let entry = |n: u64| DenyEntry {
            key: DenyKey { application: 7, kind: 2, network: n, discriminator: !n },
            threat: 3,
            action: 2,
            confidence: 99,
            incident: n,
            expires_ms: 50_000 + n * 1000,
            ttl_ms: 60_000,
            hits: 5,
        };
        let allow = |network: &str| AllowEntry {
            network: network.into(),
            comment: b"partner".to_vec(),
            since_ms: 1_700_000_000_000,
        };
        Lists {
            seed: [1, 2],
            instance: 3,
            wall_ms: 1_700_000_000_000,
            now_ms: 50_000,
            applications: vec![(7, b"shop".to_vec()), (8, vec![b'x'; 64])],
            denials: (0..5).map(entry).collect(),
            allowed: vec![allow("192.0.2.0/24"), allow("2001:db8::/32")],
            history: vec![[1; HISTORY_WORDS], [2; HISTORY_WORDS]],
        }
    }

    #[test]
    fn lists_survive() {
        let lists = lists();
        assert_eq!(Lists::decode(&lists.encode()), Ok(lists.clone()));
        assert_eq!(Lists::decode(&Lists::default().encode()), Ok(Lists::default()));
        assert_eq!((lists.name(7), lists.name(9)), (Some(&b"shop"[..]), None));
    }

    #[test]
    fn time_goes_on_while_nobody_watches() {
        let lists = lists();
        let left = |now_ms: u64, wall_ms: u64| -> Vec<u64> {
            lists.denials_at(now_ms, wall_ms).map(|(entry, _)| entry.expires_ms - now_ms).collect()
        };
        assert_eq!(left(10, lists.wall_ms), [1000, 2000, 3000, 4000]);
        assert_eq!(left(10, lists.wall_ms + 2500), [500, 1500]);
        assert_eq!(left(9_999_999, lists.wall_ms + 4000), []);
        // A wall clock that went back takes nothing away and adds nothing.
        assert_eq!(left(10, 0), [1000, 2000, 3000, 4000]);
        assert_eq!(left(u64::MAX - 10, 0).len(), 4);
        let began: Vec<u64> = lists.denials_at(10, 0).map(|(_, began_ms)| began_ms).collect();
        assert_eq!(began[0], lists.wall_ms - 59_000);
    }

    #[test]
    fn every_damage_is_noticed() {
        let good = lists().encode();
        for len in 0..good.len() {
            assert!(Lists::decode(&good[..len]).is_err(), "{len} bytes");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(Lists::decode(&bad).is_err(), "byte {at}");
        }
        assert_eq!(Lists::decode(&[good.clone(), vec![0; 8]].concat()), Err(SavedError::Torn));
        assert_eq!(Lists::decode(b"GET / HTTP/1.1\r\n\r\n"), Err(SavedError::Foreign));
        let mut newer = good.clone();
        newer[8] = 9;
        assert_eq!(Lists::decode(&newer), Err(SavedError::Version(9)));
    }

    #[test]
    fn counts_beyond_what_is_there_are_refused() {
        for count in [u64::MAX, 1 << 61, 1000] {
            for section in 8..12 {
                let mut words: Vec<u64> = lists().encode().chunks_exact(8).map(to_word).collect();
                words[section] = count;
                words.pop();
                words.push(checksum(&words));
                let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
                assert_eq!(Lists::decode(&bytes), Err(SavedError::Torn));
            }
        }
    }
}
