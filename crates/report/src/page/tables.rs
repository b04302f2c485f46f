//! Lanes beside each other.

use modrun_core::RunReport;

use crate::comparison::{Column, Group, State, Verdict};
use crate::document::{Cell, Document, Grid, Text, Tone};
use crate::record::Figures;
use crate::{Align, Summary, units};

/// Adds the table of one number of events, the noise, and what has no figures.
pub(super) fn add(group: &Group, page: &mut Document) {
    page.heading(2, format!("{} events", units::exact(group.events)));
    let against = group.reference().map_or_else(String::new, |column| column.lane.name());
    let left = |title: &str| (title.to_owned(), Align::Left);
    let right = |title: &str| (title.to_owned(), Align::Right);
    let mut grid = Grid::new([
        left("system"),
        right("time"),
        right("with start-up"),
        right("events/s"),
        right("per event"),
        right(&format!("speed / {against}")),
        right("CPU-s per 1M"),
        right("IPC, of busy time"),
        right("IPC, of CPU"),
        right("memory"),
        left("results"),
    ]);
    for column in group.measured() {
        grid.row(row(group, column));
    }
    for column in group.lanes.iter().filter(|column| column.turns().is_none()) {
        let (what, tone) = match column.state {
            State::Failed(..) => ("failed", Tone::Wrong),
            _ => ("left out", Tone::Faint),
        };
        let mut cells = vec![Cell::from(column.lane.name())];
        cells.extend((0..9).map(|_| Cell::from(String::new())));
        cells.push(Cell::new(what, tone));
        grid.row(cells);
    }
    page.grid(grid);
    noise(group, page);
    let mut reasons: Vec<Text> = group.without_figures().filter_map(reason).collect();
    reasons.dedup();
    page.list(reasons);
    for (lane, ratio) in group.measuring() {
        let cost = ratio.map(|ratio| (ratio - 1.0) * 100.0);
        let cost = cost.show(|percent| format!("{percent:.1} %"));
        page.text(Text::plain(format!("Keeping a ledger costs {} {cost} of its time.", lane.name())));
    }
}

fn row(group: &Group, column: &Column) -> Vec<Cell> {
    let events = group.events as f64;
    let show =
        |measure: &dyn Fn(&Figures) -> Option<f64>, unit: fn(f64) -> String| match column.summary(measure) {
            Some(summary) => Cell::from(shown(summary, unit)),
            None => Cell::new("not measured", Tone::Faint),
        };
    let share = |of: fn(&Figures) -> Option<crate::comparison::Share>| {
        let all: Option<Vec<_>> = column.turns().and_then(|turns| turns.values().map(of).collect());
        let bound = all.as_ref().and_then(|all| all.first()).map_or("", |share| share.bound.sign());
        let values: Vec<f64> = all.unwrap_or_default().iter().map(|share| share.value).collect();
        match Summary::of(&values) {
            Some(summary) => Cell::from(format!("{bound}{:.0} %", summary.median * 100.0)),
            None => Cell::new("not measured", Tone::Faint),
        }
    };
    let speed = match group.verdict(column) {
        _ if group.reference().is_some_and(|reference| reference.lane == column.lane) => {
            Cell::from(String::new())
        }
        Some((speed, Verdict::None)) => {
            Cell::new(format!("none: {}", shown(speed, units::number)), Tone::Faint)
        }
        Some((speed, _)) => Cell::from(shown(speed, units::number)),
        None => Cell::from(String::new()),
    };
    vec![
        Cell::from(column.lane.name()),
        show(&|figures| Some(figures.wall_seconds), units::seconds),
        show(&|figures| Some(figures.whole_seconds), units::seconds),
        show(&|figures| Some(events / figures.wall_seconds), units::scaled),
        show(&|figures| Some(figures.wall_seconds / events), units::seconds),
        speed,
        show(
            &|figures| Some(figures.cpu_seconds.unwrap_or(figures.whole_cpu_seconds) / events * 1e6),
            units::number,
        ),
        share(Figures::ipc_of_busy),
        share(Figures::ipc_of_cpu),
        match column.summary(|figures| Some(figures.peak_rss_bytes as f64)) {
            Some(summary) => Cell::from(units::bytes(summary.max)),
            None => Cell::from(String::new()),
        },
        Cell::from(results(column)),
    ]
}

/// A summary of one run has no spread.
fn shown(summary: Summary, unit: impl Fn(f64) -> String) -> String {
    if summary.min == summary.max { unit(summary.median) } else { summary.show(unit) }
}

/// Whether the results are the expected ones, or which they are.
fn results(column: &Column) -> String {
    let digest = |report: &RunReport| report.results_digest.chars().take(8).collect::<String>();
    match column.typical().and_then(|figures| figures.report.as_deref()) {
        _ if column.is_verified => "equal".to_owned(),
        Some(report) => digest(report),
        None => String::new(),
    }
}

fn noise(group: &Group, page: &mut Document) {
    let noise = group.noise();
    if noise.is_empty() {
        page.text(Text::plain(
            "Nothing was run twice in a turn: nobody knows how much of a difference is noise.",
        ));
        return;
    }
    let pairs: Vec<String> = noise
        .iter()
        .map(|noise| format!("{} {}", noise.lane.name(), shown(noise.speed, units::number)))
        .collect();
    let floor = group.noise_floor().map_or_else(String::new, |floor| units::number(floor.exp()));
    page.text(Text::plain(format!(
        "The noise, as the speed of the same against itself: {}. A ratio within {floor} either way is none.",
        pairs.join("; ")
    )));
}

/// Why a lane has no figures.
fn reason(column: &Column) -> Option<Text> {
    let name = Text::default().strong(column.lane.name());
    Some(match &column.state {
        State::Measured(_) => return None,
        State::LeftOut(why) => name.words(format!(" left out: {why}")),
        State::Failed(failed, of, why) => name.words(format!(" failed in {failed} of {of} runs: {why}")),
    })
}
