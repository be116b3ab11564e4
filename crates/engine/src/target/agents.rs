//! User-Agents that are remembered.

use super::{Agent, GROUP, to_front};
use crate::detectors::patterns::{Patterns, declares_crawler};
use crate::record::{RequestRecord, USER_AGENT_MAX};

/// User-Agents, in groups of which the one that was worked out first gives way.
const AGENTS: usize = 1024;

/// A User-Agent, and what it says. It is looked for by the fingerprint of its client, which depends on it
/// and is known: hashing the text takes longer than comparing it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Known {
    fingerprint: u64,
    len: u16,
    says: Agent,
    text: [u8; USER_AGENT_MAX],
}

/// What is remembered of them.
#[derive(Debug, Default)]
pub(super) struct Agents(Vec<[Known; GROUP]>);

impl Agents {
    /// Reads where a User-Agent is remembered: see [`crate::Engine::approach`].
    pub(super) fn approach(&self, fingerprint: u64) -> u64 {
        let group = self.0.get(fingerprint as usize % (AGENTS / GROUP));
        group.map_or(0, |group| group[0].fingerprint)
    }

    /// What the User-Agent of a record says.
    pub(super) fn of(&mut self, record: &RequestRecord<'_>, patterns: &Patterns) -> Agent {
        if self.0.is_empty() {
            self.0 = vec![[Known::NOBODY; GROUP]; AGENTS / GROUP];
        }
        let (fingerprint, text) = (record.head.fingerprint, record.user_agent);
        let group = &mut self.0[fingerprint as usize % (AGENTS / GROUP)];
        let same = |known: &&Known| known.fingerprint == fingerprint && known.text() == text;
        if let Some(known) = group.iter().find(same) {
            return known.says;
        }
        let says =
            Agent { crawler: declares_crawler(text), attack: patterns.is_attacking_agent(text) };
        if text.len() <= USER_AGENT_MAX {
            to_front(group, GROUP - 1);
            group[0] = Known { fingerprint, len: text.len() as u16, says, ..Known::NOBODY };
            group[0].text[..text.len()].copy_from_slice(text);
        }
        says
    }
}

impl Known {
    const NOBODY: Self = {
        let says = Agent { crawler: false, attack: false };
        Self { fingerprint: 0, len: u16::MAX, says, text: [0; USER_AGENT_MAX] }
    };

    /// The User-Agent; of nobody none, which is not an empty one.
    fn text(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or(NO_TEXT)
    }
}

/// Longer than what a record carries.
const NO_TEXT: &[u8] = &[0; USER_AGENT_MAX + 1];
