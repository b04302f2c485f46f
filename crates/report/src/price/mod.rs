//! The price of a boundary: what moving a stage into a process of its own costs, by batch and by event.
//!
//! ```text
//!   runs with one stage moved out, at several batch sizes ─┐
//!   runs of the same turns with none moved out ────────────┴─ fit ──▶ t = a·batches + b·events ──▶ predictions
//! ```
//!
//! What it is: `t` is the CPU time of all processes beyond that of one process, so a price holds both ends of the
//! boundary, and the difference between the two implementations of the stage. Bytes are proportional to events on a
//! link of given columns, so that their price is part of `b`; a third unknown would only be invented. Adaptive batches
//! are no number: what they cost is taken from the runs with one stage moved out, and predicted for several.
//!
//! Guarantees: prices are never negative; each has its standard error; a prediction is never made from the run that it
//! is compared with.

mod fit;
mod speed;

use std::collections::BTreeMap;

use modrun_core::{RunReport, StageReport};

use crate::Summary;
use crate::record::{Lane, Outcome, Purpose, Run};

use fit::{Sample, fit};
use speed::{Limits, Seen};

/// The placement of the runs in which no stage is moved out.
pub const AS_WRITTEN: &str = "as written";

/// Rows of the batches that a price is told at, about what adaptive batches come to.
pub const ROWS: f64 = 16_384.0;

/// Relative error that a measured time has at least: no point counts for more.
const ERROR_MIN: f64 = 0.03;

/// One unknown and how well it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// In seconds.
    pub value: f64,
    /// Its standard error, in seconds.
    pub error: f64,
}

/// What moving one stage out costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// The stage.
    pub stage: String,
    /// The word of its placement.
    pub word: String,
    /// CPU time of all processes by batch.
    pub batch: Estimate,
    /// CPU time of all processes by input event of the pipeline, its bytes included.
    pub event: Estimate,
    /// Time that the stage's own loop is busy by batch and by input event: it bounds the speed, whatever the cores.
    own: [f64; 2],
    /// Bytes on its links, by input event.
    pub bytes_per_event: f64,
    /// What was measured by input event, by batch size: CPU time of all processes, and time of the stage's loop.
    measured: BTreeMap<String, [f64; 2]>,
    /// Batches on its links for each input event, times the rows of a batch.
    batches_times_rows: f64,
}

/// All prices of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// CPU time of an event where no stage is moved out, in seconds.
    pub base: f64,
    /// By stage and word.
    pub of: Vec<Price>,
    /// Time that each stage's loop is busy by input event where it is not moved out, in seconds.
    loops: BTreeMap<String, f64>,
    limits: Limits,
}

/// What a run that was held out took, and what was predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// What was run.
    pub lane: Lane,
    /// CPU time of an event, predicted and measured, in seconds.
    pub cpu: [f64; 2],
    /// Events in a second, predicted and measured.
    pub events_per_second: [f64; 2],
}

impl Prices {
    /// Prices from the runs of a sweep; `None` if there are too few.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Option<Self> {
        let points: Vec<Point<'_>> = runs.into_iter().filter_map(Point::of).collect();
        let fitted = || points.iter().filter(|point| point.lane.purpose == Purpose::Figure);
        let bases: Vec<&Point<'_>> = fitted().filter(|point| point.is_as_written()).collect();
        let largest = bases.iter().map(|point| point.lane.events).max()?;
        let of_largest: Vec<&&Point<'_>> =
            bases.iter().filter(|point| point.lane.events == largest).collect();
        let base = median(of_largest.iter().map(|point| point.cpu / point.events()))?;
        let loops = of_largest.first()?.report.stages.iter().filter_map(|stage| {
            let of = |point: &&&Point<'_>| Some(busy(point.stage(&stage.name)?) / point.events());
            Some((stage.name.clone(), median(of_largest.iter().filter_map(of))?))
        });
        let mut moved: BTreeMap<(&str, &str), Vec<&Point<'_>>> = BTreeMap::new();
        for point in fitted() {
            if let Some(boundary) = point.boundary() {
                moved.entry(boundary).or_default().push(point);
            }
        }
        let of = moved.iter().filter_map(|(&(stage, word), points)| price(stage, word, points, &bases));
        let swept = moved.values().flatten().chain(&bases).map(|point| point.seen()).collect::<Vec<_>>();
        let cores = f64::from(bases.first()?.report.bottleneck.cores.max(1));
        Some(Self { base, of: of.collect(), loops: loops.collect(), limits: Limits::of(cores, &swept) })
    }

    /// What was held out, beside what these prices say of it.
    pub fn predictions<'a>(&self, runs: impl IntoIterator<Item = &'a Run>) -> Vec<Prediction> {
        let mut lanes: BTreeMap<&Lane, Vec<Point<'_>>> = BTreeMap::new();
        for point in runs.into_iter().filter_map(Point::of) {
            if point.lane.purpose == Purpose::HeldOut {
                lanes.entry(point.lane).or_default().push(point);
            }
        }
        lanes.into_iter().filter_map(|(lane, points)| self.prediction(lane, &points)).collect()
    }

    fn prediction(&self, lane: &Lane, points: &[Point<'_>]) -> Option<Prediction> {
        let events = lane.events as f64;
        let (mut cpu, mut slowest) = (self.base, 0.0f64);
        for (stage, word) in &points.first()?.report.placement {
            if word == "thread" {
                slowest = slowest.max(self.loops.get(stage).copied().unwrap_or(0.0));
            } else {
                let price = self.of.iter().find(|price| price.stage == *stage && price.word == *word)?;
                let [more, own] = price.at(lane.batch.as_deref()?)?;
                cpu += more;
                slowest = slowest.max(own);
            }
        }
        let wall = self.limits.wall(lane.events, cpu * events, slowest * events)?;
        Some(Prediction {
            lane: lane.clone(),
            cpu: [cpu, median(points.iter().map(|point| point.cpu / events))?],
            events_per_second: [
                events / wall,
                median(points.iter().map(|point| point.report.events_per_second))?,
            ],
        })
    }

    /// What moving a stage out adds to the CPU time of the whole pipeline at [`ROWS`] rows a batch: its share of what
    /// the pipeline takes where none is moved out.
    #[must_use]
    pub fn share(&self, price: &Price) -> f64 {
        (price.batch.value * price.batches_times_rows / ROWS + price.event.value) / self.base
    }
}

impl Prediction {
    /// By how much the predicted CPU time and the predicted speed are off, of what was measured.
    #[must_use]
    pub fn off(&self) -> [f64; 2] {
        [self.cpu, self.events_per_second].map(|[said, measured]| said / measured - 1.0)
    }
}

impl Price {
    /// By input event at a batch size: CPU time of all processes, and time of the stage's loop; as it was measured with
    /// this stage alone, or as the price says.
    fn at(&self, batch: &str) -> Option<[f64; 2]> {
        if let Some(measured) = self.measured.get(batch) {
            return Some(*measured);
        }
        let batches = self.batches_times_rows / batch.parse::<f64>().ok()?;
        let all = self.batch.value * batches + self.event.value;
        Some([all, self.own[0] * batches + self.own[1]])
    }
}

/// Figures of one run that a price is made from.
struct Point<'a> {
    lane: &'a Lane,
    turn: u32,
    /// CPU time of all processes, in seconds.
    cpu: f64,
    report: &'a RunReport,
}

impl<'a> Point<'a> {
    fn of(run: &'a Run) -> Option<Self> {
        let Outcome::Verified(figures) = &run.outcome else { return None };
        let report = figures.report.as_deref()?;
        Some(Self { lane: &run.lane, turn: run.turn, cpu: figures.cpu_seconds?, report })
    }

    fn events(&self) -> f64 {
        self.lane.events as f64
    }

    fn is_as_written(&self) -> bool {
        self.lane.placement.as_deref() == Some(AS_WRITTEN)
    }

    /// The one stage that is moved out and how, where it is one.
    fn boundary(&self) -> Option<(&'a str, &'a str)> {
        self.lane.placement.as_deref()?.split_once('=')
    }

    fn stage(&self, name: &str) -> Option<&'a StageReport> {
        self.report.stages.iter().find(|stage| stage.name == name)
    }

    /// Batches and bytes on the links of a stage that are carried between processes.
    fn carried(&self, stage: &str) -> (f64, f64) {
        let links = self.report.links.iter().filter(|link| link.carrier == modrun_core::Carrier::Process);
        links
            .filter(|link| link.from == stage || link.to == stage)
            .fold((0.0, 0.0), |(batches, bytes), link| {
                (batches + link.batches as f64, bytes + link.bytes as f64)
            })
    }

    fn seen(&self) -> Seen {
        Seen {
            is_base: self.is_as_written(),
            events: self.lane.events,
            cpu: self.cpu,
            slowest: self.report.stages.iter().map(busy).fold(0.0, f64::max),
            wall: self.report.wall_seconds,
        }
    }
}

/// How long each loop of a stage had work and a core, in seconds.
fn busy(stage: &StageReport) -> f64 {
    (stage.busy.seconds - stage.busy.off_cpu_seconds).max(0.0) / f64::from(stage.loops.max(1))
}

fn median(sample: impl Iterator<Item = f64>) -> Option<f64> {
    Some(Summary::of(&sample.collect::<Vec<_>>())?.median)
}

fn price(stage: &str, word: &str, points: &[&Point<'_>], bases: &[&Point<'_>]) -> Option<Price> {
    let (mut all, mut own, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut measured, mut times_rows) = (BTreeMap::<String, Vec<[f64; 2]>>::new(), Vec::new());
    for point in points {
        let near = |base: &&&Point<'_>| base.lane.events == point.lane.events && base.turn == point.turn;
        let Some(base) = bases.iter().find(near) else { continue };
        let events = point.events();
        let (carried, carried_bytes) = point.carried(stage);
        let of_loop = busy(point.stage(stage)?);
        let more = point.cpu - base.cpu;
        bytes.push(carried_bytes / events);
        let batch = point.lane.batch.clone()?;
        if let Ok(rows) = batch.parse::<f64>() {
            times_rows.push(carried / events * rows);
            // The error of a difference is that of what is subtracted.
            let error = ERROR_MIN * (point.cpu + base.cpu);
            all.push(Sample { of: [carried, events], time: more, error });
            own.push(Sample { of: [carried, events], time: of_loop, error: ERROR_MIN * of_loop.max(1e-6) });
        }
        measured.entry(batch).or_default().push([more / events, of_loop / events]);
    }
    let [batch, event] = fit(&all)?;
    let own = fit(&own)?.map(|estimate| estimate.value);
    let medians = |of: &[[f64; 2]]| {
        Some([median(of.iter().map(|[all, _]| *all))?, median(of.iter().map(|[_, own]| *own))?])
    };
    Some(Price {
        stage: stage.to_owned(),
        word: word.to_owned(),
        batch,
        event,
        own,
        bytes_per_event: median(bytes.into_iter())?,
        measured: measured.iter().filter_map(|(batch, of)| Some((batch.clone(), medians(of)?))).collect(),
        batches_times_rows: median(times_rows.into_iter())?,
    })
}
