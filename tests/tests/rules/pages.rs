//! What the program knows and what its pages say are the same: nothing is undocumented, and nothing is
//! documented that is not there.

use std::fs;

use super::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What stands between `start` and `end`, each time.
fn between<'t>(text: &'t str, start: &str, end: char) -> Vec<&'t str> {
    let rest = text.split(start).skip(1);
    rest.map(|rest| rest.split(end).next().unwrap()).collect()
}

/// Names that are on one of two lists alone.
fn differ(known: &[&str], documented: &[&str]) -> Vec<String> {
    let only = |these: &[&str], those: &[&str], where_: &str| -> Vec<String> {
        let missing = these.iter().filter(|name| !those.contains(name));
        missing.map(|name| format!("{name} is {where_}")).collect()
    };
    let mut wrong = only(known, documented, "not documented");
    wrong.extend(only(documented, known, "documented, and not there"));
    wrong
}

/// The contexts of a directive, as its page and as its row write them.
const CONTEXTS: [(&str, &str); 4] = [
    ("Http", "http"),
    ("Location", "location"),
    ("ServerLocation", "server, location"),
    ("HttpServerLocation", "http, server, location"),
];

/// Whether a syntax (without the name) is one of these arguments.
fn takes(arguments: &str, syntax: &str) -> bool {
    match arguments {
        "None" => syntax == ";",
        "Block" => syntax.ends_with("{ ... }"),
        "Any" => syntax.ends_with(" ...;"),
        "OneToThree" => syntax.matches(" [").count() == 2,
        "One" => !syntax.contains("...") && syntax.len() > 2,
        _ => false,
    }
}

#[test]
fn directives_are_those_of_their_page() {
    let (rows, page) = (read("src/directives.rs"), read("docs/directives.md"));
    let names = between(&rows, "name: c\"", '"');
    let contexts = between(&rows, "context: Context::", ',');
    let arguments = between(&rows, "arguments: Arguments::", ',');
    assert!(names.len() > 10 && contexts.len() == names.len() && arguments.len() == names.len());
    let mut wrong = differ(&names, &between(&page, "\n## ", '\n'));
    let sections = page.split("\n## ");
    for section in sections.skip(1) {
        let name = section.lines().next().unwrap();
        let cell = |row: &str| *between(section, &format!("\n| {row} | "), '\n').first().unwrap();
        let Some(at) = names.iter().position(|known| *known == name) else { continue };
        let context = CONTEXTS.iter().find(|(known, _)| *known == contexts[at]).unwrap().1;
        if cell("Context") != format!("{context} |") {
            wrong.push(format!("{name}: the page says {}, it is {context}", cell("Context")));
        }
        let syntax = cell("Syntax").trim_matches(['`', ' ', '|']);
        let after = syntax.strip_prefix(name);
        if !after.is_some_and(|after| takes(arguments[at], after)) {
            wrong.push(format!("{name}: {syntax} does not take {}", arguments[at]));
        }
        let default = cell("Default").trim_matches(['`', ' ', '|']);
        if default != "–" && !default.starts_with(&format!("{name} ")) {
            wrong.push(format!("{name}: {default} is no default of it"));
        }
    }
    let rows = read("crates/engine/src/policy/text.rs");
    let rows = rows.split("pub const DIRECTIVES").nth(1).unwrap().split("];").next().unwrap();
    let inside = page.split("| inside | default |").nth(1).unwrap().split("\n\n").next().unwrap();
    let documented: Vec<_> =
        between(inside, "\n| `", '`').iter().map(|row| row.split(' ').next().unwrap()).collect();
    let known = between(rows, "(\"", '"');
    assert!(known.len() > 4, "{known:?}");
    wrong.extend(differ(&known, &documented));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn variables_are_those_of_their_page() {
    let (rows, page) = (read("src/variables.rs"), read("docs/variables.md"));
    let known = between(&rows, "Variable { name: \"", '"');
    assert!(known.len() > 4, "{known:?}");
    let wrong = differ(&known, &between(&page, "\n| `$", '`'));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn calls_are_those_of_their_page() {
    let (rows, page) = (read("src/api.rs"), read("docs/api.md"));
    let mut known = Vec::new();
    for row in between(&rows, "    (b\"", ']') {
        let path = row.split('"').next().unwrap();
        let id = if row.contains("\", true,") { "/ID" } else { "" };
        for method in between(row, "(\"", '"') {
            known.push(format!("{method} api/{path}{id}"));
        }
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    assert!(known.len() > 8, "{known:?}");
    let mut wrong = differ(&known, &between(&page, "\n| [`", '`'));
    let headings = between(&page, "\n## ", '\n');
    let headings: Vec<_> =
        headings.into_iter().filter(|heading| heading.contains(" api/")).collect();
    wrong.extend(differ(&known, &headings));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn problems_are_those_of_their_page() {
    let page = read("docs/api.md");
    let table = page.split("| status | code | when |").nth(1).unwrap();
    let table = table.split("\n\n").next().unwrap();
    let mut documented = Vec::new();
    for row in table.lines().filter(|row| row.contains('`')) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        documented.extend(
            between(cells[2], "`", '`')
                .into_iter()
                .step_by(2)
                .map(|code| format!("{} {code}", cells[1])),
        );
    }
    let mut known = Vec::new();
    for (name, text) in super::sources() {
        if !name.starts_with("src/api") {
            continue;
        }
        let calls = text.split("new(").skip(1);
        let arguments = calls.filter_map(|call| {
            let (status, rest) = call.split_once(", \"")?;
            let code = rest.split('"').next()?;
            (status.parse::<u16>().is_ok()).then(|| format!("{status} {code}"))
        });
        known.extend(arguments);
    }
    let text = |list: &[String]| -> Vec<String> {
        let mut list = list.to_vec();
        list.sort_unstable();
        list.dedup();
        list
    };
    let (known, documented) = (text(&known), text(&documented));
    assert!(known.len() > 10, "{known:?}");
    assert_eq!(known, documented);
}
