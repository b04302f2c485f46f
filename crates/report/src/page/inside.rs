//! Where the time of a run went, and how long its links took.

use modrun_core::{Carrier, RunReport};

use crate::comparison::{Column, Comparison, Group};
use crate::document::{Cell, Document, Grid, Text};
use crate::plot::{Axis, Bars, Lines, Series, Ticks};
use crate::record::{Figures, Part};
use crate::{Align, units};

const PARTS: [&str; 6] =
    ["processing", "IPC send", "IPC receive", "starved", "back-pressured", "another's turn"];

/// Adds the inside of each system's run in the middle, at the largest number of events that it did.
pub(super) fn add(comparison: &Comparison, page: &mut Document) {
    page.heading(2, "Where the time went");
    page.text(Text::prose(
        "Of each system the run in the middle, at the most events that it was given; a row is all the time that the \
         loops of a stage had. Waiting, starved or back-pressured, is nobody's overhead. A loop that runs several stages is \
         at one of them at a time. Busy time without a core is off-cpu: there are more loops than cores.",
    ));
    for (at, (group, column)) in shown(comparison).into_iter().enumerate() {
        let Some(figures) = column.typical() else { continue };
        let name = format!("{}, {} events", column.lane.name(), units::exact(group.events));
        match &figures.report {
            Some(report) if report.measuring.is_some() => of_report(report, &name, at, page),
            _ => of_parts(figures, &name, at, page),
        }
    }
}

/// The lanes whose inside is shown: of each family the last batch size, at the largest number of events.
fn shown(comparison: &Comparison) -> Vec<(&Group, &Column)> {
    let mut shown: Vec<(&Group, &Column)> = Vec::new();
    for (group, column) in comparison.measured() {
        let family = column.family();
        match shown.iter_mut().find(|(_, other)| other.family() == family) {
            Some(other) => *other = (group, column),
            None => shown.push((group, column)),
        }
    }
    shown
}

fn of_report(report: &RunReport, name: &str, at: usize, page: &mut Document) {
    page.heading(3, name);
    let mut bars = Bars { label: "share of the loops' time", parts: PARTS.to_vec(), rows: Vec::new() };
    let right = |title| (title, Align::Right);
    let mut grid = Grid::new([
        ("stage", Align::Left),
        ("as", Align::Left),
        right("busy"),
        right("CPU"),
        right("off-cpu"),
        right("events/s alone"),
        right("memory"),
    ]);
    for stage in &report.stages {
        let (time, busy) = (&stage.activity_seconds, &stage.busy);
        let whole = (report.wall_seconds * f64::from(stage.loops)).max(time.total());
        let rest = (whole - time.total()).max(0.0);
        let spent = [
            busy.processing_seconds,
            busy.ipc_send_seconds,
            busy.ipc_receive_seconds,
            time.starved,
            time.backpressured,
            rest,
        ];
        bars.rows.push((stage.name.clone(), spent.map(|part| part / whole).to_vec()));
        grid.row(
            [
                stage.name.clone(),
                if stage.loops > 1 {
                    format!("{} ×{}", stage.placement, stage.loops)
                } else {
                    stage.placement.clone()
                },
                units::seconds(busy.seconds),
                units::seconds(stage.cpu_seconds),
                units::seconds(busy.off_cpu_seconds),
                stage.events_per_second_alone.map(units::scaled).unwrap_or_default(),
                stage.peak_rss_bytes.map(|bytes| units::bytes(bytes as f64)).unwrap_or_default(),
            ]
            .map(Cell::from),
        );
    }
    if let Some(plot) = bars.draw(format!("time-{at}"), format!("Where the time of {name} went")) {
        page.plot(plot);
    }
    page.grid(grid);
    page.text(Text::plain(format!(
        "{:.2} of {} cores were in use; the runtime itself took {} at most. The ledger read its clocks {} times, which took {} of CPU.",
        report.bottleneck.cores_used,
        report.bottleneck.cores,
        units::bytes(report.peak_rss_bytes as f64),
        units::exact(report.measuring.map_or(0, |measuring| measuring.clock_reads)),
        units::seconds(report.measuring.map_or(0.0, |measuring| measuring.seconds)),
    )));
    links(report, name, at, page);
}

/// How long batches took on the links to and from processes.
fn links(report: &RunReport, name: &str, at: usize, page: &mut Document) {
    let carried = report.links.iter().filter(|link| link.carrier == Carrier::Process && link.rows > 0);
    let series: Vec<Series> = carried
        .map(|link| Series {
            name: format!("{} → {}", link.from, link.to),
            points: link.latency.distribution.clone(),
            is_level: false,
            has_marks: false,
        })
        .collect();
    let x = Axis { label: "share of the events", is_log: false, ticks: Ticks::Percent };
    let y = Axis { label: "from sending to credit, at most", is_log: true, ticks: Ticks::Seconds };
    let lines = Lines { x, y, series };
    if let Some(plot) = lines.draw(format!("latency-{at}"), format!("Latency on the links of {name}")) {
        page.plot(plot);
    }
}

/// What a baseline says of itself.
fn of_parts(figures: &Figures, name: &str, at: usize, page: &mut Document) {
    let whole = |part: &Part| {
        let all =
            [part.process_seconds, part.ipc_send_seconds, part.ipc_receive_seconds, part.waiting_seconds];
        all.into_iter().flatten().sum::<f64>()
    };
    let told: Vec<&Part> = figures.parts.iter().filter(|part| whole(part) > 0.0).collect();
    if told.is_empty() {
        return;
    }
    page.heading(3, name);
    let parts = ["processing", "IPC send", "IPC receive", "waiting"];
    let mut bars = Bars { label: "share of what it measured", parts: parts.to_vec(), rows: Vec::new() };
    let mut unmeasured = Vec::new();
    for part in told {
        let all =
            [part.process_seconds, part.ipc_send_seconds, part.ipc_receive_seconds, part.waiting_seconds];
        if let Some(missing) = all.iter().position(Option::is_none) {
            unmeasured.push(format!("{} of {}", parts[missing], part.name));
        }
        let whole = whole(part);
        bars.rows.push((part.name.clone(), all.map(|spent| spent.unwrap_or(0.0) / whole).to_vec()));
    }
    if let Some(plot) = bars.draw(format!("time-{at}"), format!("Where the time of {name} went")) {
        page.plot(plot);
    }
    if !unmeasured.is_empty() {
        page.text(Text::plain(format!("Not measured: {}.", unmeasured.join(", "))));
    }
}
