//! Markdown tables that are also readable as text.

use std::fmt;

/// A table whose columns are padded to the same width in every row.
///
/// ```
/// use modrun_report::{Align, Table};
///
/// let mut table = Table::new([("system", Align::Left), ("events/s", Align::Right)]);
/// table.row(["modrun", "9.61M"]);
/// table.row(["simdjson", "10.4M"]);
/// assert_eq!(
///     table.to_string(),
///     "| system   | events/s |\n\
///      |:---------|---------:|\n\
///      | modrun   |    9.61M |\n\
///      | simdjson |    10.4M |\n"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Table<const COLUMNS: usize> {
    align: [Align; COLUMNS],
    /// The first row is the header.
    rows: Vec<[String; COLUMNS]>,
}

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For figures.
    Right,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table of these columns without rows.
    #[must_use]
    pub fn new(columns: [(&str, Align); COLUMNS]) -> Self {
        Self { align: columns.map(|(_, align)| align), rows: vec![columns.map(|(title, _)| cell(title))] }
    }

    /// Adds a row. A bar in a cell is escaped and a line break becomes a space.
    pub fn row<S: AsRef<str>>(&mut self, cells: [S; COLUMNS]) {
        self.rows.push(cells.map(|text| cell(text.as_ref())));
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_rows(f, &self.align, &self.rows)
    }
}

/// Writes rows of as many cells as there are columns, padded to the same width; the first one is the header.
pub(crate) fn write_rows<R: AsRef<[String]>>(
    f: &mut impl fmt::Write,
    align: &[Align],
    rows: &[R],
) -> fmt::Result {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..align.len()).map(width).collect();
    for (index, row) in rows.iter().enumerate() {
        for ((text, &width), align) in row.as_ref().iter().zip(&widths).zip(align) {
            match align {
                Align::Left => write!(f, "| {text:<width$} ")?,
                Align::Right => write!(f, "| {text:>width$} ")?,
            }
        }
        writeln!(f, "|")?;
        if index == 0 {
            write_rule(f, &widths, align)?;
        }
    }
    Ok(())
}

fn write_rule(f: &mut impl fmt::Write, widths: &[usize], align: &[Align]) -> fmt::Result {
    for (width, align) in widths.iter().zip(align) {
        let dashes = "-".repeat(width + 1);
        match align {
            Align::Left => write!(f, "|:{dashes}")?,
            Align::Right => write!(f, "|{dashes}:")?,
        }
    }
    writeln!(f, "|")
}

/// A cell's text as it may stand in a table: bars are escaped, line breaks are spaces.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded_by_characters_and_escaped() {
        let mut table = Table::new([("µ", Align::Right), ("text", Align::Left)]);
        table.row(["×10", "a|b\nc"]);
        assert_eq!(table.to_string(), "|   µ | text   |\n|----:|:-------|\n| ×10 | a\\|b c |\n");
    }
}
