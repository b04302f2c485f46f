//! The command that this project builds, as its users run it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::process;

/// The example that everything here runs.
pub(crate) const PIPELINE: &str = "examples/event-pipeline/pipeline.yaml";

/// Builds the command as it is released.
pub(crate) fn build() -> Result<()> {
    process::run(&mut process::command("cargo", &["build", "--release", "--package", "modrun"]))
}

/// The built command.
pub(crate) fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    process::root().join(target).join("release/modrun")
}

/// `modrun run` of the example pipeline on the file `input`, writing to `output`; `command` is [`program`] and whatever
/// wraps it.
pub(crate) fn run(command: Command, input: &str, output: &Path, report: &Path) -> Command {
    run_pipeline(command, Path::new(PIPELINE), input, output, report)
}

/// As [`run`], of the pipeline in a file; its first stage must be `ingest` and its last one `sink`.
pub(crate) fn run_pipeline(
    mut command: Command,
    pipeline: &Path,
    input: &str,
    output: &Path,
    report: &Path,
) -> Command {
    command
        .arg("run")
        .arg(pipeline)
        .arg("--quiet")
        .args(["--set", &format!("stages.ingest.with.path={input}")])
        .args(["--set", &format!("stages.sink.with.path={}", output.display())])
        .arg("--report")
        .arg(report);
    command
}

/// The part of a run report that the tasks show.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) events: Events,
    pub(crate) results_digest: String,
    /// Until all processes were ready; not part of `wall_seconds`.
    pub(crate) start_seconds: f64,
    pub(crate) wall_seconds: f64,
    /// Of all processes, in `wall_seconds`.
    pub(crate) cpu_seconds: CpuSeconds,
    /// Of the command's own process.
    pub(crate) peak_rss_bytes: u64,
    pub(crate) events_per_second: f64,
    /// Lifetimes of all loops: what their activities sum to.
    pub(crate) thread_seconds: f64,
    pub(crate) stages: Vec<Stage>,
    pub(crate) forwarding: Loops,
    /// Nothing if no account of time was kept.
    pub(crate) measuring: Option<serde_json::Value>,
}

/// Loops that belong to no stage.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Loops {
    pub(crate) activity_seconds: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Events {
    pub(crate) r#in: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CpuSeconds {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) language: String,
    pub(crate) placement: String,
    pub(crate) batches_in: u64,
    pub(crate) cpu_seconds: f64,
    pub(crate) activity_seconds: BTreeMap<String, f64>,
    /// None inside the command's own process.
    pub(crate) peak_rss_bytes: Option<u64>,
}

impl Report {
    /// Reads a report that `modrun run --report` wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let report: Self = serde_json::from_slice(&text)
            .with_context(|| format!("`{}` is no run report", path.display()))?;
        report.check_time().with_context(|| format!("`{}`", path.display()))?;
        Ok(report)
    }

    /// Whether the activities sum to the lives of all loops.
    fn check_time(&self) -> Result<()> {
        let all = self.stages.iter().map(|stage| &stage.activity_seconds);
        let spent: f64 = all.chain([&self.forwarding.activity_seconds]).flat_map(BTreeMap::values).sum();
        let lived = self.thread_seconds;
        anyhow::ensure!(
            self.measuring.is_none() || (spent - lived).abs() <= 0.01 * lived,
            "the run says what it did in {spent} s of the {lived} s that its loops have lived"
        );
        Ok(())
    }

    /// The sum of the peaks of all processes.
    pub(crate) fn peak_rss_bytes_of_all(&self) -> u64 {
        self.peak_rss_bytes + self.stages.iter().filter_map(|stage| stage.peak_rss_bytes).sum::<u64>()
    }
}

impl CpuSeconds {
    pub(crate) fn total(&self) -> f64 {
        self.user + self.system
    }
}
