//! Reads the Prometheus text that `api_abuse_status` serves, strictly: what a scraper would
//! stumble over fails the test.

use std::collections::{BTreeMap, HashMap, HashSet};

/// One sample.
#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A parsed exposition.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
    types: HashMap<String, String>,
}

impl Metrics {
    /// Parses the text exposition format 0.0.4, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut metrics = Self::default();
        let mut seen = HashSet::new();
        if !text.ends_with('\n') {
            return Err("the last line has no line end".into());
        }
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                if let (Some("TYPE"), Some(name), Some(kind)) =
                    (words.next(), words.next(), words.next())
                {
                    if metrics.types.insert(name.into(), kind.into()).is_some() {
                        return Err(format!("second TYPE of {name}"));
                    }
                }
                continue;
            }
            let sample = parse_sample(line).ok_or_else(|| format!("no sample: {line}"))?;
            if metrics.family(&sample.name).is_none() {
                return Err(format!("{} has no TYPE", sample.name));
            }
            if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                return Err(format!("twice: {line}"));
            }
            metrics.samples.push(sample);
        }
        metrics.check_histograms()?;
        Ok(metrics)
    }

    /// Type of the family that a sample belongs to.
    fn family(&self, sample: &str) -> Option<&str> {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let base = sample.strip_suffix(suffix)?;
            self.types.get(base).filter(|kind| *kind == "histogram")
        });
        base.or_else(|| self.types.get(sample)).map(String::as_str)
    }

    fn check_histograms(&self) -> Result<(), String> {
        for (name, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            let buckets = self.buckets(name);
            let total = self.total(&format!("{name}_count"));
            match buckets.last() {
                Some(&(bound, count)) if bound.is_infinite() && (count - total).abs() < 0.5 => {}
                _ => return Err(format!("{name}: the +Inf bucket is not its count")),
            }
            if buckets.windows(2).any(|pair| pair[0].1 > pair[1].1) {
                return Err(format!("{name}: buckets are not cumulative"));
            }
        }
        Ok(())
    }

    /// Sum of all samples of this name.
    pub fn total(&self, name: &str) -> f64 {
        self.sum(name, &[])
    }

    /// Sum of the samples of this name that carry all these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let of = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|&(key, value)| sample.labels.get(key).is_some_and(|v| v == value))
        };
        self.samples.iter().filter(of).map(|sample| sample.value).sum()
    }

    /// Type of a metric, when it is declared.
    pub fn kind(&self, name: &str) -> Option<&str> {
        self.types.get(name).map(String::as_str)
    }

    /// Label names used with this metric.
    pub fn labels(&self, name: &str) -> Vec<&str> {
        let sample = self.samples.iter().find(|sample| sample.name == name);
        sample.map_or_else(Vec::new, |s| s.labels.keys().map(String::as_str).collect())
    }

    /// Names of all metrics declared.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// Cumulative buckets of a histogram, all label sets added up, ordered by upper bound.
    pub fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.samples.iter().filter(|s| s.name == format!("{name}_bucket")) {
            let Some(bound) = sample.labels.get("le").and_then(|le| number(le)) else { continue };
            match buckets.iter_mut().find(|(b, _)| b.total_cmp(&bound).is_eq()) {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets
    }

    /// Upper bound of the bucket that holds this quantile: never less than the true value.
    pub fn quantile(&self, histogram: &str, quantile: f64) -> Option<f64> {
        let buckets = self.buckets(histogram);
        let total = buckets.last().map(|&(_, count)| count).filter(|&count| count > 0.0)?;
        buckets.iter().find(|&&(_, count)| count >= quantile * total).map(|&(bound, _)| bound)
    }
}

fn parse_sample(line: &str) -> Option<Sample> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if name.is_empty() || !name.chars().all(valid) {
        return None;
    }
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(key.to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    Some(Sample { name: name.to_owned(), labels, value: number(rest.strip_prefix(' ')?)? })
}

/// A label value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                _ => return None,
            },
            other => value.push(other),
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    const TEXT: &str = "# HELP a_total words\n# TYPE a_total counter\na_total{x=\"1\",y=\"q\\\"{}\"} 2\n\
        a_total{x=\"2\",y=\"\"} 3\n# TYPE h histogram\nh_bucket{le=\"0.5\"} 9\nh_bucket{le=\"+Inf\"} 10\n\
        h_sum 4\nh_count 10\n";

    #[test]
    fn reads_samples_labels_and_quantiles() {
        let metrics = Metrics::parse(TEXT).unwrap();
        assert!((metrics.total("a_total") - 5.0).abs() < 1e-9);
        assert!((metrics.sum("a_total", &[("y", "q\"{}")]) - 2.0).abs() < 1e-9);
        assert_eq!(metrics.quantile("h", 0.9), Some(0.5));
        assert_eq!(metrics.quantile("h", 0.95), Some(f64::INFINITY));
        assert_eq!(metrics.kind("a_total"), Some("counter"));
    }

    #[test]
    fn says_what_a_scraper_would_stumble_over() {
        for (bad, why) in [
            ("a 1\n", "no TYPE"),
            ("# TYPE a counter\na{ 1\n", "no sample"),
            ("# TYPE a counter\na one\n", "no sample"),
            ("# TYPE a counter\na 1\na 1\n", "twice"),
            ("# TYPE a counter\na 1", "line end"),
            ("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 1\n", "+Inf"),
        ] {
            let error = Metrics::parse(bad).expect_err(bad);
            assert!(error.contains(why), "{bad:?}: {error}");
        }
    }
}
