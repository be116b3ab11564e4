//! What the answers of an endpoint mean, where the configuration says so: `api_abuse_endpoint login
//! success=302 failure=200,401`.

use core::str::FromStr;

use crate::record::flags;

/// Statuses that are told apart: 100 to 599.
const STATUSES: core::ops::Range<u16> = 100..600;

/// A set of response statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses([u64; 8]);

impl Statuses {
    /// Whether the status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        STATUSES.contains(&status)
            && self.0[usize::from(status - 100) / 64] & (1 << ((status - 100) % 64)) != 0
    }

    /// Whether a status is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }

    fn insert(&mut self, status: u16) {
        self.0[usize::from(status - 100) / 64] |= 1 << ((status - 100) % 64);
    }
}

impl FromStr for Statuses {
    type Err = ();

    /// Statuses and classes of them, separated by commas: `2xx,302,401`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut set = Self::default();
        for item in text.split(',') {
            match item.as_bytes() {
                [class @ b'1'..=b'5', b'x', b'x'] => {
                    let first = u16::from(class - b'0') * 100;
                    (first..first + 100).for_each(|status| set.insert(status));
                }
                [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
                    set.insert(item.parse().map_err(|_| ())?);
                }
                _ => return Err(()),
            }
        }
        Ok(set)
    }
}

/// What an endpoint answers when it accepts, and when it refuses. `None`: not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// `success=`.
    pub success: Option<Statuses>,
    /// `failure=`.
    pub failure: Option<Statuses>,
}

impl Outcomes {
    /// What an answer with this status says: [`flags::SUCCEEDED`], [`flags::FAILED`], or 0 for
    /// nothing. Where only one of the two sets is said, answers outside of it say the other; but not
    /// those of a server or a client in trouble.
    pub fn flags(&self, status: u16) -> u32 {
        let says_nothing = !(200..500).contains(&status) || matches!(status, 408 | 429 | 444 | 499);
        let is_in = |set: &Option<Statuses>| set.as_ref().is_some_and(|set| set.contains(status));
        match (self.success.is_some(), self.failure.is_some()) {
            _ if is_in(&self.success) => flags::SUCCEEDED,
            _ if is_in(&self.failure) => flags::FAILED,
            _ if says_nothing => 0,
            (true, false) => flags::FAILED,
            (false, true) => flags::SUCCEEDED,
            _ => 0,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_classes() {
        let set: Statuses = "2xx,302,401,599".parse().unwrap();
        let expected = |status| (200..300).contains(&status) || [302, 401, 599].contains(&status);
        assert!((0..=u16::MAX).all(|status| set.contains(status) == expected(status)));
        assert!(
            set.overlaps(&"299".parse().unwrap())
                && !set.overlaps(&"3,".parse().unwrap_or_default())
        );
        for wrong in
            ["", ",", "200,", "20", "2x", "2XX", "600", "6xx", "099", "+20", "200 302", "2xx,²00"]
        {
            assert!(wrong.parse::<Statuses>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_said_follows_from_what_is() {
        let set = |text: &str| Some(text.parse().unwrap());
        let (yes, no) = (flags::SUCCEEDED, flags::FAILED);
        let cases = [
            (Outcomes::default(), [(200, 0), (302, 0), (401, 0)]),
            (Outcomes { success: set("302"), failure: None }, [(200, no), (302, yes), (503, 0)]),
            (
                Outcomes { success: None, failure: set("200,5xx") },
                [(200, no), (302, yes), (502, no)],
            ),
            (
                Outcomes { success: set("2xx"), failure: set("401") },
                [(204, yes), (401, no), (302, 0)],
            ),
            (Outcomes { success: set("302"), failure: None }, [(429, 0), (499, 0), (403, no)]),
        ];
        for (outcomes, answers) in cases {
            for (status, flags) in answers {
                assert_eq!(outcomes.flags(status), flags, "{status} of {outcomes:?}");
            }
        }
    }
}
