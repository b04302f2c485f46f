//! The page about measured runs: one module for each section.
//!
//! ```text
//! Comparison ──▶ how it was made ─ comparison ─ batches and scaling ─ stages ─ links ─ prices ─ load ─▶ Document
//! ```

mod account;
mod curves;
mod latency;
mod machine;
mod measures;
mod price;
mod tables;

use crate::comparison::{Column, Comparison, Group};
use crate::document::{Document, Text};

/// The whole page.
#[must_use]
pub fn document(comparison: &Comparison) -> Document {
    let mut page = Document::new(title(comparison));
    sections(comparison, &mut page);
    page
}

/// Only the comparison, as text.
#[must_use]
pub fn summary(comparison: &Comparison) -> String {
    let mut page = Document::new(title(comparison));
    tables::section(comparison, &mut page);
    page.markdown(None)
}

/// Only the prices of boundaries, as text; `None` if there are too few runs for them.
#[must_use]
pub fn prices(comparison: &Comparison) -> Option<String> {
    comparison.prices.as_ref()?;
    let mut page = Document::new(title(comparison));
    price::tables(comparison, &mut page);
    Some(page.markdown(None))
}

/// Adds the prices of boundaries to a page about other runs.
pub fn prices_section(comparison: &Comparison, page: &mut Document) {
    page.heading(2, price::TITLE);
    machine::made_by(comparison, page);
    price::tables(comparison, page);
}

/// All sections, for a page that may have others.
pub fn sections(comparison: &Comparison, page: &mut Document) {
    machine::made_by(comparison, page);
    tables::section(comparison, page);
    curves::batches(comparison, page);
    account::section(comparison, page);
    latency::section(comparison, page);
    if comparison.prices.is_some() {
        page.heading(2, price::TITLE);
        price::tables(comparison, page);
    }
    curves::load(comparison, page);
    curves::scaling(comparison, page);
    machine::section(comparison, page);
}

fn title(comparison: &Comparison) -> String {
    let of_session = comparison.sessions.first().map(|session| session.pipeline.as_str());
    let of_report = || {
        let (_, column) = comparison.measured().next()?;
        Some(column.typical()?.report.as_ref()?.pipeline.as_str())
    };
    match of_session.or_else(of_report) {
        Some(pipeline) => format!("Runs of {pipeline}"),
        None => "Runs".to_owned(),
    }
}

/// The lanes whose inside is shown: of each family, at its largest input, the smallest batch and the fastest one.
fn shown(comparison: &Comparison) -> Vec<(&Group, &Column)> {
    let has_inside = |column: &Column| {
        !column.lane.is_swept()
            && column.typical().is_some_and(|figures| {
                figures.report.as_ref().is_some_and(|report| report.measuring.is_some())
                    || figures.parts.iter().any(|part| part.process_seconds.is_some())
            })
    };
    let mut shown: Vec<(&Group, &Column)> = Vec::new();
    for family in comparison.families() {
        let of_family =
            || comparison.measured().filter(|(_, column)| column.family() == family && has_inside(column));
        let smallest = of_family().filter_map(|(_, column)| column.lane.batch_size()).min();
        let single =
            of_family().filter(|(_, column)| column.lane.batch_size() == smallest && smallest.is_some());
        let largest = of_family().map(|(group, _)| group.events).max();
        let speed = |column: &Column| column.events_per_second().unwrap_or(0.0);
        let fastest = of_family()
            .filter(|(group, _)| Some(group.events) == largest)
            .max_by(|(_, a), (_, b)| speed(a).total_cmp(&speed(b)));
        for found in single.last().into_iter().chain(fastest) {
            if !shown.iter().any(|(_, column)| column.lane == found.1.lane) {
                shown.push(found);
            }
        }
    }
    shown
}

/// What a plot of one lane's inside is called.
fn lane_title(what: &str, group: &Group, column: &Column) -> String {
    format!("{what}: {}, {} events", column.lane.name(), crate::units::exact(group.events))
}

/// A name as a part of a file's name.
fn slug(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn none_of(what: &'static str) -> Text {
    Text::prose(what)
}
