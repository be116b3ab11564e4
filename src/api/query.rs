//! The arguments of a query.

use api_abuse_engine::Threat;

use super::problem::Problem;

/// Bytes of a text that is searched for.
const SEARCH_MAX: usize = 64;
/// Entries of a page.
const LIMIT_MAX: usize = 1000;

/// The arguments that are not empty, decoded.
pub(super) struct Query(Vec<(String, String)>);

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paging {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

/// For which threat entries are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedThreat {
    Any,
    /// Operators' own entries.
    None,
    Is(Threat),
}

impl Query {
    pub(super) fn parse(raw: &[u8]) -> Self {
        let pairs = raw.split(|byte| *byte == b'&').map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            (decode(&pair[..equals]), decode(pair.get(equals + 1..).unwrap_or_default()))
        });
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The argument of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str, range: [usize; 2]) -> Result<Option<usize>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let [least, most] = range;
        let digits = text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|n| digits && (least..=most).contains(n));
        let detail = || format!("{name} is a number from {least} to {most}");
        number.map(Some).ok_or_else(|| Problem::new(400, "bad_query", detail()).of(name))
    }

    pub(super) fn paging(&self, limit: usize) -> Result<Paging, Problem> {
        Ok(Paging {
            offset: self.number("offset", [0, 999_999_999])?.unwrap_or(0),
            limit: self.number("limit", [1, LIMIT_MAX])?.unwrap_or(limit),
        })
    }

    pub(super) fn threat(&self) -> Result<WantedThreat, Problem> {
        match self.get("threat") {
            None => Ok(WantedThreat::Any),
            Some("none") => Ok(WantedThreat::None),
            Some(slug) => {
                let threat = Threat::ALL.into_iter().find(|threat| threat.slug() == slug);
                let detail = "threat is the slug of a threat, as in vulnerability_scanning";
                threat
                    .map(WantedThreat::Is)
                    .ok_or_else(|| Problem::new(400, "bad_query", detail).of("threat"))
            }
        }
    }

    /// What is searched for, in lower case.
    pub(super) fn search(&self) -> Result<Option<String>, Problem> {
        let Some(text) = self.get("q") else { return Ok(None) };
        if text.len() > SEARCH_MAX {
            let detail = format!("q has at most {SEARCH_MAX} bytes");
            return Err(Problem::new(400, "bad_query", detail).of("q"));
        }
        Ok(Some(text.to_lowercase()))
    }
}

impl WantedThreat {
    /// Whether a threat, by its discriminant, is wanted.
    pub(super) fn matches(self, threat: u8) -> bool {
        match self {
            Self::Any => true,
            Self::None => Threat::from_u8(threat).is_none(),
            Self::Is(wanted) => threat == wanted as u8,
        }
    }
}

/// Percent-decoded; what is no UTF-8 is replaced.
fn decode(raw: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let decoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = decoded.filter(|_| *first == b'%') {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
