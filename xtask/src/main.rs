//! The project's own tasks: `cargo xtask setup | test | demo | results | bench`.
//!
//! ```text
//! main ─┬─ setup ──┐
//!       ├─ test ───┼─ steps ──▶ process ──▶ cargo, npm, go, pip, cmake, apt-get, modrun, …
//!       ├─ demo ───┤              │
//!       └─ bench ──┘              └ every command is shown before it runs, and run from the project's root
//! ```
//!
//! It guarantees that what a person and what CI do is the same command, and that a task that fails names the command
//! that failed.
//!
//! It refuses to know how anything works: it runs the programs that do, and compares what they write with what is
//! expected.

mod bench;
mod cmake;
mod conformance;
mod demo;
mod example;
mod go;
mod input;
mod modrun;
mod new_stage;
mod npm;
mod process;
mod python;
mod results;
mod rolling;
mod sdk;
mod setup;
mod split;
mod steps;
mod test;

use clap::Parser;

/// The tasks of modular-runtime.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Check the toolchains and install what the project needs besides them
    Setup,
    /// Check everything that CI checks
    Test {
        /// Only the steps whose names contain one of these
        #[arg(value_name = "WORD")]
        words: Vec<String>,
    },
    /// Build, run the example pipeline in one process and split over four languages, verify, and show how fast it was
    Demo,
    /// Redo the published comparison and write docs/results.md and docs/results-of-work.md
    Results(results::Args),
    /// Measure
    #[command(subcommand)]
    Bench(bench::Task),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Setup => setup::run(),
        Task::Test { words } => test::run(&words),
        Task::Demo => demo::run(),
        Task::Results(args) => results::run(&args),
        Task::Bench(task) => bench::run(task),
    }
}
