//! How far a run has come: a bar on a terminal or, if asked for, a live view; a line a second elsewhere.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anstream::stream::IsTerminal;
use indicatif::{ProgressBar, ProgressStyle};
use modrun_report::units;
use modrun_runtime::Live;

use crate::show;
use crate::top::Top;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Shows progress on standard error, and lines of text above it.
pub(crate) struct Progress {
    begin: Instant,
    output: Mutex<Output>,
}

enum Output {
    Nothing,
    /// A terminal; the bar appears with the first figures.
    Bar(Option<ProgressBar>),
    /// Anything else; the time of the last line.
    Lines(Instant),
    /// The whole terminal.
    Top(Box<Top>),
}

impl Progress {
    /// Progress as it suits standard error.
    pub(crate) fn new() -> Self {
        let begin = Instant::now();
        let output = match std::io::stderr().is_terminal() {
            true => Output::Bar(None),
            false => Output::Lines(begin),
        };
        Self { begin, output: Mutex::new(output) }
    }

    /// Progress in a live view.
    pub(crate) fn top(top: Top) -> Self {
        Self { begin: Instant::now(), output: Mutex::new(Output::Top(Box::new(top))) }
    }

    /// No progress at all.
    pub(crate) fn quiet() -> Self {
        Self { begin: Instant::now(), output: Mutex::new(Output::Nothing) }
    }

    /// Shows how far `live` has come, if it is time to.
    pub(crate) fn show(&self, live: &Live) {
        let figures = Figures::of(live, self.begin.elapsed());
        match &mut *self.output() {
            Output::Nothing => {}
            Output::Top(top) => top.show(live),
            Output::Bar(bar) => {
                let bar = bar.get_or_insert_with(|| figures.bar());
                bar.set_message(figures.text());
                bar.set_position(figures.bytes_read);
            }
            Output::Lines(last) if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                show::note(figures.text());
            }
            Output::Lines(_) => {}
        }
    }

    /// Shows a line, above the bar if there is one.
    pub(crate) fn note(&self, text: impl fmt::Display) {
        match &mut *self.output() {
            Output::Top(top) => top.note(anstream::adapter::strip_str(&text.to_string()).to_string()),
            Output::Bar(Some(bar)) => bar.suspend(|| show::note(text)),
            _ => show::note(text),
        }
    }

    /// Whether a key has asked to stop the run.
    pub(crate) fn wants_stop(&self) -> bool {
        matches!(&*self.output(), Output::Top(top) if top.wants_stop())
    }

    /// Gives the terminal back for good.
    pub(crate) fn clear(&self) {
        let mut output = self.output();
        match std::mem::replace(&mut *output, Output::Nothing) {
            Output::Bar(Some(bar)) => bar.finish_and_clear(),
            Output::Top(top) => top.close().into_iter().for_each(show::note),
            other => *output = other,
        }
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run at one moment.
struct Figures {
    events: u64,
    bytes_read: u64,
    /// Where the end of the input is known.
    bytes_total: Option<u64>,
    elapsed: Duration,
}

impl Figures {
    fn of(live: &Live, elapsed: Duration) -> Self {
        Self {
            events: live.events.load(Ordering::Relaxed),
            bytes_read: live.bytes_read.load(Ordering::Relaxed),
            bytes_total: Some(live.bytes_total.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0),
            elapsed,
        }
    }

    fn bar(&self) -> ProgressBar {
        let (bar, template) = match self.bytes_total {
            Some(bytes) => (ProgressBar::new(bytes), "[{bar:30}] {msg}"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
        };
        bar.with_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        )
    }

    /// `42 %, 1,234,567 events, 9.61M events/s, 3 s left`, as far as it is known.
    fn text(&self) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let rate = units::scaled(self.events as f64 / seconds.max(1e-9));
        let text = format!("{} events, {rate} events/s", units::exact(self.events));
        let Some(bytes_total) = self.bytes_total.filter(|_| self.bytes_read > 0) else { return text };
        let part = (self.bytes_read as f64 / bytes_total as f64).min(1.0);
        let left = (seconds / part - seconds).ceil();
        format!("{:.0} %, {text}, {left:.0} s left", (part * 100.0).floor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_what_is_known() {
        let mut figures = Figures {
            events: 1_000_000,
            bytes_read: 25,
            bytes_total: Some(100),
            elapsed: Duration::from_secs(2),
        };
        assert_eq!(figures.text(), "25 %, 1,000,000 events, 500k events/s, 6 s left");
        figures.bytes_total = None;
        assert_eq!(figures.text(), "1,000,000 events, 500k events/s");
    }
}
