//! Everything that a stage did in a run, as far as a verdict needs it.

use std::time::{Duration, Instant};

use modrun_shm::Exit;
use modrun_wire::{Activity, Done, Failed, Form};

use crate::case::Level;
use crate::value::Row;

/// What came from the programs of a run, in order.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// What the program calls its SDK.
    pub(crate) sdk: String,
    /// Output batches.
    pub(crate) outputs: Vec<Output>,
    /// Events that failed.
    pub(crate) failed: Vec<FailedEvent>,
    /// Events dropped on purpose.
    pub(crate) filtered: u64,
    /// The failure of the stage as a whole.
    pub(crate) failure: Option<Failed>,
    /// Accounts of the loop's time.
    pub(crate) activities: Vec<Activity>,
    /// When `Ready` came.
    pub(crate) ready_at: Option<Moment>,
    /// When the last account of its time came.
    pub(crate) told_at: Option<Moment>,
    /// How long the script has paused since then.
    pub(crate) paused: Duration,
    pub(crate) done: Option<Done>,
    pub(crate) committed: bool,
    /// The last snapshot.
    pub(crate) snapshot: Option<Snapshot>,
    /// How the last program ended, unless the kit had to kill it.
    pub(crate) exit: Option<Exit>,
    /// What the programs wrote to stdout and stderr.
    pub(crate) log: Vec<Line>,
}

/// When something came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    /// CPU time that the program had used by then.
    pub(crate) cpu: Duration,
}

/// One output batch.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its cause, counted through all programs of the run.
    pub(crate) input: Option<usize>,
    pub(crate) form: Form,
    pub(crate) rows: Vec<Row>,
}

/// One event that failed.
#[derive(Clone, Debug)]
pub(crate) struct FailedEvent {
    /// Its batch, counted through all programs of the run.
    pub(crate) batch: usize,
    /// Its row in the batch.
    pub(crate) row: u32,
    pub(crate) message: String,
}

/// The state of a stage, and what it had sent before.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) chunks: Vec<Vec<u8>>,
    /// Output batches before it.
    pub(crate) outputs: usize,
}

/// One line of a program's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) text: String,
}

impl Line {
    /// Reads a line: its prefix tells the level, or else where it was written to.
    pub(crate) fn of(text: &str, without_prefix: Level) -> Self {
        let prefixes = [
            ("<3>", Level::Error),
            ("<4>", Level::Warning),
            ("<6>", Level::Information),
            ("<7>", Level::Debug),
        ];
        for (prefix, level) in prefixes {
            if let Some(rest) = text.strip_prefix(prefix) {
                return Self { level, text: rest.to_owned() };
            }
        }
        Self { level: without_prefix, text: text.to_owned() }
    }
}

impl Record {
    /// Rows of all output batches.
    pub(crate) fn rows(&self) -> u64 {
        self.outputs.iter().map(|output| output.rows.len() as u64).sum()
    }

    /// The last lines of the log, for whoever wonders why a stage failed.
    pub(crate) fn log_tail(&self) -> String {
        const LINES: usize = 6;
        let from = self.log.len().saturating_sub(LINES);
        self.log[from..].iter().map(|line| format!("\n      | {}", line.text)).collect()
    }
}
