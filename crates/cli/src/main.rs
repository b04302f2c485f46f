//! `modrun`: runs event pipelines.
//!
//! What it is: the command line over the crates that do the work. Each command is a module with its arguments and one
//! function; [`show`] has the words that people read.
//!
//! Guarantees: every failure is one message that says what failed, why and what to do, and an exit code that says
//! whose turn it is ([`EXIT_CODES`]). Results and what else was asked for go to standard output, all else to standard
//! error.
//!
//! Refuses: any logic of pipelines. What is checked is `modrun-plan`'s, what runs is `modrun-runtime`'s.
//!
//! ```text
//!   run ──▶ pipeline ──▶ modrun-plan ──▶ modrun-runtime ──▶ show, --report FILE
//!    └──▶ watch: signals and progress, beside the run
//!   check, explain, schema ──▶ modrun-plan           gen ──▶ modrun-gen
//! ```

mod account;
mod bench;
mod build;
mod check;
mod doctor;
mod explain;
mod failure;
mod files;
mod r#gen;
mod log;
mod metrics;
mod new;
mod pipeline;
mod program;
mod progress;
mod report;
mod run;
mod schema;
mod show;
mod signals;
mod stage;
mod top;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

const EXIT_CODES: &str = "Exit codes:
  0    it did what was asked
  1    the run failed, or its results differ from the expected ones
  2    the arguments are wrong, or the pipeline has problems
  130  interrupted; the results so far stand in FILE.partial";

/// Runs event pipelines
#[derive(Parser, Debug)]
#[command(name = "modrun", version, after_help = EXIT_CODES)]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    Run(run::Args),
    Bench(bench::Args),
    Report(report::Args),
    Check(check::Args),
    Doctor(doctor::Args),
    Explain(explain::Args),
    Schema(schema::Args),
    Gen(r#gen::Args),
    New(new::Args),
    #[command(hide = true)]
    Stage(stage::Args),
}

fn main() -> ExitCode {
    modrun_runtime::system::keep_freed_memory();
    let done = match Command::parse().task {
        Task::Run(args) => run::run(args),
        Task::Bench(args) => bench::run(args),
        Task::Report(args) => report::run(&args),
        Task::Check(args) => check::run(&args),
        Task::Doctor(args) => doctor::run(&args),
        Task::Explain(args) => explain::run(&args),
        Task::Schema(args) => schema::run(&args),
        Task::Gen(args) => r#gen::run(&args).map_err(Failure::from),
        Task::New(args) => new::run(&args),
        Task::Stage(args) => stage::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            show::failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
