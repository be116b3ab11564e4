//! What a path and a User-Agent say by themselves, remembered for those that are seen most.
//!
//! Whatever depends on nothing but the text (the normalised path, its role by name, the hashes of its
//! segments, whether it is an attack) is worked out once and kept in a direct-mapped cache under a
//! keyed hash of the text. What is found there is what would be worked out again, so the cache changes
//! no decision and may forget at any time: it lies on the heap, not in the engine's tables.

use crate::approach::Keys;
use crate::detectors::patterns::{Patterns, is_courtesy, is_misplaced_link};
use crate::detectors::vulnerability_scanning::missed_name;
use crate::hash::Seed;
use crate::object::last_number;
use crate::path::{MAX_SEGMENTS, Path, bare, extension};
use crate::record::RequestRecord;
use crate::role::{Looks, Role};
use crate::sources::{ASKED_ROBOTS, ASKED_SITEMAP};
use crate::token::Token;

mod agents;
mod names;
mod places;

use agents::Agents;
use places::{GROUP, Place, Places};

/// Paths that are remembered, in groups: see [`places`].
const PATHS: usize = 32_768;

/// Questions that are remembered: whether they hold an attack, and the role that they name.
const QUERIES: usize = 4096;
/// The bits that say it: an attack, and one of eight roles.
const SAID: u64 = 0xf;

/// A path, and what it says. What nearly every record needs of it lies in front, in two or three cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Target {
    /// Hash of the path.
    key: u64,
    /// The role that its words name.
    pub role: Role,
    /// An attack by itself.
    pub attack: bool,
    /// What it looks like.
    pub looks: Looks,
    /// What is meant for programs: bits of [`crate::sources::Source::asked`], as far as the path says so.
    pub asks: u8,
    depth: u8,
    /// What its last segment is where that is a number: see [`crate::object::number`].
    pub number: Option<Option<u64>>,
    /// What it says when it misses, worked out when it does.
    missed: Option<Missed>,
    steps: [Step; MAX_SEGMENTS],
    names: [Names; MAX_SEGMENTS],
}

/// What a path says when it misses.
#[derive(Clone, Copy, Debug)]
pub struct Missed {
    /// [`missed_name`].
    pub name: u64,
    /// Honest software asks every site for it, or follows a link there that was no link.
    pub exempt: bool,
    /// A name that is looked for rather than linked to.
    pub probe: bool,
    /// Its last segment is a number, or a date, or the name of a release.
    pub numbered: bool,
}

impl Missed {
    #[inline(never)]
    fn new(raw: &[u8], patterns: &Patterns, seed: Seed) -> Self {
        let path = &Path::new(raw);
        let kind = Token::of(path.last()).0;
        Self {
            name: missed_name(path, seed),
            exempt: is_courtesy(path) || is_misplaced_link(path) || names::is_digest(path),
            probe: patterns.is_probe(path),
            numbered: matches!(kind, Token::Int | Token::Uuid | Token::Date)
                || names::is_release(path),
        }
    }
}

/// A segment, as the tree of templates wants it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The template that it was last looked for in, and the key of its node there; 0 before that.
    parent: u64,
    key: u64,
    /// What it looks like.
    pub class: Token,
    /// It is the last one, or reads like it.
    pub last: bool,
    start: u16,
    len: u16,
}

/// What a segment is called.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Hash of the name that the node of a literal has, or of the extension that a typed value keeps.
    pub name: u64,
    /// Hash of the extension.
    pub extension: u64,
}

/// What a User-Agent says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Agent {
    /// It says that it is a crawler.
    pub crawler: bool,
    /// It is an attack.
    pub attack: bool,
}

/// What the texts of a record say.
#[derive(Debug)]
pub(crate) struct Said<'t> {
    /// Its path.
    pub(crate) target: &'t mut Target,
    /// Its User-Agent.
    pub(crate) agent: Agent,
    /// Its query is an attack.
    pub(crate) query: bool,
    /// The role that its path or its query names.
    pub(crate) role: Role,
}

impl Target {
    const NOTHING: Self = {
        let class = Token::Literal;
        let none = Step { parent: 0, key: 0, class, last: false, start: 0, len: 0 };
        Self {
            key: 0,
            role: Role::Auto,
            attack: false,
            looks: Looks::NOTHING,
            asks: 0,
            depth: 0,
            number: None,
            missed: None,
            steps: [none; MAX_SEGMENTS],
            names: [Names { name: 0, extension: 0 }; MAX_SEGMENTS],
        }
    };

    /// Works out what a raw path of this hash says.
    pub fn new(key: u64, raw: &[u8], patterns: &Patterns, seed: Seed) -> Self {
        let path = Path::new(raw);
        let looks = Looks::of(&path);
        let mut target = Self {
            key,
            role: patterns.role_of(&path, looks),
            attack: patterns.is_attacked_path(&path, raw),
            looks,
            asks: asks(raw),
            number: last_number(&path),
            ..Self::NOTHING
        };
        target.take_steps(&path, seed);
        target
    }

    /// A path without a role: for the tree of templates alone.
    pub fn plain(raw: &[u8], seed: Seed) -> Self {
        let mut target = Self::NOTHING;
        target.take_steps(&Path::new(raw), seed);
        target
    }

    /// What it says when it misses, if it has missed before.
    pub(crate) fn missed_before(&self) -> Option<Missed> {
        self.missed
    }

    /// What it says when it misses.
    pub fn missed(&mut self, raw: &[u8], patterns: &Patterns, seed: Seed) -> Missed {
        *self.missed.get_or_insert_with(|| Missed::new(raw, patterns, seed))
    }

    fn take_steps(&mut self, path: &Path, seed: Seed) {
        let (text, last) = (path.as_bytes(), path.last());
        let mut start = 0;
        for segment in text.split(|&byte| byte == b'/') {
            let from = start;
            start += segment.len() + 1;
            if segment.is_empty() || usize::from(self.depth) == MAX_SEGMENTS {
                continue;
            }
            let is_last = segment == last;
            let segment = bare(segment);
            let (class, kept) = Token::of(segment);
            let name = if class == Token::Literal { segment } else { kept };
            let depth = usize::from(self.depth);
            self.steps[depth] = Step {
                parent: 0,
                key: 0,
                class,
                last: is_last,
                start: from as u16,
                len: segment.len() as u16,
            };
            let extension = names::hash(extension(segment).1, seed);
            self.names[depth] = Names { name: names::hash(name, seed), extension };
            self.depth += 1;
        }
    }

    /// The segments that are looked at, and what they are called.
    pub fn steps(&mut self) -> (&mut [Step], &[Names]) {
        let depth = usize::from(self.depth);
        (&mut self.steps[..depth], &self.names[..depth])
    }
}

impl Step {
    /// The key of its node in a template, worked out by `new` where it was not the last time.
    pub fn key(&mut self, parent: u64, names: &Names, new: fn(u64, Token, u64) -> u64) -> u64 {
        if self.parent != parent || self.key == 0 {
            (self.parent, self.key) = (parent, new(parent, self.class, names.name));
        }
        self.key
    }

    /// Its text, in the path that it belongs to.
    pub fn text<'p>(&self, path: &'p Path) -> &'p [u8] {
        let start = usize::from(self.start);
        path.as_bytes().get(start..start + usize::from(self.len)).unwrap_or_default()
    }
}

/// What a path asks for that is meant for programs.
fn asks(raw: &[u8]) -> u8 {
    let name = raw.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let sitemap = name.len() >= 11 && name[..7].eq_ignore_ascii_case(b"sitemap");
    if raw == b"/robots.txt" {
        ASKED_ROBOTS
    } else if sitemap && [&b".xml"[..], b".xml.gz", b".txt"].iter().any(|end| name.ends_with(end)) {
        ASKED_SITEMAP
    } else {
        0
    }
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    /// Where paths are among `paths`, which grow as they are needed.
    places: Vec<Places>,
    paths: Vec<Target>,
    agents: Agents,
    /// Hashes of queries, the lowest bits of which say whether it is an attack, and the role.
    queries: Vec<u64>,
}

impl Targets {
    /// What the texts of a record say.
    pub(crate) fn said(
        &mut self,
        record: &RequestRecord<'_>,
        keys: &Keys,
        patterns: &Patterns,
        seed: Seed,
    ) -> Said<'_> {
        let agent = self.agents.of(record, patterns);
        let (query, named) = self.of_query(record.query, patterns, seed);
        let target = self.of(record, keys, patterns, seed);
        Said { agent, query, role: target.role.with_query(named), target }
    }

    /// What the path of a record says.
    pub(crate) fn of(
        &mut self,
        record: &RequestRecord<'_>,
        keys: &Keys,
        patterns: &Patterns,
        seed: Seed,
    ) -> &mut Target {
        let key = keys.path;
        if self.places.is_empty() {
            self.places = vec![Places::EMPTY; PATHS / GROUP];
        }
        let places = &mut self.places[key as usize % (PATHS / GROUP)];
        let found = places.find_near(key, keys.place);
        let mut at = places.0[found].at as usize;
        if self.paths.get(at).is_some_and(|target| target.key == key) {
            places.0.swap(found, found.saturating_sub(1));
        } else {
            at = self.meet(found, (key, record.path), patterns, seed);
        }
        &mut self.paths[at]
    }

    /// Remembers a path, in the place of its group where it was looked for unless there are free ones; where it is.
    #[inline(never)]
    fn meet(
        &mut self,
        found: usize,
        (key, path): (u64, &[u8]),
        patterns: &Patterns,
        seed: Seed,
    ) -> usize {
        let new = Target::new(key, path, patterns, seed);
        let tag = (key >> 32) as u32;
        let places = &mut self.places[key as usize % (PATHS / GROUP)].0;
        if let Some(target) = self.paths.get_mut(places[found].at as usize) {
            *target = new;
            places[found].tag = tag;
            return places[found].at as usize;
        }
        let at = self.paths.len();
        self.paths.push(new);
        // In front of what is free.
        let free = places.iter().position(|place| place.at == u32::MAX);
        places[free.unwrap_or(found)] = Place { tag, at: at as u32 };
        at
    }

    /// Whether a query is an attack, and the role that it names.
    pub(crate) fn of_query(
        &mut self,
        query: &[u8],
        patterns: &Patterns,
        seed: Seed,
    ) -> (bool, Role) {
        if query.is_empty() {
            return (false, Role::Auto);
        }
        if self.queries.is_empty() {
            self.queries = vec![0; QUERIES];
        }
        let key = seed.table(query) | SAID;
        let known = &mut self.queries[(key >> 32) as usize % QUERIES];
        if *known | SAID != key || *known == 0 {
            *known = key ^ SAID | read_query(query, patterns);
        }
        let role = Role::ALL[(*known & SAID) as usize >> 1];
        (*known & 1 != 0, role)
    }

    /// Reads where a record is remembered: see [`crate::Engine::approach`].
    pub(crate) fn approach(&self, path: u64, fingerprint: u64) -> u64 {
        let places = self.places.get(path as usize % (PATHS / GROUP));
        self.agents.approach(fingerprint) ^ places.map_or(0, |places| u64::from(places.0[0].tag))
    }

    /// Reads what a path says, when where it is remembered has been read; and where that is, and its place in
    /// its group.
    pub(crate) fn approach_target(&self, path: u64) -> (u64, u32, u8) {
        let Some(places) = self.places.get(path as usize % (PATHS / GROUP)) else {
            return (0, u32::MAX, 0);
        };
        let place = places.find(path);
        let at = places.0[place].at;
        // The head and the first segments.
        let target = self.paths.get(at as usize);
        let read = target.map_or(0, |target| {
            let [first, second, third, fourth, ..] = &target.steps;
            first.key ^ second.key ^ third.key ^ fourth.key ^ u64::from(target.depth)
        });
        (read, at, place as u8)
    }

    /// What a path says, by where it was found to be.
    pub(crate) fn at(&self, target: u32) -> Option<&Target> {
        self.paths.get(target as usize)
    }
}

/// What a query says, as [`Targets::of_query`] remembers it.
#[inline(never)]
fn read_query(query: &[u8], patterns: &Patterns) -> u64 {
    (patterns.role_of_query(query) as u64) << 1 | u64::from(patterns.is_attack(query))
}

/// Moves the element at `at` to the front, and those before it one back.
pub(crate) fn to_front<T: Copy>(group: &mut [T], at: usize) {
    if at > 0 {
        let moved = group[at];
        group.copy_within(..at, 1);
        group[0] = moved;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
