//! The sources that a record belongs to: found, brought up to its time, and made heirs.

use crate::approach::Keys;
use crate::engine::Engine;
use crate::evidence::{Walks, decay};
use crate::fusion::Sensitivity;
use crate::record::RecordHead;
use crate::sources::Hold;
use crate::{SourceKey, SourceKind};

/// The slots of the sources that a record belongs to; those that found no place are `None`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    /// Not there either while its client stands for it: [`crate::sources::Singles`].
    pub(crate) session: Option<usize>,
    pub(crate) client: Option<usize>,
    /// The same.
    pub(crate) address: Option<usize>,
    /// Hash of the address.
    pub(crate) address_key: u64,
    /// Hash of the session; 0 for none.
    pub(crate) session_key: u64,
    /// Those that there are, the narrowest first, and how many.
    pub(crate) there: [usize; 3],
    pub(crate) count: usize,
    /// The highest walk of each after the record, nats; see [`crate::sources::Source::peak`].
    pub(crate) peaks: [f32; 3],
}

impl Slots {
    fn new([session, client, address]: [Option<usize>; 3], keys: &Keys) -> Self {
        let (mut there, mut count) = ([0; 3], 0);
        if let Some(slot) = session {
            (there[0], count) = (slot, 1);
        }
        if let Some(slot) = client {
            (there[count], count) = (slot, count + 1);
        }
        if let Some(slot) = address {
            (there[count], count) = (slot, count + 1);
        }
        let (address_key, session_key) = (keys.address, keys.session);
        Self { session, client, address, address_key, session_key, there, count, peaks: [0.0; 3] }
    }

    /// Those that there are, the narrowest first.
    pub(crate) fn all(&self) -> &[usize] {
        &self.there[..self.count.min(3)]
    }

    /// The peak of the session, if there is one.
    pub(crate) fn session_peak(&self) -> f32 {
        self.peaks[0]
    }

    /// The peak of the client, if there is one.
    pub(crate) fn client_peak(&self) -> f32 {
        self.peaks[usize::from(self.session.is_some())]
    }
}

impl Engine<'_> {
    /// Counts a request of somebody who is denied towards the address.
    pub(crate) fn count_convicted(&mut self, address: Option<usize>) {
        if let Some(address) = address {
            let address = self.sources.get_mut(address);
            address.convicted_requests = address.convicted_requests.saturating_add(1);
        }
    }

    /// The sources that a record belongs to, made if they are new.
    pub(crate) fn slots(&mut self, head: &RecordHead, keys: &Keys) -> Slots {
        let (kind, network) = (SourceKind::Client, keys.network);
        let client = self.sources.find_near(keys.client, keys.near).or_else(|| {
            let who = SourceKey { kind, network, discriminator: head.fingerprint };
            self.sources.touch(keys.client, who, head.application, head.time_ms)
        });
        let address = self.address(head, keys, client);
        let session = self.session(head, keys, client, address);
        // One that was made may have taken the place of another.
        let there =
            |slot: Option<usize>, key: u64| slot.filter(|&slot| self.sources.get(slot).key == key);
        let (client, address) = (there(client, keys.client), there(address, keys.address));
        Slots::new([session, client, address], keys)
    }

    /// Brings the sources of a record up to its time; whether one is denied, or would be if the circuit
    /// breaker were not open.
    pub(crate) fn arrive(&mut self, slots: &Slots, now_ms: u64) -> (bool, bool) {
        let (mut held, mut spared) = (false, false);
        for &slot in slots.all() {
            let before_ms = self.sources.get(slot).last_ms;
            if self.arrive_at(slot, now_ms) {
                held = true;
                self.not_enforced(slot, before_ms, now_ms);
            }
            spared |= self.sources.get(slot).is(Hold::Spared, now_ms);
        }
        (held, spared)
    }

    /// Brings a source up to the time of a record; true when it is denied.
    fn arrive_at(&mut self, slot: usize, now_ms: u64) -> bool {
        let source = self.sources.get_mut(slot);
        source.requests = source.requests.saturating_add(1);
        if source.is(Hold::Held, now_ms) {
            source.last_ms = source.last_ms.max(now_ms);
            return true;
        }
        let elapsed_ms = now_ms.saturating_sub(source.last_ms);
        let mut factor = if elapsed_ms > 60_000 { decay(elapsed_ms) } else { 1.0 };
        if source.denied_until_ms != 0 && source.denied_until_ms <= now_ms {
            // Served its time: half of the evidence stays, so that more of the same is soon known.
            source.denied_until_ms = 0;
            source.would_deny = 0;
            factor *= 0.5;
        }
        if factor < 1.0 {
            source.walks.iter_mut().for_each(|walks| walks.fade(factor));
        }
        false
    }

    /// A new client of an address against which evidence stands does not start from zero: changing
    /// the fingerprint does not wash it off. It starts at no more than suspicion. The same holds for a
    /// new session of a client that nobody else uses.
    pub(crate) fn inherit(&mut self, slots: &Slots) {
        let Some(client) = slots.client else { return };
        if let Some(address) = slots.address {
            self.inherit_from(client, address);
        }
        if let Some(session) = slots.session {
            if self.sources.get(client).others(self.sources.get(session).key) == 0 {
                self.inherit_from(session, client);
            }
        }
    }

    fn inherit_from(&mut self, new: usize, from: usize) {
        let from = self.sources.get(from);
        if from.convictions == 0 || self.sources.get(new).requests != 1 {
            return;
        }
        let ceiling = Sensitivity::Normal.threshold() / 2.0;
        let inherited = from.walks.map(|walks| walks.values().map(|walk| walk.min(ceiling)));
        self.sources.get_mut(new).walks = inherited.map(Walks::at);
    }

    /// Writes down what the sources of a record weigh.
    pub(crate) fn weigh(&mut self, slots: &Slots, now_ms: u64) {
        for (&slot, &peak) in slots.all().iter().zip(&slots.peaks) {
            self.sources.weigh_at(slot, now_ms, peak);
        }
    }

    /// Looks at the peaks of a record's sources.
    #[cold]
    #[inline(never)]
    pub(crate) fn look(&self, slots: &mut Slots) {
        for (peak, &slot) in slots.peaks.iter_mut().zip(&slots.there[..slots.count.min(3)]) {
            *peak = self.sources.get(slot).peak();
        }
    }
}
