//! The price of one hop: into a process that hands on every event, and back.
//!
//! ```text
//! ingest ▸ parse ▸ pass ▸ count ▸ sink     all in one process but `pass`, which is an SDK's `echo` of batches
//! ingest ▸ parse ▸ count ▸ sink            without a hop
//!
//!                   CPU(small batches) - CPU(large batches), minus the same without the hop
//! CPU of a batch =  ───────────────────────────────────────────────────────────────────────
//!                                 batches(small) - batches(large)
//! ```
//!
//! Both have the same events, so that what an event costs falls out of the difference and what a batch costs remains.
//! CPU time is that of all processes, without start-up. Each run's results must be those of the run without a hop.

use std::fs;
use std::str::FromStr;

use anyhow::{Result, ensure};
use modrun_report::{Align, Summary, Table, units};
use serde::Serialize;
use serde_json::{Value, json};

use crate::conformance::{self, Program};
use crate::input::{self, Input};
use crate::modrun::{self, Report};
use crate::process;

const PROGRAMS: [Program; 5] = conformance::ALL;

/// How many rows small batches have, and large ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows([u32; 2]);

impl FromStr for Rows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let two =
            text.split_once(',').and_then(|(small, large)| Some([small.parse().ok()?, large.parse().ok()?]));
        match two {
            Some([small, large]) if 0 < small && small < large => Ok(Self([small, large])),
            _ => Err(format!("two rising numbers such as `1000,16000`, not `{text}`")),
        }
    }
}

/// Builds every program.
pub(super) fn prepare() -> Result<()> {
    PROGRAMS.iter().try_for_each(Program::build)
}

/// The runs of one program, or of none.
#[derive(Serialize)]
pub(super) struct Series {
    program: String,
    rows: [u32; 2],
    rounds: Vec<Round>,
}

/// One run with small batches and one with large ones.
#[derive(Serialize)]
struct Round {
    small: Hop,
    large: Hop,
}

#[derive(Clone, Copy, Serialize)]
struct Hop {
    batches: u64,
    /// Of all processes.
    cpu_seconds: f64,
    /// Of the stage's process alone.
    stage_cpu_seconds: f64,
    wall_seconds: f64,
}

/// Measures every language in turns, and shows a table.
pub(super) fn run(input: Input, Rows(rows): Rows, runs: u32) -> Result<Vec<Series>> {
    let lanes: Vec<Option<&Program>> = [None].into_iter().chain(PROGRAMS.iter().map(Some)).collect();
    let name = |lane: &Option<&Program>| lane.map_or("no hop", |program| program.language()).to_owned();
    let mut all: Vec<Series> =
        lanes.iter().map(|lane| Series { program: name(lane), rows, rounds: Vec::new() }).collect();
    let mut digest = None;
    for round in 0..=runs {
        for (lane, series) in lanes.iter().zip(&mut all) {
            eprintln!("{} events, hop, round {round} of {runs}: {}", input.events, series.program);
            let mut hops = [None; 2];
            for (rows, hop) in rows.into_iter().zip(&mut hops) {
                let report = run_once(input, *lane, rows)?;
                let expected = digest.get_or_insert_with(|| report.results_digest.clone());
                ensure!(*expected == report.results_digest, "{}: the results differ", series.program);
                *hop = Some(Hop::of(&report));
            }
            if let (true, [Some(small), Some(large)]) = (round > 0, hops) {
                series.rounds.push(Round { small, large });
            }
        }
    }
    show(input, &all);
    Ok(all)
}

fn run_once(input: Input, program: Option<&Program>, rows: u32) -> Result<Report> {
    let pipeline = input::scratch("hop.yaml")?;
    fs::write(&pipeline, serde_json::to_string_pretty(&described(program, rows))?)?;
    let (output, report) = (input::scratch("hop.ndjson")?, input::scratch("hop.json")?);
    let command = process::command(modrun::program(), &[]);
    process::measure(&mut modrun::run_pipeline(command, &pipeline, &input.path(), &output, &report))?;
    Report::read(&report)
}

/// The pipeline; JSON is YAML.
fn described(program: Option<&Program>, rows: u32) -> Value {
    let mut stages = json!({
        "ingest": {"use": "file", "with": {"path": "events.ndjson"}},
        "parse": {"use": "json", "from": "ingest", "with": {"fields": {"type": "string", "value": "int64"}}},
        "count": {
            "use": "aggregate",
            "from": "parse",
            "with": {"by": ["type"], "values": {"count": "count()", "sum": "sum(value)"}},
        },
        "sink": {"use": "file", "from": "count", "with": {"path": "results.ndjson"}},
    });
    if let Some(program) = program {
        let mut command: Vec<String> =
            program.command().iter().map(|word| word.display().to_string()).collect();
        command.extend(["echo".to_owned(), "batch".to_owned()]);
        stages["pass"] = json!({"from": "parse", "or": {program.language(): {"run": command}}});
        stages["count"]["from"] = json!("pass");
    }
    json!({"pipeline": "hop", "stages": stages, "batch": {"rows": rows}, "parallelism": 1})
}

impl Hop {
    fn of(report: &Report) -> Self {
        let pass = report.stages.iter().find(|stage| stage.name == "pass");
        Self {
            batches: pass.map_or(0, |stage| stage.batches_in),
            cpu_seconds: report.cpu_seconds.total(),
            stage_cpu_seconds: pass.map_or(0.0, |stage| stage.cpu_seconds),
            wall_seconds: report.wall_seconds,
        }
    }
}

impl Round {
    /// By how much a figure is larger with small batches.
    fn more(&self, figure: fn(Hop) -> f64) -> f64 {
        figure(self.small) - figure(self.large)
    }

    fn more_batches(&self) -> f64 {
        self.more(|hop| hop.batches as f64)
    }
}

fn show(input: Input, all: &[Series]) {
    let Some((without, with)) = all.split_first() else { return };
    let mut table = Table::new([
        ("stage in", Align::Left),
        ("CPU of a batch", Align::Right),
        ("of it in the stage", Align::Right),
        ("batches", Align::Right),
        ("events/s, small batches", Align::Right),
        ("large", Align::Right),
    ]);
    let events = input.events as f64;
    let speed = |series: &Series, hop: fn(&Round) -> Hop| {
        summary(series.rounds.iter().map(|round| events / hop(round).wall_seconds)).show(units::scaled)
    };
    for series in with {
        let pairs = || series.rounds.iter().zip(&without.rounds);
        let whole = pairs().map(|(round, without)| {
            let more = |round: &Round| round.more(|hop| hop.cpu_seconds);
            (more(round) - more(without)) / round.more_batches()
        });
        let own = pairs().map(|(round, _)| round.more(|hop| hop.stage_cpu_seconds) / round.more_batches());
        let batches = series.rounds.first().map(|round| [round.small, round.large]);
        let batches = batches.map(|hops| hops.map(|hop| units::exact(hop.batches)).join(" and "));
        table.row([
            series.program.clone(),
            summary(whole).show(units::seconds),
            summary(own).show(units::seconds),
            batches.unwrap_or_default(),
            speed(series, |round| round.small),
            speed(series, |round| round.large),
        ]);
    }
    let [small, large] = without.rows.map(|rows| units::exact(rows.into()));
    println!(
        "\nOne hop and back, {} events, in batches of {small} and of {large}:\n",
        units::exact(input.events)
    );
    println!("{table}");
    println!(
        "Without it: {} and {} events/s",
        speed(without, |round| round.small),
        speed(without, |round| round.large)
    );
}

fn summary(sample: impl Iterator<Item = f64>) -> Summary {
    Summary::of(&sample.collect::<Vec<_>>()).expect("there is at least one round")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_two_rising_numbers() {
        for (text, expected) in [
            ("1,2", Some([1, 2])),
            ("100,16000", Some([100, 16_000])),
            ("0,2", None),
            ("2,2", None),
            ("2,1", None),
            ("2", None),
            ("1,x", None),
        ] {
            assert_eq!(text.parse::<Rows>().ok().map(|Rows(rows)| rows), expected, "{text}");
        }
    }

    #[test]
    fn the_stage_stands_between_parsing_and_counting() {
        let without = described(None, 7);
        assert_eq!(without["stages"]["count"]["from"], "parse");
        assert_eq!(without["batch"]["rows"], 7);
        let with = described(Some(&conformance::PYTHON), 7);
        assert_eq!(with["stages"]["count"]["from"], "pass");
        let run = with["stages"]["pass"]["or"]["python"]["run"].as_array().unwrap();
        assert_eq!(run[run.len() - 2..], ["echo", "batch"]);
    }
}
