//! From the tables of an engine to a checkpoint.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::format::{Tag, Writer};
use super::source::{self, Saved};
use crate::application::Statistics;
use crate::engine::Engine;

/// Version of what the bytes of nodes, groups and the like mean.
pub(super) const LAYOUT: u64 = 2;

/// Numbers that belong to all tables.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Numbers {
    pub(super) incident: u64,
    pub(super) evicted: u64,
}

pub(super) fn engine(engine: &Engine<'_>, now_ms: u64, wall_ms: u64, out: &mut dyn FnMut(&[u8])) {
    let mut writer = Writer::new(out, engine.config.seed.0, wall_ms, now_ms);
    let header = &engine.header;
    let numbers = Numbers { incident: header.incident, evicted: header.evicted };
    writer.records(Tag::Numbers, LAYOUT, core::iter::once(numbers));
    let applications = engine.applications.iter().filter(|slot| slot.key != 0);
    writer.records(Tag::Applications, LAYOUT, applications.map(|slot| learned(slot, now_ms)));
    let sources = engine.sources.iter().filter_map(|source| Saved::of(source, now_ms));
    writer.records(Tag::Sources, source::LAYOUT, sources);
    writer.records(Tag::Nodes, LAYOUT, engine.endpoints.nodes().copied());
    writer.records(Tag::Groups, LAYOUT, engine.objects.groups().copied());
    let logins = engine.logins.iter().filter(|slot| slot.key != 0);
    writer.records(Tag::Logins, LAYOUT, logins.copied());
    writer.records(Tag::Campaigns, LAYOUT, engine.campaigns.all().copied());
    let profiles = engine.profiles.iter().filter(|profile| profile.key != 0);
    writer.records(Tag::Profiles, LAYOUT, profiles.copied());
    writer.records(Tag::Habits, LAYOUT, engine.habits.iter().copied());
    let incidents = engine.incidents.iter().filter(|slot| slot.id != 0);
    writer.records(Tag::Incidents, LAYOUT, incidents.copied());
    let suspects = engine.suspects.iter().filter(|slot| slot.key != 0);
    writer.records(Tag::Suspects, LAYOUT, suspects.copied());
    let (counts, owners) = engine.objects.tables();
    writer.table(Tag::Counts, counts.len() as u64, 2, counts.as_bytes());
    writer.table(Tag::Owners, owners.len() as u64, 8, owners.as_bytes());
    let generations = [&engine.served, &engine.missed].map(|sketch| *sketch.generation());
    writer.records(Tag::Generations, LAYOUT, generations.into_iter());
    for (tag, sketch) in [(Tag::Served, &engine.served), (Tag::Missed, &engine.missed)] {
        writer.table(tag, sketch.cells().len() as u64, 1, sketch.cells());
    }
    writer.records(Tag::Budgets, LAYOUT, engine.breakers());
    writer.end();
}

/// The statistics of an application, with all the time that it has been learned for.
fn learned(statistics: &Statistics, now_ms: u64) -> Statistics {
    let watched_ms = match statistics.first_ms {
        0 => 0,
        first_ms => now_ms.saturating_sub(first_ms),
    };
    let learned_ms = statistics.learned_ms.saturating_add(watched_ms);
    Statistics { learned_ms, ..*statistics }
}
