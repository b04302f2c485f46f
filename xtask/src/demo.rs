//! `cargo xtask demo`: the first thing to see of the project.
//!
//! The example in one process and split over four languages. What a language needs and is not here is named, and its
//! stages run in the one process.

use anyhow::{Context, Result, ensure};
use modrun_report::{Align, Table, units};

use crate::example::{self, Language, Placement};
use crate::input::Input;
use crate::modrun::{self, Report};
use crate::setup;

/// How many events each run of the demonstration has.
const SIZES: [u64; 2] = [100_000, 1_000_000];

/// Builds, generates, runs, verifies, and shows a table.
pub(crate) fn run() -> Result<()> {
    modrun::build()?;
    let missing: Vec<(Language, anyhow::Error)> = Language::ALL
        .into_iter()
        .filter_map(|language| prepare(language).err().map(|error| (language, error)))
        .collect();
    let in_place: Vec<String> = missing
        .iter()
        .flat_map(|(language, _)| language.stages())
        .flat_map(|stage| ["--place".to_owned(), format!("{stage}=thread")])
        .collect();
    let in_place: Vec<&str> = in_place.iter().map(String::as_str).collect();

    let mut table = Table::new([
        ("events", Align::Right),
        ("runs as", Align::Left),
        ("start-up", Align::Right),
        ("wall", Align::Right),
        ("events/s", Align::Right),
        ("CPU-s per 1M", Align::Right),
        ("peak memory", Align::Right),
        ("results", Align::Left),
    ]);
    for events in SIZES {
        let input = Input::plain(events);
        input.generate()?;
        let one = example::verified_run(input, Placement::OneProcess, &[])?;
        let split = example::verified_run(input, Placement::Polyglot, &in_place)?;
        ensure!(one.results_digest == split.results_digest, "the two runs wrote different results");
        table.row(row(&one));
        table.row(row(&split));
    }
    println!("\n{table}\nEach run's results are the expected ones, byte for byte.");
    for (language, error) in &missing {
        let stages = language.stages().join(" and ");
        println!("\nWithout {language:?}: {stages} ran in the one process, in Rust.\n  {error:#}");
    }
    if !missing.is_empty() {
        println!("\n`cargo xtask setup` installs what can be installed, and names the rest.");
    }
    Ok(())
}

/// Makes what the stages in `language` need, if its toolchain is here.
fn prepare(language: Language) -> Result<()> {
    setup::find(language.program())?;
    language.prepare().with_context(|| format!("its stages cannot be prepared for {language:?}"))
}

fn row(report: &Report) -> [String; 8] {
    [
        units::exact(report.events.r#in),
        runs_as(report),
        units::seconds(report.start_seconds),
        units::seconds(report.wall_seconds),
        units::scaled(report.events_per_second),
        units::number(report.cpu_seconds.total() / report.events.r#in as f64 * 1e6),
        units::bytes(report.peak_rss_bytes_of_all() as f64),
        "verified".to_owned(),
    ]
}

/// The languages of a run's processes, or that there is one.
fn runs_as(report: &Report) -> String {
    let processes: Vec<&str> = report
        .stages
        .iter()
        .map(|stage| if stage.placement == "thread" { "rust" } else { stage.language.as_str() })
        .collect();
    if report.stages.iter().all(|stage| stage.placement == "thread") {
        "one process".to_owned()
    } else {
        processes.join(" ▸ ")
    }
}
