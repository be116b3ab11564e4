//! Which files an `include` names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files that `pattern` names below `directory`, where the configuration is, as NGINX finds them: a
/// relative name begins there, `*` and `?` stand for letters of the last part of the name, and what they
/// match is taken in the order of names.
pub(super) fn files(directory: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let path = directory.join(pattern);
    let is_wild = |text: &str| text.contains(['*', '?', '[']);
    if !is_wild(pattern) {
        return Ok(vec![path]);
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let parent = parent.unwrap_or(Path::new("."));
    if is_wild(&parent.to_string_lossy()) || name.contains('[') {
        return Err(io::Error::other("only * and ? are followed, and in the name of a file alone"));
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let known = entry.file_name();
        let known = known.as_encoded_bytes();
        // As a shell does, a dot in front is only met by a dot.
        let hidden = known.starts_with(b".") && !name.starts_with('.');
        if !hidden && matches(name.as_bytes(), known) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a name is one of a pattern. Where a `*` was taken for too little, it is taken for one letter more.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    let mut star = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((of_star, taken)) = star else { return false };
                star = Some((of_star, taken + 1));
                (at, in_name) = (of_star + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        let cases = [
            ("*", "", true),
            ("*", "shop", true),
            ("*.conf", "shop.conf", true),
            ("*.conf", ".conf", true),
            ("*.conf", "shop.conf.bak", false),
            ("*.conf", "shop.conf.conf", true),
            ("s?op", "shop", true),
            ("s?op", "sop", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("shop", "shop", true),
            ("shop", "shops", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_not_wild_need_not_be_there() {
        let directory = Path::new("/nonexistent");
        assert_eq!(files(directory, "a/b.conf").unwrap(), [directory.join("a/b.conf")]);
        assert_eq!(files(directory, "/etc/x").unwrap(), [Path::new("/etc/x")]);
        assert!(files(directory, "*.conf").is_err());
        assert_eq!(files(Path::new(""), "Cargo.*ml").unwrap(), [Path::new("./Cargo.toml")]);
        for pattern in ["*/a.conf", "*/*.conf", "[ab].conf"] {
            assert!(files(directory, pattern).is_err(), "{pattern}");
        }
    }
}
