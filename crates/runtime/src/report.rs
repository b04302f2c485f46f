//! The run report, from what the stage loops left behind.

use std::sync::Arc;
use std::time::Duration;

use modrun_core::{
    Activity, ActivitySeconds, Bottleneck, Busy, Carrier, CpuSeconds, Events, Latency, LinkReport,
    LoopReport, Measuring, Reads, Row, RunReport, StageReport, Written,
};
use modrun_link::{Carried, Ended};
use modrun_plan::Plan;
use modrun_worker::{Finished, Link, SharedHost, Tally};

use crate::processes::{Processes, Usage};

/// What was measured around the loops.
pub(crate) struct Measured {
    pub(crate) start: Duration,
    pub(crate) wall: Duration,
    pub(crate) cpu: CpuSeconds,
    pub(crate) peak_rss_bytes: u64,
    /// What one reading of the time and of a thread's CPU time costs; `None` if there was no ledger.
    pub(crate) price_of_reading: Option<(Duration, Duration)>,
}

pub(crate) fn report(
    plan: &Plan,
    finished: &[Finished],
    hosts: &[Arc<SharedHost>],
    links: &[Link],
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
        rows[host.receiver().stage().0].1 = Tally::from(host.passed());
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
        let cpu_seconds =
            usage.as_ref().map_or(row.cpu.as_secs_f64(), |usage| usage.cpu.user + usage.cpu.system);
        let mut activity = own.map_or(ActivitySeconds::from(row), |host| activity(&host.receiver().ended()));
        if let Some(Usage { cpu: own, early, .. }) = &usage {
            // It was ready before the run began, and waited.
            activity.starved = (activity.starved - early.as_secs_f64()).max(0.0);
            cpu.user += own.user;
            cpu.system += own.system;
            loop_seconds += activity.total();
        }
        let own_loops = || finished.iter().filter(|finished| finished.runs(at)).count();
        let loops = usage.as_ref().map_or_else(own_loops, |usage| usage.loops) as u32;
        let busy = Busy::of(&activity, cpu_seconds);
        stages.push(StageReport {
            name: stage.name.clone(),
            language: usage.as_ref().map_or("rust", |usage| language(&usage.sdk)).to_owned(),
            placement: stage.placement.word().to_owned(),
            events_in: tally.events_in,
            events_out,
            batches_in: tally.batches_in,
            batches_out,
            loops,
            activity_seconds: activity,
            busy,
            events_per_second_alone: (busy.seconds > 0.0)
                .then(|| rows[0].1.events_in as f64 * f64::from(loops) / busy.seconds),
            cpu_seconds,
            peak_rss_bytes: usage.map(|usage| usage.peak_rss_bytes),
        });
    }
    let mut forwarding = Row::default();
    finished.iter().filter_map(|finished| finished.forwarding.as_ref()).for_each(|row| forwarding.add(row));
    let forwarding_cpu = forwarding.cpu.as_secs_f64();
    let forwarding = ActivitySeconds::from(&forwarding);
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
        bottleneck: bottleneck(&stages, cpu.user + cpu.system, wall_seconds),
        stages,
        forwarding: LoopReport {
            activity_seconds: forwarding,
            busy: Busy::of(&forwarding, forwarding_cpu),
            cpu_seconds: forwarding_cpu,
        },
        links: links.iter().map(|link| link_report(plan, link)).collect(),
        measuring: measured.price_of_reading.map(|price| measuring(finished, links, price)),
    }
}

fn bottleneck(stages: &[StageReport], cpu: f64, wall: f64) -> Bottleneck {
    let slowest = stages.iter().filter_map(|stage| Some((stage.events_per_second_alone?, &stage.name)));
    Bottleneck {
        stage: slowest.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name.clone()),
        cores_used: if wall > 0.0 { cpu / wall } else { 0.0 },
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
    }
}

fn link_report(plan: &Plan, link: &Link) -> LinkReport {
    let carried = link.carried();
    LinkReport {
        from: plan.stages[link.from.0].name.clone(),
        to: plan.stages[link.to.0].name.clone(),
        carrier: link.carrier,
        batches: carried.batches,
        rows: carried.rows,
        bytes: carried.bytes,
        latency: latency(&carried),
    }
}

/// Shares of the events at which a distribution is told: closer and closer to all of them.
const SHARES: [f64; 14] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0];

fn latency(carried: &Carried) -> Latency {
    if carried.latency.is_empty() {
        return Latency::default();
    }
    let at = |share: f64| carried.latency.value_at_quantile(share) as f64 * 1e-9;
    Latency {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: at(1.0),
        distribution: SHARES.map(|share| (share, at(share))).to_vec(),
    }
}

/// What the runtime's own clocks cost. Each batch on a link is stamped twice.
fn measuring(finished: &[Finished], links: &[Link], (time, cpu): (Duration, Duration)) -> Measuring {
    let reads = finished.iter().fold(Reads::default(), |sum, finished| Reads {
        time: sum.time + finished.reads.time,
        cpu: sum.cpu + finished.reads.cpu,
    });
    let stamps: u64 = links
        .iter()
        .filter(|link| link.carrier == Carrier::Process)
        .map(|link| 2 * link.carried().batches)
        .sum();
    let times = reads.time + stamps;
    Measuring {
        clock_reads: times + reads.cpu,
        seconds: times as f64 * time.as_secs_f64() + reads.cpu as f64 * cpu.as_secs_f64(),
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
