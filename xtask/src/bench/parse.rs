//! `cargo xtask bench parse`: the pipeline in one process against what one would write by hand.
//!
//! ```text
//! for each number of threads, on the same file:
//!   modrun, simdjson, modrun again, DuckDB, splitting lines │ modrun, simdjson, … │ …      one warm-up, then --runs rounds
//!   └──────── ratio ────────┘                                 ratios are taken within a round, never across
//! ```
//!
//! A figure is shown only for runs whose results were the expected ones. Throughput is input events over wall time,
//! from before the program is started until it is gone; for DuckDB, whose start-up is Python's, from when it is loaded.
//! One-core runs are pinned to a core. `--marginal` also measures what an event costs in a small and in a large file,
//! without start-up: (t(10M) - t(2M)) / 8M against (t(50M) - t(10M)) / 40M.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use modrun_report::{Align, Summary, Table, ratios, units};
use serde::Serialize;

use crate::bench::contender::{Contender, Job};
use crate::bench::machine::Machine;
use crate::bench::{machine, write_json};
use crate::input::Input;
use crate::process::{self, Usage};

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    events: u64,
    /// How many runs of each
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Numbers of threads, one table each; default: 1 and the number of cores
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Also measure the cost of an event in a file of 2M, 10M and 50M events (6 GB of disk)
    #[arg(long)]
    marginal: bool,
    /// Leave DuckDB out
    #[arg(long)]
    no_duckdb: bool,
    /// Write every single run to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All that was measured.
#[derive(Serialize)]
struct Figures {
    machine: Machine,
    series: Vec<Series>,
}

/// The runs of one contender at one job, in the order in which they were made.
#[derive(Serialize)]
struct Series {
    contender: Contender,
    events: u64,
    shuffled: bool,
    threads: usize,
    runs: Vec<Usage>,
}

/// Whose speed is compared with whose.
const PAIRS: [(Contender, Contender); 4] = [
    (Contender::Modrun, Contender::Simdjson),
    (Contender::Modrun, Contender::ModrunAgain),
    (Contender::Modrun, Contender::Duckdb),
    (Contender::Simdjson, Contender::SplitLines),
];

/// Measures, verifies, and shows tables.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut contenders =
        vec![Contender::Modrun, Contender::Simdjson, Contender::ModrunAgain, Contender::SplitLines];
    if !args.no_duckdb {
        contenders.push(Contender::Duckdb);
    }
    contenders.iter().try_for_each(|contender| contender.prepare())?;
    let threads = if args.threads.is_empty() { vec![1, machine::cores()] } else { args.threads.clone() };

    let machine = Machine::this();
    println!("\n{}", machine.line());

    let input = Input::plain(args.events);
    let mut series = Vec::new();
    for threads in threads {
        let lanes: Vec<_> = contenders.iter().map(|contender| (*contender, Job { input, threads })).collect();
        let measured = measure(&lanes, args.runs)?;
        println!("\n{} events, threads: {threads}, runs: {}\n", units::exact(args.events), args.runs);
        show(&measured);
        series.extend(measured);
    }
    series.extend(shuffled(args)?);
    if args.marginal {
        series.extend(marginal(args.runs)?);
    }
    args.json.as_deref().map_or(Ok(()), |path| write_json(path, &Figures { machine, series }))
}

/// Measures lines with keys in random order and escapes, and shows it.
fn shuffled(args: &Args) -> Result<Vec<Series>> {
    let job = Job { input: Input { events: args.events, shuffled: true }, threads: 1 };
    let measured = measure(&[(Contender::Modrun, job), (Contender::Simdjson, job)], args.runs)?;
    println!("\nkeys in random order, escapes in strings; threads: 1\n");
    show(&measured);
    Ok(measured)
}

/// Measures the cost of an event between files of three sizes, and shows it.
fn marginal(runs: u32) -> Result<Vec<Series>> {
    let jobs =
        [2_000_000, 10_000_000, 50_000_000].map(|events| Job { input: Input::plain(events), threads: 1 });
    let measured = measure(&jobs.map(|job| (Contender::Modrun, job)), runs)?;
    jobs[2].input.remove()?;
    let [small, middle, large] = [0, 1, 2].map(|index| Point::of(&measured[index]));
    let (early, late) = (small.slope_to(middle), middle.slope_to(large));
    println!("\nmarginal cost of an event; threads: 1\n");
    let mut table = Table::new([("between", Align::Left), ("per event", Align::Right)]);
    table.row(["2M and 10M".to_owned(), units::seconds(early)]);
    table.row(["10M and 50M".to_owned(), units::seconds(late)]);
    table.row(["ratio".to_owned(), units::number(late / early)]);
    println!("{table}");
    Ok(measured)
}

/// Runs the lanes in turns: one round that counts for nothing, then `runs` that do.
fn measure(lanes: &[(Contender, Job)], runs: u32) -> Result<Vec<Series>> {
    let mut series = Vec::new();
    let mut expected = Vec::new();
    for (contender, job) in lanes {
        job.input.generate_once()?;
        expected.push(expected_results(job.input)?);
        series.push(Series::new(*contender, *job));
    }
    for round in 0..=runs {
        for (((contender, job), expected), series) in lanes.iter().zip(&expected).zip(&mut series) {
            let usage = contender.run(*job, expected)?;
            if round > 0 {
                series.runs.push(usage);
            }
        }
    }
    Ok(series)
}

/// The reference results; for a size that has none, those of the simdjson program.
fn expected_results(input: Input) -> Result<String> {
    match Input::plain(input.events).expected() {
        Some(path) => {
            fs::read_to_string(process::root().join(&path)).with_context(|| format!("cannot read `{path}`"))
        }
        None => Ok(Contender::Simdjson.execute(Job { input, threads: 1 })?.0),
    }
}

/// The median wall time of a number of events.
#[derive(Clone, Copy)]
struct Point {
    events: f64,
    seconds: f64,
}

impl Point {
    fn of(series: &Series) -> Self {
        Self { events: series.events as f64, seconds: series.wall().median }
    }

    fn slope_to(self, other: Self) -> f64 {
        (other.seconds - self.seconds) / (other.events - self.events)
    }
}

impl Series {
    fn new(contender: Contender, job: Job) -> Self {
        let Job { input: Input { events, shuffled }, threads } = job;
        Self { contender, events, shuffled, threads, runs: Vec::new() }
    }

    fn summary(&self, figure: impl Fn(&Usage) -> f64) -> Summary {
        let sample: Vec<f64> = self.runs.iter().map(figure).collect();
        Summary::of(&sample).expect("there is at least one run")
    }

    fn wall(&self) -> Summary {
        self.summary(|usage| usage.wall_seconds)
    }

    /// How many times as fast as `other` this is, run by run.
    fn speed_against(&self, other: &Self) -> Option<Summary> {
        let walls = |series: &Self| series.runs.iter().map(|run| run.wall_seconds).collect::<Vec<_>>();
        Summary::of(&ratios(&walls(other), &walls(self)))
    }
}

/// Shows one table of figures and one of ratios.
fn show(series: &[Series]) {
    let mut figures = Table::new([
        ("system", Align::Left),
        ("wall", Align::Right),
        ("events/s", Align::Right),
        ("CPU-s per 1M", Align::Right),
        ("peak memory", Align::Right),
    ]);
    for system in series {
        let millions = system.events as f64 / 1e6;
        figures.row([
            system.contender.name().to_owned(),
            system.wall().show(units::seconds),
            system.wall().map(|seconds| system.events as f64 / seconds).show(units::scaled),
            system.summary(|usage| usage.cpu_seconds / millions).show(units::number),
            units::bytes(system.summary(|usage| usage.peak_rss_bytes as f64).max),
        ]);
    }
    let mut speeds = Table::new([("speed", Align::Left), ("ratio, pair by pair", Align::Right)]);
    let find = |wanted| series.iter().find(|series| series.contender == wanted);
    for (ours, theirs) in PAIRS {
        if let Some(ratio) =
            find(ours).zip(find(theirs)).and_then(|(ours, theirs)| ours.speed_against(theirs))
        {
            speeds.row([format!("{} / {}", ours.name(), theirs.name()), ratio.show(units::number)]);
        }
    }
    println!("{figures}\n{speeds}");
}
