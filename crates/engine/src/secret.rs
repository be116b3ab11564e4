//! Credentials in a query are none of the detectors' business, and must not lie in shared memory, in
//! the state or on the page that explains a conviction.
//!
//! The value of a parameter whose name says that it is secret is written over, unless it holds what
//! attacks are made of and credentials are not: then the attack is what matters. Lengths stay.

/// Ends of names of parameters whose values are secret: `access_token`, `user[password]`.
const NAMES: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "token",
    "secret",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "session",
    "sessionid",
    "session_id",
    "jwt",
    "authorization",
];

/// Bytes of attacks, as they are and after decoding.
const PAYLOAD: &[u8] = b"'\"<>;(){}$|\\`\0\r\n";

/// What is written over a secret.
const MASK: u8 = b'x';

/// Writes over the secret values of a query.
pub(crate) fn mask_query(query: &mut [u8]) {
    for parameter in query.split_mut(|byte| *byte == b'&') {
        let Some(equals) = parameter.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = parameter.split_at_mut(equals);
        if is_secret(name) && !is_payload(&value[1..]) {
            value[1..].fill(MASK);
        }
    }
}

/// Writes over every occurrence of `secret` in `text`; whether there was one. Too short a secret is
/// none: it would be found everywhere.
pub fn mask(text: &mut [u8], secret: &[u8]) -> bool {
    const LEAST: usize = 4;
    let mut found = false;
    let mut rest = text;
    while secret.len() >= LEAST {
        let Some(at) = rest.windows(secret.len()).position(|window| window == secret) else {
            break;
        };
        rest[at..at + secret.len()].fill(MASK);
        rest = &mut rest[at + secret.len()..];
        found = true;
    }
    found
}

fn is_secret(name: &[u8]) -> bool {
    let name = name.strip_suffix(b"]").unwrap_or(name);
    NAMES.iter().any(|end| {
        name.len()
            .checked_sub(end.len())
            .is_some_and(|at| name[at..].eq_ignore_ascii_case(end.as_bytes()))
    })
}

fn is_payload(value: &[u8]) -> bool {
    let hex = |byte: u8| (byte as char).to_digit(16);
    let mut dots = 0;
    let mut bytes = value.iter().copied();
    while let Some(mut byte) = bytes.next() {
        if byte == b'%' {
            let mut ahead = bytes.clone();
            if let (Some(high), Some(low)) =
                (ahead.next().and_then(hex), ahead.next().and_then(hex))
            {
                byte = (high * 16 + low) as u8;
                bytes = ahead;
            }
        }
        dots = if byte == b'.' { dots + 1 } else { 0 };
        if dots == 2 || PAYLOAD.contains(&byte) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_written_over_and_attacks_are_not() {
        let cases = [
            ("", ""),
            ("page=2&q=token", "page=2&q=token"),
            ("token=abc&page=2", "token=xxx&page=2"),
            ("a=1&Access_Token=a.b-c%2F%3D", "a=1&Access_Token=xxxxxxxxxxx"),
            ("user[password]=hunter2&user[name]=me", "user[password]=xxxxxxx&user[name]=me"),
            ("password=a=b", "password=xxx"),
            ("password", "password"),
            ("token=", "token="),
            ("token=%", "token=x"),
            ("password='+or+1=1--", "password='+or+1=1--"),
            ("password=1%27%20or%201", "password=1%27%20or%201"),
            ("token=../../etc/passwd", "token=../../etc/passwd"),
            ("token=%2e%2e%2fetc", "token=%2e%2e%2fetc"),
            ("token=%3Cscript%3e", "token=%3Cscript%3e"),
        ];
        for (query, expected) in cases {
            let mut bytes = query.as_bytes().to_vec();
            mask_query(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        }
    }

    #[test]
    fn a_known_secret_is_written_over_wherever_it_is() {
        let cases = [
            ("/a;s=abcd/abcd?t=abcd", "abcd", "/a;s=xxxx/xxxx?t=xxxx", true),
            ("/abc", "abcd", "/abc", false),
            ("/a/b", "a", "/a/b", false),
            ("", "abcd", "", false),
        ];
        for (text, secret, expected, found) in cases {
            let mut bytes = text.as_bytes().to_vec();
            assert_eq!(mask(&mut bytes, secret.as_bytes()), found, "{text}");
            assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        }
    }
}
