//! Sources: everything that is remembered of who makes requests.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::detectors::{
    credential_stuffing, posting, resource_exhaustion, scraping, vulnerability_scanning,
};
use crate::evidence::Walks;
use crate::learned;
use crate::profiles::Activity;
use crate::{SourceKey, SourceKind};

mod singles;
mod stands;
mod table;

pub use singles::{Line, PAIRS, PAIRS_A_SOURCE, Singles};
pub use table::{Bucket, Sources, WAYS};

/// What is remembered of one source in one application. Plain old data, [`SOURCE_BYTES`] bytes; key 0
/// is a free slot; any bit pattern is valid. The order is that of how many records need it: whatever
/// nearly all do lies in five cache lines in front.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(32))]
pub struct Source {
    /// Hash of application and key.
    pub key: u64,
    /// The session that a client stands for, as [`SourceKey::discriminator`]; 0 for none.
    pub session: u64,
    /// Monotonic milliseconds of the last record.
    pub last_ms: u64,
    /// Monotonic milliseconds of the first record.
    pub first_ms: u64,
    /// The decision about it holds until then; 0 when there is none.
    pub denied_until_ms: u64,
    /// Judged requests.
    pub requests: u32,
    /// Those that succeeded.
    pub served: u32,
    /// A bit for each of 32 groups of templates that it was served.
    pub templates: u32,
    /// A bit for each of 32 groups: of vouched clients (of an address), of vouched sessions (of a
    /// client), of addresses (of a session).
    pub users: u32,
    /// Convictions so far.
    pub convictions: u16,
    /// [`SourceKind`].
    pub kind: u8,
    /// Bit s: sensitivity s would have denied it.
    pub would_deny: u8,
    /// It asked for what is meant for programs: 1 robots.txt, 2 the sitemap; 4: a client that was vouched
    /// for at some time; 8: one whose sessions have records; 16: one that stands for its address.
    pub asked: u8,
    /// Days in a row with about as many requests.
    pub(crate) days: u8,
    /// [`Hold`]: what the decision does.
    pub hold: u8,
    /// A bit for each threat that an operator lifted; holds until `grace_until_s`.
    pub lifted: u8,
    /// Evidence for each threat.
    pub walks: [Walks; 8],
    /// The day, of the monotonic clock, and its requests.
    pub(crate) day: u32,
    pub(crate) today: u32,
    /// What it did today.
    pub activity: Activity,
    /// What it cost.
    pub load: resource_exhaustion::State,
    /// Objects it went through.
    pub trail: scraping::State,
    /// What it published, created, reserved.
    pub posts: posting::State,
    // From here on is what few records need: see [`Self::HOT`].
    /// Requests of a usual day.
    pub(crate) usual: u32,
    /// Monotonic seconds.
    pub grace_until_s: u32,
    /// Key of the application.
    pub application: u64,
    /// [`SourceKey::network`].
    pub network: u64,
    /// [`SourceKey::discriminator`].
    pub discriminator: u64,
    /// Incident of the last conviction.
    pub incident: u64,
    /// As [`Self::users`], those that were convicted.
    pub convicted_users: u32,
    /// Requests of convicted clients (addresses only).
    pub convicted_requests: u32,
    /// Misses.
    pub scanning: vulnerability_scanning::State,
    /// Attempts to log in.
    pub login: credential_stuffing::State,
    /// What the models say of it.
    pub learned: learned::State,
    /// The low half of the monotonic milliseconds when it last asked for a form.
    pub form_ms: u32,
}

/// What a decision about a source does. Any other value in a source counts as [`Self::Monitored`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Hold {
    /// Nothing: it was said, and is not said again while it holds.
    Monitored = 0,
    /// The source is denied or throttled.
    Held = 1,
    /// Nothing, because the circuit breaker is open.
    Spared = 2,
}

/// Counts beyond this are damage.
pub(crate) const COUNT_MAX: u32 = 1 << 28;

/// Bytes of one source: its record, its part of a bucket, and its pairs.
pub const SOURCE_BYTES: usize =
    size_of::<Source>() + size_of::<Bucket>() / WAYS + size_of::<Line>() / PAIRS * PAIRS_A_SOURCE;
/// Bits of [`Source::asked`].
pub(crate) const ASKED_ROBOTS: u8 = 1;
/// See [`ASKED_ROBOTS`].
pub(crate) const ASKED_SITEMAP: u8 = 2;
/// See [`ASKED_ROBOTS`].
pub(crate) const ASKED_VOUCHED: u8 = 4;
/// See [`ASKED_ROBOTS`].
const ASKED_SESSIONS: u8 = 8;
/// See [`ASKED_ROBOTS`].
pub(crate) const ASKED_ALONE: u8 = 16;

impl Source {
    /// Bytes in front that nearly every record needs: what is read ahead.
    pub(crate) const HOT: usize = core::mem::offset_of!(Self, usual);

    /// Whether it behaved well often enough to count as a user: three requests served over two
    /// templates, and nothing against it.
    pub fn is_vouched(&self) -> bool {
        self.is_vouched_at(self.peak())
    }

    /// The same, by the peak that it has.
    pub(crate) fn is_vouched_at(&self, peak: f32) -> bool {
        let several = self.templates & self.templates.wrapping_sub(1) != 0;
        self.served >= 3 && several && peak < 2.0
    }

    /// The highest walk, nats: an upper bound of the evidence that costs no logarithm.
    pub fn peak(&self) -> f32 {
        Walks::peak_of(&self.walks)
    }

    /// Well-behaved clients behind the key that were not convicted: of an address, those that were
    /// vouched for; else one.
    pub fn effective_users(&self) -> u32 {
        if self.kind == SourceKind::Address as u8 {
            (self.users & !self.convicted_users).count_ones()
        } else {
            1
        }
    }

    /// Whether a decision about it is in force, and does this.
    pub fn is(&self, hold: Hold, now_ms: u64) -> bool {
        self.denied_until_ms > now_ms && self.hold == hold as u8
    }

    /// The threats for which it is in grace: lifted lately.
    pub fn grace(&self, now_ms: u64) -> u8 {
        // Nearly nobody was, and when it ends lies further off.
        let lifted = self.lifted != 0 && u64::from(self.grace_until_s) * 1000 > now_ms;
        if lifted { self.lifted } else { 0 }
    }

    /// Well-behaved others behind the key, beside the one of this hash.
    pub fn others(&self, key: u64) -> u32 {
        (self.users & !self.convicted_users & !bit(key)).count_ones()
    }

    /// Counts a request towards its day.
    pub fn count_day(&mut self, now_ms: u64) {
        let day = (now_ms / 86_400_000) as u32;
        if day != self.day {
            let twice = |count: u32| count.saturating_mul(2);
            let steady = self.today <= twice(self.usual) && self.usual <= twice(self.today);
            let next = day == self.day.wrapping_add(1) && self.today > 0;
            self.days =
                if next && (steady || self.usual == 0) { self.days.saturating_add(1) } else { 0 };
            let smooth = (3 * u64::from(self.usual) + u64::from(self.today)) / 4;
            self.usual = if steady { smooth as u32 } else { self.today };
            (self.day, self.today) = (day, 0);
        }
        self.today = self.today.saturating_add(1);
    }

    /// Established automation: three days of about the same, and today no more than twice that.
    pub fn is_established(&self) -> bool {
        self.days >= 3 && self.today <= self.usual.saturating_mul(2)
    }

    /// Brings what may be torn or damaged back to what makes sense.
    pub(crate) fn clamp(&mut self) {
        let counts = [
            &mut self.requests,
            &mut self.served,
            &mut self.convicted_requests,
            &mut self.today,
            &mut self.usual,
        ];
        for count in counts {
            *count = (*count).min(COUNT_MAX);
        }
        self.hold = if self.hold > Hold::Spared as u8 { 0 } else { self.hold };
    }

    /// The key that this source is.
    pub fn source_key(&self) -> Option<SourceKey> {
        let kind = SourceKind::from_u8(self.kind)?;
        Some(SourceKey { kind, network: self.network, discriminator: self.discriminator })
    }
}

/// The bit of a source, by its hash, in [`Source::users`].
pub(crate) fn bit(key: u64) -> u32 {
    1 << (key >> 59)
}
