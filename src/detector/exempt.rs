//! What a new configuration lifts: denials of sources that it lets nobody deny. An operator may deny whom
//! detectors may not, but nobody whom a policy allows.

use api_abuse_engine::Engine;
use api_abuse_shm::DenylistWriter;

use crate::commands::OPERATOR_THREAT;
use crate::request_state::source_key;

/// Lifts the denials of sources that are exempt by now, in the engine and in the denylist, and returns
/// how many entries that were. The denylist may hold some that the engine knows nothing of: those that
/// were carried over into a zone of another size.
pub(super) fn lift(
    engine: &mut Engine<'_>,
    denylist: &mut DenylistWriter<'_>,
    now_ms: u64,
) -> usize {
    engine.lift_exempt(now_ms, &mut Vec::new());
    let live: Vec<_> = denylist.reader().iter(now_ms).collect();
    let exempt = live.into_iter().filter(|entry| {
        let application = entry.key.application;
        source_key(&entry.key).is_some_and(|source| match entry.threat {
            OPERATOR_THREAT => engine.is_allowed(application, source),
            _ => engine.is_exempt(application, source),
        })
    });
    exempt.filter(|entry| denylist.remove(&entry.key)).count()
}
