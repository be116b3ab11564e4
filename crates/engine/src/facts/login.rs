//! What a request says about logging in.

use super::Standing;
use crate::approach::Keys;
use crate::detectors::credential_stuffing::{self, Answers, Login};
use crate::engine::Engine;
use crate::record::RequestRecord;
use crate::role::{Looks, Role};

impl Engine<'_> {
    /// What a request says about logging in, and whether that fails for people, too.
    pub(super) fn login(
        &mut self,
        record: &RequestRecord<'_>,
        looks: Looks,
        role: Role,
        keys: &Keys,
        standing: &Standing,
    ) -> (Login, bool) {
        if !credential_stuffing::concerns(record, role) {
            return (Login::None, false);
        }
        self.try_login(record, looks, keys, standing)
    }

    #[inline(never)]
    fn try_login(
        &mut self,
        record: &RequestRecord<'_>,
        looks: Looks,
        keys: &Keys,
        standing: &Standing,
    ) -> (Login, bool) {
        let (address, answers) = (keys.address, login_slot(self.logins, keys.path_key));
        let vouched = standing.vouched;
        let login = credential_stuffing::classify(record, looks, answers, address, vouched);
        (login, answers.outage())
    }
}

/// The answers of one login; the one that was silent longest gives way.
pub(crate) fn login_slot(logins: &mut [Answers], key: u64) -> &mut Answers {
    let mask = logins.len() - 1;
    let window = (0..8).map(|i| (key as usize).wrapping_add(i) & mask);
    let slot = window
        .min_by_key(|&i| match logins[i].key {
            found if found == key => (0, 0),
            0 => (1, 0),
            _ => (2, logins[i].last_ms),
        })
        .unwrap_or(0);
    if logins[slot].key != key {
        logins[slot] = Answers { key, ..Answers::default() };
    }
    &mut logins[slot]
}
