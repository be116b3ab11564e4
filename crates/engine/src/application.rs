//! What is counted for each application, in the shape that lies in shared memory; its policy, and its
//! circuit breaker.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::budget::{self, Breaker, Budget};
use crate::engine::Engine;
use crate::policy::Policy;
use crate::record::{APPLICATION_MAX, RecordHead, RequestRecord};
use crate::slots::Slots;
use crate::source::network_of;
use crate::tables::APPLICATIONS;

/// Key of the slot that applications share which are one too many.
pub const OTHERS: u64 = u64::MAX;

/// Whether an application has been learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// No request yet.
    NoTraffic = 0,
    /// Learned thresholds may not act yet.
    Learning = 1,
    /// Everything acts.
    Ready = 2,
    /// The circuit breaker made it monitor only.
    Tripped = 3,
}

impl State {
    /// All states, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::NoTraffic, Self::Learning, Self::Ready, Self::Tripped];

    /// The name used in the API and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoTraffic => "no_traffic",
            Self::Learning => "learning",
            Self::Ready => "ready",
            Self::Tripped => "tripped",
        }
    }

    /// The state with this discriminant; anything unknown is `NoTraffic`.
    pub fn from_u8(value: u8) -> Self {
        Self::ALL.get(usize::from(value)).copied().unwrap_or(Self::NoTraffic)
    }
}

/// Counters of one application. Plain old data; they only grow.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Statistics {
    /// Key of the application; 0: this slot is not used.
    pub key: u64,
    /// Its name.
    pub name: Name,
    /// Bytes of `name` in use.
    pub name_len: u32,
    /// [`State`].
    pub state: u32,
    /// Monotonic milliseconds of the first and the last record.
    pub first_ms: u64,
    /// See `first_ms`.
    pub last_ms: u64,
    /// Records by [`crate::record::Verdict`].
    pub requests: [u64; 7],
    /// Convictions by threat and [`crate::Action`].
    pub decisions: [[u64; 3]; 8],
    /// Sources that each sensitivity (safe, normal, paranoid) would have denied.
    pub would_deny: [u64; 3],
    /// Milliseconds that it had been learned before the tables began ([`crate::checkpoint`]).
    pub learned_ms: u64,
    /// How often the circuit breaker opened.
    pub trips: u64,
}

/// What is published of an application, for whoever shows it.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Published {
    /// Its counters.
    pub statistics: Statistics,
    /// Its circuit breaker.
    pub breaker: Breaker,
    /// What looks wrong about it, as bits; the caller's.
    pub notes: u64,
}

/// 64-bit words of [`Published`].
pub const PUBLISHED_WORDS: usize = size_of::<Published>() / 8;

/// Bounded application name.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Name(pub [u8; APPLICATION_MAX]);

impl Default for Name {
    fn default() -> Self {
        Self([0; APPLICATION_MAX])
    }
}

impl Statistics {
    /// Words in front that say whose statistics these are, and the state.
    pub const FRONT_WORDS: usize = core::mem::offset_of!(Self, first_ms) / 8;

    /// Key and state of an application, from the words in front of its statistics.
    pub fn front(words: &[u64; Self::FRONT_WORDS]) -> (u64, State) {
        const STATE: usize = core::mem::offset_of!(Statistics, state);
        let state = u32::read_from_prefix(&words.as_bytes()[STATE..]).map_or(0, |(state, _)| state);
        (words[0], State::from_u8(u8::try_from(state).unwrap_or(0)))
    }

    /// Takes in that a request came, and brings the state up to date; true when what was learned may
    /// act.
    pub(crate) fn arrive(&mut self, now_ms: u64, learning_ms: u64, tripped: bool) -> bool {
        self.last_ms = self.last_ms.max(now_ms);
        if self.first_ms == 0 {
            self.first_ms = now_ms.max(1);
        }
        let learned_ms = self.learned_ms.saturating_add(now_ms.saturating_sub(self.first_ms));
        let ready = learned_ms >= learning_ms;
        self.state = match (tripped, ready) {
            (true, _) => State::Tripped,
            (false, true) => State::Ready,
            (false, false) => State::Learning,
        } as u32;
        ready
    }

    /// The name, as text; bytes that are no UTF-8 are replaced.
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.name.0[..(self.name_len as usize).min(APPLICATION_MAX)])
    }
}

impl Engine<'_> {
    /// The statistics slot of an application, made if it is new. The last slot is everybody's who
    /// came too late.
    #[inline]
    pub(crate) fn application(&mut self, key: u64, name: &[u8]) -> usize {
        // As nearly always: that of the record before.
        let recent = &self.applications[self.recent];
        if recent.key == key && key != 0 && (name.is_empty() || recent.name_len != 0) {
            return self.recent;
        }
        let slot = self.application_of(key, name);
        if slot < APPLICATIONS - 1 {
            self.recent = slot;
        }
        slot
    }

    #[inline(never)]
    fn application_of(&mut self, key: u64, name: &[u8]) -> usize {
        let last = APPLICATIONS - 1;
        let slot =
            self.applications[..last].iter().position(|slot| slot.key == key || slot.key == 0);
        let (slot, key, name) = match slot {
            Some(slot) => (slot, key, name),
            None => (last, OTHERS, &b"(other)"[..]),
        };
        let statistics = &mut self.applications[slot];
        if statistics.key == 0 {
            statistics.key = key;
            self.configured[slot] = self.configured(key);
        }
        let statistics = &mut self.applications[slot];
        if statistics.name_len == 0 && !name.is_empty() {
            let len = name.len().min(statistics.name.0.len());
            statistics.name.0[..len].copy_from_slice(&name[..len]);
            statistics.name_len = len as u32;
        }
        slot
    }

    /// Which of the configured applications has this key.
    #[inline(never)]
    pub(crate) fn configured(&self, key: u64) -> Option<u32> {
        let names = self.config.applications.iter();
        let at = names.map(|known| self.config.seed.table(&known.name)).position(|k| k == key);
        at.map(|at| at as u32)
    }

    /// The policy of an application, by its slot; by its key in the last slot, which many share.
    pub(crate) fn policy(&self, slot: usize, key: u64) -> &Policy {
        let known =
            if slot < APPLICATIONS - 1 { self.configured[slot] } else { self.configured(key) };
        let known = known.and_then(|at| self.config.applications.get(at as usize));
        known.map_or(&self.config.policy, |known| &known.policy)
    }

    /// Whether the policy of an application denies an address whatever it does (`deny`).
    pub fn denies(&self, application: u64, address: [u8; 16]) -> bool {
        let mut policies = self.config.applications.iter().map(|known| &known.policy);
        if self.config.policy.deny.is_empty() && policies.all(|policy| policy.deny.is_empty()) {
            return false;
        }
        let known = self.configured(application);
        let known = known.and_then(|at| self.config.applications.get(at as usize));
        let policy = known.map_or(&self.config.policy, |known| &known.policy);
        policy.deny.contains(address) && !policy.allow.contains(address)
    }

    pub(crate) fn budget(&mut self, application: usize) -> &mut Budget {
        &mut self.budgets[application.min(self.budgets.len() - 1)]
    }

    /// Whether a request that is not denied adds nothing to the clients that the circuit breaker counts, as
    /// nearly always: its client was never denied, and made another in the same window.
    pub(crate) fn is_counted(&self, slots: &Slots, application: usize, now_ms: u64) -> bool {
        let Some(source) = slots.client.map(|slot| self.sources.get(slot)) else { return false };
        let budget = &self.budgets[application.min(self.budgets.len() - 1)];
        source.requests > 1
            && source.convictions == 0
            && budget.is_in_window(source.last_ms, now_ms)
    }

    #[inline(never)]
    pub(crate) fn count_client(
        &mut self,
        head: &RecordHead,
        network: u64,
        application: usize,
        denied: bool,
    ) {
        let client = budget::client(head.application, network, head.fingerprint);
        self.budget(application).see(client, denied, head.time_ms);
    }

    /// Whether the denial that a record gives reason to is beyond the budget of its application.
    pub(crate) fn exceeds_budget(
        &mut self,
        record: &RequestRecord<'_>,
        application: usize,
    ) -> bool {
        let head = &record.head;
        let network = network_of(head.address);
        let client = budget::client(head.application, network, head.fingerprint);
        let policy = self.policy(application, head.application);
        let (percent, floor) = (policy.budget_percent, policy.budget_floor);
        let (tripped, now) = self.budget(application).deny(client, percent, floor, head.time_ms);
        if now {
            let statistics = &mut self.applications[application];
            statistics.trips += 1;
            statistics.state = State::Tripped as u32;
        }
        tripped
    }

    /// Lets the breaker of an application close when it is time.
    #[inline]
    pub(crate) fn recover(&mut self, application: usize, key: u64, now_ms: u64) {
        let at = application.min(self.budgets.len() - 1);
        if self.budgets[at].is_tripped() {
            self.recover_at(at, application, key, now_ms);
        }
    }

    #[inline(never)]
    fn recover_at(&mut self, at: usize, application: usize, key: u64, now_ms: u64) {
        let policy = self.policy(application, key);
        let (percent, floor) = (policy.budget_percent, policy.budget_floor);
        let learning_ms = policy.learning_ms;
        if self.budgets[at].recover(percent, floor, now_ms) {
            let statistics = &mut self.applications[application];
            statistics.arrive(statistics.last_ms, learning_ms, false);
        }
    }

    /// Sets all counters to zero and keeps what was learned: what history counted is not the module's.
    pub fn reset_counters(&mut self) {
        for slot in self.applications.iter_mut() {
            slot.requests = Default::default();
            slot.decisions = Default::default();
            slot.would_deny = Default::default();
            slot.trips = 0;
        }
    }

    /// How the circuit breaker of the application in this slot stands.
    pub fn breaker(&self, slot: usize) -> Breaker {
        self.budgets[slot.min(self.budgets.len() - 1)].breaker()
    }

    /// The clients that the circuit breaker of an application counts; `None` for an unknown one.
    pub fn budget_share(&self, application: u64) -> Option<budget::Share> {
        let slot = self.applications.iter().position(|slot| slot.key == application)?;
        Some(self.budgets[slot.min(self.budgets.len() - 1)].share())
    }
}
