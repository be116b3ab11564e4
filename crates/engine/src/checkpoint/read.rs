//! From a checkpoint to the tables of an engine.

use zerocopy::{FromBytes, IntoBytes};

use super::format::{Checkpoint, Section, Tag};
use super::source::{self, Core, States};
use super::write::{LAYOUT, Numbers};
use super::{Clock, Loaded, Restore};
use crate::SourceKind;
use crate::application::Statistics;
use crate::budget::SavedBreaker;
use crate::campaign::Campaign;
use crate::conviction::suspect_slot;
use crate::decision::Incident;
use crate::detectors::credential_stuffing::Answers;
use crate::endpoint::Node;
use crate::engine::Engine;
use crate::object::Group;
use crate::profiles::{Habit, Profile};
use crate::record::APPLICATION_MAX;
use crate::sketch::Generation;
use crate::sources::Source;
use crate::tables::Suspect;

type Read = fn(&mut Engine<'_>, &Checkpoint<'_>, &Clock) -> Loaded;

/// How each version is read. An older one stays here and reads into the tables of now.
/// A client says in version 2 which session it stands for, and nothing else is written of that session: who
/// reads up to 1 would forget it, and must not read it. In version 1 each session has a record, and is told
/// apart from then on.
pub(super) const READERS: [(u32, Read); 2] = [(1, sections), (2, sections)];

/// Counters beyond this are damage.
const COUNTER_MAX: u64 = 1 << 60;

fn sections(engine: &mut Engine<'_>, checkpoint: &Checkpoint<'_>, clock: &Clock) -> Loaded {
    let mut loaded = Loaded { gap_ms: clock.gap_ms, ..Loaded::default() };
    for numbers in checkpoint.sections(Tag::Numbers).flat_map(Section::records::<Numbers>) {
        engine.header.incident = engine.header.incident.max(numbers.incident.min(COUNTER_MAX));
        engine.header.evicted = engine.header.evicted.max(numbers.evicted.min(COUNTER_MAX));
    }
    for statistics in records::<Statistics>(checkpoint, Tag::Applications, &mut loaded) {
        application(engine, &statistics, clock, &mut loaded);
    }
    sources(engine, checkpoint, clock, &mut loaded);
    for mut node in records::<Node>(checkpoint, Tag::Nodes, &mut loaded) {
        node.restore(clock);
        let placed = engine.endpoints.insert(node);
        loaded.nodes += u64::from(placed);
        loaded.dropped += u64::from(!placed);
    }
    for mut group in records::<Group>(checkpoint, Tag::Groups, &mut loaded) {
        group.restore(clock);
        engine.objects.insert(group);
    }
    for mut answers in records::<Answers>(checkpoint, Tag::Logins, &mut loaded) {
        if answers.key == 0 {
            continue;
        }
        answers.restore(clock);
        *crate::facts::login_slot(engine.logins, answers.key) = answers;
    }
    for mut campaign in records::<Campaign>(checkpoint, Tag::Campaigns, &mut loaded) {
        campaign.restore(clock);
        engine.campaigns.insert(&campaign);
    }
    for mut profile in records::<Profile>(checkpoint, Tag::Profiles, &mut loaded) {
        profile.restore(clock);
        let placed = engine.restore_profile(&profile);
        loaded.dropped += u64::from(!placed);
    }
    for mut habit in records::<Habit>(checkpoint, Tag::Habits, &mut loaded) {
        habit.restore(clock);
        engine.habits.insert(&habit);
    }
    for mut breaker in records::<SavedBreaker>(checkpoint, Tag::Budgets, &mut loaded) {
        breaker.restore(clock);
        engine.insert_breaker(&breaker);
    }
    explanations(engine, checkpoint, clock, &mut loaded);
    tables(engine, checkpoint, clock, &mut loaded);
    loaded
}

/// The records of a kind, unless they are of another layout.
fn records<T: FromBytes>(checkpoint: &Checkpoint<'_>, tag: Tag, loaded: &mut Loaded) -> Vec<T> {
    let mut all = Vec::new();
    for section in checkpoint.sections(tag) {
        if section.layout == LAYOUT && section.element == size_of::<T>() {
            all.extend(section.records::<T>());
        } else {
            loaded.dropped += section.count();
            note(loaded, "records of another layout were left out");
        }
    }
    all
}

fn note(loaded: &mut Loaded, note: &'static str) {
    if !loaded.notes.contains(&note) {
        loaded.notes.push(note);
    }
}

fn application(engine: &mut Engine<'_>, saved: &Statistics, clock: &Clock, loaded: &mut Loaded) {
    if saved.key == 0 {
        loaded.dropped += 1;
        return;
    }
    let len = (saved.name_len as usize).min(APPLICATION_MAX);
    let slot = engine.application(saved.key, &saved.name.0[..len]);
    let policy = engine.policy(slot, saved.key);
    let learning_ms = policy.learning_ms;
    let statistics = &mut engine.applications[slot];
    let clamp = |count: u64| count.min(COUNTER_MAX);
    statistics.requests = saved.requests.map(clamp);
    statistics.decisions = saved.decisions.map(|threat| threat.map(clamp));
    statistics.would_deny = saved.would_deny.map(clamp);
    statistics.trips = clamp(saved.trips);
    statistics.learned_ms = clamp(saved.learned_ms);
    statistics.last_ms = clock.moment(saved.last_ms).min(clock.now_ms);
    if saved.first_ms != 0 {
        let last_ms = statistics.last_ms;
        statistics.first_ms = clock.now_ms.max(1);
        statistics.arrive(clock.now_ms, learning_ms, false);
        statistics.last_ms = last_ms;
    }
    loaded.applications += 1;
}

/// Sources, the ones that must not get lost first.
fn sources(
    engine: &mut Engine<'_>,
    checkpoint: &Checkpoint<'_>,
    clock: &Clock,
    loaded: &mut Loaded,
) {
    let weight = |source: &Source| match source {
        _ if source.denied_until_ms > clock.now_ms => 0,
        _ if source.convictions > 0 || source.peak() >= 5.0 => 1,
        _ => 2,
    };
    for wanted in 0..3 {
        for section in checkpoint.sections(Tag::Sources) {
            let same = section.layout == source::LAYOUT;
            if !same {
                note(loaded, "what detectors remember of sources was of another layout");
            }
            for record in section.data.chunks_exact(section.element.max(1)) {
                let Ok((core, rest)) = Core::read_from_prefix(record) else {
                    loaded.dropped += u64::from(wanted == 0);
                    continue;
                };
                let states = States::read_from_prefix(rest).ok();
                let (states, rest) = states.filter(|_| same).unzip();
                let session = rest.and_then(|rest| u64::read_from_prefix(rest).ok());
                let session = session.map(|(session, _)| session);
                let source = core.source(states.as_ref(), session, clock);
                let Some(source) = source else {
                    loaded.dropped += u64::from(wanted == 0);
                    continue;
                };
                if weight(&source) == wanted {
                    insert(engine, &source, clock, loaded);
                }
            }
        }
    }
}

fn insert(engine: &mut Engine<'_>, source: &Source, clock: &Clock, loaded: &mut Loaded) {
    let Some(key) = source.source_key() else { return };
    match engine.sources.touch(source.key, key, source.application, clock.now_ms) {
        Some(slot) => {
            engine.sources.put(slot, source, clock.now_ms);
            match key.kind {
                SourceKind::Address => engine.singles.remove(source.key),
                SourceKind::Client => engine.restore_session(slot),
                SourceKind::Session => {}
            }
            loaded.sources += 1;
            loaded.denied += u64::from(source.denied_until_ms > clock.now_ms);
        }
        None => loaded.dropped += 1,
    }
}

/// Incidents and the requests of suspects.
fn explanations(
    engine: &mut Engine<'_>,
    checkpoint: &Checkpoint<'_>,
    clock: &Clock,
    loaded: &mut Loaded,
) {
    for mut incident in records::<Incident>(checkpoint, Tag::Incidents, loaded) {
        if incident.id == 0 || incident.id > engine.header.incident {
            loaded.dropped += 1;
            continue;
        }
        incident.since_ms = clock.moment(incident.since_ms);
        incident.first_ms = clock.moment(incident.first_ms);
        for exemplar in &mut incident.exemplars {
            exemplar.time_ms = clock.moment(exemplar.time_ms);
        }
        let slot = incident.id as usize % engine.incidents.len();
        if engine.incidents[slot].id <= incident.id {
            engine.incidents[slot] = incident;
        }
    }
    for mut suspect in records::<Suspect>(checkpoint, Tag::Suspects, loaded) {
        if engine.sources.find(suspect.key).is_none() {
            continue;
        }
        for exemplar in &mut suspect.exemplars {
            exemplar.time_ms = clock.moment(exemplar.time_ms);
        }
        let slot = suspect_slot(engine.suspects, suspect.key);
        if let Some(free) = engine.suspects.get_mut(slot).filter(|slot| slot.key == 0) {
            *free = suspect;
        }
    }
}

/// Sketches, which fit or do not.
fn tables(
    engine: &mut Engine<'_>,
    checkpoint: &Checkpoint<'_>,
    clock: &Clock,
    loaded: &mut Loaded,
) {
    let mut dense = |tag: Tag, table: &mut [u8]| {
        let section = checkpoint.sections(tag).next();
        let fits = section.filter(|section| section.data.len() == table.len());
        match (fits, section) {
            (Some(section), _) => table.copy_from_slice(section.data),
            (None, Some(_)) => note(loaded, "sketches of tables of another size were left out"),
            (None, None) => {}
        }
        fits.is_some()
    };
    let (counts, owners) = engine.objects.tables_mut();
    dense(Tag::Counts, counts.as_mut_bytes());
    dense(Tag::Owners, owners.as_mut_bytes());
    let generations: Vec<Generation> =
        checkpoint.sections(Tag::Generations).flat_map(Section::records).collect();
    for (at, (tag, sketch)) in
        [(Tag::Served, &mut engine.served), (Tag::Missed, &mut engine.missed)]
            .into_iter()
            .enumerate()
    {
        if let Some(saved) = generations.get(at).filter(|_| dense(tag, sketch.cells_mut())) {
            let since_ms = clock.watched(saved.since_ms).min(clock.now_ms);
            sketch.set_generation(Generation { since_ms, current: saved.current & 1 });
        }
    }
}
