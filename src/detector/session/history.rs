//! The counts of each hour, by the lease holder: what the statistics have grown by since they were last
//! counted.

use api_abuse_engine::application::{PUBLISHED_WORDS, Published, Statistics};
use api_abuse_engine::record::Verdict;
use api_abuse_shm::{HISTORY_WORDS, Slots, SlotsWriter};
use zerocopy::transmute;

use crate::history::{Row, restore, rows};

pub(super) struct History<'a> {
    slots: SlotsWriter<'a>,
    /// What lies in the slots.
    rows: Vec<Row>,
    /// For each application, by its slot: what was counted, and the slot of its latest row.
    counted: Vec<(Statistics, usize)>,
}

impl<'a> History<'a> {
    pub(super) fn new(slots: SlotsWriter<'a>) -> Self {
        let mut history = Self { slots, rows: Vec::new(), counted: Vec::new() };
        history.rows = rows(&history.slots.reader());
        history
    }

    /// Says what is counted already: what the last holder published, for it counted that, too; in a new
    /// zone all that the state on disk says.
    pub(super) fn begin(&mut self, applications: &[Statistics], published: &Slots<'_>) {
        let before = |(slot, now): (usize, &Statistics)| {
            let mut words = [0; PUBLISHED_WORDS];
            let known: Option<Published> =
                published.read(slot, &mut words).then(|| transmute!(words));
            let known = known.map(|known| known.statistics).filter(|known| known.key == now.key);
            (known.unwrap_or(*now), usize::MAX)
        };
        self.counted = applications.iter().enumerate().map(before).collect();
    }

    /// Takes over rows of the state on disk, when there are none.
    pub(super) fn restore(&mut self, saved: &[[u64; HISTORY_WORDS]]) {
        if restore(&mut self.slots, saved) {
            self.rows = rows(&self.slots.reader());
        }
    }

    /// All rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.hour != 0)
    }

    /// Counts what has happened to the application in `slot`, in this hour since 1970.
    pub(super) fn count(&mut self, slot: usize, now: &Statistics, hour: u32) {
        let Some((before, place)) = self.counted.get_mut(slot) else { return };
        let of = |statistics: &Statistics, verdicts: &[Verdict]| -> u64 {
            verdicts.iter().map(|verdict| statistics.requests[*verdict as usize]).sum()
        };
        let grown = |verdicts| add(0, of(now, verdicts).saturating_sub(of(before, verdicts)));
        let requests = grown(&Verdict::ALL);
        let denied = grown(&[Verdict::Denied, Verdict::DeniedMonitor]);
        let throttled = grown(&[Verdict::Throttled, Verdict::ThrottledMonitor]);
        let convictions =
            |statistics: &Statistics, k: usize| -> u64 { statistics.decisions[k].iter().sum() };
        let threats: [u32; 8] = std::array::from_fn(|k| {
            add(0, convictions(now, k).saturating_sub(convictions(before, k)))
        });
        *before = *now;
        if requests == 0 && threats == [0; 8] {
            return;
        }
        let mine = |row: &Row| row.hour == hour && row.application == now.key;
        if !self.rows.get(*place).is_some_and(mine) {
            let known = self.rows.iter().position(mine);
            let oldest = || (0..self.rows.len()).min_by_key(|slot| self.rows[*slot].hour);
            let Some(found) = known.or_else(oldest) else { return };
            if known.is_none() {
                self.rows[found] = Row { hour, application: now.key, ..Row::default() };
            }
            *place = found;
        }
        let row = &mut self.rows[*place];
        row.requests = add(row.requests, requests.into());
        row.denied = add(row.denied, denied.into());
        row.throttled = add(row.throttled, throttled.into());
        for (count, more) in row.threats.iter_mut().zip(threats) {
            *count = add(*count, more.into());
        }
        self.slots.write(*place, &row.to_words());
    }
}

fn add(count: u32, more: u64) -> u32 {
    u32::try_from(u64::from(count).saturating_add(more)).unwrap_or(u32::MAX)
}
