//! A page as one HTML file that needs no other one and no network.

use std::fmt::Write as _;

use super::{Block, Document, Grid, Span, Text, Tone};
use crate::Align;
use crate::plot;

const STYLE: &str = include_str!("style.css");

impl Document {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let title = escaped(&self.title);
        let colours = plot::colours(":root");
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <style>\n{colours}{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        );
        for block in &self.blocks {
            write_block(block, &mut page);
        }
        page + "</main>\n</body>\n</html>\n"
    }
}

fn write_block(block: &Block, page: &mut String) {
    let _ = match block {
        Block::Heading(level, text) => writeln!(page, "<h{level}>{}</h{level}>", escaped(text)),
        Block::Text(text) => writeln!(page, "<p>{}</p>", spans(text)),
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>\n", spans(item))).collect();
            writeln!(page, "<ul>\n{items}</ul>")
        }
        Block::Grid(grid) => {
            write_grid(grid, page);
            Ok(())
        }
        Block::Plot(plot) => {
            let title = escaped(&plot.title);
            writeln!(
                page,
                "<figure>\n<figcaption>{title}</figcaption>\n<div class=\"wide\">{}</div>\n\
                 <div class=\"narrow\">{}</div>\n</figure>",
                plot.wide, plot.narrow
            )
        }
    };
}

fn write_grid(grid: &Grid, page: &mut String) {
    page.push_str("<div class=\"scroll\" tabindex=\"0\">\n<table>\n<thead><tr>");
    let class = |column: usize, tone: Tone| {
        let side = if grid.align.get(column) == Some(&Align::Right) { "right" } else { "left" };
        match tone {
            Tone::Plain => side.to_owned(),
            Tone::Faint => format!("{side} faint"),
            Tone::Wrong => format!("{side} wrong"),
        }
    };
    for (column, title) in grid.head.iter().enumerate() {
        let _ = write!(page, "<th class=\"{}\">{}</th>", class(column, Tone::Plain), escaped(title));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &grid.rows {
        page.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let tag = if column == 0 { "th" } else { "td" };
            let (class, text) = (class(column, cell.tone), escaped(&cell.text));
            let _ = write!(page, "<{tag} class=\"{class}\">{text}</{tag}>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
}

fn spans(text: &Text) -> String {
    let span = |span: &Span| match span {
        Span::Plain(plain) => escaped(plain),
        Span::Code(code) => format!("<code>{}</code>", escaped(code)),
        Span::Strong(strong) => format!("<strong>{}</strong>", escaped(strong)),
        Span::Link(label, to) => format!("<a href=\"{}\">{}</a>", escaped(to), escaped(label)),
    };
    text.0.iter().map(span).collect()
}

/// With a name in place of every character that HTML would take for a mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
