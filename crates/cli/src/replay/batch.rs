//! Encoded records on their way from the reader to the engine.

use api_abuse_engine::RequestRecord;
use api_abuse_engine::record::RECORD_WORDS;

/// Records of a batch.
const RECORDS: usize = 1024;

/// A batch of records, as they lie in a lane of the module's shared memory.
#[derive(Debug, Default)]
pub(super) struct Batch {
    words: Vec<u64>,
    ends: Vec<u32>,
    /// Lines read before this batch, for the progress.
    pub(super) lines_before: u64,
    /// Host names that stand for addresses of this batch, by network.
    pub(super) names: Vec<(u64, String)>,
}

impl Batch {
    /// Adds a record.
    pub(super) fn push(&mut self, record: &RequestRecord<'_>) {
        let mut words = [0; RECORD_WORDS];
        let len = record.encode(&mut words);
        self.words.extend_from_slice(&words[..len]);
        self.ends.push(self.words.len() as u32);
    }

    /// The records in order.
    pub(super) fn records(&self) -> impl Iterator<Item = RequestRecord<'_>> {
        let starts = core::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, &end)| {
            RequestRecord::decode(&self.words[start as usize..end as usize])
        })
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it is time to send it.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= RECORDS
    }

    /// Makes it empty, to be filled again.
    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.ends.clear();
        self.names.clear();
    }
}
