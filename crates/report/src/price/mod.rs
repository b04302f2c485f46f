//! The price of a boundary: what moving a stage into a process of its own costs, by batch, by event and by byte.
//!
//! ```text
//!   runs with one stage moved out, at several batch sizes ─┐
//!   and, where text travels, with longer events            ├─ fit ──▶ t = a·batches + b·events + c·bytes ──▶ predictions
//!   runs of the same turns with none moved out ────────────┘
//! ```
//!
//! What it is: `t` is the CPU time of all processes beyond that of one process on the same input, so a price holds both
//! ends of the boundary, and the difference between the two implementations of the stage. On a link of given columns,
//! bytes are proportional to events, so that their price is part of `b`; where longer events have more bytes on a link,
//! `c` is told apart. Adaptive batches are no number: what they cost is taken from the runs with one stage moved out, and
//! predicted for several.
//!
//! Guarantees: prices are never negative; each has its standard error; a price that cannot be told apart from another is
//! not told; a prediction is never made from the run that it is compared with.

mod fit;
mod loops;
mod speed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use modrun_core::{Carrier, RunReport, StageReport};

use crate::Summary;
use crate::record::{Lane, Outcome, Purpose, Run};

use fit::{Sample, fit};
use loops::{busiest, busy};
use speed::{Limits, Seen};

/// The placement of the runs in which no stage is moved out.
pub const AS_WRITTEN: &str = "as written";

/// Rows of the batches that a price is told at, about what adaptive batches come to.
pub const ROWS: f64 = 16_384.0;

/// The batch size that is no number.
const ADAPTIVE: &str = "adaptive";

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
    /// CPU time of all processes by batch on its links.
    pub batch: Estimate,
    /// CPU time of all processes by input event of the pipeline; `None` if it cannot be told apart from that by batch.
    pub event: Option<Estimate>,
    /// CPU time of all processes by byte on its links; `None` if it cannot be told apart from that by event.
    pub byte: Option<Estimate>,
    /// Bytes on its links, by input event of the usual length.
    pub bytes_per_event: f64,
    /// How many more these are by byte by which an event is longer.
    bytes_per_padding: f64,
    /// Batches on its links for each input event: how many whatever their rows, such as the one of results, and how many
    /// more, times the rows of a batch.
    batches: [f64; 2],
    /// What loops are busy by batch, by event and by byte: all time of the stage's own, and what those of others are more.
    busy: BTreeMap<String, [f64; 3]>,
    /// What was measured by input event of the usual length: with adaptive batches, and with batches of so many rows.
    adaptive: Option<Work>,
    rows: BTreeMap<u64, Work>,
}

/// All prices of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// CPU time of an event of the usual length where no stage is moved out, in seconds.
    pub base: f64,
    /// By stage and word.
    pub of: Vec<Price>,
    /// What an event takes where no stage is moved out, by input.
    bases: BTreeMap<Input, Work>,
    limits: Limits,
}

/// Which input a run had: how many events, and by how many bytes each is longer than usual.
type Input = (u64, u32);

/// What one event takes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Work {
    /// CPU time of all processes, in seconds.
    cpu: f64,
    /// How long all loops of each stage are busy, in seconds.
    busy: BTreeMap<String, f64>,
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
        let mut by_input: BTreeMap<Input, Vec<&Point<'_>>> = BTreeMap::new();
        let mut moved: BTreeMap<(&str, &str), Vec<&Point<'_>>> = BTreeMap::new();
        for point in fitted() {
            match point.boundary() {
                Some(boundary) => moved.entry(boundary).or_default().push(point),
                None if point.is_as_written() => by_input.entry(point.input()).or_default().push(point),
                None => {}
            }
        }
        let bases: BTreeMap<Input, Work> =
            by_input.iter().filter_map(|(input, points)| Some((*input, typical(points)?))).collect();
        let (_, largest) = bases.iter().rfind(|((_, padding), _)| *padding == 0)?;
        let as_written: Vec<&Point<'_>> = by_input.values().flatten().copied().collect();
        let of = moved.iter().filter_map(|(&(stage, word), points)| price(stage, word, points, &as_written));
        let swept: Vec<Seen> =
            moved.values().flatten().chain(&as_written).map(|point| point.seen()).collect();
        let cores = f64::from(as_written.first()?.report.bottleneck.cores.max(1));
        Some(Self { base: largest.cpu, of: of.collect(), limits: Limits::of(cores, &swept), bases })
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
        let (events, report) = (lane.events as f64, points.first()?.report);
        let mut work = self.bases.get(&(lane.events, lane.padding))?.clone();
        let moved = report.placement.iter().filter(|(_, word)| *word != loops::THREAD);
        for (stage, word) in moved {
            let price = self.of.iter().find(|price| price.stage == *stage && price.word == *word)?;
            // Its loop here is no more; the price has all of the other's time.
            work.busy.remove(stage);
            work.add(&price.at(lane.batch.as_deref()?, lane.padding)?, 1.0);
        }
        let busiest = busiest(report, |stage| work.busy.get(stage).copied().unwrap_or(0.0)) * events;
        let wall = self.limits.wall((lane.events, lane.padding), work.cpu * events, busiest)?;
        Some(Prediction {
            lane: lane.clone(),
            cpu: [work.cpu, median(points.iter().map(|point| point.cpu / events))?],
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
        price.cpu(price.batches(ROWS), price.bytes_per_event) / self.base
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
    /// What it adds by input event at a batch size, where events are longer by so many bytes.
    ///
    /// Adaptive batches are what they were with this stage alone. Between two sizes that were swept it is on the line
    /// between these, as large batches may leave a cache; beyond them, the price says how much it is more than at the
    /// nearest. So it does for longer events.
    fn at(&self, batch: &str, padding: u32) -> Option<Work> {
        let Ok(rows) = batch.parse::<u64>() else {
            return self.adaptive.clone().filter(|_| batch == ADAPTIVE && padding == 0);
        };
        let batches = |rows: u64| self.batches(rows as f64);
        let (below, above) = (self.rows.range(..=rows).next_back(), self.rows.range(rows..).next());
        let mut work = Work::default();
        let nearest = match (below, above) {
            (Some((&less, few)), Some((&more, many))) if less < more => {
                let by_batch = |rows: u64| (rows as f64).recip();
                let share = (by_batch(rows) - by_batch(less)) / (by_batch(more) - by_batch(less));
                work.add(few, 1.0 - share);
                work.add(many, share);
                rows
            }
            (Some((&swept, nearest)), _) | (None, Some((&swept, nearest))) => {
                work.add(nearest, 1.0);
                swept
            }
            (None, None) => return None,
        };
        let longer = self.bytes_per_event + self.bytes_per_padding * f64::from(padding);
        work.add(&self.said(batches(rows), longer), 1.0);
        work.add(&self.said(batches(nearest), self.bytes_per_event), -1.0);
        Some(work)
    }

    /// Batches on its links, by input event.
    fn batches(&self, rows: f64) -> f64 {
        self.batches[0] + self.batches[1] / rows
    }

    /// What it adds by input event with so many batches and bytes on its links.
    fn said(&self, batches: f64, bytes: f64) -> Work {
        let busy = |of: &[f64; 3]| of[0] * batches + of[1] + of[2] * bytes;
        Work {
            cpu: self.cpu(batches, bytes),
            busy: self.busy.iter().map(|(stage, of)| (stage.clone(), busy(of))).collect(),
        }
    }

    /// CPU time of an event with so many batches and bytes on the links.
    fn cpu(&self, batches: f64, bytes: f64) -> f64 {
        let value = |price: Option<Estimate>| price.map_or(0.0, |price| price.value);
        self.batch.value * batches + value(self.event) + value(self.byte) * bytes
    }
}

impl Work {
    fn add(&mut self, more: &Work, times: f64) {
        self.cpu += more.cpu * times;
        for (stage, seconds) in &more.busy {
            *self.busy.entry(stage.clone()).or_default() += seconds * times;
        }
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

    fn input(&self) -> Input {
        (self.lane.events, self.lane.padding)
    }

    fn is_as_written(&self) -> bool {
        self.lane.placement.as_deref() == Some(AS_WRITTEN)
    }

    /// The one stage that is moved out and how, where it is one.
    fn boundary(&self) -> Option<(&'a str, &'a str)> {
        self.lane.placement.as_deref()?.split_once('=')
    }

    /// How long all loops of a stage were busy, in seconds.
    fn busy(&self, name: &str) -> Option<f64> {
        self.report.stages.iter().find(|stage| stage.name == name).map(busy)
    }

    /// Batches and bytes on the links of a stage that are carried between processes.
    fn carried(&self, stage: &str) -> [f64; 2] {
        let links = self.report.links.iter().filter(|link| link.carrier == Carrier::Process);
        links
            .filter(|link| link.from == stage || link.to == stage)
            .fold([0.0, 0.0], |[batches, bytes], link| {
                [batches + link.batches as f64, bytes + link.bytes as f64]
            })
    }

    fn seen(&self) -> Seen {
        Seen {
            is_base: self.is_as_written(),
            input: self.input(),
            cpu: self.cpu,
            busiest: busiest(self.report, |stage| self.busy(stage).unwrap_or(0.0)),
            wall: self.report.wall_seconds,
        }
    }
}

fn median(sample: impl Iterator<Item = f64>) -> Option<f64> {
    Some(Summary::of(&sample.collect::<Vec<_>>())?.median)
}

/// What an event takes in the middle of some runs of one lane.
fn typical(points: &[&Point<'_>]) -> Option<Work> {
    let stages = &points.first()?.report.stages;
    let busy = |stage: &StageReport| {
        let of = |point: &&Point<'_>| Some(point.busy(&stage.name)? / point.events());
        Some((stage.name.clone(), median(points.iter().filter_map(of))?))
    };
    Some(Work {
        cpu: median(points.iter().map(|point| point.cpu / point.events()))?,
        busy: stages.iter().filter_map(busy).collect(),
    })
}

/// What a run with one stage moved out took more than the one beside it with none.
struct More<'a> {
    lane: &'a Lane,
    /// Batches on the stage's links, events, and bytes on the links.
    of: [f64; 3],
    /// CPU time of all processes.
    cpu: Sample,
    /// How long the loops of each stage were busy: of the one that is moved, all of it.
    busy: BTreeMap<&'a str, Sample>,
}

impl<'a> More<'a> {
    fn of(stage: &str, point: &Point<'a>, base: &Point<'_>) -> Self {
        let [batches, bytes] = point.carried(stage);
        let of = [batches, point.events(), bytes];
        // The error of a difference is that of what is subtracted.
        let sample =
            |all: f64, here: f64| Sample { of, time: all - here, error: ERROR_MIN * (all + here).max(1e-6) };
        let busy = |report: &'a StageReport| {
            let here = if report.name == stage { None } else { base.busy(&report.name) };
            (report.name.as_str(), sample(busy(report), here.unwrap_or(0.0)))
        };
        Self {
            lane: point.lane,
            of,
            cpu: sample(point.cpu, base.cpu),
            busy: point.report.stages.iter().map(busy).collect(),
        }
    }

    /// The rows of its batches, where they are a number.
    fn rows(&self) -> Option<u64> {
        self.lane.batch.as_ref()?.parse().ok()
    }

    fn by_event(&self, value: f64) -> f64 {
        value / self.of[1]
    }
}

fn price<'a>(stage: &'a str, word: &str, points: &[&Point<'a>], bases: &[&Point<'_>]) -> Option<Price> {
    let more = points.iter().filter_map(|point| {
        let near = |base: &&&Point<'_>| base.input() == point.input() && base.turn == point.turn;
        Some(More::of(stage, point, bases.iter().find(near)?))
    });
    let more: Vec<More<'_>> = more.collect();
    let swept = || more.iter().filter(|more| more.rows().is_some());
    let [batch, event, byte] = fit(&swept().map(|more| more.cpu).collect::<Vec<_>>())?;
    let busy = |name: &&str| {
        let samples: Vec<Sample> = swept().filter_map(|more| more.busy.get(name).copied()).collect();
        Some(((*name).to_owned(), fit(&samples)?.map(|price| price.map_or(0.0, |price| price.value))))
    };
    let (usual, longer): (Vec<&More<'_>>, Vec<&More<'_>>) =
        more.iter().partition(|more| more.lane.padding == 0);
    let bytes_per_event = median(usual.iter().map(|more| more.by_event(more.of[2])))?;
    let of_padding =
        |more: &&More<'_>| (more.by_event(more.of[2]) - bytes_per_event) / f64::from(more.lane.padding);
    let mut by_rows: BTreeMap<Option<u64>, Vec<&More<'_>>> = BTreeMap::new();
    usual.iter().for_each(|&more| by_rows.entry(more.rows()).or_default().push(more));
    Some(Price {
        stage: stage.to_owned(),
        word: word.to_owned(),
        batch: batch?,
        event,
        byte,
        bytes_per_event,
        bytes_per_padding: median(longer.iter().map(of_padding)).unwrap_or(0.0),
        batches: batches(&by_rows)?,
        busy: more.first()?.busy.keys().filter_map(busy).collect(),
        adaptive: by_rows.get(&None).and_then(|more| in_the_middle(more)),
        rows: by_rows.iter().filter_map(|(rows, more)| Some(((*rows)?, in_the_middle(more)?))).collect(),
    })
}

/// Batches by event: how many whatever their rows, and how many more times the rows, from the runs with the fewest and with
/// the most.
fn batches(by_rows: &BTreeMap<Option<u64>, Vec<&More<'_>>>) -> Option<[f64; 2]> {
    let mut sizes = by_rows.iter().filter_map(|(rows, more)| {
        Some(((*rows)? as f64, median(more.iter().map(|more| more.by_event(more.of[0])))?))
    });
    let (few, most) = sizes.next()?;
    let Some((many, least)) = sizes.next_back() else { return Some([0.0, most * few]) };
    let times_rows = ((most - least) / (few.recip() - many.recip())).max(0.0);
    Some([(least - times_rows / many).max(0.0), times_rows])
}

/// What some runs of one lane took more by event, in the middle.
fn in_the_middle(more: &[&More<'_>]) -> Option<Work> {
    let busy = |name: &&str| {
        let of = |more: &&More<'_>| Some(more.by_event(more.busy.get(name)?.time));
        Some(((*name).to_owned(), median(more.iter().filter_map(of))?))
    };
    Some(Work {
        cpu: median(more.iter().map(|more| more.by_event(more.cpu.time)))?,
        busy: more.first()?.busy.keys().filter_map(busy).collect(),
    })
}
