//! What may be made of a record, by the standing of the sources it comes from.

use crate::SourceKind;
use crate::approach::Keys;
use crate::engine::Engine;
use crate::fusion::Sensitivity;
use crate::hash::combine;
use crate::profiles::Feature;
use crate::record::RequestRecord;
use crate::target::Agent;

impl Engine<'_> {
    /// What may be made of a record, by the standing of the sources it comes from.
    pub(crate) fn standing(
        &mut self,
        record: &RequestRecord<'_>,
        keys: &Keys,
        slots: [Option<usize>; 2],
        ready: bool,
    ) -> Standing {
        let head = &record.head;
        let asked = combine(combine(head.application, head.fingerprint), ROBOTS);
        if record.path == b"/robots.txt" {
            self.served.insert(asked, combine(head.fingerprint, 0));
        }
        let agent = self.targets.agent(record, keys.agent, &self.patterns);
        let mut standing = Standing {
            teaches: true,
            ready,
            agent,
            vouched: false,
            polite: false,
            invited: false,
            learned_ms: 0,
            binds: true,
            new_client: false,
        };
        let kin = agent.crawler && self.served.others(asked, 0) > 0;
        let program = agent.crawler || !record.user_agent.starts_with(b"Mozilla/");
        for slot in slots.into_iter().flatten() {
            let source = self.sources.get_mut(slot);
            source.asked |= asks(record);
            let age_ms = head.time_ms.saturating_sub(source.first_ms);
            let slow = |gap_ms: u64| u64::from(source.requests) * gap_ms <= age_ms + 10 * gap_ms;
            standing.polite |= slow(POLITE_GAP_MS) && (kin || source.asked & ASKED_ROBOTS != 0);
            standing.invited |=
                slow(INVITED_GAP_MS) && program && source.asked & ASKED_SITEMAP != 0;
            standing.teaches &= source.peak() < Sensitivity::Normal.threshold() / 2.0;
            standing.binds &= source.kind != SourceKind::Client as u8
                || source.activity.today(Feature::Objects, head.time_ms) < BINDING_OBJECTS;
            let client = source.kind == SourceKind::Client as u8;
            standing.vouched |= client && source.is_vouched();
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
    /// Monotonic milliseconds when half of the learning was done.
    pub(crate) learned_ms: u64,
    /// It opens few objects enough a day for them to be its own.
    pub(crate) binds: bool,
    /// It is the first of its client.
    pub(crate) new_client: bool,
}

/// What a request asks for that is meant for programs: bits of [`crate::sources::Source::asked`].
fn asks(record: &RequestRecord<'_>) -> u8 {
    let name = record.path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let served = (200..300).contains(&record.head.status) || record.head.status == 304;
    let sitemap = served && name.len() >= 11 && name[..7].eq_ignore_ascii_case(b"sitemap");
    if record.path == b"/robots.txt" {
        ASKED_ROBOTS
    } else if sitemap && [&b".xml"[..], b".xml.gz", b".txt"].iter().any(|end| name.ends_with(end)) {
        ASKED_SITEMAP
    } else {
        0
    }
}

const ASKED_ROBOTS: u8 = 1;
const ASKED_SITEMAP: u8 = 2;

/// Marks, among what was served, that a fingerprint asked for robots.txt.
const ROBOTS: u64 = 0x726f_626f_7473;
/// Objects that a client asks for in a day, from which on they are not taken for its own.
const BINDING_OBJECTS: f32 = 16.0;
/// Mean gap between the requests of a crawler that takes its time.
const POLITE_GAP_MS: u64 = 100;
/// The same of a program that reads what the sitemap invites it to.
const INVITED_GAP_MS: u64 = 100;
