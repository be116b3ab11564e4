use super::*;
use crate::hash::combine;

const SEED: Seed = Seed([3, 5]);
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json; charset=utf-8";
const MULTIPART: &str = "multipart/form-data; boundary=\"--x y\"";

fn fields(names: &[&str]) -> Fields {
    let mut fields = Fields::default();
    for name in names {
        assert!(fields.add(name.as_bytes()).is_some(), "{name}");
    }
    fields
}

fn read<'b>(content_type: &str, pieces: impl IntoIterator<Item = &'b [u8]>) -> [u64; FIELDS_MAX] {
    let fields = fields(&["user", "e-mail"]);
    let mut reader = Reader::new(content_type.as_bytes(), SEED);
    pieces.into_iter().for_each(|piece| reader.feed(&fields, piece));
    reader.finish()
}

fn hash(account: &str) -> u64 {
    if account.is_empty() { 0 } else { SEED.secret(account.as_bytes()) }
}

/// Parts of a multipart body.
fn parts(parts: &[(&str, &str)]) -> String {
    let parts =
        parts.iter().map(|(headers, body)| format!("----x y\r\n{headers}\r\n\r\n{body}\r\n"));
    parts.collect::<String>() + "----x y--\r\nepilogue; name=\"user\""
}

/// Content type, body, and the account in the field `user`; empty: none.
fn bodies() -> Vec<(&'static str, String, &'static str)> {
    let nested = |open: &str, n: usize| open.repeat(n);
    let field = "Content-Disposition: form-data; name=\"user\"";
    vec![
        (FORM, "user=anna&password=x".into(), "anna"),
        (FORM, "password=user&user=anna".into(), "anna"),
        (FORM, "x&&=&=y&user=anna&".into(), "anna"),
        (FORM, "user=%41nn%61%40Example.com".into(), "anna@example.com"),
        (FORM, "%75se%72=+anna++maria+&z".into(), "anna maria"),
        (FORM, "user=100%&b=%4".into(), "100%"),
        (FORM, "user=%4g%%61".into(), "%4g%a"),
        (FORM, "user=a=b".into(), "a=b"),
        (FORM, "user=&users=x&use=y&USER=z&user".into(), ""),
        (FORM, "user=J%C3%B6rg".into(), "jörg"),
        ("", "user=anna".into(), "anna"),
        ("text/plain", " \n{\"user\":\"anna\"}".into(), "anna"),
        (JSON, r#"{"user":"anna","password":"x"}"#.into(), "anna"),
        (JSON, r#" { "p" : [1,{"user":"no"}] , "user" : " Anna " } "#.into(), "anna"),
        (JSON, r#"{"us\u0065r":"\u0061nn\u0061"}"#.into(), "anna"),
        (JSON, r#"{"user":"a\"b\\c\/d\n"}"#.into(), "a\"b\\c/d"),
        (JSON, r#"{"user":"\ud83d\ude00 \u00f6\ud83dx\ud83d"}"#.into(), "😀 ö\u{fffd}x\u{fffd}"),
        (JSON, r#"{"user":"\u00g1"}"#.into(), "\u{fffd}g1"),
        (JSON, "\u{feff}{\"user\":42}".into(), "42"),
        (JSON, r#"{"user":-1.5e3 ,"x":null}"#.into(), "-1.5e3"),
        (JSON, r#"{"user":null,"e-mail":true}"#.into(), ""),
        (JSON, r#"{"user":{"user":"no"},"x":{"user":"no"}}"#.into(), ""),
        (JSON, r#"{"user":["no"],"x":"}","y":{"a":"]\"}"}}"#.into(), ""),
        (JSON, r#"[{"user":"no"}]"#.into(), ""),
        (JSON, r#""user""#.into(), ""),
        (JSON, r#"{"user":"cut off"#.into(), ""),
        (JSON, r#"{"user" "anna"}"#.into(), ""),
        (
            JSON,
            format!(r#"{{"x":{}{},"user":"anna"}}"#, nested("[", 9000), nested("]", 9000)),
            "anna",
        ),
        (JSON, format!("{{\"x\":{}", nested("{\"user\":", 3000)), ""),
        ("application/vnd.api+json", r#"{"user":"anna"}"#.into(), "anna"),
        (MULTIPART, parts(&[(field, "Anna")]), "anna"),
        (
            MULTIPART,
            parts(&[("X: y\r\ncontent-disposition:form-data;name=user", "a\r\n--\r\n----x")]),
            "a -- ----x",
        ),
        (
            MULTIPART,
            parts(&[(&format!("{field}; filename=\"user\""), "no"), (field, "anna")]),
            "anna",
        ),
        (MULTIPART, parts(&[(&format!("X-Long: {}", "x".repeat(400)), "no"), (field, "")]), ""),
        (MULTIPART, format!("preamble user=x\r\n{}", parts(&[(field, "\r\r\nanna")])), "anna"),
        ("multipart/form-data", parts(&[(field, "no")]), ""),
        ("multipart/form-data; boundary=", "----\r\n".into(), ""),
    ]
}

#[test]
fn accounts_are_found_where_they_are() {
    for (content_type, body, account) in bodies() {
        let found = read(content_type, [body.as_bytes()]);
        let shown: String = body.chars().take(100).collect();
        assert_eq!(found[0], hash(account), "{content_type} {shown}");
        assert_eq!(found[1..], [0; FIELDS_MAX - 1]);
    }
    assert_eq!(account(SEED, b"  Anna@Example.com\n"), hash("anna@example.com"));
    assert_eq!(account(SEED, b" \t"), 0);
}

#[test]
fn it_does_not_matter_how_a_body_is_cut_into_pieces() {
    let mut random = 1;
    let mut cuts = 0;
    let mut next = |below: usize| {
        cuts += 1;
        random = combine(random, cuts);
        (random >> 20) as usize % below
    };
    let garbage = (0..60).map(|n| {
        // Of the bytes that mean something.
        let length = 1 + next(200);
        let alphabet = br#"user=&%41+{"\:},[]0n-u"#;
        let bytes: Vec<u8> = (0..length).map(|_| alphabet[next(alphabet.len())]).collect();
        ([FORM, JSON, MULTIPART, ""][n % 4], bytes)
    });
    let garbage: Vec<_> = garbage.collect();
    let texts =
        bodies().into_iter().map(|(content_type, body, _)| (content_type, body.into_bytes()));
    for (content_type, body) in texts.chain(garbage) {
        let whole = read(content_type, [&body[..]]);
        assert_eq!(read(content_type, body.chunks(1)), whole, "{}", body.escape_ascii());
        for _ in 0..20 {
            let pieces = 1 + next(40);
            assert_eq!(read(content_type, body.chunks(pieces)), whole, "{}", body.escape_ascii());
            let (front, back) = body.split_at(next(body.len() + 1));
            assert_eq!(read(content_type, [front, b"", back]), whole, "{}", body.escape_ascii());
        }
    }
    assert!(cuts > 3000, "{cuts}");
}

#[test]
fn whoever_hides_an_account_behind_another_is_seen() {
    let once = read(FORM, [&b"user=a"[..]])[0];
    let twice = |first: &str, second: &str| {
        let form = read(FORM, [format!("user={first}&user={second}").as_bytes()])[0];
        let json = format!(r#"{{"user":"{first}","user":"{second}"}}"#);
        assert_eq!(form, read(JSON, [json.as_bytes()])[0]);
        form
    };
    assert!(twice("a", "b") != once && twice("a", "b") != twice("a", "c"));
    let both = |body: &str| identity(read(FORM, [body.as_bytes()]));
    assert_eq!(both("user=a&e-mail="), once);
    assert!(both("user=a&e-mail=b") != once && both("user=a&e-mail=b") != both("user=a&e-mail=c"));
    assert_eq!(both("user=a&e-mail=b"), both("e-mail=b&user=a"));
    assert_eq!(both("other=a"), 0);
}

#[test]
fn only_so_many_bytes_are_looked_at() {
    let padding = |n: usize| format!("{}&user=anna", "x".repeat(n));
    let last = padding(BODY_MAX - "&user=anna".len());
    assert_eq!(last.len(), BODY_MAX);
    assert_eq!(read(FORM, [last.as_bytes()])[0], hash("anna"));
    // One more, and the value is cut off: not what was sent.
    assert_eq!(read(FORM, [last.as_bytes(), b"b"])[0], 0);
    assert_eq!(read(FORM, [padding(BODY_MAX).as_bytes()])[0], 0);
    // A gibibyte costs nothing beyond that.
    let piece = vec![b'a'; 1 << 20];
    let start: &[u8] = b"user=anna&user=";
    assert_eq!(
        read(FORM, [start].into_iter().chain((0..1024).map(|_| &piece[..])))[0],
        hash("anna")
    );
}

#[test]
fn names_are_bounded() {
    let mut fields = fields(&["user"]);
    assert_eq!(fields.add(b""), None);
    assert_eq!(fields.add(&[b'x'; NAME_MAX + 1]), None);
    assert_eq!(fields.add(&[b'x'; NAME_MAX]), Some(1));
    for place in 2..FIELDS_MAX {
        assert_eq!(fields.add(format!("f{place}").as_bytes()), Some(place));
    }
    assert_eq!(fields.add(b"one too many"), None);
    let long = format!("{}=a&{}=b", "x".repeat(NAME_MAX + 1), "x".repeat(NAME_MAX));
    let mut reader = Reader::new(FORM.as_bytes(), SEED);
    reader.feed(&fields, long.as_bytes());
    assert_eq!(reader.finish()[1], hash("b"));
    assert!(size_of::<Reader>() < 800, "{}", size_of::<Reader>());
}
