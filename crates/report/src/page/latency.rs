//! How long batches take on each link, as a distribution over events.

use modrun_core::LinkReport;

use super::{lane_title, shown, slug};
use crate::Align;
use crate::comparison::Comparison;
use crate::document::{Document, Grid, Text};
use crate::plot::{Axis, Lines, Series, Ticks};
use crate::units;

pub(super) fn section(comparison: &Comparison, page: &mut Document) {
    page.heading(2, "Latency of links");
    let mut has_links = false;
    for (group, column) in shown(comparison) {
        let report = column.typical().and_then(|figures| figures.report.as_ref());
        let links: Vec<&LinkReport> =
            report.iter().flat_map(|report| &report.links).filter(|link| link.batches > 0).collect();
        if links.is_empty() {
            continue;
        }
        if !has_links {
            page.text(Text::prose(
                "From sending a batch until its credit came back, each batch weighted by its events; two digits are \
                 exact. A system other than this one does not report it.",
            ));
        }
        has_links = true;
        page.heading(3, lane_title("Links", group, column));
        let series = links.iter().map(|link| series(link)).collect();
        let axes = (
            Axis { label: "latency", is_log: true, ticks: Ticks::Seconds },
            Axis { label: "share of events", is_log: false, ticks: Ticks::Percent },
        );
        let name = format!("latency-{}-{}", slug(&column.lane.name()), group.events);
        let lines = Lines { x: axes.0, y: axes.1, series };
        if let Some(plot) = lines.draw(name, lane_title("Latency by link", group, column)) {
            page.plot(plot);
        }
        page.grid(table(&links));
    }
    if !has_links {
        page.text(Text::prose("No run has a link: all stages ran in one chain, or no account was kept."));
    }
}

/// The share of events that took no longer, as steps.
fn series(link: &LinkReport) -> Series {
    /// A logarithmic axis has no 0.
    const SHORTEST: f64 = 1e-9;
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut share_before = 0.0;
    for &(share, seconds) in &link.latency.distribution {
        let seconds = seconds.max(SHORTEST);
        points.extend([(seconds, share_before), (seconds, share)]);
        share_before = share;
    }
    Series { name: name(link), points, ..Series::default() }
}

fn name(link: &LinkReport) -> String {
    format!("{} → {}", link.from, link.to)
}

fn table(links: &[&LinkReport]) -> Grid {
    let figures = ["batches", "rows a batch", "bytes a batch", "p50", "p90", "p99", "max"];
    let head = [("link", Align::Left), ("carrier", Align::Left)];
    let mut grid = Grid::new(head.into_iter().chain(figures.map(|title| (title, Align::Right))));
    for link in links {
        let batches = link.batches.max(1) as f64;
        let bytes = match link.bytes {
            0 => "by pointer".to_owned(),
            bytes => units::bytes(bytes as f64 / batches),
        };
        let latency = &link.latency;
        let [p50, p90, p99, max] = [latency.p50, latency.p90, latency.p99, latency.max].map(units::seconds);
        let rows = units::scaled(link.rows as f64 / batches);
        let carrier = link.carrier.name().to_owned();
        grid.row([name(link), carrier, units::exact(link.batches), rows, bytes, p50, p90, p99, max]);
    }
    grid
}
