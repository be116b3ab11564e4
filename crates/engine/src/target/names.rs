//! Names that are made by a rule: nobody looks them up in a list of what there may be.

use crate::hash::{Seed, combine};
use crate::path::Path;
use crate::record::PATH_MAX;
use crate::token::Token;

use super::{Names, Step, Target};

impl Target {
    /// Whether it is a name below an identifier: `/users/4/orders`.
    pub fn is_part(&self) -> bool {
        match &self.steps[..usize::from(self.depth)] {
            [.., above, last] => {
                let identifies =
                    matches!(above.class, Token::Int | Token::Uuid | Token::Hex | Token::Opaque);
                identifies && last.class == Token::Literal
            }
            _ => false,
        }
    }

    /// What it shares with those that differ by a value above its last name alone (`/items/{int}/badges`);
    /// `None` where it has no such value.
    pub fn shape(&self, seed: Seed) -> Option<u64> {
        let (steps, names) = self.taken();
        let (last, above) = steps.split_last()?;
        let valued = above.iter().any(|step| step.class != Token::Literal);
        (valued && last.class == Token::Literal).then(|| {
            let shape = |hash, (step, names): (&Step, &Names)| {
                combine(combine(hash, step.class as u64), names.name)
            };
            steps.iter().zip(names).fold(seed.table(b"shape"), shape)
        })
    }

    /// The last two names of a path below another: what lies in many places alike.
    pub fn tail(&self) -> Option<u64> {
        const TAIL: u64 = 0x7461_696c;
        match self.taken() {
            ([_, .., above, last], [.., over, name])
                if above.class == Token::Literal && last.class == Token::Literal =>
            {
                Some(combine(combine(over.name, name.name), TAIL))
            }
            _ => None,
        }
    }

    fn taken(&self) -> (&[Step], &[Names]) {
        let depth = usize::from(self.depth);
        (&self.steps[..depth], &self.names[..depth])
    }
}

/// Digits of the shortest digest that content is named by.
const DIGEST: usize = 40;
/// Digits of a directory that keeps all whose digests begin so: `ab/cdef…`.
const FAN: usize = 4;

/// Whether a path ends with a digest, as caches, registries and repositories name their content: `sha256:…`,
/// or the first digits of it as directories.
pub(super) fn is_digest(path: &Path) -> bool {
    let mut segments = path.as_bytes().rsplit(|&byte| byte == b'/');
    let last = segments.next().unwrap_or_default();
    let last = last.rsplit(|&byte| byte == b':').next().unwrap_or_default();
    if last.len() < DIGEST - 2 * FAN || !is_hex(last) {
        return false;
    }
    let above = segments.take(2).take_while(|it| it.len() <= FAN && is_hex(it));
    last.len() + above.map(<[u8]>::len).sum::<usize>() >= DIGEST
}

fn is_hex(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a file is named by the directory it lies in, or the one above that, and a version:
/// `/lib/4.1/lib-4.1.pom`, `/lib/-/lib-4.1.tgz`, `/l/lib/lib_4.1_all.deb`. Who asks for it knows what it is.
pub(super) fn is_release(path: &Path) -> bool {
    let mut segments = path.as_bytes().rsplit(|&byte| byte == b'/');
    let name = segments.next().unwrap_or_default();
    let version = |rest: &[u8]| match rest {
        [b'-' | b'_', rest @ ..] => {
            let dotted = |pair: &[u8]| pair[0].is_ascii_digit() && pair[1] == b'.';
            rest.first().is_some_and(u8::is_ascii_digit) && rest.windows(2).any(dotted)
        }
        _ => false,
    };
    segments.take(2).any(|it| it.len() > 2 && name.strip_prefix(it).is_some_and(version))
}

/// Hash of a name in whatever case: where case matters, hardly two differ by nothing else.
pub(super) fn hash(name: &[u8], seed: Seed) -> u64 {
    if !name.iter().any(u8::is_ascii_uppercase) {
        return seed.table(name);
    }
    let (mut lower, len) = ([0; PATH_MAX], name.len().min(PATH_MAX));
    lower[..len].copy_from_slice(&name[..len]);
    lower[..len].make_ascii_lowercase();
    seed.table(&lower[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_made_by_a_rule() {
        let digest = "0123456789abcdef0123456789abcdef01234567";
        let (head, tail) = digest.split_at(2);
        for (path, expected) in [
            (format!("/cas/{digest}"), true),
            (format!("/v2/app/blobs/sha256:{digest}"), true),
            (format!("/app.git/objects/{head}/{tail}"), true),
            (format!("/backup/{digest}.sql"), false),
            (format!("/{head}/x{tail}"), false),
            (format!("/{tail}"), false),
        ] {
            assert_eq!(is_digest(&Path::new(path.as_bytes())), expected, "{path}");
        }
        for (path, expected) in [
            ("/maven/org/acme/lib/4.1/lib-4.1.pom", true),
            ("/npm/lib/-/lib-4.1.0.tgz", true),
            ("/pool/main/l/lib/lib_4.1-2_all.deb", true),
            ("/lib/lib.pom", false),
            ("/phpMyAdmin-2.11.4/index.php", false),
            ("/backup/site-1.2.zip", false),
            ("/a/a-1.2.zip", false),
        ] {
            assert_eq!(is_release(&Path::new(path.as_bytes())), expected, "{path}");
        }
    }
}
