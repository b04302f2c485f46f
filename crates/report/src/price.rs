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
//!
//! Source of the method: weighted least squares with non-negative coefficients (Lawson and Hanson, *Solving Least
//! Squares Problems*, 1974, chapter 23); with two unknowns all active sets are tried.

use std::collections::BTreeMap;

use modrun_core::RunReport;

use crate::record::{Lane, Outcome, Purpose, Run};
use crate::{Align, Summary, Table, units};

/// Relative error that a measured time has at least: no point counts for more.
const ERROR_MIN: f64 = 0.03;

/// So few batches cost by themselves, not by what is in them.
const FEW_BATCHES: f64 = 10.0;

/// One unknown and how well it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// In seconds.
    pub value: f64,
    /// Its standard error, in seconds.
    pub error: f64,
}

impl Estimate {
    fn shown(self) -> String {
        format!("{} ± {}", units::seconds(self.value), units::seconds(self.error))
    }
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
    /// CPU time of the stage's own processes by batch and by input event.
    pub own: (f64, f64),
    /// Bytes on its links, by input event.
    pub bytes_per_event: f64,
    /// What was measured by input event, by batch size: CPU time of all processes, and of the stage's own.
    measured: BTreeMap<String, (f64, f64)>,
    /// Batches on its links for each input event, times the rows of a batch.
    batches_times_rows: f64,
}

/// All prices of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// CPU time of an event where no stage is moved out, in seconds.
    pub base: f64,
    /// Time in which cores have nothing to do there, whatever the work, such as until a file is on its disk: in seconds, by
    /// number of events.
    pub idle: BTreeMap<u64, f64>,
    /// Cores of the machine.
    pub cores: f64,
    /// By stage and word.
    pub of: Vec<Price>,
}

/// What a run that was held out took, and what was predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// What was run.
    pub lane: Lane,
    /// CPU time of an event, predicted and measured, in seconds.
    pub cpu: (f64, f64),
    /// Events in a second, predicted and measured.
    pub events_per_second: (f64, f64),
}

/// Figures of one run that a price is made from.
struct Point<'a> {
    lane: &'a Lane,
    turn: u32,
    cpu: f64,
    report: &'a RunReport,
}

impl Prices {
    /// Prices from the runs of a sweep; `None` if there are too few.
    #[must_use]
    pub fn of(runs: &[Run], base: &str) -> Option<Self> {
        let points: Vec<Point<'_>> = runs.iter().filter_map(Point::of).collect();
        let is_base = |point: &&Point<'_>| point.lane.placement.as_deref() == Some(base);
        let bases: Vec<&Point<'_>> = points.iter().filter(is_base).collect();
        let largest = bases.iter().map(|point| point.lane.events).max()?;
        let of_largest = || bases.iter().filter(|point| point.lane.events == largest);
        let median = |sample: Vec<f64>| Some(Summary::of(&sample)?.median);
        let base_cpu = median(of_largest().map(|point| point.cpu / point.lane.events as f64).collect())?;
        let cores = f64::from(bases.first()?.report.bottleneck.cores.max(1));
        let mut idle = BTreeMap::<u64, Vec<f64>>::new();
        for point in &bases {
            let idle = idle.entry(point.lane.events).or_default();
            idle.push((point.report.wall_seconds - point.cpu / cores).max(0.0));
        }
        let idle = idle.into_iter().filter_map(|(events, idle)| Some((events, median(idle)?)));
        let mut moved: BTreeMap<(&str, &str), Vec<&Point<'_>>> = BTreeMap::new();
        for point in points.iter().filter(|point| point.lane.purpose == Purpose::Figure) {
            if let Some(boundary) = point.lane.placement.as_deref().and_then(|name| name.split_once('=')) {
                moved.entry(boundary).or_default().push(point);
            }
        }
        let of = moved.iter().filter_map(|(&(stage, word), points)| price(stage, word, points, &bases));
        Some(Self { base: base_cpu, idle: idle.collect(), cores, of: of.collect() })
    }

    /// What was held out, beside what these prices say of it.
    #[must_use]
    pub fn predictions(&self, runs: &[Run]) -> Vec<Prediction> {
        let mut lanes: BTreeMap<&Lane, Vec<&Run>> = BTreeMap::new();
        for run in runs.iter().filter(|run| run.lane.purpose == Purpose::HeldOut) {
            lanes.entry(&run.lane).or_default().push(run);
        }
        lanes.into_iter().filter_map(|(lane, runs)| self.prediction(lane, &runs)).collect()
    }

    fn prediction(&self, lane: &Lane, runs: &[&Run]) -> Option<Prediction> {
        let points: Vec<Point<'_>> = runs.iter().filter_map(|run| Point::of(run)).collect();
        let events = lane.events as f64;
        let report = points.first()?.report;
        let (mut cpu, mut slowest) = (self.base * events, 0.0f64);
        for (stage, word) in report.placement.iter().filter(|(_, word)| *word != "thread") {
            let price = self.of.iter().find(|price| price.stage == *stage && price.word == *word)?;
            let (all, own) = price.at(lane.batch.as_deref()?)?;
            cpu += all * events;
            slowest = slowest.max(own * events);
        }
        let wall = self.idle.get(&lane.events)? + (cpu / self.cores).max(slowest);
        let median = |of: fn(&Point<'_>) -> f64| Summary::of(&points.iter().map(of).collect::<Vec<_>>());
        Some(Prediction {
            lane: lane.clone(),
            cpu: (cpu / events, median(|point| point.cpu / point.lane.events as f64)?.median),
            events_per_second: (events / wall, median(|point| point.report.events_per_second)?.median),
        })
    }

    /// Tables and sentences, as Markdown.
    #[must_use]
    pub fn markdown(&self, predictions: &[Prediction]) -> String {
        let mut table = Table::new([
            ("stage", Align::Left),
            ("as", Align::Left),
            ("a: CPU by batch", Align::Right),
            ("b: CPU by event", Align::Right),
            ("bytes by event, in b", Align::Right),
        ]);
        for price in &self.of {
            let bytes = units::number(price.bytes_per_event);
            table.row([&price.stage, &price.word, &price.batch.shown(), &price.event.shown(), &bytes]);
        }
        let mut text = format!(
            "What moving a stage out costs, t = a·batches + b·events, in CPU time of all processes; an event costs {} \
             where none is moved:\n\n{table}\n",
            units::seconds(self.base)
        );
        for price in &self.of {
            text += &format!("- {}\n", self.sentence(price));
        }
        if !predictions.is_empty() {
            text +=
                &format!("\nWhat was held out, against what these prices say:\n\n{}", compared(predictions));
        }
        text
    }

    /// What moving a stage out means for the whole pipeline, in a sentence.
    fn sentence(&self, price: &Price) -> String {
        const ROWS: f64 = 16_384.0;
        let more = price.batch.value * price.batches_times_rows / ROWS + price.event.value;
        format!(
            "`{}` in {}: {} of CPU more by batch and {} by event; at 16k rows a batch {:.0} % of what the pipeline \
             takes in one process.",
            price.stage,
            price.word,
            units::seconds(price.batch.value),
            units::seconds(price.event.value),
            more / self.base * 100.0
        )
    }
}

fn compared(predictions: &[Prediction]) -> Table<7> {
    let mut table = Table::new([
        ("placement", Align::Left),
        ("batch", Align::Right),
        ("events", Align::Right),
        ("CPU by event, said", Align::Right),
        ("measured", Align::Right),
        ("events/s, said", Align::Right),
        ("measured", Align::Right),
    ]);
    let off = |(said, measured): (f64, f64)| format!("{:+.0} %", (said / measured - 1.0) * 100.0);
    for prediction in predictions {
        let (cpu, speed) = (prediction.cpu, prediction.events_per_second);
        table.row([
            prediction.lane.placement.clone().unwrap_or_default(),
            prediction.lane.batch.clone().unwrap_or_default(),
            units::exact(prediction.lane.events),
            format!("{} ({})", units::seconds(cpu.0), off(cpu)),
            units::seconds(cpu.1),
            format!("{} ({})", units::scaled(speed.0), off(speed)),
            units::scaled(speed.1),
        ]);
    }
    table
}

impl Price {
    /// CPU time by input event at a batch size, of all processes and of the stage's own: as it was measured with this
    /// stage alone, or as the price says.
    fn at(&self, batch: &str) -> Option<(f64, f64)> {
        if let Some(measured) = self.measured.get(batch) {
            return Some(*measured);
        }
        let batches = self.batches_times_rows / batch.parse::<f64>().ok()?;
        let all = self.batch.value * batches + self.event.value;
        Some((all, self.own.0 * batches + self.own.1))
    }
}

impl<'a> Point<'a> {
    fn of(run: &'a Run) -> Option<Self> {
        let Outcome::Verified(figures) = &run.outcome else { return None };
        let report = figures.report.as_deref()?;
        Some(Self { lane: &run.lane, turn: run.turn, cpu: figures.cpu_seconds?, report })
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
}

fn price(stage: &str, word: &str, points: &[&Point<'_>], bases: &[&Point<'_>]) -> Option<Price> {
    let (mut all, mut own, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut measured, mut times_rows) = (BTreeMap::<String, Vec<(f64, f64)>>::new(), Vec::new());
    for point in points {
        let near = |base: &&&Point<'_>| base.lane.events == point.lane.events && base.turn == point.turn;
        let Some(base) = bases.iter().find(near) else { continue };
        let events = point.lane.events as f64;
        let (carried, carried_bytes) = point.carried(stage);
        let cpu = point.report.stages.iter().find(|found| found.name == stage)?.cpu_seconds;
        let more = point.cpu - base.cpu;
        bytes.push(carried_bytes / events);
        let batch = point.lane.batch.clone()?;
        if let Ok(rows) = batch.parse::<f64>() {
            times_rows.push(carried / events * rows);
            // The error of a difference is that of what is subtracted.
            let error = ERROR_MIN * (point.cpu + base.cpu);
            all.push(Sample { of: [carried, events], time: more, error });
            own.push(Sample { of: [carried, events], time: cpu, error: ERROR_MIN * cpu.max(1e-6) });
        }
        measured.entry(batch).or_default().push((more / events, cpu / events));
    }
    let [batch, event] = fit(&all)?;
    let [own_batch, own_event] = fit(&own)?;
    let median = |sample: &[f64]| Summary::of(sample).map(|summary| summary.median);
    let medians = |of: &[(f64, f64)]| {
        let [all, own] = [of.iter().map(|of| of.0).collect::<Vec<_>>(), of.iter().map(|of| of.1).collect()];
        Some((median(&all)?, median(&own)?))
    };
    Some(Price {
        stage: stage.to_owned(),
        word: word.to_owned(),
        batch,
        event,
        own: (own_batch.value, own_event.value),
        bytes_per_event: median(&bytes)?,
        measured: measured.iter().filter_map(|(batch, of)| Some((batch.clone(), medians(of)?))).collect(),
        batches_times_rows: median(&times_rows)?,
    })
}

/// One measured time and what it should follow from.
#[derive(Clone, Copy, Debug)]
struct Sample {
    of: [f64; 2],
    time: f64,
    /// Standard error of the time.
    error: f64,
}

/// The non-negative coefficients that explain the samples best, with their standard errors; `None` if there are fewer
/// than three samples or they do not tell the unknowns apart.
fn fit(samples: &[Sample]) -> Option<[Estimate; 2]> {
    if samples.len() < 3 {
        return None;
    }
    let sum = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(|s| of(s) / (s.error * s.error)).sum::<f64>();
    let [aa, ab, bb] =
        [sum(&|s| s.of[0] * s.of[0]), sum(&|s| s.of[0] * s.of[1]), sum(&|s| s.of[1] * s.of[1])];
    let [at, bt] = [sum(&|s| s.of[0] * s.time), sum(&|s| s.of[1] * s.time)];
    let determinant = aa * bb - ab * ab;
    if aa <= 0.0 || bb <= 0.0 {
        return None;
    }
    if determinant <= 1e-6 * aa * bb {
        // As many batches for all samples, such as the one of results: it is all that can be told.
        let few = samples.iter().all(|s| s.of[0] < FEW_BATCHES);
        let error = (sum(&|s| (s.time - at / aa * s.of[0]).powi(2)) / (samples.len() - 1) as f64 / aa).sqrt();
        return few.then(|| [Estimate { value: (at / aa).max(0.0), error }, Estimate::default()]);
    }
    let both = [(at * bb - bt * ab) / determinant, (bt * aa - at * ab) / determinant];
    let candidates = [both, [at / aa, 0.0], [0.0, bt / bb], [0.0, 0.0]];
    let residual = |x: &[f64; 2]| {
        let off = |s: &Sample| s.time - x[0] * s.of[0] - x[1] * s.of[1];
        sum(&|s| off(s) * off(s))
    };
    let feasible = candidates.iter().filter(|x| x[0] >= 0.0 && x[1] >= 0.0);
    let best = feasible.min_by(|x, y| residual(x).total_cmp(&residual(y)))?;
    let variance = residual(best) / (samples.len() - 2) as f64;
    let errors = [(variance * bb / determinant).sqrt(), (variance * aa / determinant).sqrt()];
    Some([0, 1].map(|at| Estimate { value: best[at], error: errors[at] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(a: f64, b: f64, noise: f64) -> Vec<Sample> {
        let sizes = [(10_000.0, 1e6), (1000.0, 1e6), (100.0, 1e6), (1000.0, 1e5), (100.0, 1e5), (10.0, 1e5)];
        sizes
            .iter()
            .enumerate()
            .map(|(at, &(batches, events))| {
                let time = a * batches + b * events;
                let off = if at % 2 == 0 { noise } else { -noise };
                Sample { of: [batches, events], time: time * (1.0 + off), error: ERROR_MIN * time.abs() }
            })
            .collect()
    }

    #[test]
    fn known_prices_are_found() {
        for (a, b) in [(50e-6, 10e-9), (0.0, 10e-9), (50e-6, 0.0)] {
            let [batch, event] = fit(&samples(a, b, 0.0)).unwrap();
            assert!((batch.value - a).abs() < 1e-9 && (event.value - b).abs() < 1e-12, "{batch:?} {event:?}");
            assert!(batch.error < 1e-8 && event.error < 1e-11, "{batch:?} {event:?}");
        }
    }

    #[test]
    fn noise_shows_in_the_errors() {
        let [batch, event] = fit(&samples(50e-6, 10e-9, 0.05)).unwrap();
        assert!((batch.value / 50e-6 - 1.0).abs() < 0.1, "{batch:?}");
        assert!((event.value / 10e-9 - 1.0).abs() < 0.1, "{event:?}");
        assert!(batch.error > 0.5e-6 && batch.error < 10e-6, "{batch:?}");
    }

    #[test]
    fn a_price_is_never_negative() {
        let cheaper = samples(50e-6, -1e-9, 0.0);
        let [batch, event] = fit(&cheaper).unwrap();
        assert!(batch.value >= 0.0 && event.value == 0.0, "{batch:?} {event:?}");
    }

    #[test]
    fn what_cannot_be_told_apart_has_no_price() {
        let same = |n: f64| Sample { of: [n, 10.0 * n], time: n, error: 0.1 };
        assert_eq!(fit(&[same(10.0), same(20.0), same(30.0)]), None);
        assert_eq!(fit(&samples(1.0, 1.0, 0.0)[..2]), None);
        let one = |time| Sample { of: [1.0, 1e6], time, error: 0.1 };
        assert_eq!(fit(&[one(2.0), one(3.0), one(4.0)]).unwrap()[0].value, 3.0);
    }
}
