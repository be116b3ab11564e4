//! Looking ahead: tables of many sources lie in memory that is far away.

use crate::engine::{Engine, source_hash};
use crate::hash::combine;
use crate::{RequestRecord, SourceKey};

/// Records that [`Engine::approach`] looks at together.
pub const AHEAD: usize = 16;

impl Engine<'_> {
    /// Reads what the next few records will need, all of it before any of it is used, so that memory
    /// answers for all of them at once instead of for one after another. Changes nothing.
    /// [`Self::turn`] does it for its batches; who feeds record by record does it for [`AHEAD`] at a time.
    pub fn approach<'r: 'a, 'a>(&self, records: impl IntoIterator<Item = &'a RequestRecord<'r>>) {
        let mut keys = [0; 3 * AHEAD];
        let mut count = 0;
        let mut read = 0;
        for record in records.into_iter().take(AHEAD) {
            let head = &record.head;
            let key = |key| source_hash(head.application, key);
            let session = if head.session == 0 { 0 } else { key(SourceKey::session(head.session)) };
            let client = key(SourceKey::client(head.address, head.fingerprint));
            for key in [session, client, key(SourceKey::address(head.address))] {
                if key != 0 {
                    keys[count] = key;
                    count += 1;
                    read ^= self.sources.approach(key);
                }
            }
            read ^= self.targets.approach(record, self.config.seed);
            let path_key = combine(head.application, head.path_hash);
            read ^= self.served.approach(path_key) ^ self.objects.approach(combine(path_key, 0));
        }
        for key in &keys[..count] {
            read ^= self.sources.approach_record(*key);
        }
        core::hint::black_box(read);
    }
}
