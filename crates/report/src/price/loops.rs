//! Which loops the stages of a run share, and how long each of them is busy.
//!
//! ```text
//!   process │ thread  thread  thread │ process │ thread
//!           └──────── span ──────────┘
//!             heads: workers share it   tail: one loop
//! ```
//!
//! Stages next to each other in the runtime's process form a span, and each of its loops carries a batch through several
//! of them: it is busy as long as they are together. A stage of several loops is on the heads of its span, any other on
//! the tail. A process is a loop of its own. Heads that are as many as there are cores take what comes next as soon as
//! they can: no single one of them holds up a run, and what they do together is in its CPU time.

use modrun_core::{RunReport, StageReport};

/// The placement of stages in the runtime's process.
pub(super) const THREAD: &str = "thread";

/// How long the busiest loop of a run is busy that may hold it up, from how long all loops of each stage are.
pub(super) fn busiest(report: &RunReport, busy: impl Fn(&str) -> f64) -> f64 {
    let is_here = |stage: &StageReport| stage.placement == THREAD;
    let spans = report.stages.chunk_by(|a, b| is_here(a) && is_here(b));
    spans.map(|span| of_span(span, report.bottleneck.cores, &busy)).fold(0.0, f64::max)
}

fn of_span(span: &[StageReport], cores: u32, busy: &impl Fn(&str) -> f64) -> f64 {
    // A partial aggregate runs on the heads and on the tail, where it merges, which takes next to nothing.
    let workers = span.iter().map(|stage| stage.loops).filter(|&loops| loops > 1).min().unwrap_or(1);
    let sum = |is_head: bool| -> f64 {
        span.iter().filter(|stage| (stage.loops > 1) == is_head).map(|stage| busy(&stage.name)).sum()
    };
    let heads = if workers < cores { sum(true) / f64::from(workers) } else { 0.0 };
    heads.max(sum(false))
}

/// How long all loops of a stage had work and a core, in seconds.
pub(super) fn busy(stage: &StageReport) -> f64 {
    (stage.busy.seconds - stage.busy.off_cpu_seconds).max(0.0)
}
