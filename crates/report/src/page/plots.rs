//! Lanes as lines: over batch sizes, and over numbers of events.

use crate::comparison::{Comparison, Family, Group, family_name};
use crate::document::{Document, Text};
use crate::plot::{Axis, Lines, Series, Ticks};
use crate::units;

const EVENTS_PER_SECOND: Axis = Axis { label: "events/s", is_log: true, ticks: Ticks::Count };

/// Adds what there is to draw.
pub(super) fn add(comparison: &Comparison, page: &mut Document) {
    let families = comparison.families();
    for group in &comparison.groups {
        if let Some(plot) = by_batch(group, &families) {
            page.heading(2, format!("Throughput by batch size, {} events", units::exact(group.events)));
            page.text(Text::prose("What has no batch size of its own, and `adaptive`, is a level."));
            page.plot(plot);
        }
    }
    if let Some(plot) = by_events(comparison, &families) {
        page.heading(2, "Throughput by number of events");
        page.text(Text::prose("Of each system, the batch size at which it is fastest."));
        page.plot(plot);
    }
}

fn by_batch(group: &Group, families: &[Family]) -> Option<crate::plot::Plot> {
    let (mut series, mut has_sizes) = (Vec::new(), false);
    for family in families {
        let of_family = || group.measured().filter(|column| column.family() == *family);
        let mut points: Vec<(f64, f64)> = of_family()
            .filter_map(|column| Some((column.lane.batch_size()? as f64, column.events_per_second()?)))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        has_sizes |= points.len() > 1;
        let name = family_name(family);
        let levels = of_family().filter(|column| column.lane.batch_size().is_none());
        for column in levels {
            let Some(level) = column.events_per_second() else { continue };
            let points = vec![(1.0, level)];
            series.push(Series { name: column.lane.name(), points, is_level: true, has_marks: false });
        }
        if !points.is_empty() {
            series.push(Series { name, points, is_level: false, has_marks: true });
        }
    }
    let x = Axis { label: "events in a batch", is_log: true, ticks: Ticks::Count };
    let name = format!("throughput-by-batch-{}", group.events);
    let lines = Lines { x, y: EVENTS_PER_SECOND, series };
    has_sizes.then(|| lines.draw(name, "Throughput by batch size")).flatten()
}

fn by_events(comparison: &Comparison, families: &[Family]) -> Option<crate::plot::Plot> {
    let best = |group: &Group, family: &Family| {
        let speeds = group.measured().filter(|column| column.family() == *family);
        speeds.filter_map(|column| column.events_per_second()).reduce(f64::max)
    };
    let series: Vec<Series> = families
        .iter()
        .map(|family| {
            let points = comparison.groups.iter();
            let points = points.filter_map(|group| Some((group.events as f64, best(group, family)?)));
            Series { name: family_name(family), points: points.collect(), is_level: false, has_marks: true }
        })
        .collect();
    let x = Axis { label: "events", is_log: true, ticks: Ticks::Count };
    let lines = Lines { x, y: EVENTS_PER_SECOND, series };
    let scales = comparison.groups.len() > 1;
    scales.then(|| lines.draw("throughput-by-events", "Throughput by number of events")).flatten()
}
