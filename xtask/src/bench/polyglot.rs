//! `cargo xtask bench polyglot`: what it costs to run the stages as processes, in whatever language.
//!
//! ```text
//! on the same file, one warm-up, then --runs rounds of:
//!   one-process, polyglot, one-process again, polyglot-per-event, processes in Rust, with --grpc: split-grpc
//! with --grpc, on the first --single-events events, as many rounds of:
//!   polyglot and split-grpc, with one event a message
//! then, the price of a single hop in each language: see `hop`
//! ```
//!
//! No figure is taken from a run whose results were not the expected ones. Wall time and CPU time are those of the run
//! report: from when every process is ready until the results are whole, over all processes. Start-up stands beside
//! them, and CPU time with start-up is also measured from outside, over all that was started. The gRPC split has no CPU
//! time without start-up; its wall time is from the first request to the results.

mod hop;
mod tables;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use modrun_report::{Summary, ratios, units};
use serde::{Deserialize, Serialize};

use crate::bench::machine::Machine;
use crate::bench::write_json;
use crate::example::{self, Placement};
use crate::input::{self, Input};
use crate::modrun::Stage;
use crate::{modrun, process, split};

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many events; there must be expected results for them
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    events: u64,
    /// How many runs of each
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Also run the gRPC split
    #[arg(long)]
    grpc: bool,
    /// How many events where each message has one; with --grpc
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    single_events: u64,
    /// Rows of small and of large batches, for the price of a single hop
    #[arg(long, value_name = "SMALL,LARGE", default_value = "1000,16000")]
    hop_rows: hop::Rows,
    /// Leave out the price of a single hop
    #[arg(long)]
    no_hop: bool,
    /// Write every single run to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All that was measured.
#[derive(Serialize)]
struct Figures {
    machine: Machine,
    series: Vec<Series>,
    hops: Vec<hop::Series>,
}

/// What runs the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Contender {
    Modrun(Placement),
    /// In one process once more: how much two runs of one program differ is the noise.
    Again,
    /// Polyglot, with one event in each message.
    Single,
    Grpc,
    /// With one event in each message.
    GrpcSingle,
}

const ONE_PROCESS: Contender = Contender::Modrun(Placement::OneProcess);
const POLYGLOT: Contender = Contender::Modrun(Placement::Polyglot);
const PER_EVENT: Contender = Contender::Modrun(Placement::PolyglotPerEvent);
const PROCESSES: Contender = Contender::Modrun(Placement::Processes);

/// Measures, verifies, and shows tables.
pub(crate) fn run(args: &Args) -> Result<()> {
    modrun::build()?;
    example::setup()?;
    let mut contenders = vec![ONE_PROCESS, POLYGLOT, Contender::Again, PER_EVENT, PROCESSES];
    if args.grpc {
        split::build()?;
        contenders.push(Contender::Grpc);
    }
    if !args.no_hop {
        hop::prepare()?;
    }
    let machine = Machine::this();
    println!("\n{}", machine.line());

    let mut series = measure(&contenders, Input::plain(args.events), args.runs)?;
    println!("\n{} events, runs: {}\n", units::exact(args.events), args.runs);
    tables::show(&series);
    tables::show_stages(&series);
    if args.grpc {
        let single = [Contender::Single, Contender::GrpcSingle];
        let measured = measure(&single, Input::plain(args.single_events), args.runs)?;
        println!("\none event a message, {} events:\n", units::exact(args.single_events));
        tables::show(&measured);
        series.extend(measured);
    }
    let hops =
        if args.no_hop { Vec::new() } else { hop::run(Input::plain(args.events), args.hop_rows, args.runs)? };
    args.json.as_deref().map_or(Ok(()), |path| write_json(path, &Figures { machine, series, hops }))
}

/// Runs the contenders in turns: one round that counts for nothing, then `runs` that do.
fn measure(contenders: &[Contender], input: Input, runs: u32) -> Result<Vec<Series>> {
    input.generate_once()?;
    let series =
        |contender: &Contender| Series { contender: *contender, events: input.events, runs: Vec::new() };
    let mut all: Vec<Series> = contenders.iter().map(series).collect();
    for round in 0..=runs {
        for series in &mut all {
            eprintln!("{} events, round {round} of {runs}: {}", input.events, series.contender.name());
            let run = series.contender.run(input)?;
            if round > 0 {
                series.runs.push(run);
            }
        }
    }
    Ok(all)
}

/// The runs of one contender, in the order in which they were made.
#[derive(Serialize)]
struct Series {
    contender: Contender,
    events: u64,
    runs: Vec<Run>,
}

/// One run whose results were the expected ones.
#[derive(Serialize)]
struct Run {
    /// Without start-up.
    wall_seconds: f64,
    start_seconds: f64,
    /// Of all processes, without start-up; none if that was not measured.
    cpu_seconds: Option<f64>,
    /// Of all processes, from their start to their end.
    cpu_seconds_with_start: f64,
    /// Of the process that runs the pipeline; none if that was not measured.
    peak_rss_bytes: Option<u64>,
    /// The sum of every process's peak.
    peak_rss_bytes_of_all: u64,
    stages: Vec<Stage>,
}

/// The part of the split's report that is shown.
#[derive(Deserialize)]
struct GrpcReport {
    wall_seconds: f64,
    stream_seconds: f64,
    peak_rss_bytes: u64,
}

impl Contender {
    /// What the tables call it.
    fn name(self) -> &'static str {
        match self {
            Self::Modrun(placement) => placement.name(),
            Self::Again => "one-process again",
            Self::Single => "polyglot, one event a message",
            Self::Grpc => "split-grpc",
            Self::GrpcSingle => "split-grpc, one event a message",
        }
    }

    /// Runs it, fails unless the results are the expected ones, and only then says what it used.
    fn run(self, input: Input) -> Result<Run> {
        match self {
            Self::Modrun(placement) => run_modrun(input, placement, &[]),
            Self::Again => run_modrun(input, Placement::OneProcess, &[]),
            Self::Single => run_modrun(input, Placement::Polyglot, &["--set", "batch={rows: 1}"]),
            Self::Grpc => run_grpc(input, "adaptive"),
            Self::GrpcSingle => run_grpc(input, "1"),
        }
    }
}

fn run_modrun(input: Input, placement: Placement, options: &[&str]) -> Result<Run> {
    let mut run = example::Run::new(input, &input.path(), placement)?;
    run.command.arg("--no-build").args(options);
    let (report, usage) = run.measure()?;
    Ok(Run {
        wall_seconds: report.wall_seconds,
        start_seconds: report.start_seconds,
        cpu_seconds: Some(report.cpu_seconds.total()),
        cpu_seconds_with_start: usage.cpu_seconds,
        peak_rss_bytes: Some(report.peak_rss_bytes),
        peak_rss_bytes_of_all: report.peak_rss_bytes_of_all(),
        stages: report.stages,
    })
}

fn run_grpc(input: Input, batch: &str) -> Result<Run> {
    let expected = input.expected().context("there are no expected results for so many events")?;
    let (output, report) = (input::scratch("grpc.ndjson")?, input::scratch("grpc.json")?);
    // Whatever an earlier run left there must not pass for this one's results.
    fs::write(&output, "")?;
    let mut command = process::command(split::program(), &["--input", &input.path(), "--batch", batch]);
    let usage = process::measure(command.arg("--output").arg(&output).arg("--report").arg(&report))?;
    let is_expected = fs::read(process::root().join(&expected))? == fs::read(&output)?;
    ensure!(is_expected, "`{}` differs from `{expected}`", output.display());
    let report: GrpcReport = serde_json::from_slice(&fs::read(&report)?)?;
    Ok(Run {
        wall_seconds: report.stream_seconds,
        start_seconds: report.wall_seconds - report.stream_seconds,
        cpu_seconds: None,
        cpu_seconds_with_start: usage.cpu_seconds,
        peak_rss_bytes: None,
        peak_rss_bytes_of_all: report.peak_rss_bytes,
        stages: Vec::new(),
    })
}

impl Series {
    /// None if a run did not measure it.
    fn summary(&self, figure: impl Fn(&Run) -> Option<f64>) -> Option<Summary> {
        let sample: Option<Vec<f64>> = self.runs.iter().map(figure).collect();
        Summary::of(&sample?)
    }

    /// A figure for each million events.
    fn per_million(&self, figure: impl Fn(&Run) -> Option<f64>) -> Option<Summary> {
        let millions = self.events as f64 / 1e6;
        self.summary(|run| Some(figure(run)? / millions))
    }

    /// How `figure` compares with that of `other`, run by run; none if one of them did not measure it.
    fn ratio(&self, other: &Self, figure: impl Fn(&Run) -> Option<f64>) -> Option<Summary> {
        let sample = |series: &Self| series.runs.iter().map(&figure).collect::<Option<Vec<_>>>();
        Summary::of(&ratios(&sample(self)?, &sample(other)?))
    }
}
