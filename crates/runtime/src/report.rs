//! The run report, from what the stage loops left behind.

use std::time::Duration;

use modrun_core::{ActivitySeconds, CpuSeconds, Events, Row, RunReport, StageReport, Written};
use modrun_plan::Plan;
use modrun_worker::{Finished, Tally};

/// What was measured around the loops.
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    pub(crate) cpu: CpuSeconds,
    pub(crate) peak_rss_bytes: u64,
}

pub(crate) fn report(plan: &Plan, finished: &[Finished], written: &Written, measured: Measured) -> RunReport {
    let mut rows = vec![(Row::default(), Tally::default()); plan.stages.len()];
    for (step, row, tally) in finished.iter().flat_map(|finished| &finished.stages) {
        let (stage_row, stage_tally) = &mut rows[step.id.0];
        stage_row.add(row);
        stage_tally.add(tally);
    }
    // What a stage hands on is what the next one receives; a source reads what it hands on.
    (rows[0].1.events_in, rows[0].1.batches_in) = (rows[1].1.events_in, rows[1].1.batches_in);
    let last = plan.stages.len() - 1;
    let stages = plan.stages.iter().enumerate().map(|(at, stage)| {
        let (row, tally) = &rows[at];
        let next = rows.get(at + 1).map(|(_, next)| (next.events_in, next.batches_in));
        let (events_out, batches_out) = next.unwrap_or((written.rows(), rows[last].1.batches_in));
        StageReport {
            name: stage.name.clone(),
            language: "rust".to_owned(),
            placement: stage.placement.word().to_owned(),
            events_in: tally.events_in,
            events_out,
            batches_in: tally.batches_in,
            batches_out,
            activity_seconds: ActivitySeconds::from(row),
            cpu_seconds: row.cpu.as_secs_f64(),
        }
    });
    let sum = |count: fn(&Tally) -> u64| rows.iter().map(|(_, tally)| count(tally)).sum();
    let (events_in, wall_seconds) = (rows[0].1.events_in, measured.wall.as_secs_f64());
    RunReport {
        pipeline: plan.pipeline.clone(),
        placement: plan.stages.iter().map(|s| (s.name.clone(), s.placement.word().to_owned())).collect(),
        events: Events {
            r#in: events_in,
            filtered: sum(|tally| tally.filtered),
            dead_letters: sum(|tally| tally.dead_letters),
            results: written.rows(),
        },
        results_digest: written.digest(),
        wall_seconds,
        cpu_seconds: measured.cpu,
        peak_rss_bytes: measured.peak_rss_bytes,
        events_per_second: if wall_seconds > 0.0 { events_in as f64 / wall_seconds } else { 0.0 },
        thread_seconds: finished.iter().map(|finished| finished.lifetime.as_secs_f64()).sum(),
        stages: stages.collect(),
    }
}
