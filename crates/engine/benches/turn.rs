//! Nanoseconds a record, by stage, and bytes a source, for tables of different sizes and numbers of live sources.
//!
//! Run with `cargo bench -p api-abuse-engine`, which prints the tables of `docs/performance.md`. No assertion: a number is not a test.
//! `cargo bench -p api-abuse-engine --bench turn -- 20000 100000` measures that many live sources and records
//! only: for callgrind (`--toggle-collect=turn::judge`), whose counts do not depend on what else the machine does.
//! The hash of the tables is that of all that was remembered: a change that is for speed alone leaves it as it is.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails loudly")]

use std::time::Duration;

use api_abuse_engine::hash::{Seed, combine};
use api_abuse_engine::record::{Method, NO_UPSTREAM, RecordHead, flags};
use api_abuse_engine::role::Role;
use api_abuse_engine::sources::SOURCE_BYTES;
use api_abuse_engine::tables::Limits;
use api_abuse_engine::{Config, Decision, Engine, RequestRecord};
use memmap2::{Advice, MmapMut};

const SEED: Seed = Seed([11, 22]);
/// Records of one measurement.
const RECORDS: usize = 600_000;
/// How often each is measured: the best counts, for whatever else the machine does makes it slower.
const ROUNDS: usize = 3;
/// All detectors.
const ALL: u8 = 0xff;
/// Records of a batch, as the module's detector drains them.
const BATCH: usize = 512;
/// Visitors who click at the same time, and requests of a visit.
const AT_ONCE: u64 = 3000;
const VISIT: u64 = 16;
/// Sources of a client: itself, its address, and every second one a session.
const SOURCES_A_CLIENT: f64 = 2.5;

fn main() {
    let words = std::env::args().skip(1);
    let mut numbers = words.filter_map(|word| word.parse::<u64>().ok());
    let sizes = [(20_000u64, 32), (200_000, 128), (1_000_000, 600)];
    if let Some(wanted) = numbers.next() {
        let count = numbers.next().map_or(RECORDS, |count| count as usize);
        for (sources, megabytes) in sizes.into_iter().filter(|(sources, _)| *sources == wanted) {
            Table::new(sources, megabytes, Advice::NoHugePage).measure(count);
        }
        return;
    }
    println!(
        "| live sources | that have a record | ns a record | in huge pages | of clients at random | in huge pages \
         | to read it | to find what is known | what it means, its sources | detectors |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let rows = sizes.map(row);
    let of_a_million = rows[2].1 as f64 * SOURCE_BYTES as f64 / rows[2].0 as f64;
    println!("\n| | |\n| --- | ---: |");
    println!("| bytes a record of a source | {SOURCE_BYTES} |");
    println!("| MB for the records of 1 M sources | {of_a_million:.0} |");
    println!("| instructions a record, 200,000 sources | {} |", instructions());
}

/// An engine's memory, and who fills it.
struct Table {
    memory: MmapMut,
    traffic: Traffic,
}

impl Table {
    /// In small pages, or in huge ones.
    fn new(sources: u64, megabytes: usize, pages: Advice) -> Self {
        let traffic = Traffic::new((sources as f64 / SOURCES_A_CLIENT) as u64);
        let memory = MmapMut::map_anon(megabytes << 20).unwrap();
        // A kernel without huge pages refuses; there are small ones only then.
        let _ = memory.advise(pages);
        Self { memory, traffic }
    }

    /// Nanoseconds a record of visits and of clients at random, the first time; sources that are known, and
    /// those that have a record.
    fn measure(&mut self, count: usize) -> ([f64; 2], u64, u64) {
        let records = Limits::of(self.memory.len()).sources;
        let mut engine = engine(&mut self.memory, ALL);
        let traffic = &mut self.traffic;
        let everybody = traffic.clients as usize;
        traffic.feed(&mut engine, everybody, Traffic::each);
        let visits = traffic.feed(&mut engine, count, Traffic::visit);
        let random = traffic.feed(&mut engine, count, Traffic::anybody);
        let (live, evicted) = engine.sources();
        let known = live + engine.singles();
        drop(engine);
        eprintln!(
            "{known} live sources, {live} of them with one of {records} records in {} MiB: {visits:.0} ns a \
             record of visits, {random:.0} of clients at random; {evicted} evicted; the tables hash to {:016x}",
            self.memory.len() >> 20,
            SEED.table(&self.memory),
        );
        ([visits, random], known, live)
    }

    /// Nanoseconds a record, with these detectors, of what has this role; the first records find nothing remembered
    /// of paths.
    fn feed(&mut self, detectors: u8, role: Role, who: fn(&Traffic, u64) -> u64) -> f64 {
        let mut engine = engine(&mut self.memory, detectors);
        self.traffic.role = role;
        self.traffic.feed(&mut engine, RECORDS / 4, who);
        self.traffic.feed(&mut engine, RECORDS, who)
    }
}

/// Measures several times, prints the best of each, and returns how many sources are known and have a record. What
/// parts cost is what a record costs less without them.
fn row((sources, megabytes): (u64, usize)) -> (u64, u64) {
    let mut table = Table::new(sources, megabytes, Advice::NoHugePage);
    let mut huge = Table::new(sources, megabytes, Advice::HugePage);
    let ([mut visits, mut random], known, live) = table.measure(RECORDS);
    let [mut huge_visits, mut huge_random] = huge.measure(RECORDS).0;
    let (mut blind, mut ignored, mut read) = (f64::MAX, f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        visits = visits.min(table.feed(ALL, Role::Auto, Traffic::visit));
        huge_visits = huge_visits.min(huge.feed(ALL, Role::Auto, Traffic::visit));
        random = random.min(table.feed(ALL, Role::Auto, Traffic::anybody));
        huge_random = huge_random.min(huge.feed(ALL, Role::Auto, Traffic::anybody));
        blind = blind.min(table.feed(0, Role::Auto, Traffic::visit));
        ignored = ignored.min(table.feed(ALL, Role::Ignore, Traffic::visit));
        read = read.min(table.traffic.read_only(RECORDS));
    }
    println!(
        "| {known} | {live} | {visits:.0} | {huge_visits:.0} | {random:.0} | {huge_random:.0} | {read:.0} | {:.0} | \
         {:.0} | {:.0} |",
        ignored - read,
        blind - ignored,
        visits - blind,
    );
    (known, live)
}

fn engine(bytes: &mut [u8], detectors: u8) -> Engine<'_> {
    let config = Config { detectors, ..Config::new(SEED).with_application(b"shop") };
    Engine::attach(bytes, config).unwrap().0
}

/// Instructions a record, by callgrind: they do not depend on what else the machine does.
fn instructions() -> String {
    const SOURCES: u64 = 200_000;
    const COUNT: usize = 300_000;
    let ran = std::process::Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=turn::judge*"])
        .arg("--callgrind-out-file=/dev/null")
        .arg(std::env::current_exe().unwrap())
        .args(["--", &SOURCES.to_string(), &COUNT.to_string()])
        .output();
    let Ok(ran) = ran else { return "not counted, valgrind is not installed".to_owned() };
    let said = String::from_utf8_lossy(&ran.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let collected: f64 = collected.unwrap().1.trim().parse().unwrap();
    let everybody = (SOURCES as f64 / SOURCES_A_CLIENT) as usize;
    let records = [everybody, COUNT, COUNT].map(|count| count.div_ceil(BATCH) * BATCH);
    format!("{:.0}", collected / records.iter().sum::<usize>() as f64)
}

/// Requests for a shop: pages, what they pull in, an interface, searches, logins, links that are gone.
struct Traffic {
    clients: u64,
    now_ms: u64,
    n: u64,
    kinds: Vec<Vec<(String, String)>>,
    agents: Vec<String>,
    role: Role,
}

impl Traffic {
    fn new(clients: u64) -> Self {
        let of = |count: u64, name: fn(u64) -> (String, String)| (0..count).map(name).collect();
        let kinds = vec![
            of(2000, |n| (format!("/products/{n}.html"), String::new())),
            of(600, |n| (format!("/static/img/{:x}.png", combine(n, 3)), "v=12".to_owned())),
            of(20_000, |n| (format!("/api/v1/items/{n}"), String::new())),
            of(500, |n| ("/search".to_owned(), format!("q=lamp+{n}&page={}", n % 7))),
            of(60, |n| (format!("/help/how-to-{n}-a-thing/"), String::new())),
            of(1, |_| ("/account/login".to_owned(), String::new())),
            of(4000, |n| (format!("/old/{n}/page-{}.php", n % 40), String::new())),
        ];
        let agents = (0..300).map(|n| {
            let (major, build) = (100 + n % 40, combine(n, 9) % 10_000);
            format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/{major}.0.{build}.0 Safari/537.36"
            )
        });
        Self { clients, now_ms: 1_000_000, n: 0, kinds, agents: agents.collect(), role: Role::Auto }
    }

    /// Each client once.
    fn each(&self, _: u64) -> u64 {
        self.n % self.clients
    }

    /// Any client.
    fn anybody(&self, random: u64) -> u64 {
        random % self.clients
    }

    /// One of those who click at the time.
    fn visit(&self, random: u64) -> u64 {
        let seat = random % AT_ONCE;
        let since = (self.n + seat * VISIT) / (AT_ONCE * VISIT);
        combine(seat, since) % self.clients
    }

    fn record(&mut self, who: fn(&Self, u64) -> u64) -> RequestRecord<'_> {
        self.n += 1;
        self.now_ms += u64::from(self.n % 8 == 0);
        let random = combine(self.n, 5);
        let client = who(self, random >> 8);
        let kind = [0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 4, 5, 6][(random >> 40) as usize % 16];
        let paths = &self.kinds[kind];
        // The square of a uniform number: some are popular.
        let popular = (random >> 44) as f64 / (1u64 << 20) as f64;
        let (path, query) = &paths[(popular * popular * paths.len() as f64) as usize];
        let method = if kind == 5 { Method::Post } else { Method::Get };
        let status = match (kind, random & 7) {
            (5, 0) => 401,
            (5, _) => 302,
            (6, _) => 404,
            (1, 0..3) => 304,
            _ => 200,
        };
        let page = matches!(kind, 0 | 3 | 4);
        let agent = self.agents[client as usize % self.agents.len()].as_bytes();
        let head = RecordHead {
            time_ms: self.now_ms,
            application: SEED.table(b"shop"),
            address: (0x2001_0db8_u128 << 96 | u128::from(client) << 64 | 1).to_be_bytes(),
            fingerprint: SEED.table(agent),
            session: if client % 2 == 0 { combine(client, 77) } else { 0 },
            credential: if kind == 5 { combine(client, 78) } else { 0 },
            path_hash: SEED.table(path.as_bytes()),
            upstream_ms: if kind == 1 { NO_UPSTREAM } else { 12 },
            flags: if page { flags::HTML } else { flags::JSON },
            status,
            method: method as u8,
            protocol: 20,
            role: self.role as u8,
            ..RecordHead::default()
        };
        let (path, query) = (path.as_bytes(), query.as_bytes());
        RequestRecord { head, application: b"", path, query, user_agent: agent }
    }

    /// The next records, one behind the other as they lie in a lane.
    fn batch(&mut self, lane: &mut Lane, who: fn(&Self, u64) -> u64) {
        let mut words = [0; api_abuse_engine::record::RECORD_WORDS];
        lane.words.clear();
        lane.ends.clear();
        for _ in 0..BATCH {
            let length = self.record(who).encode(&mut words);
            lane.words.extend_from_slice(&words[..length]);
            lane.ends.push(lane.words.len());
        }
    }

    /// Feeds `count` records in batches; nanoseconds a record, without making them.
    fn feed(&mut self, engine: &mut Engine<'_>, count: usize, who: fn(&Self, u64) -> u64) -> f64 {
        let (mut lane, mut decisions, mut spent) = (Lane::default(), Vec::new(), Duration::ZERO);
        for _ in 0..count.div_ceil(BATCH) {
            self.batch(&mut lane, who);
            let begin = spent_by_this_thread();
            judge(engine, &lane, self.now_ms, &mut decisions);
            spent += spent_by_this_thread().saturating_sub(begin);
        }
        spent.as_nanos() as f64 / (count.div_ceil(BATCH) * BATCH) as f64
    }

    /// Nanoseconds to read a record out of its lane, and nothing more.
    fn read_only(&mut self, count: usize) -> f64 {
        let (mut lane, mut spent) = (Lane::default(), Duration::ZERO);
        for _ in 0..count.div_ceil(BATCH) {
            self.batch(&mut lane, Self::visit);
            let begin = spent_by_this_thread();
            for record in lane.records() {
                std::hint::black_box(record);
            }
            spent += spent_by_this_thread().saturating_sub(begin);
        }
        spent.as_nanos() as f64 / (count.div_ceil(BATCH) * BATCH) as f64
    }
}

/// Encoded records.
#[derive(Default)]
struct Lane {
    words: Vec<u64>,
    ends: Vec<usize>,
}

impl Lane {
    fn records(&self) -> impl Iterator<Item = RequestRecord<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        ranges.filter_map(|(start, &end)| RequestRecord::decode(&self.words[start..end]))
    }
}

/// What is measured, in a function of its own so that callgrind can tell it from the rest.
#[inline(never)]
fn judge(engine: &mut Engine<'_>, lane: &Lane, now_ms: u64, decisions: &mut Vec<Decision>) {
    engine.turn(lane.records(), now_ms, decisions);
}

/// Processor time of this thread, from Linux: a machine that does other things as well shows in no number.
fn spent_by_this_thread() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
