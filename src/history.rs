//! Counts of one hour and one application, as they lie in the zone and in the saved state.

use api_abuse_shm::{HISTORY_WORDS, Slots, SlotsWriter};

/// Milliseconds of an hour.
pub(crate) const HOUR_MS: u64 = 3_600_000;

/// One row. The slots hold the latest rows, in no order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// Hours since 1970; 0: no row.
    pub(crate) hour: u32,
    /// Key of the application.
    pub(crate) application: u64,
    pub(crate) requests: u32,
    /// Those that were denied, or would have been.
    pub(crate) denied: u32,
    pub(crate) throttled: u32,
    /// Convictions by threat, whatever was done about them.
    pub(crate) threats: [u32; 8],
}

impl Row {
    pub(crate) fn to_words(self) -> [u64; HISTORY_WORDS] {
        let threats = |k: usize| pair(self.threats[2 * k], self.threats[2 * k + 1]);
        [
            pair(self.hour, self.requests),
            self.application,
            pair(self.denied, self.throttled),
            threats(0),
            threats(1),
            threats(2),
            threats(3),
        ]
    }

    pub(crate) fn from_words(words: [u64; HISTORY_WORDS]) -> Self {
        let [hour, application, denied, threats @ ..] = words;
        let half = |k: usize| (threats[k / 2] >> (32 * (k % 2))) as u32;
        Self {
            hour: hour as u32,
            application,
            requests: (hour >> 32) as u32,
            denied: denied as u32,
            throttled: (denied >> 32) as u32,
            threats: std::array::from_fn(half),
        }
    }
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// What lies in the slots; where nothing does, a row of hour 0.
pub(crate) fn rows(slots: &Slots<'_>) -> Vec<Row> {
    let read = |slot| {
        let mut words = [0; HISTORY_WORDS];
        if slots.read(slot, &mut words) { Row::from_words(words) } else { Row::default() }
    };
    (0..slots.len()).map(read).collect()
}

/// Writes rows into slots that hold none; false when they hold some.
pub(crate) fn restore(slots: &mut SlotsWriter<'_>, saved: &[[u64; HISTORY_WORDS]]) -> bool {
    let empty = rows(&slots.reader()).iter().all(|row| row.hour == 0);
    if empty {
        for (slot, words) in saved.iter().enumerate() {
            slots.write(slot, words);
        }
    }
    empty && !saved.is_empty()
}
