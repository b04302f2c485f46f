//! `cargo xtask results`: the published comparison once more, with what this project makes of it, as `docs/results.md`.
//!
//! ```text
//! modrun bench … --baselines ──▶ target/xtask/results.jsonl ──▶ page of modrun-report + what was claimed ──▶ docs/results.md
//! ```
//!
//! Guarantees: every figure but the published ones is taken from the file of runs; what was left out is named.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use modrun_report::comparison::{Column, Comparison, Group, Share};
use modrun_report::document::{Cell, Document, Grid, Text};
use modrun_report::read::Measured;
use modrun_report::record::Figures;
use modrun_report::{Align, Summary, units};

use crate::bench::contender::Contender;
use crate::{cmake, example, modrun, process, python, split};

/// How to make it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many turns
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: u32,
    /// Only write the page, from the runs in a file
    #[arg(long, value_name = "FILE.jsonl")]
    from: Option<PathBuf>,
}

const MONOLITH: &str = "bench/baselines/monolith-cpp";
const PAGE: &str = "docs/results.md";
const PLOTS: &str = "docs/results";
/// What is slower than 300k events/s is not run at 10M events.
const LEAVE_OUT_ABOVE: &str = "34";
/// The system that the claims are about.
const SPLIT: &str = "split-grpc";
const LEGACY: &str = "monolith-mutex";

/// What was published of a batch size: so many times as fast as one event a message, from and to.
const ESTIMATES: [(&str, f64, f64); 3] = [("10", 2.0, 2.0), ("100", 4.0, 5.0), ("1000", 5.0, 6.0)];
/// How many times as long as the monolith the published split took, by number of events.
const PUBLISHED: [(u64, f64); 2] = [(100_000, 2.8), (1_000_000, 3.7)];
/// An estimate that is off by no more has held.
const HELD: f64 = 0.1;

/// Measures, unless it was done, and writes the page.
pub(crate) fn run(args: &Args) -> Result<()> {
    let runs = match &args.from {
        Some(file) => file.clone(),
        None => measure(args.runs)?,
    };
    let text = fs::read_to_string(&runs).with_context(|| format!("cannot read `{}`", runs.display()))?;
    let mut measured = Measured::default();
    measured.add("results.jsonl", &text).with_context(|| format!("cannot read `{}`", runs.display()))?;
    write(&Comparison::of(&measured), args.runs)
}

fn measure(runs: u32) -> Result<PathBuf> {
    cmake::build(MONOLITH)?;
    Contender::Simdjson.prepare()?;
    split::build()?;
    modrun::build()?;
    example::setup()?;
    let output = Path::new("target/xtask/results.jsonl");
    fs::create_dir_all(process::root().join("target/xtask"))?;
    let mut command = process::command(modrun::program(), &["bench", modrun::PIPELINE]);
    command.args(["--placements", "one-process,polyglot", "--batch", "1,10,100,1000,adaptive"]);
    command.args(["--events", "100000,1000000,10000000", "--runs", &runs.to_string(), "--baselines"]);
    command.args(["--ledger-cost", "--leave-out-above", LEAVE_OUT_ABOVE, "--data", "bench/data"]);
    command.arg("--output").arg(output);
    process::look_first_in(&mut command, python::PROGRAMS);
    process::run(&mut command)?;
    Ok(process::root().join(output))
}

/// Writes the page and its plots.
fn write(comparison: &Comparison, runs: u32) -> Result<()> {
    let mut page = modrun_report::page::document(comparison);
    page.title = "The published comparison, redone".to_owned();
    claims(comparison, &mut page);
    page.heading(2, "How to do it again");
    page.text(
        Text::prose("`cargo xtask results` builds everything, measures, and writes this page; it took ")
            .words(format!("{runs} turns. "))
            .and("What is slower than 300k events/s is left out at 10M events."),
    );
    let folder = process::root().join(PLOTS);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for plot in page.plots() {
        fs::write(folder.join(plot.file_name()), plot.file())?;
    }
    fs::write(process::root().join(PAGE), page.markdown(Some("results")))?;
    println!("wrote {PAGE} and {PLOTS}/");
    Ok(())
}

fn claims(comparison: &Comparison, page: &mut Document) {
    page.heading(2, "What the 86.7 % really was");
    page.text(Text::prose(
        "The published split put 86.7 % of its time down to IPC, with timers that counted waiting as receiving. Of our \
         split, the same way of counting, and what is left of it when waiting is nobody's overhead:",
    ));
    let right = |title| (title, Align::Right);
    let mut grid = Grid::new([
        right("events"),
        right("events a message"),
        right("counted as published"),
        right("IPC, of busy time"),
        right("IPC, of CPU"),
        right("time / monolith"),
        right("published"),
    ]);
    for group in &comparison.groups {
        let legacy = group.measured().find(|column| column.lane.system == LEGACY);
        for column in group.measured().filter(|column| column.lane.system == SPLIT) {
            let slower = legacy.and_then(|legacy| legacy.speed_against(column));
            let published = PUBLISHED.iter().find(|(events, _)| *events == group.events);
            let published = published.filter(|_| column.lane.batch.as_deref() == Some("1"));
            grid.row(
                [
                    units::exact(group.events),
                    column.lane.batch.clone().unwrap_or_default(),
                    share(column, Figures::naive_ipc),
                    share(column, Figures::ipc_of_busy),
                    share(column, Figures::ipc_of_cpu),
                    slower.map_or_else(String::new, |slower| slower.show(units::number)),
                    published.map_or_else(String::new, |(_, times)| format!("{times} ×, 86.7 %")),
                ]
                .map(Cell::from),
            );
        }
    }
    page.grid(grid);
    page.text(Text::prose(
        "A figure behind ≥, ≤ or ≈ misses what some services do not measure. The share of CPU counts all that is not a \
         service's own work: start-up, libraries and their threads as well.",
    ));
    page.heading(2, "Whether the estimates for batching held");
    page.text(Text::prose(
        "What was expected of more events in a message, as the speed against one event in a message, and what came of it:",
    ));
    let mut grid = Grid::new([
        right("events"),
        right("events a message"),
        right("expected"),
        right("measured"),
        ("so it was", Align::Left),
    ]);
    for group in &comparison.groups {
        for (batch, from, to) in ESTIMATES {
            if let Some(speed) = gained(group, batch) {
                let expected = if from < to { format!("{from}–{to}") } else { from.to_string() };
                let verdict = verdict(speed, from, to);
                let measured = speed.show(units::number);
                grid.row(
                    [units::exact(group.events), batch.to_owned(), expected, measured, verdict.to_owned()]
                        .map(Cell::from),
                );
            }
        }
    }
    page.grid(grid);
}

/// How many times as fast as one event a message a batch size is, turn by turn.
fn gained(group: &Group, batch: &str) -> Option<Summary> {
    let of = |batch: &str| {
        group
            .measured()
            .find(|column| column.lane.system == SPLIT && column.lane.batch.as_deref() == Some(batch))
    };
    of(batch)?.speed_against(of("1")?)
}

fn verdict(speed: Summary, from: f64, to: f64) -> &'static str {
    if speed.median < from * (1.0 - HELD) {
        "less"
    } else if speed.median > to * (1.0 + HELD) {
        "more"
    } else {
        "it held"
    }
}

fn share(column: &Column, of: fn(&Figures) -> Option<Share>) -> String {
    let shares: Option<Vec<Share>> = column.turns().and_then(|turns| turns.values().map(of).collect());
    let shares = shares.unwrap_or_default();
    let values: Vec<f64> = shares.iter().map(|share| share.value * 100.0).collect();
    let sign = shares.first().map_or("", |share| share.bound.sign());
    Summary::of(&values).map_or("not measured".to_owned(), |summary| format!("{sign}{:.1} %", summary.median))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_holds_within_a_tenth() {
        let speed = |median| Summary { min: median, median, max: median };
        for (median, expected) in
            [(3.5, "less"), (3.7, "it held"), (4.5, "it held"), (5.4, "it held"), (5.6, "more")]
        {
            assert_eq!(verdict(speed(median), 4.0, 5.0), expected, "{median}");
        }
    }
}
