//! Where a run's time went, as a table for a terminal.
//!
//! ```text
//!   stage  as         its loops' time       busy  processing  IPC send  IPC receive     CPU  off-cpu  events/s alone
//!   parse  thread ×2  ██████████▒▒▒▒▓▓···   77 %        …
//! ```
//!
//! A bar is the whole run in each of the loops that run the stage; where it is blank, a loop of several stages was at
//! another one. Busy is what is neither blank nor waiting, which is nobody's overhead; processing, sending, receiving
//! and off-cpu are shares of that.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use modrun_core::{ActivitySeconds, Busy, LinkReport, RunReport, StageReport};
use modrun_report::units;

/// What the parts of a bar are drawn with: they differ without colour too.
const PROCESSING: (char, Style) = ('█', AnsiColor::Green.on_default());
const IPC_SEND: (char, Style) = ('▓', AnsiColor::Yellow.on_default());
const IPC_RECEIVE: (char, Style) = ('▒', AnsiColor::Blue.on_default());
const WAITING: (char, Style) = ('·', Style::new().dimmed());
const HEAD: Style = Style::new().bold();
/// Characters of a bar.
const BAR: usize = 20;

/// Appends the stages and the links of a run that was measured.
pub(crate) fn show(report: &RunReport, text: &mut String) {
    let Some(measuring) = report.measuring else { return };
    let mut rows: Vec<Line> = report.stages.iter().map(|stage| Line::of_stage(stage, report)).collect();
    let forwarding = &report.forwarding;
    if forwarding.busy.seconds > 0.0 {
        let (time, busy) = (&forwarding.activity_seconds, &forwarding.busy);
        let whole = time.total();
        let cells = cells("(forwarding)", "thread".into(), whole, busy, forwarding.cpu_seconds, None);
        rows.push(Line { cells, time: *time, whole });
    }
    let titles = [
        "stage",
        "as",
        "its loops' time",
        "busy",
        "processing",
        "IPC send",
        "IPC receive",
        "CPU",
        "off-cpu",
        "events/s alone",
    ];
    table(&titles, &rows, text);
    let mark = |(mark, style): (char, Style)| format!("{style}{mark}{style:#}");
    let _ = write!(
        text,
        "\n  {} processing  {} IPC send  {} IPC receive  {} waiting",
        mark(PROCESSING),
        mark(IPC_SEND),
        mark(IPC_RECEIVE),
        mark(WAITING)
    );
    links(&report.links, text);
    let _ = write!(text, "\n\n  {HEAD}bottleneck{HEAD:#}  {}", bottleneck(report));
    let _ = write!(
        text,
        "\n  {HEAD}measuring{HEAD:#}   {} of CPU for {} readings of the clock",
        units::seconds(measuring.seconds),
        units::exact(measuring.clock_reads)
    );
}

/// A row of the table, and what its bar shows.
struct Line {
    cells: [String; 10],
    time: ActivitySeconds,
    /// How long its loops ran, in seconds.
    whole: f64,
}

impl Line {
    fn of_stage(stage: &StageReport, report: &RunReport) -> Self {
        let placed = match stage.loops {
            1 => stage.placement.clone(),
            loops => format!("{} ×{loops}", stage.placement),
        };
        let time = stage.activity_seconds;
        let whole = (report.wall_seconds * f64::from(stage.loops)).max(time.total());
        let alone = stage.events_per_second_alone;
        let cells = cells(&stage.name, placed, whole, &stage.busy, stage.cpu_seconds, alone);
        Self { cells, time, whole }
    }
}

fn cells(name: &str, placed: String, whole: f64, busy: &Busy, cpu: f64, alone: Option<f64>) -> [String; 10] {
    let of_busy = |part: f64| percent(part, busy.seconds);
    [
        name.to_owned(),
        placed,
        String::new(),
        percent(busy.seconds, whole),
        of_busy(busy.processing_seconds),
        of_busy(busy.ipc_send_seconds),
        of_busy(busy.ipc_receive_seconds),
        units::seconds(cpu),
        of_busy(busy.off_cpu_seconds),
        alone.map(units::scaled).unwrap_or_default(),
    ]
}

fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.0} %", part / whole * 100.0) } else { String::new() }
}

/// The rows under their titles: words to the left, figures to the right, the third column a bar.
fn table(titles: &[&str; 10], rows: &[Line], text: &mut String) {
    let width = |column: usize| match column {
        2 => BAR,
        _ => {
            let cells = rows.iter().map(|row| row.cells[column].chars().count());
            cells.chain([titles[column].chars().count()]).max().unwrap_or_default()
        }
    };
    let widths: [usize; 10] = std::array::from_fn(width);
    let _ = write!(text, "\n\n ");
    for (column, title) in titles.iter().enumerate() {
        let gap = if column > 0 { "  " } else { " " };
        let _ = write!(text, "{gap}{HEAD}{}{HEAD:#}", aligned(title, column, widths[column]));
    }
    for row in rows {
        let _ = write!(text, "\n ");
        for (column, cell) in row.cells.iter().enumerate() {
            let cell = if column == 2 {
                bar(&row.time, row.whole, BAR)
            } else {
                aligned(cell, column, widths[column])
            };
            let gap = if column > 0 { "  " } else { " " };
            let _ = write!(text, "{gap}{cell}");
        }
    }
}

fn aligned(cell: &str, column: usize, width: usize) -> String {
    if column < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
}

/// The time of a stage's loops, `whole` seconds in all, as a bar of `width` characters.
fn bar(time: &ActivitySeconds, whole: f64, width: usize) -> String {
    let parts = [
        (PROCESSING, time.process),
        (IPC_SEND, time.encode + time.send),
        (IPC_RECEIVE, time.receive + time.decode),
        (WAITING, time.waiting()),
    ];
    let (mut text, mut drawn, mut sum) = (String::new(), 0, 0.0);
    for ((mark, style), seconds) in parts {
        sum += seconds;
        // Every part ends where the sum so far does, so that rounding never adds up.
        let end = if whole > 0.0 { (sum / whole * width as f64).round() as usize } else { 0 };
        let part: String = std::iter::repeat_n(mark, end.saturating_sub(drawn)).collect();
        let _ = write!(text, "{style}{part}{style:#}");
        drawn = drawn.max(end);
    }
    text + &" ".repeat(width - drawn)
}

/// The links between processes and between threads, with what a batch took on them.
fn links(links: &[LinkReport], text: &mut String) {
    let shown: Vec<&LinkReport> = links.iter().filter(|link| link.rows > 0).collect();
    let name = |link: &LinkReport| format!("{} → {}", link.from, link.to);
    let Some(width) = shown.iter().map(|link| name(link).chars().count()).max() else { return };
    let _ = write!(
        text,
        "\n\n  {HEAD}{:<width$}  carrier  batches  a batch holds  latency p50       p99       max{HEAD:#}",
        "link"
    );
    for link in shown {
        let carrier = link.carrier.name();
        let held = match link.bytes.checked_div(link.batches) {
            Some(bytes) if bytes > 0 => units::bytes(bytes as f64),
            _ => format!("{} rows", units::scaled(link.rows as f64 / link.batches as f64)),
        };
        let latency = &link.latency;
        let _ = write!(
            text,
            "\n  {:<width$}  {carrier:<7}  {:>7}  {held:>13}  {:>11}  {:>8}  {:>8}",
            name(link),
            units::exact(link.batches),
            units::seconds(latency.p50),
            units::seconds(latency.p99),
            units::seconds(latency.max)
        );
    }
}

/// What limited the run, in a sentence.
fn bottleneck(report: &RunReport) -> String {
    /// From this share of the cores on, there were too few of them.
    const ALL_CORES: f64 = 0.85;
    let bottleneck = &report.bottleneck;
    let cores = format!("{:.2} of {} cores in use", bottleneck.cores_used, bottleneck.cores);
    let stage = report.stages.iter().find(|stage| Some(&stage.name) == bottleneck.stage.as_ref());
    let Some((stage, alone)) = stage.and_then(|stage| Some((stage, stage.events_per_second_alone?))) else {
        return cores;
    };
    let alone = format!("`{}` could do {} events/s on its own", stage.name, units::scaled(alone));
    if bottleneck.cores_used >= ALL_CORES * f64::from(bottleneck.cores) {
        format!("the cores: {cores}; of the stages, {alone}")
    } else {
        format!("{alone}; {cores}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_bar_is_as_long_as_it_should_be_whatever_is_in_it() {
        let seconds = |process, send, receive, starved| ActivitySeconds {
            process,
            send,
            receive,
            starved,
            ..ActivitySeconds::default()
        };
        for (time, whole, expected) in [
            (seconds(1.0, 1.0, 1.0, 1.0), 4.0, "█▓▒·"),
            (seconds(1.0, 0.0, 0.0, 0.0), 1.0, "████"),
            (seconds(0.1, 0.1, 0.1, 3.7), 4.0, "····"),
            (seconds(1.0, 1.0, 0.0, 0.0), 4.0, "█▓  "),
            (seconds(0.0, 0.0, 0.0, 0.0), 0.0, "    "),
        ] {
            assert_eq!(plain(&bar(&time, whole, 4)), expected, "{time:?}");
        }
    }
}
