//! Where the time of each stage's loops went.

use modrun_core::{Busy, RunReport, StageReport};

use super::measures::percent;
use super::{lane_title, none_of, shown, slug};
use crate::Align;
use crate::comparison::Comparison;
use crate::document::{Cell, Document, Grid, Text, Tone};
use crate::plot::Bars;
use crate::record::{Figures, Part};
use crate::units;

/// A stage, process or thread: its time by activity and the rest of what is told of it, in seconds.
struct Line {
    name: String,
    /// The time of its loops; none where there is only the sum of the parts.
    whole: Option<f64>,
    /// Processing, IPC send, IPC receive, starved, back-pressured, waiting that is not told apart.
    parts: [Option<f64>; 6],
    off_cpu: Option<f64>,
    busy: f64,
    cpu: Option<f64>,
    alone: Option<f64>,
}

const PARTS: [&str; 6] =
    ["processing", "IPC send", "IPC receive", "starved", "back-pressured", "waiting, for either"];

pub(super) fn section(comparison: &Comparison, page: &mut Document) {
    page.heading(2, "Where the time goes");
    let shown = shown(comparison);
    if shown.is_empty() {
        page.text(none_of("No run kept an account of its time."));
        return;
    }
    page.text(Text::prose(
        "The time of each stage's loops, as a share of it. Starved is waiting for input, back-pressured waiting until \
         the stage behind has taken more: neither is anybody's overhead. Where a bar ends early, its loop was at another \
         stage. Off-cpu is the share of busy time without a core: preempted, or waiting for a disk.",
    ));
    for (group, column) in shown {
        let Some(figures) = column.typical() else { continue };
        let lines = lines(figures);
        let title = lane_title("Time by stage", group, column);
        let name = format!("stages-{}-{}", slug(&column.lane.name()), group.events);
        page.heading(3, lane_title("Stages", group, column));
        let has_either = lines.iter().any(|line| line.parts[5].is_some());
        let parts = if has_either { 6 } else { 5 };
        let row = |line: &Line| {
            let whole = line.whole();
            let share = |part: &Option<f64>| if whole > 0.0 { part.unwrap_or(0.0) / whole } else { 0.0 };
            (line.name.clone(), line.parts[..parts].iter().map(share).collect())
        };
        let bars = Bars {
            label: "share of the loops' time",
            parts: PARTS[..parts].to_vec(),
            rows: lines.iter().map(row).collect(),
        };
        if let Some(plot) = bars.draw(name, title) {
            page.plot(plot);
        }
        page.grid(table(&lines, parts));
        if let Some(report) = &figures.report {
            page.text(bottleneck(report));
        }
    }
}

fn table(lines: &[Line], parts: usize) -> Grid {
    let mut head = vec![("stage", Align::Left), ("loops' time", Align::Right)];
    head.extend(PARTS[..parts].iter().map(|part| (*part, Align::Right)));
    head.extend(["off-cpu", "CPU", "events/s alone"].map(|title| (title, Align::Right)));
    let mut grid = Grid::new(head);
    let faint = || Cell::new("–", Tone::Faint);
    for line in lines {
        let mut cells = vec![Cell::from(line.name.clone()), Cell::from(units::seconds(line.whole()))];
        cells.extend(line.parts[..parts].iter().map(|part| match part {
            Some(seconds) if line.whole() > 0.0 => Cell::from(percent(seconds / line.whole())),
            _ => faint(),
        }));
        cells.push(match line.off_cpu {
            Some(seconds) if line.busy > 0.0 => Cell::from(percent(seconds / line.busy)),
            _ => faint(),
        });
        cells.push(line.cpu.map_or_else(faint, |cpu| Cell::from(units::seconds(cpu))));
        cells.push(line.alone.map_or_else(faint, |alone| Cell::from(units::scaled(alone))));
        grid.row(cells);
    }
    grid
}

impl Line {
    fn whole(&self) -> f64 {
        let sum: f64 = self.parts.iter().flatten().sum();
        self.whole.unwrap_or(sum).max(sum)
    }

    fn of_stage(stage: &StageReport, wall: f64) -> Self {
        let name = match stage.placement.as_str() {
            "thread" => format!("{} ({} ×{})", stage.name, stage.language, stage.loops),
            _ if stage.loops > 1 => format!("{} ({} ×{})", stage.name, stage.placement, stage.loops),
            placement => format!("{} ({placement})", stage.name),
        };
        let time = &stage.activity_seconds;
        let whole = Some(wall * f64::from(stage.loops));
        let waiting = [time.starved, time.backpressured];
        let line = Self::new(name, &stage.busy, waiting, stage.cpu_seconds);
        Self { whole, alone: stage.events_per_second_alone, ..line }
    }

    fn new(name: String, busy: &Busy, [starved, backpressured]: [f64; 2], cpu: f64) -> Self {
        let parts = [
            busy.processing_seconds,
            busy.ipc_send_seconds,
            busy.ipc_receive_seconds,
            starved,
            backpressured,
        ];
        let [process, send, receive, starved, backpressured] = parts.map(Some);
        Self {
            name,
            whole: None,
            parts: [process, send, receive, starved, backpressured, None],
            off_cpu: Some(busy.off_cpu_seconds),
            busy: busy.seconds,
            cpu: Some(cpu),
            alone: None,
        }
    }

    fn of_part(part: &Part) -> Self {
        let parts = [part.process_seconds, part.ipc_send_seconds, part.ipc_receive_seconds];
        let busy = parts.iter().flatten().sum();
        let [process, send, receive] = parts;
        Self {
            name: format!("{} ({})", part.name, part.language),
            whole: None,
            parts: [process, send, receive, None, None, part.waiting_seconds],
            off_cpu: None,
            busy,
            cpu: part.cpu_seconds,
            alone: None,
        }
    }
}

fn lines(figures: &Figures) -> Vec<Line> {
    let Some(report) = &figures.report else {
        return figures.parts.iter().map(Line::of_part).collect();
    };
    let mut lines: Vec<Line> =
        report.stages.iter().map(|stage| Line::of_stage(stage, report.wall_seconds)).collect();
    let forwarding = &report.forwarding;
    if forwarding.busy.seconds > 0.0 {
        let time = &forwarding.activity_seconds;
        let waiting = [time.starved, time.backpressured];
        lines.push(Line::new("(forwarding)".to_owned(), &forwarding.busy, waiting, forwarding.cpu_seconds));
    }
    lines
}

/// What limited a run.
fn bottleneck(report: &RunReport) -> Text {
    let bottleneck = &report.bottleneck;
    let cores = format!("{} of {} cores were in use", units::number(bottleneck.cores_used), bottleneck.cores);
    match &bottleneck.stage {
        Some(stage) => Text::plain(format!("{cores}; of the stages, "))
            .code(stage.as_str())
            .and(" could do the fewest events on its own."),
        None => Text::plain(format!("{cores}.")),
    }
}
