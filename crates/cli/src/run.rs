//! `modrun run`: a pipeline to the end of its input.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use modrun_core::env::{Env, partial_path};
use modrun_core::{Code, Error, RunReport};
use modrun_plan::{Plan, Program};
use modrun_runtime::{Live, Options, Outcome, system};

use crate::failure::Failure;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::top::{Placed, Top};
use crate::{build, files, log, metrics, pipeline, show, stage, watch};

/// Run a pipeline
///
/// Reads the input to its end and gives the results their final name. Ctrl-C stops reading and carries what was read
/// to the end, for up to 5 seconds; a second one ends the run at once.
#[derive(clap::Args, Debug)]
#[command(after_help = crate::EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    pipeline: pipeline::Pipeline,
    /// Write the run report, as JSON
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Compare the results with those in a file, line by line
    #[arg(long, value_name = "FILE")]
    verify: Option<PathBuf>,
    /// Where events that cannot be processed go [default: beside the results]
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
    /// Run the programs of implementations as they are, without building them before
    #[arg(long)]
    no_build: bool,
    /// Show what stages in processes of their own log, from this level on
    /// [default: information; with --quiet: warning]
    #[arg(long, value_name = "LEVEL", value_enum)]
    log: Option<log::Least>,
    /// Keep no account of where the time goes, to see what measuring costs
    #[arg(long)]
    no_ledger: bool,
    /// Show the run in a live view of the whole terminal
    #[arg(long, conflicts_with = "quiet")]
    top: bool,
    /// Serve figures for Prometheus at `/metrics` while the run lasts, such as at 127.0.0.1:9464
    #[arg(long, value_name = "HOST:PORT")]
    metrics: Option<SocketAddr>,
    /// Show neither progress nor summary
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the pipeline and shows how it went.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let plan = args.pipeline.plan()?;
    let env = system::env();
    let results = plan.stages.last().and_then(|sink| files::named(sink).first().map(PathBuf::from));
    let dead_letters = args.dead_letters.unwrap_or_else(|| modrun_runtime::beside_results(&plan));
    let written = [results.as_deref(), Some(&dead_letters), args.report.as_deref()];
    let written: Vec<&Path> = written.into_iter().flatten().collect();
    files::check(&plan.stages.first().map(files::named).unwrap_or_default(), &written, &env)?;

    if !args.no_build {
        build::all(&plan, args.quiet)?;
    }
    let signals = Signals::register().context("cannot listen for signals")?;
    let live = Arc::new(Live::default());
    let stages = plan.stages.iter().map(|stage| stage.name.clone()).collect();
    let metrics = args.metrics.map(|at| metrics::Server::start(at, live.clone(), stages)).transpose()?;
    if let (Some(server), false) = (&metrics, args.quiet) {
        show::note(format!("metrics at http://{}/metrics", server.address()));
    }
    let progress = Arc::new(match (args.top, args.quiet) {
        (true, _) => Progress::top(top(&plan)?),
        (false, true) => Progress::quiet(),
        (false, false) => Progress::new(),
    });
    let least = args.log.unwrap_or(if args.quiet { log::Least::Warning } else { log::Least::Information });
    let options = Options {
        env: env.clone(),
        live: live.clone(),
        dead_letters: Some(dead_letters),
        expected: args.verify.clone(),
        log: log::shown(least, progress.clone()),
        measured: !args.no_ledger,
        built_in: stage::command()?,
    };
    let watched = watch::Watch { live: &live, signals: &signals, progress: &progress };
    let outcome = watched.during(|| modrun_runtime::run(plan, options))?;

    if let Some(path) = &args.report {
        write_report(path, &outcome, &env)?;
    }
    if !args.quiet {
        show::summary(&outcome, results.as_deref());
    }
    finish(outcome, results, args.verify)
}

/// The live view of a run.
fn top(plan: &Plan) -> Result<Top, Error> {
    let unavailable = || {
        Error::unavailable("`--top` needs a terminal at standard error")
            .with_hint("without it, progress is a line a second; `--metrics` serves figures to others")
    };
    if !std::io::stderr().is_terminal() {
        return Err(unavailable());
    }
    let stages = plan.stages.iter().map(|stage| Placed {
        name: stage.name.clone(),
        word: stage.placement.word().to_owned(),
        is_here: stage.program == Program::Here,
    });
    Top::open(&plan.pipeline, stages.collect()).map_err(|error| unavailable().with_source(error))
}

/// What the run comes to.
fn finish(outcome: Outcome, results: Option<PathBuf>, expected: Option<PathBuf>) -> Result<(), Failure> {
    if outcome.interrupted {
        let results = results.map(|path| partial_path(&path)).filter(|path| path.exists());
        return Err(Failure::Interrupted(results.into_iter().chain(outcome.dead_letters).collect()));
    }
    match outcome.differences.zip(expected) {
        Some((differences, expected)) if differences.count > 0 => {
            Err(Failure::Differs(differences, expected))
        }
        _ => Ok(()),
    }
}

/// Writes the report; that of an interrupted run keeps its temporary name, as the results do.
fn write_report(path: &Path, outcome: &Outcome, env: &Env) -> Result<(), Error> {
    let text = report_text(&outcome.report);
    let written = env.disk.create(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.prepare()?;
        if outcome.interrupted { Ok(()) } else { file.commit() }
    });
    written.map_err(|error| {
        Error::unavailable(format!("cannot write the report `{}`", path.display()))
            .with_code(Code::OUTPUT)
            .with_hint("the run itself is done; name another file with `--report FILE.json`")
            .with_source(error)
    })
}

fn report_text(report: &RunReport) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("a report holds nothing that JSON cannot");
    text.push('\n');
    text
}
