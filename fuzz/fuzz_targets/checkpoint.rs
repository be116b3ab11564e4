//! Any bytes as a checkpoint, with a checksum that fits: refused or loaded, and then the engine works.
#![no_main]

use api_abuse_engine::hash::Seed;
use api_abuse_engine::record::RecordHead;
use api_abuse_engine::{Config, Engine, RequestRecord, checkpoint};
use libfuzzer_sys::{Corpus, fuzz_target};

const SEED: Seed = Seed([3, 5]);
const NOW_MS: u64 = 1_000_000_000;

fn with<R>(memory: &mut Vec<u64>, what: impl FnOnce(&mut Engine<'_>) -> R) -> R {
    memory.clear();
    memory.resize(Engine::MIN_BYTES / 8 + 8, 0);
    let bytes = zerocopy::IntoBytes::as_mut_bytes(memory.as_mut_slice());
    let start = bytes.as_ptr().align_offset(64);
    let config = Config::new(SEED).with_application(b"shop");
    let memory = &mut bytes[start..start + Engine::MIN_BYTES];
    what(&mut Engine::attach(memory, config).expect("enough").0)
}

/// A source that goes on, whatever is known of it.
fn request(engine: &mut Engine<'_>, n: u64) {
    let path = format!("/items/{n}");
    let head = RecordHead {
        time_ms: NOW_MS + n * 100,
        application: SEED.table(b"shop"),
        address: std::net::Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets(),
        fingerprint: 7,
        path_hash: SEED.table(path.as_bytes()),
        status: if n % 3 == 0 { 404 } else { 200 },
        method: 1,
        ..RecordHead::default()
    };
    let record = RequestRecord {
        head,
        application: b"",
        path: path.as_bytes(),
        query: b"",
        user_agent: b"x",
    };
    engine.turn([record], head.time_ms, &mut Vec::new());
}

fn saved(engine: &Engine<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    engine.save(NOW_MS, NOW_MS, &mut |piece| bytes.extend_from_slice(piece));
    bytes
}

// Bytes are taken as changes to a real checkpoint: (place, place, value) each. As they come, hardly any
// would get beyond the first look.
fuzz_target!(|data: &[u8]| -> Corpus {
    let mut memory = Vec::new();
    let mut bytes = with(&mut memory, |engine| {
        (0..30).for_each(|n| request(engine, n));
        saved(engine)
    });
    let length = bytes.len();
    for change in data.chunks_exact(4) {
        let place =
            usize::from(change[0]) << 16 | usize::from(change[1]) << 8 | usize::from(change[2]);
        bytes[place % length] = change[3];
    }
    match data.len() % 4 {
        1 => bytes.truncate(usize::from(data[data.len() - 1]) * length / 256),
        2 => drop(checkpoint::inspect(data)),
        _ => {}
    }
    if bytes.len() >= 64 {
        checkpoint::testing::seal(&mut bytes);
    }
    with(&mut memory, |engine| {
        let loaded = engine.load(&bytes, NOW_MS, NOW_MS);
        (0..30).for_each(|n| request(engine, n));
        let (live, _) = engine.sources();
        assert!(live < (Engine::MIN_BYTES / 64) as u64, "{live} sources");
        let again = saved(engine);
        let keep = loaded.is_ok();
        with(&mut Vec::new(), |engine| {
            engine.load(&again, NOW_MS, NOW_MS).expect("what an engine saves, an engine loads");
        });
        if keep { Corpus::Keep } else { Corpus::Reject }
    })
});
