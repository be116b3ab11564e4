//! The directives inside `api_abuse_application NAME { … }`, as NGINX splits them into words.
//!
//! Pure functions from words to a [`Policy`], in one place for everybody who reads a configuration:
//! NGINX itself through the module, and `api-abuse replay --config`. What is wrong is said in NGINX's
//! words and with a remedy; whoever reads the file adds its name and the line.
//!
//! ```
//! use api_abuse_engine::policy::text::PolicyText;
//!
//! let mut text = PolicyText::default();
//! text.directive(&[b"threat", b"scraping", b"reaction=throttle", b"ttl=30m"])?;
//! text.directive(&[b"budget", b"2.5%"])?;
//! let policy = text.policy();
//! assert_eq!(policy.budget_percent, 2.5);
//! # Ok::<(), String>(())
//! ```

use core::str::FromStr;

use super::{Policy, Reaction, Repeat, ThreatPolicy};
use crate::cidr::{Cidr, CidrError, CidrSet};
use crate::fusion::Sensitivity;
use crate::record::APPLICATION_MAX;
use crate::{Threat, policy};

/// The directives of the block, each with the fewest and the most arguments that it takes.
pub const DIRECTIVES: [(&str, usize, usize); 6] = [
    ("threat", 1, 4),
    ("learning", 1, 1),
    ("allow", 1, usize::MAX),
    ("deny", 1, usize::MAX),
    ("repeat", 1, 2),
    ("budget", 1, 1),
];

/// The longest time that a policy takes: ten years of NGINX's.
const LONGEST_MS: u64 = 10 * 365 * 24 * policy::HOUR_MS;
const SECOND_MS: u64 = 1000;

/// The parameters of one `threat` directive; what it does not say comes from `threat all`.
#[derive(Clone, Copy, Debug, Default)]
struct ThreatText {
    said: bool,
    reaction: Option<Reaction>,
    sensitivity: Option<Sensitivity>,
    ttl_ms: Option<u64>,
}

/// What the directives of one block say so far.
#[derive(Clone, Debug, Default)]
pub struct PolicyText {
    all: ThreatText,
    threats: [ThreatText; 8],
    learning_ms: Option<u64>,
    allow: CidrSet,
    deny: CidrSet,
    repeat: Option<Repeat>,
    budget_percent: Option<f32>,
}

impl PolicyText {
    /// Takes one directive: its name and its arguments, unquoted, as NGINX counts them.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write instead, without the place.
    pub fn directive(&mut self, words: &[&[u8]]) -> Result<(), String> {
        let words: Vec<&str> = words.iter().map(|word| utf8(word)).collect::<Result<_, _>>()?;
        let (name, arguments) = words.split_first().ok_or("expected a directive")?;
        let known = DIRECTIVES.iter().find(|(known, ..)| known == name);
        let (_, least, most) = known.ok_or_else(|| {
            let known: Vec<&str> = DIRECTIVES.iter().map(|(name, ..)| *name).collect();
            format!("unknown directive {name:?}, expected one of {}", known.join(", "))
        })?;
        if !(*least..=*most).contains(&arguments.len()) {
            return Err(format!("invalid number of arguments in {name:?} directive"));
        }
        match *name {
            "threat" => self.threat(arguments),
            "learning" => {
                once(name, self.learning_ms.is_none())?;
                self.learning_ms = Some(time(name, arguments[0], 0)?);
                Ok(())
            }
            "allow" => insert(&mut self.allow, name, arguments),
            "deny" => insert(&mut self.deny, name, arguments),
            "repeat" => self.repeat(arguments),
            _ => {
                once(name, self.budget_percent.is_none())?;
                self.budget_percent = Some(percent(name, arguments[0])?);
                Ok(())
            }
        }
    }

    /// `threat SLUG | all [reaction=…] [sensitivity=…] [ttl=TIME]`. What is said of a threat holds
    /// before what is said of all, in whatever order they stand.
    fn threat(&mut self, arguments: &[&str]) -> Result<(), String> {
        let (slug, parameters) = (arguments[0], &arguments[1..]);
        let text = match (slug, Threat::from_slug(slug)) {
            ("all", _) => &mut self.all,
            (_, Some(threat)) => &mut self.threats[threat as usize],
            _ => {
                let slugs = Threat::ALL.map(Threat::slug).join(", ");
                let what = format!("\"all\" or one of {slugs}");
                return Err(must_be("threat", slug, &what));
            }
        };
        if text.said {
            return Err(format!("\"threat {slug}\" directive is duplicate"));
        }
        text.said = true;
        for parameter in parameters {
            let invalid = || {
                format!(
                    "invalid parameter {parameter:?} in \"threat\" directive, it must be \
                     reaction=off|monitor|throttle|deny, sensitivity=safe|normal|paranoid or ttl=TIME"
                )
            };
            let (key, value) = parameter.split_once('=').ok_or_else(invalid)?;
            let fresh = match key {
                "reaction" => {
                    let reaction = Reaction::from_name(value).ok_or_else(invalid)?;
                    text.reaction.replace(reaction).is_none()
                }
                "sensitivity" => {
                    let sensitivity = Sensitivity::from_name(value).ok_or_else(invalid)?;
                    text.sensitivity.replace(sensitivity).is_none()
                }
                "ttl" => text.ttl_ms.replace(time("threat", value, SECOND_MS)?).is_none(),
                _ => return Err(invalid()),
            };
            if !fresh {
                return Err(format!("duplicate parameter {key:?} in \"threat\" directive"));
            }
        }
        Ok(())
    }

    /// `repeat FACTOR [max=TIME]`.
    fn repeat(&mut self, arguments: &[&str]) -> Result<(), String> {
        once("repeat", self.repeat.is_none())?;
        let factor = decimal(arguments[0]).filter(|factor| (1.0..=1000.0).contains(factor));
        let factor = factor.ok_or_else(|| {
            must_be("repeat", arguments[0], "a factor from 1 to 1000, as in \"2\"")
        })?;
        let max_ms = match arguments.get(1) {
            None => Repeat::default().max_ms,
            Some(parameter) => {
                let value = parameter.strip_prefix("max=").ok_or_else(|| {
                    format!("invalid parameter {parameter:?} in \"repeat\" directive, it must be max=TIME")
                })?;
                time("repeat", value, SECOND_MS)?
            }
        };
        self.repeat = Some(Repeat { factor, max_ms });
        Ok(())
    }

    /// The policy that was written; what was not is as [`Policy::default`] has it.
    pub fn policy(&self) -> Policy {
        let default = Policy::default();
        let threats = self.threats.map(|text| {
            let usual = ThreatPolicy::default();
            let reaction = text.reaction.or(self.all.reaction).unwrap_or(usual.reaction);
            let sensitivity = text.sensitivity.or(self.all.sensitivity);
            ThreatPolicy {
                reaction,
                sensitivity: sensitivity.unwrap_or(usual.sensitivity),
                ttl_ms: text.ttl_ms.or(self.all.ttl_ms).unwrap_or(usual.ttl_ms),
            }
        });
        Policy {
            threats,
            learning_ms: self.learning_ms.unwrap_or(default.learning_ms),
            allow: self.allow.clone(),
            deny: self.deny.clone(),
            repeat: self.repeat.unwrap_or_default(),
            budget_percent: self.budget_percent.unwrap_or(default.budget_percent),
            budget_floor: default.budget_floor,
        }
    }
}

/// Whether an application may be called so: 1 to [`APPLICATION_MAX`] letters, digits, `_`, `.`, `:`
/// and `-`.
pub fn is_application_name(name: &[u8]) -> bool {
    (1..=APPLICATION_MAX).contains(&name.len())
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(byte))
}

/// A time as NGINX writes it, in milliseconds: `30m`, `1h 30m`, `250ms`; a bare number is seconds.
/// Units go from the longest to the shortest, each at most once (`ngx_parse_time`).
pub fn parse_time(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 8] = [
        ("y", 365 * 86_400_000),
        ("M", 30 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let mut rest = text;
    let (mut total, mut next) = (0u64, 0);
    while next == 0 || !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            // Seconds, and the last of them.
            "" if tail.is_empty() => 6,
            unit => UNITS.iter().position(|(name, _)| *name == unit)?,
        };
        if unit < next {
            return None;
        }
        next = unit + 1;
        total = total.checked_add(number.checked_mul(UNITS[unit].1)?)?;
        rest = tail.trim_start_matches(' ');
    }
    Some(total)
}

fn time(name: &str, value: &str, least_ms: u64) -> Result<u64, String> {
    let time = parse_time(value).filter(|time| (least_ms..=LONGEST_MS).contains(time));
    let least = if least_ms == 0 { "0" } else { "1s" };
    let what = format!("a time from {least} to 10y, as in \"1h\" or \"1h30m\"");
    time.ok_or_else(|| must_be(name, value, &what))
}

fn percent(name: &str, value: &str) -> Result<f32, String> {
    let percent = value.strip_suffix('%').and_then(decimal);
    let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
    // A bare number might be meant as a share, too: 0.05.
    let bare = decimal(value).filter(|number| *number > 0.0 && *number <= 100.0);
    percent.ok_or_else(|| match bare {
        Some(_) => must_be(name, value, &format!("a percentage, write \"{value}%\"")),
        None => must_be(name, value, "more than 0% and at most 100%, as in \"5%\""),
    })
}

/// Digits, with or without a fraction; no sign, no exponent.
fn decimal(text: &str) -> Option<f32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { f32::from_str(text).ok() } else { None }
}

fn insert(set: &mut CidrSet, name: &str, values: &[&str]) -> Result<(), String> {
    for value in values {
        let cidr = Cidr::from_str(value).map_err(|error| match error {
            CidrError::HostBits(meant) => {
                format!("low address bits of {value:?} are meaningless in {name:?} directive, write {meant}")
            }
            error => format!("invalid value {value:?} in {name:?} directive, {error}"),
        })?;
        set.insert(cidr);
    }
    Ok(())
}

fn once(name: &str, first: bool) -> Result<(), String> {
    if first { Ok(()) } else { Err(format!("{name:?} directive is duplicate")) }
}

fn must_be(name: &str, value: &str, what: &str) -> String {
    format!("invalid value {value:?} in {name:?} directive, it must be {what}")
}

fn utf8(word: &[u8]) -> Result<&str, String> {
    let invalid = |_| format!("invalid value \"{}\": it is no UTF-8", word.escape_ascii());
    core::str::from_utf8(word).map_err(invalid)
}

#[cfg(test)]
mod tests;
