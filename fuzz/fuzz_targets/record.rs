//! Any words in a lane: what is decoded has its texts within the message, is encoded again to what is
//! decoded to the same, and is judged without harm.
#![no_main]

use api_abuse_engine::hash::Seed;
use api_abuse_engine::record::RECORD_WORDS;
use api_abuse_engine::{Config, Engine, RequestRecord};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let words: Vec<u64> = data
        .chunks(8)
        .map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
        .collect();
    let Some(record) = RequestRecord::decode(&words) else { return };
    let mut encoded = [0; RECORD_WORDS];
    let length = record.encode(&mut encoded);
    let again = RequestRecord::decode(&encoded[..length]).expect("what was encoded is a record");
    assert!(record.path.starts_with(again.path) && record.user_agent.starts_with(again.user_agent));
    assert_eq!(record.head.address, again.head.address);
    // Judging takes tables that are cleared each time: one input in eight is enough.
    if data.len() % 8 != 0 {
        return;
    }
    let mut memory = vec![0_u64; Engine::MIN_BYTES / 8 + 8];
    let bytes = zerocopy::IntoBytes::as_mut_bytes(memory.as_mut_slice());
    let start = bytes.as_ptr().align_offset(64);
    let config = Config::new(Seed([7, 9])).with_application(b"shop");
    let (mut engine, _) =
        Engine::attach(&mut bytes[start..start + Engine::MIN_BYTES], config).expect("enough");
    let mut decisions = Vec::new();
    engine.turn([record, again, record], record.head.time_ms, &mut decisions);
    assert!(decisions.is_empty(), "no three requests convict: {decisions:?}");
});
