//! Reads what runs left behind: run reports and files of benchmarks.
//!
//! Guarantees: every line of a file is understood or refused by its number. Only the last line of a benchmark's file may
//! be broken off, as when the benchmark was interrupted; that is noted.

use std::collections::BTreeSet;
use std::fmt;

use modrun_core::RunReport;
use serde_json::Value;

use crate::record::{Figures, Lane, Line, Outcome, Purpose, Run, Session};

/// All that was read, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Where and by what runs were measured.
    pub sessions: Vec<Session>,
    /// The runs.
    pub runs: Vec<Measurement>,
    /// What the reader should know of the files.
    pub notes: Vec<String>,
    files: usize,
}

/// A run, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The run.
    pub run: Run,
    /// Which file it stood in: turns of one file were taken side by side.
    pub file: usize,
    /// Whether its results were compared with the expected ones.
    pub is_verified: bool,
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for Wrong {}

impl Measured {
    /// The pipelines that were measured, by name.
    #[must_use]
    pub fn pipelines(&self) -> BTreeSet<&str> {
        let of_runs = self.runs.iter().filter_map(|measured| match &measured.run.outcome {
            Outcome::Verified(figures) => Some(figures.report.as_ref()?.pipeline.as_str()),
            Outcome::Failed(_) | Outcome::LeftOut(_) => None,
        });
        self.sessions.iter().map(|session| session.pipeline.as_str()).chain(of_runs).collect()
    }

    /// Adds what is in a file that is called `name` in tables.
    ///
    /// # Errors
    /// [`Wrong`] if it is neither a run report nor a benchmark's file.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), Wrong> {
        let lines: Vec<(usize, &str)> =
            text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
        let Some(&(first, line)) = lines.first() else {
            return Err(Wrong { line: 1, why: "the file is empty".to_owned() });
        };
        if is_bench(line) {
            self.add_lines(name, &lines, text.ends_with('\n'))?;
        } else {
            let report = serde_json::from_str(text).map_err(|error| no_report(first, &error))?;
            self.runs.push(single(name, report, self.files));
        }
        self.files += 1;
        Ok(())
    }

    fn add_lines(&mut self, name: &str, lines: &[(usize, &str)], is_whole: bool) -> Result<(), Wrong> {
        for (at, &(number, line)) in lines.iter().enumerate() {
            match serde_json::from_str(line) {
                Ok(Line::Session(session)) => self.sessions.push(session),
                Ok(Line::Run(run)) => {
                    let is_verified = matches!(run.outcome, Outcome::Verified(_));
                    self.runs.push(Measurement { run: *run, file: self.files, is_verified });
                }
                Err(error) if at + 1 == lines.len() && error.is_eof() && !is_whole => {
                    self.notes.push(format!("The last line of {name} is broken off and was left out."));
                }
                Err(error) => {
                    let why = format!("it is no line of a benchmark's file: {error}");
                    return Err(Wrong { line: number + 1, why });
                }
            }
        }
        Ok(())
    }
}

/// Whether a first line is that of a benchmark's file; a broken one counts too.
fn is_bench(line: &str) -> bool {
    match serde_json::from_str::<Value>(line) {
        Ok(value) => value.get("session").is_some() || value.get("run").is_some(),
        Err(_) => ["{\"session\":", "{\"run\":"].iter().any(|begin| line.trim_start().starts_with(begin)),
    }
}

fn no_report(first: usize, error: &serde_json::Error) -> Wrong {
    let hint =
        "a run report comes from `modrun run --report FILE.json`, a benchmark's file from `modrun bench`";
    let line = if error.line() > 0 { error.line() } else { first + 1 };
    Wrong { line, why: format!("it is no run report: {error}\n{hint}, both of this version") }
}

/// A run that was measured alone, as the one run of a lane of its own.
fn single(name: &str, report: RunReport, file: usize) -> Measurement {
    let cpu_seconds = report.cpu_seconds.user + report.cpu_seconds.system;
    let peak_rss_bytes =
        report.peak_rss_bytes + report.stages.iter().filter_map(|stage| stage.peak_rss_bytes).sum::<u64>();
    let lane = Lane {
        system: name.to_owned(),
        placement: Some(placed(&report)),
        batch: None,
        events: report.events.r#in,
        padding: 0,
        purpose: Purpose::Figure,
    };
    let figures = Figures {
        whole_seconds: report.start_seconds + report.wall_seconds,
        wall_seconds: report.wall_seconds,
        whole_cpu_seconds: cpu_seconds,
        cpu_seconds: Some(cpu_seconds),
        peak_rss_bytes,
        report: Some(Box::new(report)),
        parts: Vec::new(),
    };
    let run = Run { lane, turn: 1, cores_taken: 0.0, outcome: Outcome::Verified(figures) };
    Measurement { run, file, is_verified: false }
}

/// How the stages ran, in a few words.
fn placed(report: &RunReport) -> String {
    if report.stages.iter().all(|stage| stage.placement == "thread") {
        return "one process".to_owned();
    }
    let words: Vec<&str> = report.stages.iter().map(|stage| stage.placement.as_str()).collect();
    words.join(" ▸ ")
}
