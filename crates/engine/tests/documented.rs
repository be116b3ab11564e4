//! What the engine says in explanations is explained.

use api_abuse_engine::Threat;
use api_abuse_engine::detectors::measures;

const PAGE: &str = include_str!("../../../docs/detectors.md");

#[test]
fn the_page_has_a_row_for_each_measure_and_no_other() {
    for measure in measures() {
        let of = measure.threat.filter(|_| measure.name != "learned_score");
        let of = of.map_or("each threat".to_owned(), |threat| format!("`{}`", threat.slug()));
        let row = format!("| `{}` | {of} | ", measure.name);
        assert!(PAGE.contains(&row), "docs/detectors.md has no row {row}");
    }
    let (_, table) = PAGE.split_once("| measure | of | counts |").unwrap();
    let (table, _) = table.split_once("## ").unwrap();
    for row in table.lines().filter_map(|row| row.strip_prefix("| `")) {
        let name = row.split('`').next().unwrap();
        assert!(measures().any(|measure| measure.name == name), "nothing measures {name}");
    }
}

#[test]
fn each_threat_can_be_tuned() {
    let (_, tuning) = PAGE.split_once("## Tuning").unwrap();
    for threat in Threat::ALL {
        let row = format!("| `{}` | ", threat.slug());
        assert!(tuning.contains(&row), "{row}");
    }
}
