//! The runs as Markdown: what each contender took, how it compares, and which stage had the CPU.

use modrun_report::{Align, Summary, Table, units};

use super::{Contender, ONE_PROCESS, PER_EVENT, POLYGLOT, PROCESSES, Series};

/// Who is compared with whom.
const PAIRS: [(Contender, Contender); 7] = [
    (POLYGLOT, ONE_PROCESS),
    (PER_EVENT, ONE_PROCESS),
    (PROCESSES, ONE_PROCESS),
    (Contender::Again, ONE_PROCESS),
    (POLYGLOT, Contender::Grpc),
    (PER_EVENT, Contender::Grpc),
    (Contender::Single, Contender::GrpcSingle),
];

const NOT_MEASURED: &str = "not measured";

/// Shows one table of figures and one of ratios.
pub(super) fn show(series: &[Series]) {
    println!("{}\n{}", figures(series), comparison(series));
}

fn figures(series: &[Series]) -> Table<8> {
    let mut table = Table::new([
        ("runs as", Align::Left),
        ("start-up", Align::Right),
        ("wall", Align::Right),
        ("events/s", Align::Right),
        ("CPU-s per 1M", Align::Right),
        ("with start-up", Align::Right),
        ("peak memory, runtime", Align::Right),
        ("sum", Align::Right),
    ]);
    for one in series {
        let events = one.events as f64;
        let wall = one.summary(|run| Some(run.wall_seconds));
        table.row([
            one.contender.name().to_owned(),
            shown(one.summary(|run| Some(run.start_seconds)), units::seconds),
            shown(wall, units::seconds),
            shown(wall.map(|wall| wall.map(|seconds| events / seconds)), units::scaled),
            shown(one.per_million(|run| run.cpu_seconds), units::number),
            shown(one.per_million(|run| Some(run.cpu_seconds_with_start)), units::number),
            largest(one.summary(|run| run.peak_rss_bytes.map(|bytes| bytes as f64))),
            largest(one.summary(|run| Some(run.peak_rss_bytes_of_all as f64))),
        ]);
    }
    table
}

fn comparison(series: &[Series]) -> Table<4> {
    let mut table = Table::new([
        ("ratio, pair by pair", Align::Left),
        ("speed", Align::Right),
        ("CPU", Align::Right),
        ("CPU with start-up", Align::Right),
    ]);
    let find = |wanted| series.iter().find(|series| series.contender == wanted);
    for (ours, theirs) in PAIRS {
        let Some((ours, theirs)) = find(ours).zip(find(theirs)) else { continue };
        table.row([
            format!("{} / {}", ours.contender.name(), theirs.contender.name()),
            shown(ours.ratio(theirs, |run| Some(1.0 / run.wall_seconds)), units::number),
            shown(ours.ratio(theirs, |run| run.cpu_seconds), units::number),
            shown(ours.ratio(theirs, |run| Some(run.cpu_seconds_with_start)), units::number),
        ]);
    }
    table
}

/// Shows how the CPU time spreads over the stages; what is left is the runtime's own.
pub(super) fn show_stages(series: &[Series]) {
    let mut table = Table::new([
        ("runs as", Align::Left),
        ("stage", Align::Left),
        ("language", Align::Left),
        ("CPU-s per 1M", Align::Right),
        ("peak memory", Align::Right),
    ]);
    for one in series {
        let stages = one.runs.first().map_or(&[][..], |run| &run.stages);
        for (index, stage) in stages.iter().enumerate() {
            let peak = one.summary(|run| run.stages.get(index)?.peak_rss_bytes.map(|bytes| bytes as f64));
            table.row([
                one.contender.name().to_owned(),
                stage.name.clone(),
                stage.language.clone(),
                shown(one.per_million(|run| Some(run.stages.get(index)?.cpu_seconds)), units::number),
                peak.map_or("in the runtime".to_owned(), |peak| units::bytes(peak.max)),
            ]);
        }
        let rest = one.per_million(|run| {
            Some(run.cpu_seconds? - run.stages.iter().map(|stage| stage.cpu_seconds).sum::<f64>())
        });
        if let Some(rest) = rest {
            let cells = [one.contender.name(), "the runtime", "rust", &rest.show(units::number), ""];
            table.row(cells);
        }
    }
    println!("CPU time by stage, without start-up:\n\n{table}");
}

fn shown(summary: Option<Summary>, unit: fn(f64) -> String) -> String {
    summary.map_or(NOT_MEASURED.to_owned(), |summary| summary.show(unit))
}

fn largest(summary: Option<Summary>) -> String {
    summary.map_or(NOT_MEASURED.to_owned(), |summary| units::bytes(summary.max))
}
