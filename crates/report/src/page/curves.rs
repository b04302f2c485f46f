//! What changes with the size of batches and with the number of events: speed, CPU and memory.

use super::measures::cpu_per_million;
use crate::Align;
use crate::comparison::{Column, Comparison, Family, Group, family_name};
use crate::document::{Document, Grid, Text};
use crate::plot::{Axis, Lines, Series, Ticks};
use crate::record::Figures;
use crate::units;

const BATCH: Axis = Axis { label: "events in a batch", is_log: true, ticks: Ticks::Count };
const EVENTS: Axis = Axis { label: "events", is_log: true, ticks: Ticks::Count };

/// Throughput against the size of batches.
pub(super) fn batches(comparison: &Comparison, page: &mut Document) {
    let axis = Axis { label: "events/s", is_log: true, ticks: Ticks::Count };
    let of = |run: &Figures, events: f64| events / run.wall_seconds;
    let plots = by_batch(comparison, "throughput", "Throughput by batch size", axis, of);
    if plots.is_empty() {
        return;
    }
    page.heading(2, "Throughput by batch size");
    page.text(Text::prose(
        "Medians, once everything is ready. A dashed line is a lane whose batches have no one size, or that has one size only.",
    ));
    plots.into_iter().for_each(|plot| page.plot(plot));
}

/// CPU and memory.
pub(super) fn load(comparison: &Comparison, page: &mut Document) {
    page.heading(2, "CPU and memory");
    page.text(Text::prose("Of all processes, start-up included; memory is the sum of their peaks."));
    let cpu = Axis { label: "CPU-seconds for 1M events", is_log: true, ticks: Ticks::Number };
    let of_cpu = |run: &Figures, events: f64| cpu_per_million(run, events);
    let memory = Axis { label: "peak memory", is_log: true, ticks: Ticks::Bytes };
    let of_memory = |run: &Figures, _: f64| run.peak_rss_bytes as f64;
    by_batch(comparison, "cpu", "CPU by batch size", cpu, of_cpu)
        .into_iter()
        .for_each(|plot| page.plot(plot));
    by_batch(comparison, "memory", "Memory by batch size", memory, of_memory)
        .into_iter()
        .for_each(|plot| page.plot(plot));
    let mut grid = Grid::new([
        ("lane", Align::Left),
        ("events", Align::Right),
        ("CPU-seconds", Align::Right),
        ("for 1M events", Align::Right),
        ("cores in use", Align::Right),
        ("peak memory", Align::Right),
    ]);
    for (group, column) in comparison.measured() {
        let events = group.events as f64;
        let median = |of: &dyn Fn(&Figures) -> f64, show: fn(f64) -> String| {
            column.summary(|run| Some(of(run))).map(|summary| show(summary.median)).unwrap_or_default()
        };
        grid.row([
            column.lane.name(),
            units::exact(group.events),
            median(&|run| run.whole_cpu_seconds, units::number),
            median(&|run| cpu_per_million(run, events), units::number),
            median(&|run| run.whole_cpu_seconds / run.whole_seconds, units::number),
            median(&|run| run.peak_rss_bytes as f64, units::bytes),
        ]);
    }
    page.grid(grid);
}

/// Throughput against the number of events.
pub(super) fn scaling(comparison: &Comparison, page: &mut Document) {
    let of = |family: &Family| {
        let column = best(comparison, family)?;
        let same = |other: &Column| other.family() == *family && other.lane.batch == column.lane.batch;
        let points = comparison.measured().filter(|(_, other)| same(other));
        let points: Vec<(f64, f64)> = points
            .filter_map(|(group, other)| Some((group.events as f64, other.events_per_second()?)))
            .collect();
        (points.len() > 1).then(|| Series {
            name: column.lane.name(),
            points,
            has_marks: true,
            ..Series::default()
        })
    };
    let series: Vec<Series> = comparison.families().iter().filter_map(of).collect();
    let y = Axis { label: "events/s", is_log: true, ticks: Ticks::Count };
    let lines = Lines { x: EVENTS, y, series };
    if let Some(plot) = lines.draw("scaling", "Throughput by number of events") {
        page.heading(2, "Scaling");
        page.text(Text::prose(
            "The throughput of each system, once everything is ready, at the batch size that is fastest on its largest input. \
             Where it rises, what is paid once a run is being spread over more events.",
        ));
        page.plot(plot);
    }
}

/// The fastest lane of a family on its largest input.
fn best<'a>(comparison: &'a Comparison, family: &Family) -> Option<&'a Column> {
    let of_family = || comparison.measured().filter(|(_, column)| column.family() == *family);
    let largest = of_family().map(|(group, _)| group.events).max()?;
    let speed = |column: &Column| column.events_per_second().unwrap_or(0.0);
    let largest = of_family().filter(|(group, _)| group.events == largest);
    Some(largest.max_by(|(_, a), (_, b)| speed(a).total_cmp(&speed(b)))?.1)
}

/// A plot for each number of events at which some family has batches of more than one size.
fn by_batch(
    comparison: &Comparison,
    name: &str,
    title: &str,
    y: Axis,
    of: impl Fn(&Figures, f64) -> f64 + Copy,
) -> Vec<crate::plot::Plot> {
    let plot = |group: &Group| {
        let series = series_by_batch(comparison, group, of);
        if !series.iter().any(|series| !series.is_level) {
            return None;
        }
        let events = units::exact(group.events);
        let lines = Lines { x: BATCH, y, series };
        lines.draw(format!("{name}-{}", group.events), format!("{title}, {events} events"))
    };
    comparison.usual().filter_map(plot).collect()
}

fn series_by_batch(
    comparison: &Comparison,
    group: &Group,
    of: impl Fn(&Figures, f64) -> f64 + Copy,
) -> Vec<Series> {
    let events = group.events as f64;
    let value = |column: &Column| Some(column.summary(|run| Some(of(run, events)))?.median);
    let (mut curves, mut levels) = (Vec::new(), Vec::new());
    for family in comparison.families() {
        let columns: Vec<&Column> = group.measured().filter(|column| column.family() == family).collect();
        let point = |column: &&Column| Some((column.lane.batch_size()? as f64, value(column)?));
        let mut points: Vec<(f64, f64)> = columns.iter().filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let is_curve = points.len() > 1;
        if is_curve {
            let name = family_name(&family);
            curves.push(Series { name, points, has_marks: true, ..Series::default() });
        }
        for column in columns.iter().filter(|column| !is_curve || column.lane.batch_size().is_none()) {
            let Some(level) = value(column) else { continue };
            let points = vec![(1.0, level)];
            levels.push(Series { name: column.lane.name(), points, is_level: true, ..Series::default() });
        }
    }
    curves.extend(levels);
    curves
}
