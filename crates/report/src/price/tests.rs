//! Prices of runs that are made from known ones.

use modrun_core::{
    ActivitySeconds, Bottleneck, Busy, Carrier, CpuSeconds, Events, Latency, LinkReport, LoopReport,
    RunReport, StageReport,
};

use super::*;
use crate::record::Figures;

const EVENTS: u64 = 1_000_000;
const LINE_BYTES: f64 = 120.0;
const CORES: f64 = 2.0;
const IDLE: f64 = 0.004;

/// By batch, by event and by byte, in seconds.
const INGEST: [f64; 3] = [20e-6, 50e-9, 0.3e-9];
const RULES: [f64; 3] = [10e-6, 30e-9, 0.0];
/// The one batch of results.
const SINK: f64 = 3e-3;
/// Bytes of an event behind the stage that parses.
const COLUMNS_BYTES: f64 = 9.0;
/// An event in one process, and what a byte more takes there.
const BASE: [f64; 2] = [40e-9, 0.1e-9];

/// What a run takes under the known prices, and its report.
fn run(placement: &str, moved: &[&str], batch: Option<&str>, padding: u32, purpose: Purpose) -> Run {
    let rows = batch.map_or(f64::MAX, |batch| batch.parse().unwrap_or(20_000.0));
    let batches = (EVENTS as f64 / rows).ceil();
    let longer = f64::from(padding);
    let (mut cpu, mut links) = ((BASE[0] + BASE[1] * longer) * EVENTS as f64, Vec::new());
    let link = |from: &str, to: &str, batches: f64, bytes: f64| LinkReport {
        from: from.to_owned(),
        to: to.to_owned(),
        carrier: Carrier::Process,
        batches: batches as u64,
        rows: EVENTS,
        bytes: (bytes * EVENTS as f64) as u64,
        latency: Latency::default(),
    };
    let takes = |batches: f64, bytes: f64, [a, b, c]: [f64; 3]| {
        a * batches + b * EVENTS as f64 + c * bytes * EVENTS as f64
    };
    let mut busy = BTreeMap::new();
    if moved.contains(&"ingest") {
        links.push(link("ingest", "parse", batches, LINE_BYTES + longer));
        busy.insert("ingest", takes(batches, LINE_BYTES + longer, INGEST));
    }
    if moved.contains(&"rules") {
        links.push(link("parse", "rules", batches, COLUMNS_BYTES));
        links.push(link("rules", "sink", batches, 0.0));
        busy.insert("rules", takes(2.0 * batches, COLUMNS_BYTES, RULES));
    }
    if moved.contains(&"sink") {
        links.push(link("rules", "sink", 1.0, 0.0));
        busy.insert("sink", SINK);
    }
    cpu += busy.values().sum::<f64>();
    let word = |stage: &str| if moved.contains(&stage) { "moved" } else { "thread" }.to_owned();
    let stage = |name: &str| stage(name, word(name), busy.get(name).copied().unwrap_or(0.0));
    let stages = ["ingest", "parse", "rules", "sink"];
    let report = RunReport {
        pipeline: "known".to_owned(),
        placement: stages.iter().map(|stage| ((*stage).to_owned(), word(stage))).collect(),
        events: Events { r#in: EVENTS, ..Events::default() },
        results_digest: String::new(),
        start_seconds: 0.0,
        wall_seconds: cpu / CORES + IDLE,
        cpu_seconds: CpuSeconds { user: cpu, system: 0.0 },
        peak_rss_bytes: 0,
        events_per_second: EVENTS as f64 / (cpu / CORES + IDLE),
        thread_seconds: 0.0,
        stages: stages.map(stage).to_vec(),
        forwarding: LoopReport::default(),
        links,
        bottleneck: Bottleneck { stage: None, cores_used: CORES, cores: CORES as u32 },
        measuring: None,
    };
    let figures = Figures { cpu_seconds: Some(cpu), report: Some(Box::new(report)), ..Figures::default() };
    let lane = Lane {
        system: "modrun".to_owned(),
        placement: Some(placement.to_owned()),
        batch: batch.map(str::to_owned),
        events: EVENTS,
        padding,
        purpose,
    };
    Run { lane, turn: 1, cores_taken: 0.0, outcome: Outcome::Verified(figures) }
}

/// A stage whose loops never hold up a run: they are busy for a hundredth of their CPU time.
fn stage(name: &str, placement: String, cpu: f64) -> StageReport {
    let seconds = cpu / 100.0;
    StageReport {
        name: name.to_owned(),
        language: String::new(),
        loops: if placement == "thread" { 2 } else { 1 },
        placement,
        events_in: EVENTS,
        events_out: EVENTS,
        batches_in: 0,
        batches_out: 0,
        activity_seconds: ActivitySeconds::default(),
        busy: Busy { seconds, processing_seconds: seconds, ..Busy::default() },
        events_per_second_alone: None,
        cpu_seconds: cpu,
        peak_rss_bytes: None,
    }
}

const SIZES: [&str; 4] = ["100", "1000", "10000", "50000"];

fn sweep(longer: bool) -> Vec<Run> {
    let mut runs = vec![run(AS_WRITTEN, &[], None, 0, Purpose::Figure)];
    for stage in ["ingest", "rules"] {
        let placement = format!("{stage}=moved");
        for batch in SIZES.into_iter().chain([ADAPTIVE]) {
            runs.push(run(&placement, &[stage], Some(batch), 0, Purpose::Figure));
        }
    }
    if longer {
        runs.extend([512, 256].map(|padding| run(AS_WRITTEN, &[], None, padding, Purpose::Figure)));
        runs.extend(
            ["1000", "10000"]
                .map(|batch| run("ingest=moved", &["ingest"], Some(batch), 512, Purpose::Figure)),
        );
    }
    runs
}

fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() <= 1e-4 * expected.abs(), "{value} {expected}");
}

#[test]
fn prices_behind_the_runs_are_found() {
    let prices = Prices::of(&sweep(true)).unwrap();
    let [ingest, rules] = &prices.of[..] else { panic!("{prices:?}") };
    near(prices.base, BASE[0]);
    near(ingest.batch.value, INGEST[0]);
    near(ingest.event.unwrap().value, INGEST[1]);
    near(ingest.byte.unwrap().value, INGEST[2]);
    near(rules.batch.value, RULES[0]);
    near(rules.event.unwrap().value, RULES[1]);
    assert_eq!(rules.byte, None, "bytes that no length changes are in the price of an event");
    let at_rows = INGEST[0] / ROWS + INGEST[1] + INGEST[2] * LINE_BYTES;
    near(prices.share(ingest), at_rows / BASE[0]);

    let prices = Prices::of(&sweep(false)).unwrap();
    assert_eq!(prices.of[0].byte, None);
    near(prices.of[0].event.unwrap().value, INGEST[1] + INGEST[2] * LINE_BYTES);
}

#[test]
fn what_was_held_out_is_predicted() {
    let held_out = |batch, padding| run("both", &["ingest", "rules"], Some(batch), padding, Purpose::HeldOut);
    let mut runs = sweep(true);
    runs.extend([held_out("300", 0), held_out("3000", 256), held_out("20", 0), held_out("200000", 0)]);
    runs.push(held_out(ADAPTIVE, 0));
    // Of this, nothing is known.
    runs.extend([held_out(ADAPTIVE, 256), held_out("3000", 100)]);
    let predictions = Prices::of(&runs).unwrap().predictions(&runs);
    assert_eq!(predictions.len(), 5);
    for prediction in predictions {
        for off in prediction.off() {
            assert!(off.abs() < 1e-3, "{prediction:?}");
        }
    }
}

#[test]
fn results_are_one_batch_whatever_its_rows() {
    let mut runs = sweep(false);
    let placement = |batch| run("sink=moved", &["sink"], Some(batch), 0, Purpose::Figure);
    runs.extend(SIZES.map(placement));
    let held_out = |batch| run("sink=moved", &["sink"], Some(batch), 0, Purpose::HeldOut);
    runs.extend([held_out("10"), held_out("200000")]);
    let prices = Prices::of(&runs).unwrap();
    let sink = prices.of.last().unwrap();
    near(sink.batch.value, SINK);
    assert_eq!((sink.event, sink.byte), (None, None));
    near(prices.share(sink), SINK / EVENTS as f64 / BASE[0]);
    for prediction in prices.predictions(&runs) {
        assert!(prediction.off()[0].abs() < 1e-3, "{prediction:?}");
    }
}

#[test]
fn between_two_sizes_a_prediction_follows_what_was_measured_at_both() {
    let mut runs = sweep(false);
    // The largest batches leave the cache: an event takes half as much again.
    let more = 20e-9 * EVENTS as f64;
    for run in runs.iter_mut().filter(|run| run.lane.batch.as_deref() == Some("50000")) {
        let Outcome::Verified(figures) = &mut run.outcome else { panic!("all runs are verified") };
        *figures.cpu_seconds.as_mut().unwrap() += more;
    }
    let held_out = |batch| run("rules=moved", &["rules"], Some(batch), 0, Purpose::HeldOut);
    let (near_small, near_large) = (held_out("1500"), held_out("40000"));
    let predictions = Prices::of(&runs).unwrap().predictions([&near_small, &near_large]);
    let more_by_event: Vec<f64> =
        predictions.iter().map(|prediction| prediction.cpu[0] - prediction.cpu[1]).collect();
    assert!(more_by_event[0].abs() < 1e-10, "{more_by_event:?}");
    assert!((15e-9..20e-9).contains(&more_by_event[1]), "{more_by_event:?}");
}

#[test]
fn stages_of_a_span_share_their_loops() {
    let run = run("rules=moved", &["rules"], Some("100"), 0, Purpose::Figure);
    let Outcome::Verified(Figures { report: Some(mut report), .. }) = run.outcome else {
        panic!("the run has a report")
    };
    let busy = |stage: &str| match stage {
        "ingest" => 8.0,
        "parse" => 6.0,
        "rules" => 3.0,
        _ => 1.0,
    };
    // Two workers on two cores are no limit of their own; on four, they are.
    assert_eq!(busiest(&report, busy), 3.0);
    report.bottleneck.cores = 4;
    assert_eq!(busiest(&report, busy), 7.0);
    report.stages.iter_mut().for_each(|stage| stage.loops = 1);
    assert_eq!(busiest(&report, busy), 14.0);
}
