//! The comparison: for each number of events what every lane took, and which differences are more than noise.

use std::collections::BTreeSet;

use super::measures;
use crate::Align;
use crate::comparison::{Column, Comparison, Group, Noise, State, Verdict, batch_name, family_name};
use crate::document::{Cell, Document, Grid, Text, Tone};
use crate::units;

const NOT_MEASURED: &str = "not measured";
/// Lanes beside each other: more, and nobody finds a column again.
const COLUMNS_MAX: usize = 6;

pub(super) fn section(comparison: &Comparison, page: &mut Document) {
    page.heading(2, "Comparison");
    for group in &comparison.groups {
        page.heading(3, group.title());
        glance(comparison, group, page);
        noise(comparison, group, page);
        details(comparison, group, page);
        left_out(group, page);
    }
    definitions(page);
}

/// One line a lane: the speed and the verdict on it.
fn glance(comparison: &Comparison, group: &Group, page: &mut Document) {
    let Some(reference) = group.reference() else {
        page.text(Text::prose("No lane has figures."));
        return;
    };
    if group.lanes.len() < 2 {
        return;
    }
    let mut grid = Grid::new([
        ("lane", Align::Left),
        ("time once ready", Align::Right),
        ("events/s", Align::Right),
        ("times as fast as the first", Align::Right),
        ("difference", Align::Left),
        ("results", Align::Left),
    ]);
    let is_one_run = |column: &Column| column.turns().is_none_or(|turns| turns.len() < 2);
    for column in &group.lanes {
        let mut cells = vec![Cell::from(column.lane.name())];
        for measure in [&measures::ALL[1], &measures::ALL[3]] {
            cells.push(measure.of(column).map_or_else(|| Cell::new("–", Tone::Faint), Cell::from));
        }
        if column.lane == reference.lane {
            cells.extend([Cell::new("1", Tone::Faint), Cell::new("the first", Tone::Faint)]);
        } else {
            match against(comparison, group, column) {
                Some((speed, verdict)) => {
                    let text = if is_one_run(column) {
                        units::number(speed.median)
                    } else {
                        speed.show(units::number)
                    };
                    cells.extend([Cell::from(text), verdict_cell(verdict)]);
                }
                None => cells.extend([Cell::new("–", Tone::Faint), Cell::new("–", Tone::Faint)]),
            }
        }
        cells.push(results(group, column));
        grid.row(cells);
    }
    page.grid(grid);
}

/// How many times as fast a lane is as the first, and what that is worth; single reports are paired with each other.
fn against(comparison: &Comparison, group: &Group, column: &Column) -> Option<(crate::Summary, Verdict)> {
    if comparison.is_benchmark && column.is_verified {
        return group.verdict(column);
    }
    let time = |column: &Column| Some(column.typical()?.wall_seconds);
    let speed = time(group.reference()?)? / time(column)?;
    Some((crate::Summary::of(&[speed])?, Verdict::Unknown))
}

fn verdict_cell(verdict: Verdict) -> Cell {
    let tone = match verdict {
        Verdict::Faster | Verdict::Slower => Tone::Plain,
        Verdict::None | Verdict::Unclear | Verdict::Unknown => Tone::Faint,
    };
    Cell::new(verdict.word(), tone)
}

/// Whether the results are the expected ones or, of single reports, equal to those of the first.
fn results(group: &Group, column: &Column) -> Cell {
    match &column.state {
        State::Failed(failed, runs, _) => {
            Cell::new(format!("failed in {failed} of {runs} runs"), Tone::Wrong)
        }
        State::LeftOut(_) => Cell::new("left out", Tone::Faint),
        State::Measured(_) if column.is_verified => Cell::from("as expected"),
        State::Measured(_) => {
            let digest = |column: &Column| Some(column.typical()?.report.as_ref()?.results_digest.clone());
            let mut others = group.measured().filter(|other| other.lane != column.lane).peekable();
            match (others.peek(), group.reference().and_then(digest)) {
                (Some(_), Some(first)) if digest(column).as_ref() == Some(&first) => Cell::from("equal"),
                (Some(_), Some(_)) => Cell::new("differ from the first", Tone::Wrong),
                _ => Cell::new("not compared", Tone::Faint),
            }
        }
    }
}

/// What two runs of one thing differ by.
fn noise(comparison: &Comparison, group: &Group, page: &mut Document) {
    let pair = |noise: &Noise| {
        let (speed, factor) = (noise.speed()?.show(units::number), units::number(noise.factor()?));
        Some(format!("{} {speed}, within a factor of {factor}", noise.lane.name()))
    };
    let pairs: Vec<String> = group.noise().iter().filter_map(pair).collect();
    if !pairs.is_empty() {
        let text = Text::prose(
            "Noise: the same lane once more was, pair by pair, this many times as fast, and three in four pairs are within \
             the factor behind it: ",
        )
        .words(pairs.join("; "))
        .and(". What is within that of the first lane and of a lane's own family is marked as none.");
        page.text(text);
    } else if comparison.is_benchmark && group.lanes.len() > 1 {
        page.text(Text::prose(
            "No lane was run twice here, so nobody knows how much of a difference is noise.",
        ));
    }
    for (lane, ratio) in group.measuring() {
        let text = Text::prose("Measuring: with its ledger, ")
            .words(lane.name())
            .and(" took ")
            .words(ratio.show(units::number))
            .and(" of the time that it takes without.");
        page.text(text);
    }
}

/// Every measure of every lane, a family of lanes at a time.
fn details(comparison: &Comparison, group: &Group, page: &mut Document) {
    let families: Vec<_> = comparison.families();
    let mut single: Vec<&Column> = Vec::new();
    let mut tables: Vec<(String, Vec<&Column>)> = Vec::new();
    for family in &families {
        let lanes: Vec<&Column> = group.lanes.iter().filter(|column| column.family() == *family).collect();
        if lanes.len() > 1 {
            tables.push((family_name(family), lanes));
        } else {
            single.extend(lanes);
        }
    }
    for lanes in single.chunks(COLUMNS_MAX) {
        page.grid(table("", lanes, group, |column| column.lane.name()));
    }
    for (family, lanes) in &tables {
        for lanes in lanes.chunks(COLUMNS_MAX) {
            let name = |column: &Column| match &column.lane.batch {
                Some(batch) => batch_name(batch),
                None => column.lane.name(),
            };
            page.grid(table(family, lanes, group, name));
        }
    }
}

fn table(title: &str, lanes: &[&Column], group: &Group, name: impl Fn(&Column) -> String) -> Grid {
    let head = lanes.iter().map(|column| (name(column), Align::Right));
    let mut grid = Grid::new([(title.to_owned(), Align::Left)].into_iter().chain(head));
    for measure in &measures::ALL {
        let cell = |column: &&Column| match &column.state {
            State::Measured(_) => {
                measure.of(column).map_or_else(|| Cell::new(NOT_MEASURED, Tone::Faint), Cell::from)
            }
            _ => Cell::new("–", Tone::Faint),
        };
        grid.row([Cell::from(measure.name)].into_iter().chain(lanes.iter().map(cell)));
    }
    let taken = |column: &&Column| match column.turns() {
        Some(turns) if column.is_verified => Cell::from(turns.len().to_string()),
        Some(_) => Cell::from("1"),
        None => Cell::new("–", Tone::Faint),
    };
    grid.row([Cell::from("runs")].into_iter().chain(lanes.iter().map(taken)));
    let results = lanes.iter().map(|column| results(group, column));
    grid.row([Cell::from("results")].into_iter().chain(results));
    grid
}

/// What has no figures, and why.
fn left_out(group: &Group, page: &mut Document) {
    let mut said = BTreeSet::new();
    let mut items = Vec::new();
    for column in group.without_figures() {
        let (state, why) = match &column.state {
            State::Failed(_, _, why) => ("failed, so that no figure of it is shown", why),
            State::LeftOut(why) => ("was left out", why),
            State::Measured(_) => continue,
        };
        let name = column.lane.name();
        if said.insert((name.clone(), state)) {
            items.push(Text::plain(format!("{name} {state}: {why}")));
        }
    }
    page.list(items);
}

/// What the rows mean.
fn definitions(page: &mut Document) {
    page.text(Text::prose("What the rows are:"));
    page.list(vec![
        Text::prose("A figure is the median of its runs; in brackets the smallest and the largest."),
        Text::prose(
            "Time, start-up included: from before the first process is started until the last is gone. Once ready: from \
             when all processes are ready; where a system does not tell this apart, it is the same.",
        ),
        Text::prose("Events/s: input events, whatever became of them, over either time."),
        Text::prose("Time per event: the time once ready over input events. It is no latency; those of links are below."),
        Text::prose(
            "IPC overhead, of busy time: sending and receiving, encoding and decoding included, over all time in which \
             nobody waited. ≥ stands where a part of it was not measured, ≤ where own work was not.",
        ),
        Text::prose(
            "IPC overhead, of CPU: the CPU time of all processes that is not the stages' own work. Libraries' threads and \
             the kernel's work for them are in it; of systems that do not tell start-up apart, that is too.",
        ),
        Text::prose(
            "Difference: none if the middle of the ratios is within the noise; faster or slower if all of them also rank so \
             far above the differences of equals that chance would seldom do it (rank-sum test; less than one in a hundred \
             of equals); unclear otherwise, as with few turns.",
        ),
        Text::prose(
            "Times as fast: the first lane's time over this one's, once both are ready, of runs that stood next to each \
             other; then their median.",
        ),
    ]);
}
