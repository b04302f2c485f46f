//! A page of text, tables and plots, to be written as HTML or as Markdown.
//!
//! Guarantees: what is not prose of this crate, such as a name from a file, is escaped in both.

mod html;
mod markdown;

use crate::Align;
use crate::plot::Plot;

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// What it is called.
    pub title: String,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
enum Block {
    Heading(u8, String),
    Text(Text),
    List(Vec<Text>),
    Grid(Grid),
    Plot(Plot),
}

/// Words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Vec<Span>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Span {
    Plain(String),
    Code(String),
    Strong(String),
    Link(String, String),
}

/// A table of any number of columns.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    align: Vec<Align>,
    head: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// A cell, and how it is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// How a cell is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As a figure or a word.
    #[default]
    Plain,
    /// As nothing that was found, or nothing that was measured.
    Faint,
    /// As something that went wrong.
    Wrong,
}

impl Document {
    /// An empty page.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new() }
    }

    /// Adds a heading; 2 is a section, 3 a part of one.
    pub fn heading(&mut self, level: u8, text: impl Into<String>) {
        self.blocks.push(Block::Heading(level, text.into()));
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: Text) {
        self.blocks.push(Block::Text(text));
    }

    /// Adds a list, unless it is empty.
    pub fn list(&mut self, items: Vec<Text>) {
        if !items.is_empty() {
            self.blocks.push(Block::List(items));
        }
    }

    /// Adds a table, unless it has no rows.
    pub fn grid(&mut self, grid: Grid) {
        if !grid.rows.is_empty() {
            self.blocks.push(Block::Grid(grid));
        }
    }

    /// Adds a plot.
    pub fn plot(&mut self, plot: Plot) {
        self.blocks.push(Block::Plot(plot));
    }

    /// The plots, in their order.
    pub fn plots(&self) -> impl Iterator<Item = &Plot> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Plot(plot) => Some(plot),
            _ => None,
        })
    }
}

impl Text {
    /// Prose of this crate; what stands between backticks is code.
    #[must_use]
    pub fn prose(prose: &'static str) -> Self {
        Self::default().and(prose)
    }

    /// Words that may be anything.
    #[must_use]
    pub fn plain(words: impl Into<String>) -> Self {
        Self::default().words(words)
    }

    /// And more prose of this crate.
    #[must_use]
    pub fn and(mut self, prose: &'static str) -> Self {
        for (index, part) in prose.split('`').enumerate().filter(|(_, part)| !part.is_empty()) {
            let part = part.to_owned();
            self.0.push(if index % 2 == 1 { Span::Code(part) } else { Span::Plain(part) });
        }
        self
    }

    /// And more words, which may be anything.
    #[must_use]
    pub fn words(mut self, words: impl Into<String>) -> Self {
        self.0.push(Span::Plain(words.into()));
        self
    }

    /// And a name, a command or a file, as it is.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.0.push(Span::Code(code.into()));
        self
    }

    /// And words to be seen first.
    #[must_use]
    pub fn strong(mut self, words: impl Into<String>) -> Self {
        self.0.push(Span::Strong(words.into()));
        self
    }

    /// And a link.
    #[must_use]
    pub fn link(mut self, words: &'static str, to: &'static str) -> Self {
        self.0.push(Span::Link(words.to_owned(), to.to_owned()));
        self
    }
}

impl Grid {
    /// A table of these columns without rows.
    #[must_use]
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = (S, Align)>) -> Self {
        let (head, align) = columns.into_iter().map(|(title, align)| (title.into(), align)).unzip();
        Self { align, head, rows: Vec::new() }
    }

    /// Adds a row, with as many cells as there are columns.
    pub fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl Cell {
    /// A cell that is meant otherwise than as a figure.
    #[must_use]
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}
