//! Any body, in any pieces: what is found does not depend on the pieces.
#![no_main]

use api_abuse_engine::hash::Seed;
use api_abuse_engine::identity::{Fields, Reader};
use libfuzzer_sys::fuzz_target;

const KINDS: [&[u8]; 5] = [
    b"application/x-www-form-urlencoded",
    b"application/json",
    b"multipart/form-data; boundary=b",
    b"",
    b"multipart/form-data; boundary=\"a b\"; charset=x",
];

// The first byte is the content type, the second and third how long pieces are.
fuzz_target!(|data: &[u8]| {
    let Some((&[kind, one, other], body)) = data.split_first_chunk() else { return };
    let mut fields = Fields::default();
    for name in [&b"user"[..], b"e"] {
        fields.add(name).expect("two fields");
    }
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    let mut whole = Reader::new(kind, Seed([3, 5]));
    whole.feed(&fields, body);
    let mut pieces = Reader::new(kind, Seed([3, 5]));
    let (mut rest, mut long) = (body, false);
    while !rest.is_empty() {
        let length = usize::from(if long { one } else { other }).clamp(1, rest.len());
        pieces.feed(&fields, &rest[..length]);
        (rest, long) = (&rest[length..], !long);
    }
    assert_eq!(whole.finish(), pieces.finish());
});
