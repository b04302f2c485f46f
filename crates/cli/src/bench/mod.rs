//! `modrun bench`: placements, batch sizes and baselines beside each other, in turns.
//!
//! ```text
//!   arguments ──▶ lanes ──▶ for each size, warm-up, then turn after turn:  A B C … A B C …
//!                              │ one program at a time, in a process of its own
//!                              ▼
//!                           verified? ──▶ journal (FILE.jsonl) ──▶ comparison
//! ```
//!
//! Guarantees: no figure is taken from a run whose results are not the expected ones. Every kind of lane is run once
//! more under the same name, so that the noise stands beside every difference. A run that is over is in the journal
//! before the next one begins: an interrupted comparison goes on where it was. Ends only what it has started.

mod baselines;
mod child;
mod input;
mod journal;
mod lanes;
mod machine;
mod plan;
mod price;
mod turns;

use std::path::PathBuf;

use modrun_report::comparison::Comparison;
use modrun_report::read::Measured;

use crate::failure::Failure;
use crate::show;
use crate::signals::Signals;
use anyhow::{Context, anyhow};

use baselines::Baselines;
use input::Inputs;
use journal::Journal;
use lanes::{Batch, Wanted};
use plan::Placements;
use price::Boundary;
use turns::Turns;

/// Compare placements, batch sizes and other programs, in turns
///
/// Each combination runs once to warm up and then once a turn, after each other, so that all of them meet the same
/// moods of the machine. Results are verified before a figure is taken. What is over is in the output file: the same
/// command goes on where it was interrupted.
#[derive(clap::Args, Debug)]
#[command(after_help = crate::EXIT_CODES)]
pub(crate) struct Args {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    pipeline: PathBuf,
    /// Placements to compare: files, or names of those in `placements/` beside the pipeline; `.` is the pipeline's own
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = ".")]
    placements: Vec<String>,
    /// Rows that travel together between processes: numbers, or `adaptive`
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "adaptive")]
    batch: Vec<Batch>,
    /// Numbers of events to generate as input
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [100_000, 1_000_000],
          value_parser = clap::value_parser!(u64).range(1..))]
    events: Vec<u64>,
    /// An input of your own instead
    #[arg(long, value_name = "FILE", conflicts_with = "events")]
    input: Option<PathBuf>,
    /// The results of that input [default: those of the first run, which all others are compared with]
    #[arg(long, value_name = "FILE", requires = "input")]
    expected: Option<PathBuf>,
    /// How many turns
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Compare with other programs too: those of a file, by default of `baselines.yaml` beside the pipeline
    #[arg(long, value_name = "FILE.yaml", num_args = 0..=1, default_missing_value = ".")]
    baselines: Option<PathBuf>,
    /// Run each placement without its ledger too, to see what measuring costs
    #[arg(long)]
    ledger_cost: bool,
    /// Find what moving each stage out costs by batch, by event and by byte, for the stages that the placements run as
    /// processes, and what that says of these placements and batch sizes
    #[arg(long, conflicts_with_all = ["baselines", "ledger_cost"])]
    price: bool,
    /// Leave out what would take longer than this a run, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0)]
    leave_out_above: f64,
    /// Override a key of the pipeline in every run
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Where every run is recorded, a JSON document a line
    #[arg(long, short, value_name = "FILE.jsonl", default_value = "bench.jsonl")]
    output: PathBuf,
    /// Begin the output file anew
    #[arg(long)]
    again: bool,
    /// Where generated input is kept [default: `bench-data` beside the output]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

/// Runs the comparison and shows it.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    if !(args.leave_out_above.is_finite() && args.leave_out_above > 0.0) {
        return Err(Failure::Arguments(anyhow!("`--leave-out-above` takes a time, such as 120")));
    }
    let mut placements = Placements::load(&args.pipeline, &args.placements, &args.overrides)?;
    let boundaries = if args.price { sweep(&mut placements, &args)? } else { Vec::new() };
    let baselines = match &args.baselines {
        Some(file) => Baselines::read(file, &args.pipeline)?,
        None => Baselines::default(),
    };
    let session = machine::session(placements.pipeline());
    let mut journal = Journal::open(&args.output, &session, args.again)?;
    placements.build()?;
    let signals = Signals::register().context("cannot listen for signals")?;
    let inputs = Inputs {
        own: args.input.clone(),
        expected: args.expected.clone(),
        beside: args.pipeline.parent().map(PathBuf::from).unwrap_or_default(),
        data: args.data.clone().unwrap_or_else(|| args.output.with_file_name("bench-data")),
    };
    let wanted = Wanted {
        placements: placements.kinds(),
        batches: args.batch.clone(),
        baselines: baselines.kinds(),
        ledger_cost: args.ledger_cost,
    };
    let sizes =
        if args.input.is_some() { vec![None] } else { args.events.iter().map(|&n| Some(n)).collect() };
    let mut turns = Turns::new(&placements, &baselines, &signals, args.runs, args.leave_out_above);
    for size in sizes {
        let input = inputs.prepare(size, 0)?;
        if !args.price {
            turns.size(&input, &wanted.lanes(input.events), &mut journal)?;
            continue;
        }
        turns.size(
            &input,
            &price::lanes(&boundaries, &args.placements, &args.batch, input.events),
            &mut journal,
        )?;
        // What a byte costs does not depend on how many there are: the fewest events will do.
        if size.is_some() && size == args.events.iter().min().copied() {
            for (padding, lanes) in price::longer(&boundaries, &args.placements, input.events) {
                turns.size(&inputs.prepare(size, padding)?, &lanes, &mut journal)?;
            }
        }
    }
    finish(&args, turns.failed)
}

/// Adds what a sweep for prices runs to the placements; gives the boundaries that have a price.
fn sweep(placements: &mut Placements, args: &Args) -> Result<Vec<Boundary>, Failure> {
    let boundaries = price::boundaries(placements);
    if boundaries.is_empty() {
        return Err(Failure::Arguments(anyhow!(
            "the placements run no stage as a process, so there is no boundary to price; name one with `--placements`"
        )));
    }
    for name in [".".to_owned()].iter().chain(boundaries.iter().map(|boundary| &boundary.name)) {
        if !args.placements.contains(name) {
            placements.add(name)?;
        }
    }
    Ok(boundaries)
}

/// Shows what is in the journal.
fn finish(args: &Args, failed: u32) -> Result<(), Failure> {
    let name = args.output.display().to_string();
    let text = std::fs::read_to_string(&args.output).with_context(|| format!("cannot read `{name}`"))?;
    let mut measured = Measured::default();
    measured.add(&name, &text).with_context(|| format!("cannot read `{name}`"))?;
    let comparison = Comparison::of(&measured);
    if args.price {
        let prices = modrun_report::page::prices(&comparison);
        show::output(&prices.ok_or_else(|| anyhow!("there are too few verified runs for a price"))?)?;
    } else {
        show::output(&modrun_report::page::summary(&comparison))?;
    }
    show::note(format!("every run is in `{name}`; `modrun report {name}` makes a page of it"));
    match failed {
        0 => Ok(()),
        1 => Err(anyhow!("a run failed or gave wrong results; no figure was taken from it").into()),
        many => {
            Err(anyhow!("{many} runs failed or gave wrong results; no figure was taken from them").into())
        }
    }
}
