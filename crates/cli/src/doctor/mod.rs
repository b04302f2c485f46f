//! `modrun doctor`: which languages' tools are here, and which programs of a pipeline could run.
//!
//! ```text
//!   tool::TOOLS ──look──▶ Toolbox ──▶ table of tools
//!                            │
//!   Plan ──implementations──▶ program::state ──▶ table of programs ──▶ exit code
//! ```

mod program;
mod tool;

use std::fmt::Write;
use std::path::PathBuf;

use modrun_plan::{Plan, Program};
use modrun_report::{Align, Table};

use crate::failure::Failure;
use crate::{pipeline, show};

use program::State;
use tool::{Found, Toolbox};

/// See which programs of a pipeline can run here
///
/// Shows the tools of the languages that stages are written in, each program that a stage of the pipeline could run as,
/// and how to install what is missing. Without a pipeline, the tools alone.
#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The pipeline file; `-` is standard input
    #[arg(value_name = "PIPELINE.yaml")]
    pipeline: Option<PathBuf>,
    #[command(flatten)]
    changes: pipeline::Changes,
}

const EXIT_CODES: &str = "Exit codes:
  0    everything is there that the pipeline's placement needs
  1    what was found cannot be shown
  2    something that it needs is missing, the arguments are wrong, or the pipeline has problems";

/// Looks for everything and shows what was found, as the command's output.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let plan = args.pipeline.as_ref().map(|path| args.changes.plan(path)).transpose()?;
    let toolbox = Toolbox::look();
    let mut text = tools(&toolbox);
    let is_missing = match &plan {
        Some(plan) => {
            let (table, is_missing) = programs(plan, &toolbox);
            text += &table;
            is_missing
        }
        None => false,
    };
    text += &remedies(&toolbox);
    show::output(&text)?;
    if is_missing { Err(Failure::Shown) } else { Ok(()) }
}

fn tools(toolbox: &Toolbox) -> String {
    let columns =
        [("tool", Align::Left), ("for", Align::Left), ("needed", Align::Left), ("found", Align::Left)];
    let mut table = Table::new(columns);
    for (tool, found) in toolbox.tools() {
        table.row([tool.name, tool.language, &format!("{} or later", tool.least), &found.to_string()]);
    }
    table.to_string()
}

/// The programs of `plan`, and whether one of those that its placement chooses is missing.
fn programs(plan: &Plan, toolbox: &Toolbox) -> (String, bool) {
    let columns =
        [("stage", Align::Left), ("program", Align::Left), ("placed", Align::Left), ("state", Align::Left)];
    let mut table = Table::new(columns);
    let (mut is_empty, mut is_missing) = (true, false);
    for stage in &plan.stages {
        for implementation in &stage.implementations {
            let is_placed =
                matches!(&stage.program, Program::Foreign(placed) if placed.name == implementation.name);
            let state = program::state(implementation, toolbox);
            is_empty = false;
            is_missing |= is_placed && matches!(state, State::Missing(_));
            let placed = if is_placed { "yes" } else { "" };
            table.row([&stage.name, &implementation.name, placed, &state.to_string()]);
        }
    }
    let text = match is_empty {
        true => format!("\n{} has no stage with a program of its own\n", plan.pipeline),
        false => format!("\n{table}"),
    };
    (text, is_missing)
}

/// How to install what is missing.
fn remedies(toolbox: &Toolbox) -> String {
    let mut text = String::new();
    for (tool, found) in toolbox.tools() {
        if !matches!(found, Found::Fit(_)) {
            let _ = write!(text, "\n  {}: {}; {}", tool.name, tool.install, tool.page);
        }
    }
    if text.is_empty() { text } else { format!("\nto install what is missing{text}\n") }
}
