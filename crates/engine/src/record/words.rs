//! The words of a [`RecordHead`], for who writes one where it is to lie: putting it together first would
//! move every field twice.

use core::mem::offset_of;

use zerocopy::{Immutable, IntoBytes, transmute};

use super::RecordHead;

/// Index of the word that begins with a field.
macro_rules! at {
    ($field:ident) => {
        offset_of!(RecordHead, $field) / size_of::<u64>()
    };
}

/// `time_ms`.
pub const TIME: usize = at!(time_ms);
/// `application`.
pub const APPLICATION: usize = at!(application);
/// `address`, two words: [`address`].
pub const ADDRESS: usize = at!(address);
/// `fingerprint`.
pub const FINGERPRINT: usize = at!(fingerprint);
/// `session`.
pub const SESSION: usize = at!(session);
/// `credential`.
pub const CREDENTIAL: usize = at!(credential);
/// `identity`.
pub const IDENTITY: usize = at!(identity);
/// `path_hash`.
pub const PATH_HASH: usize = at!(path_hash);
/// `referer_hash`.
pub const REFERER_HASH: usize = at!(referer_hash);
/// `incident`.
pub const INCIDENT: usize = at!(incident);
/// `response_bytes`.
pub const RESPONSE_BYTES: usize = at!(response_bytes);
/// `request_bytes` and `content_length`: [`pair`].
pub const SIZES: usize = at!(request_bytes);
/// `duration_ms` and `upstream_ms`: [`pair`].
pub const TIMES: usize = at!(duration_ms);
/// [`Answer`].
pub const ANSWER: usize = at!(flags);
/// The lengths of the texts: [`lengths`].
pub const LENGTHS: usize = at!(application_len);
/// [`Kinds`].
pub const KINDS: usize = at!(method);

/// Two words of an address.
#[inline]
pub fn address(address: [u8; 16]) -> [u64; 2] {
    transmute!(address)
}

/// Two fields of half a word.
#[inline]
pub fn pair(first: u32, second: u32) -> u64 {
    transmute!([first, second])
}

/// Four fields of a quarter of a word.
#[inline]
pub fn lengths(lengths: [u16; 4]) -> u64 {
    transmute!(lengths)
}

/// What was answered.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[allow(missing_docs, reason = "the fields of RecordHead")]
#[repr(C)]
pub struct Answer {
    pub flags: u32,
    pub status: u16,
    pub header_count: u16,
}

/// What is one of a few.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[allow(missing_docs, reason = "the fields of RecordHead")]
#[repr(C)]
pub struct Kinds {
    pub method: u8,
    pub protocol: u8,
    pub verdict: u8,
    pub blocking: u8,
    pub role: u8,
    pub reserved: [u8; 3],
}

impl Answer {
    /// Flags alone.
    #[inline]
    pub fn said(flags: u32) -> u64 {
        Self { flags, status: 0, header_count: 0 }.into()
    }
}

impl Kinds {
    /// All of them zero: the first one of each.
    pub const NONE: Self =
        Self { method: 0, protocol: 0, verdict: 0, blocking: 0, role: 0, reserved: [0; 3] };
}

impl From<Answer> for u64 {
    #[inline]
    fn from(answer: Answer) -> Self {
        transmute!(answer)
    }
}

impl From<Kinds> for u64 {
    #[inline]
    fn from(kinds: Kinds) -> Self {
        transmute!(kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::HEAD_WORDS;

    #[test]
    fn words_are_those_of_a_head() {
        let head = RecordHead {
            time_ms: 1,
            application: 2,
            address: core::array::from_fn(|at| at as u8 + 100),
            fingerprint: 3,
            session: 4,
            credential: 5,
            identity: 6,
            path_hash: 7,
            referer_hash: 8,
            incident: 9,
            response_bytes: 10,
            request_bytes: 11,
            content_length: 12,
            duration_ms: 13,
            upstream_ms: 14,
            flags: 15,
            status: 16,
            header_count: 17,
            application_len: 18,
            path_len: 19,
            query_len: 20,
            user_agent_len: 21,
            method: 22,
            protocol: 23,
            verdict: 24,
            blocking: 25,
            role: 26,
            reserved: [0; 3],
        };
        let mut words = [u64::MAX; HEAD_WORDS];
        for (at, word) in [
            (TIME, 1),
            (APPLICATION, 2),
            (ADDRESS, address(head.address)[0]),
            (ADDRESS + 1, address(head.address)[1]),
            (FINGERPRINT, 3),
            (SESSION, 4),
            (CREDENTIAL, 5),
            (IDENTITY, 6),
            (PATH_HASH, 7),
            (REFERER_HASH, 8),
            (INCIDENT, 9),
            (RESPONSE_BYTES, 10),
            (SIZES, pair(11, 12)),
            (TIMES, pair(13, 14)),
            (ANSWER, Answer { flags: 15, status: 16, header_count: 17 }.into()),
            (LENGTHS, lengths([18, 19, 20, 21])),
            (
                KINDS,
                Kinds {
                    method: 22,
                    protocol: 23,
                    verdict: 24,
                    blocking: 25,
                    role: 26,
                    reserved: [0; 3],
                }
                .into(),
            ),
        ] {
            words[at] = word;
        }
        let expected: [u64; HEAD_WORDS] = transmute!(head);
        assert_eq!(words, expected);
    }
}
