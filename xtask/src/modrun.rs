//! The command that this project builds, as its users run it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// The example that everything here runs.
const PIPELINE: &str = "examples/event-pipeline/pipeline.yaml";

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
pub(crate) fn run(mut command: Command, input: &str, output: &Path, report: &Path) -> Command {
    command
        .args(["run", PIPELINE, "--quiet"])
        .args(["--set", &format!("stages.ingest.with.path={input}")])
        .args(["--set", &format!("stages.sink.with.path={}", output.display())])
        .arg("--report")
        .arg(report);
    command
}

/// The part of a run report that the tasks show.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) events: Events,
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: CpuSeconds,
    pub(crate) peak_rss_bytes: u64,
    pub(crate) events_per_second: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Events {
    pub(crate) r#in: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CpuSeconds {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Report {
    /// Reads a report that `modrun run --report` wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("`{}` is no run report", path.display()))
    }
}
