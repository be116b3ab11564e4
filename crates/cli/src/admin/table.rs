//! Tables for people: columns as wide as they need be, colour where somebody looks.

use std::env;
use std::fmt::Write as _;
use std::io::{IsTerminal, stdout};

/// Colours of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    Bold,
    Red,
    Yellow,
    Green,
}

impl Colour {
    /// `text` in this colour, when standard output is a terminal and nobody minds: `NO_COLOR` and
    /// `TERM=dumb` do.
    pub(super) fn paint(self, text: &str) -> String {
        self.paint_if(text, wanted())
    }

    fn paint_if(self, text: &str, wanted: bool) -> String {
        let code = match self {
            Self::Bold => 1,
            Self::Red => 31,
            Self::Yellow => 33,
            Self::Green => 32,
            Self::Plain => return text.to_owned(),
        };
        if wanted { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What is done about a source.
    pub(super) fn of_action(action: &str) -> Self {
        match action {
            "deny" => Self::Red,
            "throttle" => Self::Yellow,
            _ => Self::Plain,
        }
    }
}

fn wanted() -> bool {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    stdout().is_terminal()
        && !set("NO_COLOR")
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Rows below a header.
pub(super) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<(String, Colour)>>,
}

impl Table {
    /// Names of the columns; numbers are in those that begin with `>`.
    pub(super) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// A row without colours.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.painted(cells.into_iter().map(|cell| (cell, Colour::Plain)));
    }

    /// A row, each cell in its colour.
    pub(super) fn painted(&mut self, cells: impl IntoIterator<Item = (String, Colour)>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All of it, with a line feed at the end.
    pub(super) fn text(&self) -> String {
        self.text_if(wanted())
    }

    fn text_if(&self, coloured: bool) -> String {
        let names = self.header.iter().map(|name| name.trim_start_matches('>'));
        let head: Vec<_> = names.map(|name| (name.to_owned(), Colour::Bold)).collect();
        let all = || std::iter::once(&head).chain(&self.rows);
        let width = |column: usize| {
            all().filter_map(|row| row.get(column)).map(|cell| cell.0.chars().count()).max()
        };
        let widths: Vec<_> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut out = String::new();
        for row in all() {
            let mut line = String::new();
            for (column, (cell, colour)) in row.iter().enumerate() {
                let room = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                let cell = colour.paint_if(cell, coloured);
                let right = self.header[column].starts_with('>');
                let gap = if column == 0 { "" } else { "  " };
                let (before, after) =
                    if right { (room, String::new()) } else { (String::new(), room) };
                let _ = write!(line, "{gap}{before}{cell}{after}");
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_be() {
        let mut table = Table::new(&["NAME", ">HITS", "WHY"]);
        table.row(["ä".to_owned(), "7".to_owned(), "x".to_owned()]);
        table.row(["longer".to_owned(), "12345".to_owned(), String::new()]);
        assert_eq!(table.text_if(false), "NAME     HITS  WHY\nä           7  x\nlonger  12345\n");
    }

    #[test]
    fn colour_takes_no_room() {
        let mut table = Table::new(&["A", "B"]);
        table.painted([
            ("deny".to_owned(), Colour::of_action("deny")),
            ("1".to_owned(), Colour::Plain),
        ]);
        assert_eq!(
            table.text_if(true),
            "\x1b[1mA\x1b[0m     \x1b[1mB\x1b[0m\n\x1b[31mdeny\x1b[0m  1\n"
        );
        assert_eq!(Colour::Green.paint_if("x", false), "x");
    }
}
