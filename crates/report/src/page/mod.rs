//! A page of measured runs: what was compared, and where the time went.
//!
//! ```text
//! Comparison ──▶ tables ─┐
//!            ├─▶ plots ──┼──▶ Document
//!            └─▶ inside ─┘
//! ```
//!
//! Guarantees: what was left out or failed is named with its reason, and no figure of it is shown; a difference under the
//! noise is shown as none.

mod inside;
mod plots;
mod tables;

use std::collections::BTreeSet;

use crate::comparison::Comparison;
use crate::document::{Document, Text};
use crate::units;

/// From so many cores that other programs used, a run was disturbed.
const DISTURBED: f64 = 0.25;

/// The whole page.
#[must_use]
pub fn page(comparison: &Comparison) -> Document {
    let mut page = Document::new(title(comparison));
    head(comparison, &mut page);
    add_tables(comparison, &mut page);
    plots::add(comparison, &mut page);
    inside::add(comparison, &mut page);
    machine(comparison, &mut page);
    page
}

/// Only the tables of what was compared, as text.
#[must_use]
pub fn summary(comparison: &Comparison) -> String {
    let mut page = Document::new(title(comparison));
    add_tables(comparison, &mut page);
    page.markdown(None)
}

/// Adds the tables of what was compared.
pub fn add_tables(comparison: &Comparison, page: &mut Document) {
    for group in &comparison.groups {
        tables::add(group, page);
    }
}

fn title(comparison: &Comparison) -> String {
    let pipelines: BTreeSet<&str> =
        comparison.sessions.iter().map(|session| session.pipeline.as_str()).collect();
    match pipelines.into_iter().collect::<Vec<_>>()[..] {
        [] => "Measured runs".to_owned(),
        ref names => format!("Measured runs of {}", names.join(", ")),
    }
}

/// How it was made, before any figure.
fn head(comparison: &Comparison, page: &mut Document) {
    if let Some(session) = comparison.sessions.first() {
        let mut text = Text::prose("Measured by ").code(&session.command);
        if let Some(commit) = session.versions.get("commit") {
            text = text.and(" at commit ").code(commit);
        }
        let memory = units::bytes(session.memory_bytes as f64);
        page.text(text.words(format!(" on {}, {} cores, {memory}.", session.cpu, session.cores)));
    }
    for note in &comparison.notes {
        page.text(Text::plain(note.clone()));
    }
    let how = if comparison.is_benchmark {
        "Runs took turns, and figures are taken of verified results only; medians, and the spread in brackets. "
    } else {
        "These runs were taken one by one: differences between them may be the machine's. "
    };
    page.text(Text::prose(how).and(
        "The time is from when everything is ready until the results are there; that from before the first process \
         until after the last stands beside it. A ratio is taken turn by turn.",
    ));
}

/// Where it was measured, and how busy that was.
fn machine(comparison: &Comparison, page: &mut Document) {
    if comparison.sessions.is_empty() {
        return;
    }
    page.heading(2, "The machine");
    let mut seen = BTreeSet::new();
    for session in &comparison.sessions {
        let versions: Vec<String> =
            session.versions.iter().map(|(name, version)| format!("{name}: {version}")).collect();
        let said = format!("{}, Linux {}; {}", session.cpu, session.system, versions.join("; "));
        if seen.insert(said.clone()) {
            page.text(Text::plain(said));
        }
    }
    let disturbed = comparison.cores_taken.iter().filter(|&&cores| cores > DISTURBED).count();
    let most = comparison.cores_taken.iter().copied().fold(0.0, f64::max);
    let all = comparison.cores_taken.len();
    page.text(Text::plain(if disturbed == 0 {
        format!("Before none of the {all} runs did other programs use more than {DISTURBED} cores.")
    } else {
        format!(
            "The machine was busy before {disturbed} of {all} runs: other programs used up to {} cores.",
            units::number(most)
        )
    }));
}
