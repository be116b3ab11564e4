//! False convictions in detail: what whoever works on the detectors needs to know.

use super::ledger::Conviction;
use super::table::Table;

/// False convictions, those alike together: who, what for, and one of them in detail.
pub(super) fn details<'a>(title: &str, convictions: impl Iterator<Item = &'a Conviction>) -> Table {
    let columns = [
        "class",
        "threat",
        "finding",
        "convictions",
        "requests",
        "first",
        "key",
        "value",
        "evidence",
        "request",
    ];
    let mut table = Table::new(title, &columns);
    let mut groups: Vec<(&Conviction, u64, u32, u32)> = Vec::new();
    for it in convictions {
        let alike = |other: &Conviction| {
            (other.class, other.threat, other.measure()) == (it.class, it.threat, it.measure())
        };
        match groups.iter_mut().find(|(first, ..)| alike(first)) {
            Some((_, count, least, most)) => {
                *count += 1;
                *least = it.requests.min(*least);
                *most = it.requests.max(*most);
            }
            None => groups.push((it, 1, it.requests, it.requests)),
        }
    }
    groups.sort_by_key(|(first, count, ..)| (first.class as u8, u64::MAX - count));
    for (first, count, least, most) in groups {
        let minutes = first.time_ms / 60_000;
        let (day, hour) = (minutes / 1440, minutes / 60 % 24);
        let exemplar = &first.evidence["exemplars"][0];
        let path = exemplar["path"].as_str().unwrap_or("-");
        table.rows.push(vec![
            first.class.name().to_owned(),
            first.threat.slug().to_owned(),
            first.measure().to_owned(),
            count.to_string(),
            if least == most { least.to_string() } else { format!("{least}–{most}") },
            format!("day {day} {hour:02}:{:02}", minutes % 60),
            first.kind.name().to_owned(),
            first.finding.split_once(' ').map_or("", |(_, value)| value).to_owned(),
            first.evidence["evidence"].to_string(),
            format!("{path} {}", exemplar["status"]),
        ]);
    }
    table
}
