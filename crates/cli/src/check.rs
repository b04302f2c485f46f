//! `modrun check`: everything that is wrong with a pipeline, before anything runs; and what would run.

use std::fmt::Write;

use anyhow::Context;
use modrun_core::Type;
use modrun_plan::{Diagnostics, ENVIRONMENT, Implementation, Plan, PlannedStage, Program};

use crate::failure::Failure;
use crate::{pipeline, program, show};

/// Check a pipeline without running it
///
/// Shows every problem at once, each with its place and what to do about it, or the stages and their columns, and the
/// programs that run as processes with the environment that they get.
#[derive(clap::Args, Debug)]
#[command(after_help = crate::EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    pipeline: pipeline::Pipeline,
    /// How to show the problems
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    /// For people, with the lines they are in
    Human,
    /// An array of objects with `code`, `message`, `file`, `line`, `column`, `path` and `hint`; empty if all is well
    Json,
}

/// Checks the pipeline and shows what was found, as the command's output.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let found = match args.pipeline.plan() {
        Ok(plan) => Ok(plan),
        Err(Failure::Pipeline(problems)) => Err(problems),
        Err(other) => return Err(other),
    };
    let text = match args.format {
        Format::Human => human(&found),
        Format::Json => json(&found)?,
    };
    show::output(&text)?;
    found.map(drop).map_err(|_| Failure::Shown)
}

fn human(found: &Result<Plan, Diagnostics>) -> String {
    match found {
        Ok(plan) => chain(plan) + &processes(plan),
        Err(problems) => {
            let count = problems.iter().len();
            let noun = if count == 1 { "problem" } else { "problems" };
            format!("{}\n\n{count} {noun}\n", problems.render(true))
        }
    }
}

fn json(found: &Result<Plan, Diagnostics>) -> Result<String, Failure> {
    let text = match found {
        Ok(_) => Ok("[]".to_owned()),
        Err(problems) => serde_json::to_string_pretty(problems),
    };
    Ok(text.context("cannot show the problems as JSON")? + "\n")
}

/// The stages of a plan, one a line, each with the columns that it hands on.
fn chain(plan: &Plan) -> String {
    let mut text = format!("ok: {}\n", plan.pipeline);
    let name_width = width(plan, |stage| &stage.name);
    let kind_width = width(plan, |stage| word(stage));
    for stage in &plan.stages {
        let line = format!("  {:name_width$}  {:kind_width$}  {}", stage.name, word(stage), columns(stage));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The stages that run as processes, one a line, each with its command; nothing if there is none.
fn processes(plan: &Plan) -> String {
    let running: Vec<&PlannedStage> =
        plan.stages.iter().filter(|stage| stage.program != Program::Here).collect();
    if running.is_empty() {
        return String::new();
    }
    let mut text = "processes\n".to_owned();
    let name_width = running.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0);
    let word_width = running.iter().map(|stage| stage.placement.word().chars().count()).max().unwrap_or(0);
    for stage in running {
        let command = match &stage.program {
            Program::Foreign(implementation) => command(implementation),
            Program::Here | Program::BuiltIn => format!("the built-in `{}`", word(stage)),
        };
        let _ =
            writeln!(text, "  {:name_width$}  {:word_width$}  {command}", stage.name, stage.placement.word());
    }
    let _ = writeln!(text, "environment of a process, where set: {}", ENVIRONMENT.join(" "));
    text
}

/// `python3 rules.py, in rules, after pip install, with A B`
fn command(Implementation { run, build, folder, env, .. }: &Implementation) -> String {
    let mut text = format!("{}, in {}", program::shown(run), folder.display());
    if let Some(build) = build {
        let _ = write!(text, ", after {}", program::shown(build));
    }
    if !env.is_empty() {
        let _ = write!(text, ", with {}", env.keys().cloned().collect::<Vec<_>>().join(" "));
    }
    text
}

/// What a stage is: its kind, or the implementation that it runs as.
fn word(stage: &PlannedStage) -> &str {
    stage.kind.as_deref().unwrap_or_else(|| stage.placement.word())
}

fn width(plan: &Plan, text: fn(&PlannedStage) -> &str) -> usize {
    plan.stages.iter().map(|stage| text(stage).chars().count()).max().unwrap_or(0)
}

fn columns(stage: &PlannedStage) -> String {
    let Some(schema) = &stage.bound.output else { return String::new() };
    let column = |field: &std::sync::Arc<_>| {
        let field: &arrow_schema::Field = field;
        let optional = if field.is_nullable() { "?" } else { "" };
        match Type::from_arrow(field.data_type()) {
            Some(column_type) => format!("{} {column_type}{optional}", field.name()),
            None => field.name().clone(),
        }
    };
    schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
}
