//! The rows of the comparison: what is measured of a run, and how it is written.

use crate::Summary;
use crate::comparison::{Bound, Column, Share};
use crate::record::Figures;
use crate::units;

/// A row of the comparison.
pub(super) struct Measure {
    pub(super) name: &'static str,
    of: fn(&Figures, f64) -> Option<Share>,
    show: fn(f64) -> String,
}

const fn measure(
    name: &'static str,
    of: fn(&Figures, f64) -> Option<Share>,
    show: fn(f64) -> String,
) -> Measure {
    Measure { name, of, show }
}

/// All rows that are figures, in their order.
pub(super) const ALL: [Measure; 10] = [
    measure("time, start-up included", |run, _| exact(run.whole_seconds), units::seconds),
    measure("time once ready", |run, _| exact(run.wall_seconds), units::seconds),
    measure("events/s, start-up included", |run, events| exact(events / run.whole_seconds), units::scaled),
    measure("events/s once ready", |run, events| exact(events / run.wall_seconds), units::scaled),
    measure("time per event, once ready", |run, events| exact(run.wall_seconds / events), units::seconds),
    measure("IPC overhead, of busy time", |run, _| run.ipc_of_busy(), percent),
    measure("IPC overhead, of CPU", |run, _| run.ipc_of_cpu(), percent),
    measure("CPU-seconds for 1M events", |run, events| exact(cpu_per_million(run, events)), units::number),
    measure("cores in use", |run, _| exact(run.whole_cpu_seconds / run.whole_seconds), units::number),
    measure("peak memory, all processes", |run, _| exact(run.peak_rss_bytes as f64), units::bytes),
];

/// CPU of all processes, start-up included, in seconds for a million events.
pub(super) fn cpu_per_million(run: &Figures, events: f64) -> f64 {
    run.whole_cpu_seconds / events * 1e6
}

/// A share as people read it.
pub(super) fn percent(value: f64) -> String {
    match value * 100.0 {
        percent if percent > 0.0 && percent < 10.0 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

impl Measure {
    /// The middle over a lane's runs and their spread, as text; none where it was not measured.
    pub(super) fn of(&self, column: &Column) -> Option<String> {
        let events = column.lane.events as f64;
        let summary = column.summary(|run| (self.of)(run, events).map(|share| share.value))?;
        let first = column.typical().and_then(|run| (self.of)(run, events))?;
        Some(format!("{}{}", first.bound.sign(), spread(summary, column, self.show)))
    }
}

/// The middle, with the spread where there was more than one run.
pub(super) fn spread(summary: Summary, column: &Column, show: fn(f64) -> String) -> String {
    let runs = column.turns().map_or(0, |turns| turns.len());
    if runs > 1 { summary.show(show) } else { show(summary.median) }
}

fn exact(value: f64) -> Option<Share> {
    value.is_finite().then_some(Share { value, bound: Bound::Exact })
}
