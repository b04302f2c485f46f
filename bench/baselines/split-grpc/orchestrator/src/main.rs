//! Runs the split baseline: starts its five services, forwards between them, and reports what each cost.
//!
//! The results are under their final name when it ends well, and nowhere otherwise. A service that dies ends
//! the run with its name and last log lines; Ctrl-C ends it with exit code 130. No process outlives it.

mod batch;
mod fleet;
mod pipeline;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use split_wire::LEDGER;
use tokio::signal::unix::{SignalKind, signal};

use crate::batch::Policy;
use crate::fleet::{Fleet, Service};
use crate::pipeline::Pipeline;
use crate::report::{Report, ServiceReport, Usage};

/// How long a broken connection waits for the news of the death that broke it.
const DEATH_NEWS: Duration = Duration::from_secs(1);

/// The event pipeline as five services over gRPC.
#[derive(Debug, Parser)]
struct Options {
    /// The events, one JSON object a line.
    #[arg(long)]
    input: PathBuf,
    /// Where the results go.
    #[arg(long)]
    output: PathBuf,
    /// Events in one message on every leg: a number, or `adaptive` (up to 2048, sent after 10 ms at the latest).
    #[arg(long, default_value = "adaptive")]
    batch: String,
    /// Where a report on the run goes, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// The folder that holds the services, built.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."))]
    services: PathBuf,
}

fn main() -> ExitCode {
    let start = Instant::now();
    let options = Options::parse();
    let result = split_wire::runtime().map_err(Into::into).and_then(|rt| rt.block_on(run(&options, start)));
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("split-orchestrator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

enum Outcome {
    Done,
    Interrupted,
}

async fn run(options: &Options, start: Instant) -> Result<Outcome> {
    let policy: Policy = options.batch.parse().map_err(anyhow::Error::msg)?;
    let services = services(options)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut fleet = Fleet::start(&services)?;
    let addresses = fleet.addresses();
    let flow = async {
        let pipeline = Pipeline::connect(&addresses.await?).await?;
        let stream_start = Instant::now();
        pipeline.run(policy).await?;
        let stream_seconds = stream_start.elapsed().as_secs_f64();
        anyhow::Ok((pipeline.reports().await?, stream_seconds))
    };
    let result = tokio::select! {
        result = flow => result,
        death = fleet.death() => return Err(death),
        _ = interrupt.recv() => return Ok(Outcome::Interrupted),
        _ = terminate.recv() => return Ok(Outcome::Interrupted),
    };
    let (stages, stream_seconds) = match result {
        Ok(result) => result,
        Err(error) => return Err(tokio::time::timeout(DEATH_NEWS, fleet.death()).await.unwrap_or(error)),
    };
    let exits = fleet.stop().await?;

    let own = LEDGER.report().context("the pipeline has run")?;
    let mut reports = vec![ServiceReport::new("orchestrator", "rust", &own, Usage::current()?)];
    for (service, stage) in services.iter().zip(&stages) {
        let exit = exits.iter().find(|exit| exit.name == service.name).context("every service has ended")?;
        reports.push(ServiceReport::new(service.name, service.language, stage, Usage::of(exit)));
    }
    let report = Report {
        system: "split-grpc",
        batch: options.batch.clone(),
        events: stages[0].events_out,
        rejected: stages.iter().map(|stage| stage.rejected).sum(),
        wall_seconds: start.elapsed().as_secs_f64(),
        stream_seconds,
        cpu_seconds: reports.iter().map(|service| service.cpu_seconds).sum(),
        peak_rss_bytes: reports.iter().map(|service| service.peak_rss_bytes).sum(),
        services: reports,
    };
    if report.rejected > 0 {
        eprintln!("split-orchestrator: dropped {} malformed lines", report.rejected);
    }
    if let Some(path) = &options.report {
        std::fs::write(path, serde_json::to_vec(&report)?)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(Outcome::Done)
}

/// What to start, in the order of [`pipeline::SERVICES`].
fn services(options: &Options) -> Result<Vec<Service>> {
    let root =
        options.services.canonicalize().with_context(|| format!("no `{}`", options.services.display()))?;
    let absolute =
        |path: &Path| std::path::absolute(path).with_context(|| format!("no `{}`", path.display()));
    let parse = std::env::current_exe()?.with_file_name("split-parse");
    let node =
        |name: &str, file: PathBuf| vec!["node".into(), root.join("build").join(name).join("main.js"), file];
    let service = |name, language, command| Service { name, language, folder: root.join(name), command };
    Ok(vec![
        service("ingest", "typescript", node("ingest", absolute(&options.input)?)),
        service("parse", "rust", vec![parse]),
        service(
            "rules",
            "python",
            vec![root.join("rules/.venv/bin/python"), "-m".into(), "split_rules".into()],
        ),
        service("aggregate", "go", vec![root.join("aggregate/build/aggregate")]),
        service("sink", "typescript", node("sink", absolute(&options.output)?)),
    ])
}
