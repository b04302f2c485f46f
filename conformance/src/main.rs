//! The command `modrun-conformance`: checks a stage program of any language against the stage protocol.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use glob::Pattern;
use modrun_conformance::case::Carrier;
use modrun_conformance::report::{Report, matrix};
use modrun_conformance::runner::{Choice, chosen, perform};

/// Checks a stage program of any language against the stage protocol.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    check: Check,
}

#[derive(Subcommand)]
enum Other {
    /// Prints the page that shows the reports of several SDKs.
    Matrix {
        /// Files that `--report` wrote, one an SDK.
        #[arg(required = true)]
        reports: Vec<PathBuf>,
    },
}

#[derive(Args)]
struct Check {
    /// Only runs whose name matches, such as `types/*` or `*/event/shm`; may be given several times.
    #[arg(long, value_name = "GLOB")]
    only: Vec<Pattern>,
    /// Only runs over this carrier.
    #[arg(long, value_enum)]
    carrier: Option<Carrier>,
    /// Print the names of the runs and start nothing.
    #[arg(long)]
    list: bool,
    /// Write what came of the runs to this file.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// A file with the names of runs that are known to fail, or patterns of them, one a line.
    #[arg(long, value_name = "FILE")]
    known_failing: Option<PathBuf>,
    /// The folder of the protocol's vectors.
    #[arg(long, value_name = "FOLDER", default_value = "proto/vectors")]
    vectors: PathBuf,
    /// The SDK has handlers that await.
    #[arg(long = "async")]
    with_async: bool,
    /// In the per-event form, a whole number beyond 2^53 may be the failure of its event.
    #[arg(long)]
    safe_int64: bool,
    /// In the per-event form, events become columns while the handler runs: that is counted as `process`.
    #[arg(long)]
    gathers_early: bool,
    /// The program and its first arguments; the stage and the form of its handler are appended.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    let command = Command::parse();
    let outcome = match &command.other {
        Some(Other::Matrix { reports }) => print_matrix(reports),
        None => check(&command.check),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn check(check: &Check) -> Result<bool> {
    let choice = Choice {
        only: check.only.clone(),
        vectors: Some(check.vectors.clone()),
        carrier: check.carrier,
        known: check.known_failing.as_deref().map(known).transpose()?.unwrap_or_default(),
        with_async: check.with_async,
        safe_int64: check.safe_int64,
        gathers_early: check.gathers_early,
    };
    let runs = chosen(&choice)?;
    anyhow::ensure!(!runs.is_empty(), "no run has a name that matches `--only`; `--list` shows them all");
    if check.list {
        runs.iter().for_each(|run| println!("{}", run.id));
        return Ok(true);
    }
    anyhow::ensure!(!check.command.is_empty(), "name the program to check behind `--`");
    let report = perform(&runs, &check.command, &choice, |outcome| println!("{outcome}"));
    println!("{}: {}", report.sdk(), report.summary());
    if let Some(path) = &check.report {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(report.passed())
}

fn known(path: &Path) -> Result<Vec<Pattern>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(|line| Pattern::new(line).with_context(|| format!("`{line}` is not a pattern")))
        .collect()
}

fn print_matrix(paths: &[PathBuf]) -> Result<bool> {
    let mut reports: Vec<Report> = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let report = serde_json::from_str(&text);
        reports.push(report.with_context(|| format!("`{}` is no report", path.display()))?);
    }
    print!("{}", matrix(&reports));
    Ok(true)
}
