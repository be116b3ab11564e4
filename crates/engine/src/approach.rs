//! The way of records through the engine, a few at a time: tables of many sources lie in memory that is
//! far away, so what the next few need is read before any of it is used.

use crate::detectors::vulnerability_scanning::is_miss;
use crate::engine::{Engine, source_hash};
use crate::hash::combine;
use crate::record::{RecordHead, flags};
use crate::role::Role;
use crate::source::network_of;
use crate::sources::Source;
use crate::{Decision, RequestRecord, SourceKey, SourceKind};

/// Records that are looked at together.
pub const AHEAD: usize = 16;

/// What stands where no record is yet.
const NOTHING: RequestRecord<'_> = RequestRecord {
    head: RecordHead::ZERO,
    application: b"",
    path: b"",
    query: b"",
    user_agent: b"",
};

/// What a record is looked up by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keys {
    /// Hashes of its sources; 0 for no session.
    pub(crate) session: u64,
    pub(crate) client: u64,
    pub(crate) address: u64,
    /// Hash of the path, as it stands in the record.
    pub(crate) path: u64,
    /// [`network_of`] its address.
    pub(crate) network: u64,
    /// Hash of application and path.
    pub(crate) path_key: u64,
    /// Slot where its client was found to be.
    pub(crate) near: u32,
    /// Where what its path says was found to be, and its place in the group of its hash.
    pub(crate) target: u32,
    pub(crate) place: u8,
}

impl Engine<'_> {
    /// Judges a batch of records. Decisions are appended to `decisions`.
    pub fn turn<'r>(
        &mut self,
        records: impl IntoIterator<Item = RequestRecord<'r>>,
        now_ms: u64,
        decisions: &mut Vec<Decision>,
    ) {
        self.begin(now_ms);
        self.each(records, decisions, |_, _, _| {});
        self.end(now_ms);
    }

    /// Judges records one by one, each at its own time, as a turn of its own would: `first` is called
    /// before each with what has been decided so far, and may still change it.
    pub fn turns<'r>(
        &mut self,
        records: impl IntoIterator<Item = RequestRecord<'r>>,
        decisions: &mut Vec<Decision>,
        mut first: impl FnMut(&Self, &mut RequestRecord<'r>, &mut Vec<Decision>),
    ) {
        let mut last_ms = None;
        self.each(records, decisions, |engine, record, decisions| {
            if let Some(last_ms) = last_ms.replace(record.head.time_ms) {
                engine.end(last_ms);
            }
            first(engine, record, decisions);
            engine.begin(record.head.time_ms);
        });
        if let Some(last_ms) = last_ms {
            self.end(last_ms);
        }
    }

    fn each<'r>(
        &mut self,
        records: impl IntoIterator<Item = RequestRecord<'r>>,
        decisions: &mut Vec<Decision>,
        mut first: impl FnMut(&mut Self, &mut RequestRecord<'r>, &mut Vec<Decision>),
    ) {
        let mut records = records.into_iter();
        let mut batch = [NOTHING; AHEAD];
        loop {
            let mut count = 0;
            for (place, record) in batch.iter_mut().zip(records.by_ref()) {
                *place = record;
                count += 1;
            }
            let batch = &mut batch[..count];
            let keys = self.approach(batch);
            for (record, keys) in batch.iter_mut().zip(&keys) {
                first(self, record, decisions);
                self.judge(record, keys, decisions);
            }
            if count < AHEAD {
                return;
            }
        }
    }

    /// Brings what ages by itself to the time of a turn.
    fn begin(&mut self, now_ms: u64) {
        self.served.age(now_ms);
        self.missed.age(now_ms);
    }

    /// What is to be done after a turn.
    fn end(&mut self, now_ms: u64) {
        self.header.evicted += core::mem::take(&mut self.sources.evicted);
        if now_ms.saturating_sub(self.recovered_ms) >= 1000 {
            self.recovered_ms = now_ms;
            // Slots are taken in order: behind a free one there are none.
            for application in 0..self.budgets.len() {
                let key = self.applications[application].key;
                if key == 0 {
                    break;
                }
                self.recover(application, key, now_ms);
            }
        }
    }

    /// Reads what the next few records will need, all of it before any of it is used, so that memory
    /// answers for all of them at once instead of for one after another. What is found depends on what
    /// was read before, so it goes step by step, and within a step nothing waits for what the step reads.
    /// Changes nothing; what it has hashed and found it gives away.
    pub(crate) fn approach(&self, records: &[RequestRecord<'_>]) -> [Keys; AHEAD] {
        let mut all = [Keys::default(); AHEAD];
        let mut read = records.iter().fold(0, |read, record| {
            let ends = [record.path.first(), record.user_agent.first(), record.user_agent.last()];
            ends.into_iter().flatten().fold(read, |read, byte| read ^ u64::from(*byte))
        });
        for (keys, record) in all.iter_mut().zip(records) {
            *keys = self.keys(record);
        }
        let targets = self.targets.as_deref();
        let known = &mut all[..records.len().min(AHEAD)];
        for (keys, record) in known.iter().zip(records) {
            let page = record.has(flags::HTML | flags::FROM_LOG) || is_miss(record.head.status);
            read ^= self.sources.approach(keys.client) ^ self.served.approach(keys.path_key, page);
            read ^=
                targets.map_or(0, |targets| targets.approach(keys.path, record.head.fingerprint));
        }
        for keys in known.iter_mut() {
            let (found, slot) = self.sources.approach_record(keys.client);
            (read, keys.near) = (read ^ found, slot);
            if let Some(targets) = targets {
                let found;
                (found, keys.target, keys.place) = targets.approach_target(keys.path);
                read ^= found;
            }
        }
        for (keys, record) in known.iter().zip(records) {
            for key in self.others(keys, record.head.session) {
                read ^= self.sources.approach(key) ^ self.singles.approach(key);
            }
            let Some(target) = targets.and_then(|targets| targets.at(keys.target)) else {
                continue;
            };
            if is_miss(record.head.status) {
                let name = target.missed_before().map_or(0, |miss| miss.name);
                read ^= self.missed.approach(combine(record.head.application, name), true);
            } else if target.role != Role::Static {
                let object = target.number.flatten().unwrap_or(0);
                read ^= self.objects.approach(combine(keys.path_key, object));
            }
        }
        for (keys, record) in known.iter().zip(records) {
            for key in self.others(keys, record.head.session) {
                read ^= self.sources.approach_record(key).0;
            }
        }
        core::hint::black_box(read);
        all
    }

    /// The keys of the session and the address of a record, unless its client stands for them.
    fn others(&self, keys: &Keys, session: u64) -> impl Iterator<Item = u64> + use<> {
        let client = self.sources.near(keys.client, keys.near);
        let only = session == 0 || client.is_some_and(|client| client.is_only(session));
        let alone = client.is_some_and(Source::is_alone);
        let key = |stands: bool, key: u64| if stands { 0 } else { key };
        [key(only, keys.session), key(alone, keys.address)].into_iter().filter(|&key| key != 0)
    }

    fn keys(&self, record: &RequestRecord<'_>) -> Keys {
        let head = &record.head;
        let network = network_of(head.address);
        let key = |kind, network, discriminator| {
            source_hash(head.application, SourceKey { kind, network, discriminator })
        };
        Keys {
            session: if head.session == 0 { 0 } else { key(SourceKind::Session, 0, head.session) },
            client: key(SourceKind::Client, network, head.fingerprint),
            address: key(SourceKind::Address, network, 0),
            network,
            path_key: combine(head.application, head.path_hash),
            near: u32::MAX,
            target: u32::MAX,
            place: 0,
            path: self.config.seed.table(record.path),
        }
    }
}
