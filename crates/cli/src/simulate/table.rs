//! A table, for a terminal or as Markdown.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Rows of cells under a title.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: String,
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(super) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Writes it; the first column is text, the others are numbers.
    pub(super) fn write(&self, out: &mut impl Write, markdown: bool) -> io::Result<()> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(String::len);
            cells.chain([self.columns[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let heading = if markdown { "## " } else { "" };
        writeln!(out, "{heading}{}\n", self.title)?;
        let header: Vec<String> = self.columns.iter().map(|&name| name.to_owned()).collect();
        line(out, &header, &widths, markdown)?;
        if markdown {
            let rule: Vec<String> = widths
                .iter()
                .enumerate()
                .map(|(column, &width)| {
                    let dashes = "-".repeat(width.max(4) - 1);
                    if column == 0 { format!("{dashes}-") } else { format!("{dashes}:") }
                })
                .collect();
            line(out, &rule, &widths, markdown)?;
        }
        for row in &self.rows {
            line(out, row, &widths, markdown)?;
        }
        writeln!(out)
    }
}

fn line(
    out: &mut impl Write,
    cells: &[String],
    widths: &[usize],
    markdown: bool,
) -> io::Result<()> {
    let (open, between) = if markdown { ("| ", " | ") } else { ("", "  ") };
    let mut text = String::from(open);
    for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        if column > 0 {
            text.push_str(between);
        }
        if column == 0 {
            let _ = write!(text, "{cell:<width$}");
        } else {
            let _ = write!(text, "{cell:>width$}");
        }
    }
    if markdown {
        text.push_str(" |");
    }
    writeln!(out, "{}", text.trim_end())
}
