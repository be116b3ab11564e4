//! What may be made of a record, by the standing of the sources it comes from.

use crate::SourceKind;
use crate::engine::Engine;
use crate::facts;
use crate::fusion::Sensitivity;
use crate::hash::combine;
use crate::profiles::Feature;
use crate::record::RequestRecord;
use crate::slots::Slots;
use crate::sources::{ASKED_ROBOTS, ASKED_SITEMAP};
use crate::target::{Agent, Said};

impl Engine<'_> {
    /// What may be made of a record, by the standing of the sources it comes from, whose peaks it writes down.
    /// `learned`: whether the application has been learned, and when half of that was done.
    pub(crate) fn standing(
        &mut self,
        record: &RequestRecord<'_>,
        said: &Said<'_>,
        slots: &mut Slots,
        learned: (bool, u64),
    ) -> Standing {
        let head = &record.head;
        let found = (200..300).contains(&head.status) || head.status == 304;
        let asks = if found { said.target.asks } else { said.target.asks & !ASKED_SITEMAP };
        let asked = || combine(combine(head.application, head.fingerprint), ROBOTS);
        if asks & ASKED_ROBOTS != 0 {
            self.served.insert(asked(), combine(head.fingerprint, 0));
        }
        let mut standing = Standing {
            teaches: true,
            ready: learned.0,
            agent: said.agent,
            vouched: false,
            polite: false,
            invited: false,
            listed: false,
            learned_ms: learned.1,
            binds: true,
            few: true,
            new_client: false,
        };
        let kin = said.agent.crawler && self.served.others(asked(), 0) > 0;
        let program = said.agent.crawler || !record.user_agent.starts_with(b"Mozilla/");
        let suspicion = Sensitivity::Normal.threshold() / 2.0;
        for at in 0..slots.count.min(3) {
            let source = self.sources.get_mut(slots.there[at]);
            let peak = source.peak();
            slots.peaks[at] = peak;
            standing.teaches &= peak < suspicion;
            if at == 0 && slots.session.is_some() {
                continue;
            }
            source.asked |= asks;
            let age_ms = head.time_ms.saturating_sub(source.first_ms);
            let slow =
                u64::from(source.requests) * UNHURRIED_GAP_MS <= age_ms + 10 * UNHURRIED_GAP_MS;
            let asked = |what: u8| source.asked & what != 0;
            standing.polite |= slow & (kin | asked(ASKED_ROBOTS));
            standing.listed |= slow & program;
            standing.invited |= slow & program & asked(ASKED_SITEMAP);
            let client = source.kind == SourceKind::Client as u8;
            if client {
                let today = |feature| source.activity.today(feature, head.time_ms);
                let private = today(Feature::PrivateObjects);
                standing.few = private < FEW_OBJECTS;
                standing.binds = today(Feature::Objects) < BINDING_OBJECTS
                    || (facts::shows(record) && private < BINDING_OBJECTS);
            }
            standing.vouched |= client && source.is_vouched_at(peak);
            standing.new_client |= client && source.requests == 1;
        }
        standing
    }
}

/// What may be made of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// It teaches what is normal: nothing speaks against its sources.
    pub(crate) teaches: bool,
    /// The application has been learned.
    pub(crate) ready: bool,
    /// What its User-Agent says.
    pub(crate) agent: Agent,
    /// The client behaved well before.
    pub(crate) vouched: bool,
    /// A crawler that asked for robots.txt, or whose like did, and takes its time.
    pub(crate) polite: bool,
    /// A program that says so, asked for the sitemap, and takes its time.
    pub(crate) invited: bool,
    /// A program that says so, and takes its time.
    pub(crate) listed: bool,
    /// Monotonic milliseconds when half of the learning was done.
    pub(crate) learned_ms: u64,
    /// It opens few objects enough a day for them to be its own.
    pub(crate) binds: bool,
    /// It asked for few objects today that may be private.
    pub(crate) few: bool,
    /// It is the first of its client.
    pub(crate) new_client: bool,
}

/// Marks, among what was served, that a fingerprint asked for robots.txt.
const ROBOTS: u64 = 0x726f_626f_7473;
/// Objects that a client asks for in a day, from which on they are not taken for its own.
const BINDING_OBJECTS: f32 = 16.0;
/// Objects that may be private, up to which a client says how many each has.
const FEW_OBJECTS: f32 = 8.0;
/// Mean gap between the requests of a crawler, or of a program that reads what a list or the sitemap names, that
/// takes its time.
const UNHURRIED_GAP_MS: u64 = 100;
