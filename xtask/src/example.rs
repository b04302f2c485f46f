//! The main example: its implementations in each language, and verified runs of it.
//!
//! ```text
//! pipeline.yaml ─┬─ thread ──────────────────── modrun alone
//!                ├─ placements/polyglot… ────── .venv, node_modules, dist, bin: made here or by `modrun run`
//!                └─ every stage as a process ── modrun, six times
//! ```
//!
//! A figure of a run is handed on only if its results were the expected ones.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::input::{self, Input};
use crate::modrun::{self, Report};
use crate::process::Usage;
use crate::{go, npm, process, python, sdk};

const FOLDER: &str = "examples/event-pipeline";
const STAGES: [&str; 5] = ["ingest", "parse", "rules", "aggregate", "sink"];

/// How the stages run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Placement {
    /// All in the command's own process.
    OneProcess,
    /// In TypeScript, Rust, Python, Go and TypeScript, a batch at a time.
    Polyglot,
    /// The same, with handlers of one event.
    PolyglotPerEvent,
    /// In Rust, each in a process of its own.
    Processes,
}

impl Placement {
    pub(crate) const ALL: [Self; 4] =
        [Self::OneProcess, Self::Polyglot, Self::PolyglotPerEvent, Self::Processes];

    /// What the tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneProcess => "one-process",
            Self::Polyglot => "polyglot",
            Self::PolyglotPerEvent => "polyglot-per-event",
            Self::Processes => "processes in Rust",
        }
    }

    /// The options of `modrun run` that choose it.
    pub(crate) fn options(self) -> Vec<String> {
        match self {
            Self::Processes => {
                STAGES.iter().flat_map(|stage| ["--place".into(), format!("{stage}=process")]).collect()
            }
            file => vec!["--placement".into(), file.name().into()],
        }
    }
}

/// A language that some stages of the example are also written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    TypeScript,
    Go,
}

impl Language {
    pub(crate) const ALL: [Self; 3] = [Self::Python, Self::TypeScript, Self::Go];

    /// The program that nothing of the language works without.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Python => "python3",
            Self::TypeScript => "npm",
            Self::Go => "go",
        }
    }

    /// The stages that are written in it.
    pub(crate) fn stages(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["rules"],
            Self::TypeScript => &["ingest", "sink"],
            Self::Go => &["aggregate"],
        }
    }

    /// Installs what its stages need, where that is not there, and builds them.
    pub(crate) fn prepare(self) -> Result<()> {
        match self {
            Self::Python => python::install_sdk_once(),
            Self::TypeScript => {
                sdk::setup_typescript()?;
                npm::install(FOLDER)?;
                npm::script(FOLDER, "build")
            }
            Self::Go => go::build(FOLDER, "bin/", &["./..."]),
        }
    }
}

/// Installs and builds what all its stages need; a language for which that fails does not keep the others from it.
pub(crate) fn setup() -> Result<()> {
    let prepared: Vec<Result<()>> = Language::ALL.into_iter().map(Language::prepare).collect();
    prepared.into_iter().collect()
}

/// Checks the implementations as each language's users would.
pub(crate) fn check() -> Result<()> {
    setup()?;
    python::check(FOLDER, &["rules.py", "rules_per_event.py"])?;
    npm::script(FOLDER, "check")?;
    go::check(FOLDER)
}

/// A run of the example that writes its results and its report to `target`.
pub(crate) struct Run {
    pub(crate) command: Command,
    report: PathBuf,
}

impl Run {
    /// `modrun run` of the example on the file `input`; the results must be the expected ones of `events`.
    pub(crate) fn new(events: Input, input: &str, placement: Placement) -> Result<Self> {
        let expected = events.expected();
        let expected =
            expected.with_context(|| format!("no results are known for {} events", events.events))?;
        let (output, report) = (input::scratch("results.ndjson")?, input::scratch("report.json")?);
        let mut command = modrun::run(process::command(modrun::program(), &[]), input, &output, &report);
        command.args(["--verify", &expected]).args(placement.options());
        process::look_first_in(&mut command, &[Path::new(python::PROGRAMS)]);
        Ok(Self { command, report })
    }

    /// Runs it silently and gives its report, and what was used from outside.
    pub(crate) fn measure(mut self) -> Result<(Report, Usage)> {
        let usage = process::measure(&mut self.command)?;
        Ok((Report::read(&self.report)?, usage))
    }

    /// Runs it and gives its report.
    pub(crate) fn finish(mut self) -> Result<Report> {
        process::run(&mut self.command)?;
        Report::read(&self.report)
    }
}

/// Generates `input`, runs the example on it and compares the results with the expected ones.
pub(crate) fn verified_run(input: Input, placement: Placement, options: &[&str]) -> Result<Report> {
    input.generate_once()?;
    let mut run = Run::new(input, &input.path(), placement)?;
    run.command.args(options);
    run.finish()
}

/// Pipes `input` into the example without a file between them, and compares the results with the expected ones.
pub(crate) fn verified_pipe(input: Input) -> Result<()> {
    let mut generate = input.generator("-").stdout(Stdio::piped()).spawn()?;
    let events = generate.stdout.take().context("the generator's output was asked for")?;
    let mut run = Run::new(input, "-", Placement::OneProcess)?;
    run.command.stdin(events);
    run.finish()?;
    ensure!(generate.wait()?.success(), "`modrun gen` failed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn every_placement_of_the_example_is_run() {
        let files = fs::read_dir(process::root().join(FOLDER).join("placements")).unwrap();
        let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let of_files = Placement::ALL.into_iter().filter(|placement| *placement != Placement::Processes);
        let known: BTreeSet<_> = of_files.map(|placement| format!("{}.yaml", placement.name())).collect();
        assert_eq!(files, known);
    }
}
