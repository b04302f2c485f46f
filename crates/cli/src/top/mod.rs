//! `modrun run --top`: a run in a live view.
//!
//! What it is: a full-screen view on standard error of the chain of stages, what travels between them, and what they
//! log, drawn anew several times a second from what the stage loops account for anyway.
//!
//! Guarantees: the terminal is as it was when the view ends, however it ends; what was logged meanwhile stands below it
//! then. `q` and Ctrl-C stop the run as a signal does.
//!
//! ```text
//!   Live ──▶ Sampler ──▶ Sample ──▶ view ──▶ terminal
//!              keys ──▶ Shown ───────┘
//! ```

mod sample;
mod view;

use std::collections::VecDeque;
use std::io::{self, Stderr};
use std::time::{Duration, Instant};

use modrun_runtime::Live;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

pub(crate) use sample::Placed;
use sample::{Sample, Sampler};

/// How often the view is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(250);
/// Lines of the log that are kept.
const LOG_LINES: usize = 500;

/// The view, until it is dropped.
pub(crate) struct Top {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    sampler: Sampler,
    sample: Option<Sample>,
    drawn: Option<Instant>,
    shown: Shown,
    /// Whether somebody has asked to stop the run.
    stop: bool,
}

/// What of the run is shown, and how.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    order: Order,
    paused: bool,
    log: VecDeque<String>,
}

/// The order of the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    /// As the data goes.
    #[default]
    Data,
    /// The busiest first.
    Busy,
    /// The one that receives the most first.
    Rate,
}

impl Order {
    fn next(self) -> Self {
        match self {
            Self::Data => Self::Busy,
            Self::Busy => Self::Rate,
            Self::Rate => Self::Data,
        }
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Stop,
    Pause,
    Sort,
}

impl Key {
    fn of(event: &Event) -> Option<Self> {
        let Event::Key(key) = event else { return None };
        if key.kind != KeyEventKind::Press {
            return None;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Self::Stop),
            KeyCode::Char('q') | KeyCode::Esc => Some(Self::Stop),
            KeyCode::Char('p' | ' ') => Some(Self::Pause),
            KeyCode::Char('s') => Some(Self::Sort),
            _ => None,
        }
    }
}

impl Top {
    /// Takes over the terminal at standard error.
    pub(crate) fn open(pipeline: &str, stages: Vec<Placed>) -> io::Result<Self> {
        enable_raw_mode()?;
        let mut stderr = io::stderr();
        let terminal = execute!(stderr, EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stderr)))
            .inspect_err(|_| leave())?;
        let sampler = Sampler::new(pipeline, stages);
        Ok(Self { terminal, sampler, sample: None, drawn: None, shown: Shown::default(), stop: false })
    }

    /// Does what the keys ask for, and draws the run if it is time to. A terminal that is gone shows nothing.
    pub(crate) fn show(&mut self, live: &Live) {
        while event::poll(Duration::ZERO).unwrap_or(false) {
            let Ok(event) = event::read() else { break };
            match Key::of(&event) {
                Some(Key::Stop) => self.stop = true,
                Some(Key::Pause) => self.shown.paused = !self.shown.paused,
                Some(Key::Sort) => self.shown.order = self.shown.order.next(),
                None => {}
            }
            self.drawn = None;
        }
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < DRAWN_EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        if self.sample.is_none() || !self.shown.paused {
            self.sample = Some(self.sampler.take(live, Instant::now()));
        }
        if let Some(sample) = &self.sample {
            let shown = &self.shown;
            let _ = self.terminal.draw(|frame| view::draw(frame, sample, shown));
        }
    }

    /// Keeps a line of the log.
    pub(crate) fn note(&mut self, text: String) {
        if self.shown.log.len() == LOG_LINES {
            self.shown.log.pop_front();
        }
        self.shown.log.push_back(text);
    }

    /// Whether a key has asked to stop the run.
    pub(crate) fn wants_stop(&self) -> bool {
        self.stop
    }

    /// Gives the terminal back, and the lines that were logged.
    pub(crate) fn close(mut self) -> VecDeque<String> {
        std::mem::take(&mut self.shown.log)
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        leave();
    }
}

/// The terminal is as it was.
fn leave() {
    let _ = disable_raw_mode();
    let _ = execute!(io::stderr(), LeaveAlternateScreen, ratatui::crossterm::cursor::Show);
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn keys_ask_for_what_the_view_says() {
        for (code, modifiers, expected) in [
            (KeyCode::Char('q'), KeyModifiers::NONE, Some(Key::Stop)),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Key::Stop)),
            (KeyCode::Char('c'), KeyModifiers::NONE, None),
            (KeyCode::Char(' '), KeyModifiers::NONE, Some(Key::Pause)),
            (KeyCode::Char('s'), KeyModifiers::NONE, Some(Key::Sort)),
        ] {
            assert_eq!(Key::of(&Event::Key(KeyEvent::new(code, modifiers))), expected, "{code:?}");
        }
    }
}
