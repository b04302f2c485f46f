//! `modrun stage`: a built-in stage as the process that a run starts. Not for people.

use std::env;
use std::num::NonZeroUsize;

use anyhow::{Context, anyhow};
use modrun_core::{Limits, Role};
use modrun_runtime::system;
use modrun_worker::{ServeOptions, serve};

use crate::failure::Failure;
use crate::show;

/// What a run leaves in the environment of a stage.
const VARIABLE: &str = "MODRUN_STAGE";

/// Run a built-in stage as a process; `modrun run` starts it
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The kind of stage
    kind: String,
    /// Its place in the pipeline
    #[arg(long, value_enum)]
    role: Place,
    /// How many threads share it
    #[arg(long)]
    workers: NonZeroUsize,
    /// The longest line
    #[arg(long)]
    line_bytes: u64,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Place {
    Source,
    Transform,
    Sink,
}

/// The command that runs a built-in stage, but for what is said of the stage.
pub(crate) fn command() -> Result<Vec<String>, Failure> {
    let program = env::current_exe().context("cannot find the program that runs")?;
    let program =
        program.into_os_string().into_string().ok().context("the path of the program is not UTF-8")?;
    Ok(vec![program, "stage".to_owned()])
}

/// Serves the stage until the run needs it no more. What ends it early is told to the run, which shows it; if the run
/// could not be told, it finds it in the log.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let role = match args.role {
        Place::Source => Role::Source,
        Place::Transform => Role::Transform,
        Place::Sink => Role::Sink,
    };
    let kinds = modrun_stages::builtin();
    let described = |kind: &modrun_core::Description| kind.word == args.kind && kind.role == role;
    let kind = kinds.iter().find(|kind| described(&kind.describe()));
    let kind =
        kind.ok_or_else(|| Failure::Arguments(anyhow!("there is no built-in `{}` here", args.kind)))?;
    let Ok(variable) = env::var(VARIABLE) else {
        return Err(Failure::Arguments(anyhow!("this is a stage that `modrun run` starts")));
    };
    let options = ServeOptions {
        env: system::env(),
        limits: Limits { line_bytes: args.line_bytes },
        workers: args.workers,
        sdk: format!("modrun {}", env!("CARGO_PKG_VERSION")),
    };
    serve(kind, &variable, &options).map_err(|error| {
        show::note(format!("<7>{error}"));
        Failure::Told
    })
}
