//! User-Agents that are remembered.

use super::Agent;
use crate::detectors::patterns::{Patterns, declares_crawler};
use crate::record::{RequestRecord, USER_AGENT_MAX};

/// User-Agents, in groups of which the one that was worked out first gives way.
const AGENTS: usize = 2048;
const GROUP: usize = 8;

/// A User-Agent, and what it says. It is looked for by the fingerprint of its client, which depends on it
/// and is known: hashing the text takes longer than comparing it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Known {
    len: u16,
    says: Agent,
    text: [u8; USER_AGENT_MAX],
}

/// User-Agents of one group; their fingerprints are one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Group {
    fingerprints: [u64; GROUP],
    known: [Known; GROUP],
    oldest: u8,
}

/// What is remembered of them.
#[derive(Debug, Default)]
pub(super) struct Agents(Vec<Group>);

impl Agents {
    /// Reads where a User-Agent is remembered: see [`crate::Engine::approach`].
    pub(super) fn approach(&self, fingerprint: u64) -> u64 {
        let group = self.0.get(fingerprint as usize % (AGENTS / GROUP));
        group.map_or(0, |group| group.fingerprints[0])
    }

    /// What the User-Agent of a record says.
    pub(super) fn of(&mut self, record: &RequestRecord<'_>, patterns: &Patterns) -> Agent {
        if self.0.is_empty() {
            self.0 = vec![Group::NOBODY; AGENTS / GROUP];
        }
        let (fingerprint, text) = (record.head.fingerprint, record.user_agent);
        let group = &mut self.0[fingerprint as usize % (AGENTS / GROUP)];
        let known = &group.known[group.find(fingerprint)];
        if known.text() == text { known.says } else { group.meet(fingerprint, text, patterns) }
    }
}

impl Group {
    /// Works out what a User-Agent says, and remembers it.
    #[inline(never)]
    fn meet(&mut self, fingerprint: u64, text: &[u8], patterns: &Patterns) -> Agent {
        let says =
            Agent { crawler: declares_crawler(text), attack: patterns.is_attacking_agent(text) };
        if text.len() <= USER_AGENT_MAX {
            let at = usize::from(self.oldest) % GROUP;
            self.oldest = self.oldest.wrapping_add(1);
            self.fingerprints[at] = fingerprint;
            self.known[at] = Known { len: text.len() as u16, says, ..Known::NOBODY };
            self.known[at].text[..text.len()].copy_from_slice(text);
        }
        says
    }

    const NOBODY: Self =
        Self { fingerprints: [0; GROUP], known: [Known::NOBODY; GROUP], oldest: 0 };

    /// Where a fingerprint is, or any place. No branch for each: where it stands cannot be guessed.
    fn find(&self, fingerprint: u64) -> usize {
        let same = |at: usize| self.fingerprints[at] == fingerprint;
        (0..GROUP).fold(0, |found, at| if same(at) { at } else { found })
    }
}

impl Known {
    const NOBODY: Self = {
        let says = Agent { crawler: false, attack: false };
        Self { len: u16::MAX, says, text: [0; USER_AGENT_MAX] }
    };

    /// The User-Agent; of nobody none, which is not an empty one.
    fn text(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or(NO_TEXT)
    }
}

/// Longer than what a record carries.
const NO_TEXT: &[u8] = &[0; USER_AGENT_MAX + 1];
