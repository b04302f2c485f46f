//! `cargo xtask demo`: the first thing to see of the project.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use modrun_report::{Align, Table, units};

use crate::input::{self, Input};
use crate::modrun::{self, Report};
use crate::process;

/// How many events each run of the demonstration has.
const SIZES: [u64; 2] = [100_000, 1_000_000];

/// Builds, generates, runs, verifies, and shows a table.
pub(crate) fn run() -> Result<()> {
    modrun::build()?;
    let mut table = Table::new([
        ("events", Align::Right),
        ("wall", Align::Right),
        ("events/s", Align::Right),
        ("CPU-s per 1M", Align::Right),
        ("peak memory", Align::Right),
        ("results", Align::Left),
    ]);
    for events in SIZES {
        let report = verified_run(Input::plain(events))?;
        let cpu_seconds = report.cpu_seconds.user + report.cpu_seconds.system;
        table.row([
            units::exact(report.events.r#in),
            units::seconds(report.wall_seconds),
            units::scaled(report.events_per_second),
            units::number(cpu_seconds / report.events.r#in as f64 * 1e6),
            units::bytes(report.peak_rss_bytes as f64),
            "verified".to_owned(),
        ]);
    }
    println!("\n{table}");
    Ok(())
}

/// Generates `input`, runs the example on it and compares the results with the expected ones.
pub(crate) fn verified_run(input: Input) -> Result<Report> {
    input.generate()?;
    let expected =
        input.expected().with_context(|| format!("no results are known for {} events", input.events))?;
    let (output, report) = (input::scratch("results.ndjson")?, input::scratch("report.json")?);
    let mut run = modrun::run(process::command(modrun::program(), &[]), &input.path(), &output, &report);
    process::run(run.args(["--verify", &expected]))?;
    Report::read(&report)
}

/// Pipes `input` into the example without a file between them, and compares the results with the expected ones.
pub(crate) fn verified_pipe(input: Input) -> Result<()> {
    let expected =
        input.expected().with_context(|| format!("no results are known for {} events", input.events))?;
    let (output, report) = (input::scratch("results.ndjson")?, input::scratch("report.json")?);
    let mut generate = input.generator("-").stdout(Stdio::piped()).spawn()?;
    let events = generate.stdout.take().context("the generator's output was asked for")?;
    let mut run = modrun::run(process::command(modrun::program(), &[]), "-", &output, &report);
    process::run(run.args(["--verify", &expected]).stdin(events))?;
    ensure!(generate.wait()?.success(), "`modrun gen` failed");
    Ok(())
}
