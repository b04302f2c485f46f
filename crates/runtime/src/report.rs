//! The run report, from what the stage loops left behind.

use std::sync::Arc;
use std::time::Duration;

use modrun_core::{
    Activity, ActivitySeconds, CpuSeconds, Events, LoopReport, Row, RunReport, StageReport, Written,
};
use modrun_link::Ended;
use modrun_plan::Plan;
use modrun_worker::{Finished, SharedHost, Tally};

use crate::processes::{Processes, Usage};

/// What was measured around the loops.
pub(crate) struct Measured {
    pub(crate) start: Duration,
    pub(crate) wall: Duration,
    pub(crate) cpu: CpuSeconds,
    pub(crate) peak_rss_bytes: u64,
}

pub(crate) fn report(
    plan: &Plan,
    finished: &[Finished],
    hosts: &[Arc<SharedHost>],
    processes: &Processes,
    written: &Written,
    measured: Measured,
) -> RunReport {
    let mut rows = vec![(Row::default(), Tally::default()); plan.stages.len()];
    for (step, row, tally) in finished.iter().flat_map(|finished| &finished.stages) {
        let (stage_row, stage_tally) = &mut rows[step.id.0];
        stage_row.add(row);
        stage_tally.add(tally);
    }
    for host in hosts {
        rows[host.receiver().stage().0].1 = tally(host);
    }
    // What a stage hands on is what the next one receives; a source reads what it hands on.
    (rows[0].1.events_in, rows[0].1.batches_in) = (rows[1].1.events_in, rows[1].1.batches_in);
    let last = plan.stages.len() - 1;
    let (mut cpu, mut loop_seconds) = (measured.cpu, 0.0);
    let mut stages = Vec::new();
    for (at, stage) in plan.stages.iter().enumerate() {
        let (row, tally) = &rows[at];
        let next = rows.get(at + 1).map(|(_, next)| (next.events_in, next.batches_in));
        let (events_out, batches_out) = next.unwrap_or((written.rows(), rows[last].1.batches_in));
        let usage = processes.usage(at);
        let own = hosts.iter().find(|host| host.receiver().stage().0 == at);
        let activity = own.map_or(ActivitySeconds::from(row), |host| activity(&host.receiver().ended()));
        if let Some(Usage { cpu: own, .. }) = &usage {
            cpu.user += own.user;
            cpu.system += own.system;
            loop_seconds += activity.total();
        }
        stages.push(StageReport {
            name: stage.name.clone(),
            language: usage.as_ref().map_or("rust", |usage| language(&usage.sdk)).to_owned(),
            placement: stage.placement.word().to_owned(),
            events_in: tally.events_in,
            events_out,
            batches_in: tally.batches_in,
            batches_out,
            activity_seconds: activity,
            cpu_seconds: usage
                .as_ref()
                .map_or(row.cpu.as_secs_f64(), |usage| usage.cpu.user + usage.cpu.system),
            peak_rss_bytes: usage.map(|usage| usage.peak_rss_bytes),
        });
    }
    let mut forwarding = Row::default();
    finished.iter().filter_map(|finished| finished.forwarding.as_ref()).for_each(|row| forwarding.add(row));
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
        start_seconds: measured.start.as_secs_f64(),
        wall_seconds,
        cpu_seconds: cpu,
        peak_rss_bytes: measured.peak_rss_bytes,
        events_per_second: if wall_seconds > 0.0 { events_in as f64 / wall_seconds } else { 0.0 },
        thread_seconds: loop_seconds
            + finished.iter().map(|finished| finished.lifetime.as_secs_f64()).sum::<f64>(),
        stages,
        forwarding: LoopReport {
            activity_seconds: ActivitySeconds::from(&forwarding),
            cpu_seconds: forwarding.cpu.as_secs_f64(),
        },
    }
}

fn tally(host: &SharedHost) -> Tally {
    let passed = host.passed();
    Tally {
        events_in: passed.events,
        batches_in: passed.batches,
        filtered: passed.filtered,
        dead_letters: passed.dead_letters,
    }
}

/// Where the time of a stage's processes went, as they say it.
fn activity(ended: &[Option<Ended>]) -> ActivitySeconds {
    let sum = |of: Activity| {
        let spent = |ended: &Ended| ended.activity.spent[of as usize].as_secs_f64();
        ended.iter().flatten().map(spent).sum()
    };
    ActivitySeconds {
        receive: sum(Activity::Receive),
        decode: sum(Activity::Decode),
        process: sum(Activity::Process),
        encode: sum(Activity::Encode),
        send: sum(Activity::Send),
        starved: sum(Activity::Starved),
        backpressured: sum(Activity::Backpressured),
    }
}

/// The language of an SDK that names itself `python 0.1.0`.
fn language(sdk: &str) -> &str {
    sdk.split(' ').next().unwrap_or_default()
}
