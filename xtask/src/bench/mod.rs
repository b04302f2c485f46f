//! `cargo xtask bench`: one module for each thing that is measured.

mod baselines;
pub(crate) mod contender;
mod machine;
mod parse;
mod polyglot;

use std::path::Path;

use anyhow::{Context, Result};
use clap::Subcommand;
use serde::Serialize;

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Task {
    /// The pipeline in one process against simdjson, DuckDB and the splitting of lines
    Parse(parse::Args),
    /// What people would write by hand: a C++ monolith, and five services over gRPC
    Baselines(baselines::Args),
    /// The pipeline with its stages as processes, in Rust and in four languages, and the price of one hop
    Polyglot(polyglot::Args),
}

/// Measures it.
pub(crate) fn run(task: Task) -> Result<()> {
    match task {
        Task::Parse(args) => parse::run(&args),
        Task::Baselines(args) => baselines::run(&args),
        Task::Polyglot(args) => polyglot::run(&args),
    }
}

/// Writes `figures` to `path` as JSON.
fn write_json(path: &Path, figures: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(figures)? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}
