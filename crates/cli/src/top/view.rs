//! The view: the chain of stages, downwards as the data goes, and the log below it.

use modrun_core::{Activity, Carrier};
use modrun_report::units;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Gauge, Paragraph};

use super::sample::{LinkSample, Sample, StageSample};
use super::{Order, Shown};

/// Characters of a stage's bar.
const BAR: usize = 32;
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// The parts of a bar: activities, what they are drawn with, and what they are called.
const PARTS: [(&[Activity], char, Color, &str); 5] = [
    (&[Activity::Process], '█', Color::Green, "processing"),
    (&[Activity::Encode, Activity::Send], '▓', Color::Yellow, "IPC send"),
    (&[Activity::Receive, Activity::Decode], '▒', Color::Blue, "IPC receive"),
    (&[Activity::Starved], '·', Color::DarkGray, "starved"),
    (&[Activity::Backpressured], '!', Color::Magenta, "back-pressured"),
];

/// Draws a sample.
pub(super) fn draw(frame: &mut Frame<'_>, sample: &Sample, shown: &Shown) {
    let chain = chain(sample, shown.order);
    let areas = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(chain.len() as u16 + 1),
        Constraint::Min(0),
        Constraint::Length(2),
    ])
    .split(frame.area());
    head(frame, areas[0], sample, shown.paused);
    frame.render_widget(Paragraph::new(chain), areas[1]);
    log(frame, areas[2], shown);
    frame.render_widget(Paragraph::new(vec![legend(), keys(shown.order)]), areas[3]);
}

fn head(frame: &mut Frame<'_>, area: Rect, sample: &Sample, paused: bool) {
    let rows = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).split(area);
    let mut words = vec![
        Span::styled(sample.pipeline.clone(), STRONG),
        Span::raw(format!("  {:.1} s", sample.elapsed.as_secs_f64())),
        Span::raw(format!("  {} events", units::exact(sample.events))),
        Span::styled(format!("  {} events/s", units::scaled(sample.events_per_second)), STRONG),
    ];
    let letters = format!("  {} dead letters", units::exact(sample.dead_letters));
    let style = if sample.dead_letters > 0 { Style::new().fg(Color::Red) } else { DIM };
    words.push(Span::styled(letters, style));
    if paused {
        words.push(Span::styled("  display paused", Style::new().fg(Color::Black).bg(Color::Yellow)));
    }
    frame.render_widget(Paragraph::new(Line::from(words)), rows[0]);
    if let Some(read) = sample.read {
        let gauge = Gauge::default().ratio(read).gauge_style(Style::new().fg(Color::Cyan));
        frame.render_widget(gauge, rows[1]);
    }
}

/// The stages, each with the links that leave it.
fn chain(sample: &Sample, order: Order) -> Vec<Line<'static>> {
    let mut stages: Vec<&StageSample> = sample.stages.iter().collect();
    match order {
        Order::Data => {}
        Order::Busy => stages.sort_by(|a, b| b.busy().total_cmp(&a.busy())),
        Order::Rate => stages.sort_by(|a, b| b.events_per_second.total_cmp(&a.events_per_second)),
    }
    let width =
        |of: fn(&StageSample) -> usize| stages.iter().map(|stage| of(stage)).max().unwrap_or_default();
    let widths = (width(|stage| stage.name.chars().count()), width(|stage| placed(stage).chars().count()));
    let mut lines = Vec::new();
    for stage in stages {
        lines.push(stage_line(stage, widths));
        lines.extend(sample.links.iter().filter(|link| link.from == stage.id).map(link_line));
    }
    lines
}

fn placed(stage: &StageSample) -> String {
    if stage.loops > 1 { format!("{} ×{}", stage.word, stage.loops) } else { stage.word.clone() }
}

fn stage_line(stage: &StageSample, (name, word): (usize, usize)) -> Line<'static> {
    let mut spans = vec![
        Span::styled(format!(" {:<name$} ", stage.name), STRONG),
        Span::raw(format!(" {:<word$}  ", placed(stage))),
    ];
    spans.extend(bar(stage));
    spans.push(Span::raw(format!(" {:>3.0} % busy", stage.busy() * 100.0)));
    spans.push(Span::raw(format!("  {:>6} events/s", units::scaled(stage.events_per_second))));
    if stage.dead_letters > 0 {
        let text = format!("  {} dead letters", units::exact(stage.dead_letters));
        spans.push(Span::styled(text, Style::new().fg(Color::Red)));
    }
    Line::from(spans)
}

fn bar(stage: &StageSample) -> Vec<Span<'static>> {
    let (mut spans, mut drawn, mut sum) = (Vec::new(), 0, 0.0);
    for (activities, mark, color, _) in PARTS {
        sum += activities.iter().map(|&activity| stage.shares[activity as usize]).sum::<f64>();
        let end = ((sum * BAR as f64).round() as usize).min(BAR);
        let part: String = std::iter::repeat_n(mark, end.saturating_sub(drawn)).collect();
        spans.push(Span::styled(part, Style::new().fg(color)));
        drawn = drawn.max(end);
    }
    spans.push(Span::raw(" ".repeat(BAR - drawn)));
    spans
}

fn link_line(link: &LinkSample) -> Line<'static> {
    let mut text = format!(
        "   │ {} rows/s, {} a batch, p50 {}, p99 {}",
        units::scaled(link.rows_per_second),
        units::scaled(link.rows_per_batch),
        units::seconds(link.latency.0),
        units::seconds(link.latency.1)
    );
    let (queued, window) = link.queue;
    if link.carrier == Carrier::Process && window > 0 {
        let queue: String = (0..window.min(16))
            .map(|at| if at * window < queued * window.min(16) { '■' } else { '□' })
            .collect();
        text += &format!("  {queue} {queued} of {window} on their way");
    }
    Line::styled(text, DIM)
}

fn log(frame: &mut Frame<'_>, area: Rect, shown: &Shown) {
    if area.height < 2 {
        return;
    }
    let block = Block::new().borders(Borders::TOP).title("log");
    let rows = usize::from(area.height - 1);
    let lines = shown.log.iter().skip(shown.log.len().saturating_sub(rows));
    let lines: Vec<Line<'_>> = lines.map(|line| Line::raw(line.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn legend() -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for (_, mark, color, name) in PARTS {
        spans.push(Span::styled(mark.to_string(), Style::new().fg(color)));
        spans.push(Span::styled(format!(" {name}  "), DIM));
    }
    Line::from(spans)
}

fn keys(order: Order) -> Line<'static> {
    let order = match order {
        Order::Data => "data",
        Order::Busy => "busy",
        Order::Rate => "events/s",
    };
    let key = |key: &'static str, what: String| [Span::styled(key, STRONG), Span::styled(what, DIM)];
    let mut spans = vec![Span::raw(" ")];
    spans.extend(key("q", " stop the run   ".into()));
    spans.extend(key("p", " pause the display   ".into()));
    spans.extend(key("s", format!(" sort (now by {order})")));
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use modrun_core::StageId;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn stage(id: usize, name: &str, process: f64, starved: f64) -> StageSample {
        let mut shares = [0.0; Activity::ALL.len()];
        shares[Activity::Process as usize] = process;
        shares[Activity::Starved as usize] = starved;
        let (name, word) = (name.to_owned(), "thread".to_owned());
        StageSample { id: StageId(id), name, word, loops: 1, events_per_second: 2e6, dead_letters: 0, shares }
    }

    fn drawn(order: Order) -> String {
        let sample = Sample {
            pipeline: "p".into(),
            elapsed: Duration::from_secs(3),
            events: 1_000_000,
            events_per_second: 2e6,
            dead_letters: 7,
            read: Some(0.5),
            stages: vec![stage(0, "ingest", 0.25, 0.0), stage(1, "parse", 0.5, 0.5)],
            links: vec![LinkSample {
                from: StageId(0),
                carrier: Carrier::Process,
                rows_per_second: 2e6,
                rows_per_batch: 16e3,
                queue: (2, 8),
                latency: (1e-4, 2e-3),
            }],
        };
        let shown = Shown { order, paused: false, log: ["stage rules  hello".to_owned()].into() };
        let mut terminal = Terminal::new(TestBackend::new(100, 14)).unwrap();
        terminal.draw(|frame| draw(frame, &sample, &shown)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_chain_stands_with_its_links_and_the_log_below() {
        let text = drawn(Order::Data);
        for part in [
            "p  3.0 s  1,000,000 events  2.00M events/s  7 dead letters",
            " ingest  thread  ████████                          25 % busy   2.00M events/s",
            "   │ 2.00M rows/s, 16.0k a batch, p50 100 µs, p99 2.00 ms  ■■□□□□□□ 2 of 8 on their way",
            " parse   thread  ████████████████················  50 % busy",
            "stage rules  hello",
            "q stop the run   p pause the display   s sort (now by data)",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn stages_can_be_sorted_by_how_busy_they_are() {
        let text = drawn(Order::Busy);
        assert!(text.find("parse").unwrap() < text.find("ingest").unwrap(), "{text}");
    }
}
