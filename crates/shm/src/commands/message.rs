//! What can be asked of the lease holder, and how it lies in a command's words.

use super::{ANSWER_WORDS, COMMAND_WORDS};
use crate::allowlist::{ALLOW_WORDS, AllowEntry};
use crate::denylist::DenyKey;

/// Something to be changed. Doing it twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ends a denial.
    Lift(DenyKey),
    /// Lets a denial end at another time.
    Extend {
        /// Whose.
        key: DenyKey,
        /// Milliseconds from now on.
        ttl_ms: u64,
    },
    /// An operator's own denial.
    Deny {
        /// Who.
        key: DenyKey,
        /// Milliseconds from now on.
        ttl_ms: u64,
        /// What is done; the caller's number.
        action: u8,
    },
    /// Lets a network through.
    Allow(AllowEntry),
    /// Lets it through no more.
    Disallow(AllowEntry),
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// There is such an entry now, or none any more, as was asked for.
    Done = 1,
    /// There is no such entry.
    NotFound = 2,
    /// There is no room for it.
    Full = 3,
    /// It makes no sense.
    Invalid = 4,
    /// There was such an entry already, and it now is as was asked for.
    Updated = 5,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 5] =
        [Self::Done, Self::NotFound, Self::Full, Self::Invalid, Self::Updated];
}

/// The holder's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was done.
    pub outcome: Outcome,
    /// Entries of the denylist that were changed or ended by it.
    pub entries: u64,
    /// Monotonic milliseconds until which the entry now holds; 0: none does.
    pub expires_ms: u64,
    /// Milliseconds for which the same is not held against the source again.
    pub grace_ms: u64,
}

const LIFT: u64 = 1;
const EXTEND: u64 = 2;
const DENY: u64 = 3;
const ALLOW: u64 = 4;
const DISALLOW: u64 = 5;

impl Command {
    /// The words that [`super::Commands::submit`] takes; `None` when a text of it is too long.
    pub fn to_words(&self) -> Option<[u64; COMMAND_WORDS]> {
        let mut words = [0; COMMAND_WORDS];
        let (kind, key, ttl_ms, action) = match self {
            Self::Lift(key) => (LIFT, Some(key), 0, 0),
            Self::Extend { key, ttl_ms } => (EXTEND, Some(key), *ttl_ms, 0),
            Self::Deny { key, ttl_ms, action } => (DENY, Some(key), *ttl_ms, *action),
            Self::Allow(entry) | Self::Disallow(entry) => {
                words[1..=ALLOW_WORDS].copy_from_slice(&entry.to_words()?);
                let kind = if matches!(self, Self::Allow(_)) { ALLOW } else { DISALLOW };
                (kind, None, 0, 0)
            }
        };
        words[0] = kind | u64::from(action) << 8;
        if let Some(key) = key {
            let DenyKey { application, kind, network, discriminator } = *key;
            words[1..6].copy_from_slice(&[
                application,
                kind.into(),
                network,
                discriminator,
                ttl_ms,
            ]);
        }
        Some(words)
    }

    /// `None` when the words are no command.
    pub fn from_words(words: &[u64; COMMAND_WORDS]) -> Option<Self> {
        let entry = || {
            let mut entry = [0; ALLOW_WORDS];
            entry.copy_from_slice(&words[1..=ALLOW_WORDS]);
            AllowEntry::from_words(&entry)
        };
        let [application, kind, network, discriminator, ttl_ms] =
            [words[1], words[2], words[3], words[4], words[5]];
        let key = || DenyKey { application, kind: kind as u8, network, discriminator };
        match words[0] & 0xff {
            LIFT => Some(Self::Lift(key())),
            EXTEND => Some(Self::Extend { key: key(), ttl_ms }),
            DENY => Some(Self::Deny { key: key(), ttl_ms, action: (words[0] >> 8) as u8 }),
            ALLOW => entry().map(Self::Allow),
            DISALLOW => entry().map(Self::Disallow),
            _ => None,
        }
    }
}

impl Answer {
    /// Nothing was changed, for this reason.
    pub const fn refusal(outcome: Outcome) -> Self {
        Self { outcome, entries: 0, expires_ms: 0, grace_ms: 0 }
    }

    /// The words that go back to the worker.
    pub fn to_words(self) -> [u64; ANSWER_WORDS] {
        [self.outcome as u64, self.entries, self.expires_ms, self.grace_ms, 0]
    }

    /// `None` when the words are no answer.
    pub fn from_words(words: &[u64; ANSWER_WORDS]) -> Option<Self> {
        let outcome = Outcome::ALL.into_iter().find(|outcome| *outcome as u64 == words[0])?;
        Some(Self { outcome, entries: words[1], expires_ms: words[2], grace_ms: words[3] })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_its_words() {
        let key = DenyKey { application: u64::MAX, kind: 3, network: 1 << 63, discriminator: 9 };
        let entry = AllowEntry {
            network: b"2001:db8::/32".to_vec(),
            comment: b"partner".to_vec(),
            since_ms: (1 << 48) - 1,
        };
        let all = [
            Command::Lift(key),
            Command::Extend { key, ttl_ms: u64::MAX },
            Command::Deny { key, ttl_ms: 5, action: 255 },
            Command::Allow(entry.clone()),
            Command::Disallow(entry.clone()),
        ];
        for command in all {
            assert_eq!(Command::from_words(&command.to_words().unwrap()), Some(command));
        }
        assert_eq!(Command::from_words(&[0; COMMAND_WORDS]), None);
        let mut hostile = [u64::MAX; COMMAND_WORDS];
        hostile[0] = ALLOW;
        assert_eq!(Command::from_words(&hostile), None);
        let long = AllowEntry { comment: vec![b'x'; 500], ..entry };
        assert_eq!(Command::Allow(long).to_words(), None);
        for outcome in Outcome::ALL {
            let answer = Answer { outcome, entries: 1, expires_ms: 2, grace_ms: 3 };
            assert_eq!(Answer::from_words(&answer.to_words()), Some(answer));
        }
        assert_eq!(Answer::from_words(&[0; ANSWER_WORDS]), None);
    }
}
