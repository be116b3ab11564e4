//! Nanoseconds a record, for tables of different sizes and numbers of live sources.
//!
//! Run with `cargo bench -p api-abuse-engine`. No assertion: a number is not a test.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails loudly")]

use std::time::Instant;

use api_abuse_engine::hash::{Seed, combine};
use api_abuse_engine::record::{Method, NO_UPSTREAM, RecordHead, flags};
use api_abuse_engine::sources::SOURCE_BYTES;
use api_abuse_engine::tables::Limits;
use api_abuse_engine::{Config, Engine, RequestRecord};

const SEED: Seed = Seed([11, 22]);
const AGENT: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// Records of one measurement.
const RECORDS: u64 = 1_000_000;

fn main() {
    println!("{SOURCE_BYTES} bytes a source");
    for (clients, megabytes) in [(10_000, 64), (100_000, 256), (500_000, 800)] {
        let mut memory = vec![0u64; (megabytes << 20) / 8 + 8];
        let bytes = zerocopy::IntoBytes::as_mut_bytes(memory.as_mut_slice());
        let start = bytes.as_ptr().align_offset(64);
        let bytes = &mut bytes[start..start + (megabytes << 20)];
        let limits = Limits::of(bytes.len());
        let (mut engine, _) =
            Engine::attach(bytes, Config::new(SEED).with_application(b"shop")).unwrap();
        measure(&mut engine, clients, 0);
        let ns = measure(&mut engine, clients, RECORDS);
        let (live, evicted) = engine.sources();
        println!(
            "{live:>9} live sources of {} in {megabytes} MB: {ns:.0} ns a record, {evicted} evicted",
            limits.sources
        );
    }
}

/// Feeds records of `clients` people at random, and returns nanoseconds a record.
fn measure(engine: &mut Engine<'_>, clients: u64, from: u64) -> f64 {
    let mut decisions = Vec::new();
    let paths: Vec<String> = (0..2000).map(path).collect();
    let begin = Instant::now();
    for n in from..from + RECORDS {
        let random = combine(n, 5);
        let client = random % clients;
        let path = paths[(random >> 32) as usize % paths.len()].as_bytes();
        let now_ms = 1_000_000 + n;
        let head = RecordHead {
            time_ms: now_ms,
            application: SEED.table(b"shop"),
            address: (0x2001_0db8_u128 << 96 | u128::from(client) << 64 | 1).to_be_bytes(),
            fingerprint: combine(client % 300, 1),
            path_hash: SEED.table(path),
            upstream_ms: NO_UPSTREAM,
            flags: flags::HTML,
            status: 200,
            method: Method::Get as u8,
            protocol: 20,
            ..RecordHead::default()
        };
        let record = RequestRecord { head, application: b"", path, query: b"", user_agent: AGENT };
        engine.turn([record], now_ms, &mut decisions);
    }
    begin.elapsed().as_nanos() as f64 / RECORDS as f64
}

/// Pages, objects and assets of a shop.
fn path(n: u64) -> String {
    match n % 4 {
        0 => format!("/products/{n}.html"),
        1 => format!("/api/items/{n}"),
        2 => format!("/static/img/{n}.png"),
        _ => format!("/account/page-{}", n % 40),
    }
}
