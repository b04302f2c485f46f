//! `cargo xtask bench baselines`: what people would write by hand, as one process and as five.
//!
//! ```text
//! for each number of events, on the same file, --runs rounds of:
//!   splitting lines, simdjson, monolith-mutex, monolith-lockfree, monolith-mutex again,
//!   split-grpc at each batch size, the last once more
//! ```
//!
//! Every system is measured through the same window: from before its first process is started until its last is
//! gone, with the CPU time of all of them. No figure is taken from a run whose results were not the expected
//! ones. Each system reports its own inside; what it did not measure stays null. What is left out is named, not
//! guessed.

mod tables;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use crate::bench::contender::{Contender, Job};
use crate::bench::machine::{self, Machine};
use crate::bench::write_json;
use crate::input::{self, Input};
use crate::process::{self, Usage};
use crate::{cmake, modrun, split};

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Numbers of events
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [100_000, 1_000_000])]
    events: Vec<u64>,
    /// Events in a message of the split: numbers, or `adaptive`
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,10,100,1000,adaptive")]
    batch: Vec<Batch>,
    /// How many runs of each
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Do not leave out one event a message beyond 100000 events (two minutes a run at 1M)
    #[arg(long)]
    all: bool,
    /// Write every single run to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures, verifies, and shows tables.
pub(crate) fn run(args: &Args) -> Result<()> {
    cmake::build(MONOLITH)?;
    Contender::Simdjson.prepare()?;
    split::build()?;

    println!("\n{}", Machine::this().line());
    let mut records = Vec::new();
    for &events in &args.events {
        let input = Input::plain(events);
        if !process::root().join(input.path()).exists() {
            modrun::build()?;
            input.generate()?;
        }
        let (lanes, left_out) = lanes(args, events);
        let measured = measure(&lanes, input, args.runs)?;
        tables::show(events, &measured, &left_out);
        records.extend(measured);
    }
    if let Some(path) = &args.json {
        write_json(path, &records)?;
    }
    match records.iter().filter(|record| record.figures.is_none()).count() {
        0 => Ok(()),
        wrong => bail!("{wrong} of {} runs gave wrong results", records.len()),
    }
}

/// One run of one system.
#[derive(Debug, Serialize)]
struct Record {
    #[serde(flatten)]
    lane: Lane,
    events: u64,
    /// Counts from 1.
    run: u32,
    correct: bool,
    /// Only of a correct run.
    #[serde(flatten)]
    figures: Option<Figures>,
}

#[derive(Debug, Serialize)]
struct Figures {
    wall_seconds: f64,
    events_per_second: f64,
    cpu_seconds_per_million: f64,
    /// The sum of every process's peak.
    peak_rss_bytes: u64,
    peak_rss_bytes_of_largest: u64,
    /// What the system reports about its processes or threads; null where it reports nothing.
    services: Value,
}

/// What runs, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Lane {
    system: System,
    batch: Option<Batch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum System {
    SplitLines,
    Simdjson,
    MonolithMutex,
    MonolithLockfree,
    /// The same once more: how much two runs of one program differ is the noise.
    MonolithMutexAgain,
    SplitGrpc,
    /// The same once more.
    SplitGrpcAgain,
}

/// How many events travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Batch {
    Adaptive,
    #[serde(untagged)]
    Events(u32),
}

const MONOLITH: &str = "bench/baselines/monolith-cpp";
const LOCKFREE_BATCH: u32 = 1000;
/// Beyond it, one event a message takes minutes.
const SINGLE_EVENTS_MAX: u64 = 100_000;

/// What to run at a size, in the order of a round, and what not.
fn lanes(args: &Args, events: u64) -> (Vec<Lane>, Vec<Lane>) {
    let lane = |system, batch| Lane { system, batch };
    let single = Some(Batch::Events(1));
    let mut lanes = vec![
        lane(System::SplitLines, None),
        lane(System::Simdjson, None),
        lane(System::MonolithMutex, single),
        lane(System::MonolithLockfree, Some(Batch::Events(LOCKFREE_BATCH))),
        lane(System::MonolithMutexAgain, single),
    ];
    let split: Vec<_> = args.batch.iter().map(|&batch| lane(System::SplitGrpc, Some(batch))).collect();
    let (left_out, split): (Vec<_>, Vec<_>) =
        split.into_iter().partition(|lane| !args.all && lane.batch == single && events > SINGLE_EVENTS_MAX);
    lanes.extend(&split);
    lanes.extend(split.last().map(|last| lane(System::SplitGrpcAgain, last.batch)));
    (lanes, left_out)
}

/// Runs the lanes in turns.
fn measure(lanes: &[Lane], input: Input, runs: u32) -> Result<Vec<Record>> {
    let path =
        input.expected().with_context(|| format!("no results are known for {} events", input.events))?;
    let expected = fs::read_to_string(process::root().join(path))?;
    let mut records = Vec::new();
    for run in 1..=runs {
        for &lane in lanes {
            eprintln!("{} events, run {run} of {runs}: {}", input.events, lane.name());
            let figures = lane.run(input, &expected)?;
            records.push(Record { lane, events: input.events, run, correct: figures.is_some(), figures });
        }
    }
    Ok(records)
}

impl Lane {
    fn name(self) -> String {
        let name = serde_json::to_value(self.system).expect("a name is a string");
        let name = name.as_str().unwrap_or_default();
        self.batch.map_or_else(|| name.to_owned(), |batch| format!("{name}, batch {batch}"))
    }

    /// Runs it once; none if the results are not the expected ones.
    fn run(self, input: Input, expected: &str) -> Result<Option<Figures>> {
        let job = Job { input, threads: machine::cores() };
        match self.system {
            System::SplitLines => {
                let usage = Contender::SplitLines.run(job, expected)?;
                Ok(Some(Figures::new(input, usage, &Value::Null)))
            }
            System::Simdjson => {
                let (results, usage) = Contender::Simdjson.execute(job)?;
                Ok((results == expected).then(|| Figures::new(input, usage, &Value::Null)))
            }
            _ => self.run_baseline(input, expected),
        }
    }

    fn run_baseline(self, input: Input, expected: &str) -> Result<Option<Figures>> {
        let (output, report) = (input::scratch("baseline.ndjson")?, input::scratch("baseline.json")?);
        // Whatever an earlier run left there must not pass for this one's results.
        fs::write(&output, "")?;
        let usage = process::measure(&mut self.command(input, &output, &report))?;
        let report: Value = serde_json::from_slice(&fs::read(&report)?)?;
        let correct = fs::read_to_string(&output)? == expected && report["events"] == input.events;
        Ok(correct.then(|| Figures::new(input, usage, &report)))
    }

    fn command(self, input: Input, output: &Path, report: &Path) -> Command {
        let is_split = matches!(self.system, System::SplitGrpc | System::SplitGrpcAgain);
        let monolith = process::root().join(MONOLITH).join("build/monolith");
        let mut command = process::command(if is_split { split::program() } else { monolith }, &[]);
        command.args(["--input", &input.path()]).arg("--output").arg(output).arg("--report").arg(report);
        if !is_split {
            let is_lockfree = self.system == System::MonolithLockfree;
            command.args(["--queue", if is_lockfree { "lockfree" } else { "mutex" }]);
        }
        if let Some(batch) = self.batch {
            command.args(["--batch", &batch.to_string()]);
        }
        command
    }
}

impl Figures {
    fn new(input: Input, usage: Usage, report: &Value) -> Self {
        let events = input.events as f64;
        let parts =
            ["services", "stages"].into_iter().find_map(|key| report.get(key)).unwrap_or(&Value::Null);
        let peaks =
            || parts.as_array().into_iter().flatten().filter_map(|part| part["peak_rss_bytes"].as_u64());
        Self {
            wall_seconds: usage.wall_seconds,
            events_per_second: events / usage.wall_seconds,
            cpu_seconds_per_million: usage.cpu_seconds / events * 1e6,
            // The threads of one process have none of their own.
            peak_rss_bytes: peaks().reduce(|sum, peak| sum + peak).unwrap_or(usage.peak_rss_bytes),
            peak_rss_bytes_of_largest: peaks().max().unwrap_or(usage.peak_rss_bytes),
            services: parts.clone(),
        }
    }
}

impl FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "adaptive" => Ok(Self::Adaptive),
            Ok(events @ 1..) => Ok(Self::Events(events)),
            _ => Err(format!("a batch is a positive number or `adaptive`, not `{text}`")),
        }
    }
}

impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Events(events) => write!(f, "{events}"),
            Self::Adaptive => f.write_str("adaptive"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_every_field() {
        let usage = Usage { wall_seconds: 2.0, cpu_seconds: 3.0, peak_rss_bytes: 7 };
        let report = serde_json::json!({"services": [{"peak_rss_bytes": 5}, {"peak_rss_bytes": 4}]});
        let record = Record {
            lane: Lane { system: System::SplitGrpcAgain, batch: Some(Batch::Adaptive) },
            events: 1000,
            run: 1,
            correct: true,
            figures: Some(Figures::new(Input::plain(1000), usage, &report)),
        };
        let expected = serde_json::json!({
            "system": "split-grpc-again", "batch": "adaptive", "events": 1000, "run": 1, "correct": true,
            "wall_seconds": 2.0, "events_per_second": 500.0, "cpu_seconds_per_million": 3000.0,
            "peak_rss_bytes": 9, "peak_rss_bytes_of_largest": 5, "services": report["services"],
        });
        assert_eq!(serde_json::to_value(&record).unwrap(), expected);
        assert_eq!(serde_json::to_value(Batch::Events(10)).unwrap(), 10);
    }
}
