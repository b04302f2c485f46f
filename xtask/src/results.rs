//! `cargo xtask results`: the published comparison once more, as `docs/results.md`, and a workload with real computation
//! beside it, as `docs/results-of-work.md`.
//!
//! ```text
//! modrun bench … ──▶ target/xtask/results/NAME.jsonl ──▶ pages of modrun-report + what was claimed ──▶ docs/
//! ```
//!
//! Guarantees: every figure but the published ones is taken from the file of runs; what was left out is named.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use modrun_core::Busy;
use modrun_report::comparison::{Column, Comparison, Group, Share};
use modrun_report::document::{Cell, Document, Grid, Text};
use modrun_report::read::Measured;
use modrun_report::record::Figures;
use modrun_report::{Align, Summary, units};

use crate::bench::contender::Contender;
use crate::{cmake, example, modrun, process, python, rolling, split};

/// How to make it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many turns
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: u32,
    /// Only write the pages, from the runs in a folder
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
}

/// Where runs are recorded.
const RUNS: &str = "target/xtask/results";
/// What is measured: the name of its file, the pipeline, and how.
const BENCHES: [(&str, &str, &[&str]); 4] = [
    (
        COMPARISON,
        modrun::PIPELINE,
        &[
            "--placements",
            "one-process,polyglot",
            "--batch",
            "1,10,100,1000,adaptive",
            "--events",
            "100000,1000000,10000000",
            "--baselines",
            "--ledger-cost",
            "--leave-out-above",
            LEAVE_OUT_ABOVE,
        ],
    ),
    (
        PRICES,
        modrun::PIPELINE,
        &["--price", "--placements", "polyglot", "--batch", "300,1000,30000,adaptive", "--events", "1000000"],
    ),
    (
        WORK,
        rolling::PIPELINE,
        &["--placements", "one-process,process,go,cpp,typescript,python", "--events", "100000,1000000"],
    ),
    (
        WORK_PRICES,
        rolling::PIPELINE,
        &[
            "--price",
            "--placements",
            "process,go,cpp,typescript,python",
            "--batch",
            "300,30000",
            "--events",
            "300000",
        ],
    ),
];
const COMPARISON: &str = "comparison";
const PRICES: &str = "prices";
const WORK: &str = "work";
const WORK_PRICES: &str = "work-prices";

const MONOLITH: &str = "bench/baselines/monolith-cpp";
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

/// Measures, unless it was done, and writes the pages.
pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = match &args.from {
        Some(folder) => folder.clone(),
        None => measure(args.runs)?,
    };
    let read = |name: &str| -> Result<Comparison> {
        let path = folder.join(name).with_extension("jsonl");
        let cannot = || format!("cannot read `{}`", path.display());
        let mut measured = Measured::default();
        measured.add(name, &fs::read_to_string(&path).with_context(cannot)?).with_context(cannot)?;
        Ok(Comparison::of(&measured))
    };
    let (comparison, work) = (read(COMPARISON)?, read(WORK)?);
    published(&comparison, &read(PRICES)?)?;
    with_work(&work, &comparison, &read(WORK_PRICES)?)
}

fn measure(runs: u32) -> Result<PathBuf> {
    cmake::build(MONOLITH)?;
    Contender::Simdjson.prepare()?;
    split::build()?;
    modrun::build()?;
    example::setup()?;
    rolling::setup()?;
    let folder = process::root().join(RUNS);
    fs::create_dir_all(&folder)?;
    for (name, pipeline, options) in BENCHES {
        let mut command = process::command(modrun::program(), &["bench", pipeline]);
        command.args(options).args(["--runs", &runs.to_string(), "--data", "bench/data"]);
        command.arg("--output").arg(Path::new(RUNS).join(name).with_extension("jsonl"));
        process::look_first_in(&mut command, &[Path::new(python::PROGRAMS)]);
        process::run(&mut command)?;
    }
    Ok(folder)
}

/// The page about the published comparison.
fn published(comparison: &Comparison, prices: &Comparison) -> Result<()> {
    let mut page = modrun_report::page::document(comparison);
    page.title = "The published comparison, redone".to_owned();
    claims(comparison, &mut page);
    modrun_report::page::prices_section(prices, &mut page);
    again(&mut page);
    page.text(Text::prose("What is slower than 300k events/s is left out at 10M events."));
    write(&page, "results")
}

/// The page about the workload with real computation.
fn with_work(work: &Comparison, parsing: &Comparison, prices: &Comparison) -> Result<()> {
    let mut page = Document::new("Where a split costs nothing, and where it does");
    page.text(
        Text::prose("Two pipelines with the same input, at 1M events and with adaptive batches. In ")
            .link("one", "../examples/event-pipeline")
            .and(", nearly all the work is parsing; in ")
            .link("the other", "../examples/rolling-features")
            .and(", each event takes some hundreds of operations more. The same boundary is much of the first and little of the \
                  second. What a language takes longer for the same operations is its work, and no price of the boundary:"),
    );
    let mut grid = Grid::new([
        ("pipeline", Align::Left),
        ("placement", Align::Left),
        ("own work by event", Align::Right),
        ("IPC by event", Align::Right),
        ("IPC, of busy time", Align::Right),
        ("times as fast as one process", Align::Right),
        ("difference", Align::Left),
    ]);
    for comparison in [parsing, work] {
        for group in comparison.groups.iter().filter(|group| group.events == BESIDE) {
            for column in group.measured().filter(|column| is_beside(column)) {
                grid.row(beside(group, column));
            }
        }
    }
    page.grid(grid);
    page.text(Text::prose(
        "Own work and IPC are sums over all loops, of which several run at a time; a loop that had no core for a while \
         counts as busy. What is under the noise is no difference.",
    ));
    modrun_report::page::sections(work, &mut page);
    modrun_report::page::prices_section(prices, &mut page);
    again(&mut page);
    write(&page, "results-of-work")
}

/// The number of events at which the two workloads are put beside each other.
const BESIDE: u64 = 1_000_000;

fn is_beside(column: &Column) -> bool {
    column.lane.placement.is_some() && column.lane.batch.as_deref().is_none_or(|batch| batch == "adaptive")
}

fn beside(group: &Group, column: &Column) -> [String; 7] {
    let report = |figures: &Figures| figures.report.clone();
    let by_event = |of: fn(&Busy) -> f64| {
        let sum = |figures: &Figures| {
            let report = report(figures)?;
            let stages: f64 = report.stages.iter().map(|stage| of(&stage.busy)).sum();
            Some((stages + of(&report.forwarding.busy)) / group.events as f64)
        };
        column.summary(sum).map_or_else(String::new, |summary| units::seconds(summary.median))
    };
    let pipeline = column.typical().and_then(report).map_or_else(String::new, |report| report.pipeline);
    let (speed, verdict) = match group.verdict(column) {
        Some((speed, verdict)) => (speed.show(units::number), verdict.word().to_owned()),
        None => Default::default(),
    };
    let is_first = group.reference().is_some_and(|first| first.lane == column.lane);
    [
        pipeline,
        column.lane.placement.clone().unwrap_or_default(),
        by_event(|busy| busy.processing_seconds),
        by_event(|busy| busy.ipc_send_seconds + busy.ipc_receive_seconds),
        share(column, Figures::ipc_of_busy),
        if is_first { "1".to_owned() } else { speed },
        if is_first { "the first".to_owned() } else { verdict },
    ]
}

fn again(page: &mut Document) {
    page.heading(2, "How to do it again");
    page.text(Text::prose("`cargo xtask results` builds everything, measures, and writes this page."));
}

/// Writes a page into `docs/`, and its plots into a folder of the same name.
fn write(page: &Document, name: &str) -> Result<()> {
    let docs = process::root().join("docs");
    let (file, plots) = (docs.join(name).with_extension("md"), docs.join(name));
    if plots.exists() {
        fs::remove_dir_all(&plots)?;
    }
    fs::create_dir_all(&plots)?;
    for plot in page.plots() {
        fs::write(plots.join(plot.file_name()), plot.file())?;
    }
    fs::write(&file, page.markdown(Some(name)))?;
    println!("wrote docs/{name}.md and docs/{name}/");
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
