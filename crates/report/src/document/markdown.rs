//! A page as Markdown that is also readable as text.

use std::fmt::Write as _;

use super::{Block, Document, Grid, Span, Text};
use crate::table;

/// How wide a line of prose may be, as in the rest of the documents.
const WIDTH_MAX: usize = 120;

impl Document {
    /// The page as Markdown. Its plots are files in `folder`; without one they are left out.
    #[must_use]
    pub fn markdown(&self, folder: Option<&str>) -> String {
        let mut page = format!("# {}\n", escaped(&self.title));
        for block in &self.blocks {
            match block {
                Block::Heading(level, text) => {
                    let _ = write!(page, "\n{} {}\n", "#".repeat(usize::from(*level)), escaped(text));
                }
                Block::Text(text) => {
                    let _ = write!(page, "\n{}", wrapped(&words(text), ""));
                }
                Block::List(items) => {
                    page.push('\n');
                    for item in items {
                        let text = wrapped(&words(item), "  ");
                        let _ = write!(page, "- {}", text.trim_start());
                    }
                }
                Block::Grid(grid) => {
                    page.push('\n');
                    write_grid(grid, &mut page);
                }
                Block::Plot(plot) => {
                    if let Some(folder) = folder {
                        let (title, name) = (escaped(&plot.title), plot.file_name());
                        let _ = write!(page, "\n![{title}]({folder}/{name})\n");
                    }
                }
            }
        }
        page
    }
}

fn write_grid(grid: &Grid, page: &mut String) {
    let head: Vec<String> = grid.head.iter().map(|cell| table::cell(&escaped(cell))).collect();
    let rows = grid.rows.iter().map(|row| row.iter().map(|cell| table::cell(&escaped(&cell.text))).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let _ = table::write_rows(page, &grid.align, &rows);
}

/// The words and marks of a text; a code span is one word, which no line break may part.
fn words(text: &Text) -> Vec<String> {
    let mut words = vec![String::new()];
    for span in &text.0 {
        match span {
            Span::Plain(plain) => add(&mut words, &escaped(plain)),
            Span::Strong(strong) => add(&mut words, &format!("**{}**", escaped(strong))),
            Span::Code(code) => add_whole(&mut words, &code_span(code)),
            Span::Link(label, to) => add(&mut words, &format!("[{}]({to})", escaped(label))),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn add(words: &mut Vec<String>, text: &str) {
    for (index, word) in text.split([' ', '\n']).enumerate() {
        if index > 0 {
            words.push(String::new());
        }
        add_whole(words, word);
    }
}

fn add_whole(words: &mut [String], text: &str) {
    if let Some(last) = words.last_mut() {
        last.push_str(text);
    }
}

fn wrapped(words: &[String], indent: &str) -> String {
    let (mut text, mut width) = (String::from(indent), indent.len());
    for (index, word) in words.iter().enumerate() {
        let more = word.chars().count();
        if index > 0 && width + 1 + more > WIDTH_MAX {
            text.push('\n');
            text.push_str(indent);
            width = indent.len();
        } else if index > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += more;
    }
    text + "\n"
}

/// With a backslash before whatever Markdown would take for a mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&') {
            escaped.push('\\');
        }
        escaped.push(if c == '\n' { ' ' } else { c });
    }
    escaped
}

/// A code span around `code`, whatever backticks it has.
fn code_span(code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", code.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_become_marks() {
        let mut page = Document::new("a <b> page");
        page.text(Text::prose("see `x`: ").words("*<i>*").and(" and ").code("a`b"));
        let mut grid = Grid::new([("<b>", crate::Align::Left)]);
        grid.row(["a|b"]);
        page.grid(grid);
        let expected = "# a \\<b\\> page\n\nsee `x`: \\*\\<i\\>\\* and `` a`b ``\n\n| \\<b\\> |\n|:------|\n| a\\|b  |\n";
        assert_eq!(page.markdown(None), expected);
    }

    #[test]
    fn prose_is_wrapped_between_words() {
        let mut page = Document::new("t");
        page.list(vec![Text::plain("word ".repeat(60).trim_end())]);
        let text = page.markdown(None);
        assert!(text.lines().all(|line| line.len() <= WIDTH_MAX), "{text}");
        assert!(text.contains("\n- word") && text.contains("\n  word"), "{text}");
    }
}
