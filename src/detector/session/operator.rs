//! What operators ask for, done by the lease holder.

use api_abuse_engine::decision::OPERATOR_INCIDENT;
use api_abuse_engine::source::address_of;
use api_abuse_engine::{CidrSet, SourceKind};
use api_abuse_shm::{
    AllowEntry, Allowed, Answer, CERTAIN, Command, DenyEntry, DenyKey, Inserted, Outcome,
};

use super::super::now_ms;
use super::Session;
use crate::allowlist;
use crate::commands::OPERATOR_THREAT;
use crate::request_state::{deny_key, source_key};

impl Session<'_> {
    /// Does what was asked for. A command that a dead holder had begun is done again.
    pub(super) fn serve(&mut self) {
        let commands = self.commands;
        let served = commands.serve(|words| {
            let answer = match Command::from_words(words) {
                Some(command) => self.execute(&command),
                None => Answer::refusal(Outcome::Invalid),
            };
            answer.to_words()
        });
        self.unsaved.lists |= served > 0;
        self.unsaved.engine |= served > 0;
    }

    fn execute(&mut self, command: &Command) -> Answer {
        match command {
            Command::Lift(key) => self.lift(key),
            Command::Extend { key, ttl_ms } => self.extend(key, *ttl_ms),
            Command::Deny { key, ttl_ms, action } => self.deny(key, *ttl_ms, *action),
            Command::Allow(entry) => self.allow(entry),
            Command::Disallow(entry) => {
                let found = self.allowlist.remove(&entry.network);
                Answer::refusal(if found { Outcome::Done } else { Outcome::NotFound })
            }
        }
    }

    fn lift(&mut self, key: &DenyKey) -> Answer {
        let Some(source) = source_key(key) else { return Answer::refusal(Outcome::Invalid) };
        let lifted = self.engine.lift(key.application, source, now_ms());
        let removed = self.denylist.remove(key);
        if lifted.is_none() && !removed {
            return Answer::refusal(Outcome::NotFound);
        }
        let grace_ms = lifted.map_or(0, |lifted| lifted.grace_ms);
        Answer { outcome: Outcome::Done, entries: removed.into(), expires_ms: 0, grace_ms }
    }

    fn extend(&mut self, key: &DenyKey, ttl_ms: u64) -> Answer {
        let now_ms = now_ms();
        let Some(found) = self.denylist.reader().find(key, now_ms) else {
            return Answer::refusal(Outcome::NotFound);
        };
        let began_ms = i128::from(found.expires_ms) - i128::from(found.ttl_ms);
        let expires_ms = now_ms.saturating_add(ttl_ms);
        // In all, from when it began on.
        let whole_ms = u64::try_from(i128::from(expires_ms) - began_ms).unwrap_or(ttl_ms);
        self.insert(&DenyEntry { expires_ms, ttl_ms: whole_ms, ..found })
    }

    fn deny(&mut self, key: &DenyKey, ttl_ms: u64, action: u8) -> Answer {
        if source_key(key).is_none() {
            return Answer::refusal(Outcome::Invalid);
        }
        let now_ms = now_ms();
        let found = self.denylist.reader().find(key, now_ms);
        self.insert(&DenyEntry {
            key: *key,
            threat: OPERATOR_THREAT,
            action,
            confidence: CERTAIN,
            incident: OPERATOR_INCIDENT | now_ms,
            expires_ms: now_ms.saturating_add(ttl_ms),
            ttl_ms,
            hits: found.map_or(0, |found| found.hits),
        })
    }

    fn insert(&mut self, entry: &DenyEntry) -> Answer {
        let now_ms = now_ms();
        let outcome = match self.denylist.insert(entry, now_ms) {
            Inserted::Full => return Answer::refusal(Outcome::Full),
            Inserted::Updated => Outcome::Updated,
            _ => Outcome::Done,
        };
        // A conviction behind it ends when the operator says so, and is not said again afterwards.
        if let Some(source) = source_key(&entry.key) {
            self.engine.hold_until(entry.key.application, source, entry.expires_ms, now_ms);
        }
        Answer { outcome, entries: 1, expires_ms: entry.expires_ms, grace_ms: 0 }
    }

    /// Lets a network through, and ends at once whatever holds against sources in it.
    fn allow(&mut self, entry: &AllowEntry) -> Answer {
        let Some(network) = allowlist::network(entry) else {
            return Answer::refusal(Outcome::Invalid);
        };
        let outcome = match self.allowlist.insert(entry) {
            Allowed::Refused => return Answer::refusal(Outcome::Full),
            Allowed::Updated => Outcome::Updated,
            Allowed::Added => Outcome::Done,
        };
        let networks: CidrSet = [network].into_iter().collect();
        let now_ms = now_ms();
        let mut lifted = Vec::new();
        self.engine.lift_all(&networks, now_ms, &mut lifted);
        let convicted = lifted.iter().map(|lifted| deny_key(lifted.application, lifted.key));
        let mut ended: Vec<DenyKey> = convicted.collect();
        // Operators' own denials, and those that outlived their source.
        let of_network = |entry: &DenyEntry| {
            entry.key.kind != SourceKind::Session as u8
                && networks.touches(address_of(entry.key.network))
        };
        let others = self.denylist.reader().iter(now_ms).filter(of_network);
        ended.extend(others.map(|entry| entry.key));
        let entries = ended.iter().filter(|key| self.denylist.remove(key)).count() as u64;
        Answer { outcome, entries, expires_ms: 0, grace_ms: 0 }
    }
}
