//! The programs that run the same pipeline, and one verified, measured run of one of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::bench::machine;
use crate::input::{self, Input};
use crate::process::{self, Usage};
use crate::{cmake, modrun, python};

/// Who runs the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    /// This project, in one process.
    Modrun,
    /// The same once more: how much two runs of one program differ is the noise.
    ModrunAgain,
    /// A hand-written C++ program on simdjson's on-demand parser.
    Simdjson,
    /// One query over typed `read_ndjson`.
    Duckdb,
    /// Only finding the ends of the lines: the floor.
    SplitLines,
}

/// What a contender is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) input: Input,
    pub(crate) threads: usize,
}

const SIMDJSON: &str = "bench/baselines/simdjson";
const DUCKDB: &str = "bench/baselines/duckdb/pipeline.py";

impl Contender {
    /// What the tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Modrun => "modrun",
            Self::ModrunAgain => "modrun again",
            Self::Simdjson => "simdjson",
            Self::Duckdb => "DuckDB",
            Self::SplitLines => "splitting lines",
        }
    }

    /// Builds or installs what it runs.
    pub(crate) fn prepare(self) -> Result<()> {
        match self {
            Self::Modrun => modrun::build(),
            Self::ModrunAgain => Ok(()),
            Self::Simdjson | Self::SplitLines => cmake::build(SIMDJSON),
            Self::Duckdb => python::install(&[python::DUCKDB]),
        }
    }

    /// Runs it, fails unless the results are the expected ones, and only then says what it used.
    pub(crate) fn run(self, job: Job, expected: &str) -> Result<Usage> {
        let (results, usage) = self.execute(job)?;
        let expected = match self {
            Self::SplitLines => &format!("{{\"lines\":{}}}\n", job.input.events),
            _ => expected,
        };
        if results != expected {
            bail!("{} gave\n{results}instead of\n{expected}", self.name());
        }
        Ok(usage)
    }

    /// Runs it and gives the lines that it wrote and what it used.
    pub(crate) fn execute(self, job: Job) -> Result<(String, Usage)> {
        let (output, report) = (input::scratch("bench.ndjson")?, input::scratch("bench.json")?);
        // Whatever an earlier run left there must not pass for this one's results.
        File::create(&output).with_context(|| format!("cannot write `{}`", output.display()))?;
        let mut usage = process::measure(&mut self.command(job, &output, &report)?)?;
        if self == Self::Duckdb {
            OwnClock::read(&report)?.replace(&mut usage);
        }
        Ok((fs::read_to_string(&output)?, usage))
    }

    fn command(self, job: Job, output: &Path, report: &Path) -> Result<Command> {
        let on = |program: PathBuf| on_cores(job.threads, program);
        let simdjson = process::root().join(SIMDJSON).join("build");
        let (input, threads) = (job.input.path(), job.threads.to_string());
        let mut command = match self {
            Self::Modrun | Self::ModrunAgain => {
                let mut run = modrun::run(on(modrun::program()), &job.input.path(), output, report);
                run.args(["--set", &format!("parallelism={threads}")]);
                run
            }
            Self::Simdjson => {
                let mut run = on(simdjson.join("simdjson-pipeline"));
                run.args(["--input", &input, "--threads", &threads]).arg("--output").arg(output);
                run
            }
            Self::Duckdb => {
                let mut run = on(python::interpreter());
                run.args([DUCKDB, &input]).arg(output).arg(&threads).arg(report);
                run
            }
            Self::SplitLines => {
                let mut run = on(simdjson.join("split-lines"));
                run.args(["--input", &input, "--threads", &threads]).stdout(File::create(output)?);
                run
            }
        };
        command.current_dir(process::root());
        Ok(command)
    }
}

/// A contender's own measurement, for one whose start-up is not what is compared.
#[derive(Deserialize)]
struct OwnClock {
    wall_seconds: f64,
    cpu_seconds: f64,
}

impl OwnClock {
    fn read(report: &Path) -> Result<Self> {
        Ok(serde_json::from_slice(&fs::read(report)?)?)
    }

    fn replace(self, usage: &mut Usage) {
        usage.wall_seconds = self.wall_seconds;
        usage.cpu_seconds = self.cpu_seconds;
    }
}

/// A command for `program` that may use only `count` cores, where there are more and `taskset` can say so.
fn on_cores(count: usize, program: PathBuf) -> Command {
    let cores = machine::cores();
    let taskset = || process::output(&mut process::command("taskset", &["--version"]));
    if count >= cores || taskset().is_none() {
        return process::command(program, &[]);
    }
    // The last ones: interrupts like the first.
    let list = format!("{}-{}", cores - count, cores - 1);
    let mut command = process::command("taskset", &["--cpu-list", &list]);
    command.arg(program);
    command
}
