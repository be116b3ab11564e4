//! Any line against any format: what is found lies in the line, and what it means is never out of range.
#![no_main]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of the command line, of which a part is used"
)]

#[path = "../../crates/cli/src"]
mod cli {
    pub(crate) mod access_log;
}

use api_abuse_engine::hash::Seed;
use cli::access_log::{self, Field, Format, number, text, time, time_of};
use libfuzzer_sys::fuzz_target;

// The first byte chooses the format: a known one, or the first line of what follows.
fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let split = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (first, line) = match choice % 4 {
        3 => (&rest[..split], rest.get(split + 1..).unwrap_or_default()),
        _ => (&b""[..], rest),
    };
    let named = ["combined", "common", "json"];
    let own = String::from_utf8_lossy(first).into_owned();
    let format = named.get(usize::from(choice % 4)).copied().unwrap_or(&own);
    let Ok(format) = Format::compile(format) else { return };
    let found = match format.parse(line) {
        Ok(found) => found,
        Err(expected) => {
            assert!(expected.at <= line.len(), "{expected:?}");
            return;
        }
    };
    let within = line.as_ptr_range();
    let mut scratch = Vec::new();
    for field in [Field::Address, Field::Request, Field::UserAgent, Field::Status, Field::Msec] {
        let Some(value) = found.get(field) else { continue };
        assert!(within.start <= value.as_ptr() && value.as_ptr_range().end <= within.end);
        assert!(text::unescape(value, &mut scratch).len() <= value.len());
        let _ = number::whole(value);
        let _ = access_log::address::parse(value, Seed([1, 2]));
        assert!(!text::printable(value, 40).contains(char::is_control));
    }
    if let Some(ms) = time_of(&found) {
        assert_eq!(
            time::parse(time::rfc3339(ms).as_bytes()).map(|again| again / 1000),
            Some(ms / 1000)
        );
    }
});
