//! Lane after lane, turn after turn.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use modrun_core::RunReport;
use modrun_report::record::{Figures, Lane, Outcome, Purpose, Run};
use modrun_report::units;
use serde_json::Value;
use tempfile::TempDir;

use super::baselines::{self, Baselines, Words};
use super::child::{self, Ended, Usage};
use super::input::Input;
use super::journal::Journal;
use super::lanes::{self, MODRUN};
use super::machine;
use super::plan::Placements;
use crate::failure::Failure;
use crate::show;
use crate::signals::Signals;

/// What takes longer warms up by itself.
const WARM_UP_MAX: f64 = 10.0;
/// What a run takes beside its program: looking at the machine before it.
const BESIDE: f64 = 0.35;

/// Runs lanes in turns.
pub(crate) struct Turns<'a> {
    placements: &'a Placements,
    baselines: &'a Baselines,
    signals: &'a Signals,
    runs: u32,
    leave_out_above: f64,
    /// Seconds that an event took, by lane without its number of events.
    pace: BTreeMap<Lane, f64>,
    /// What came out first, by number of events: how long they are changes no result.
    first: BTreeMap<u64, String>,
    /// Runs that failed or gave wrong results.
    pub(crate) failed: u32,
    warned: bool,
}

impl<'a> Turns<'a> {
    pub(crate) fn new(
        placements: &'a Placements,
        baselines: &'a Baselines,
        signals: &'a Signals,
        runs: u32,
        leave_out_above: f64,
    ) -> Self {
        let (pace, first, failed, warned) = (BTreeMap::new(), BTreeMap::new(), 0, false);
        Self { placements, baselines, signals, runs, leave_out_above, pace, first, failed, warned }
    }

    /// Runs all lanes of one input.
    pub(crate) fn size(
        &mut self,
        input: &Input,
        lanes: &[Lane],
        journal: &mut Journal,
    ) -> Result<(), Failure> {
        let mut reference = input.expected.clone().or_else(|| self.first.get(&input.events).cloned());
        let mut lanes: Vec<Lane> = lanes.to_vec();
        let all_done = |lane: &Lane, journal: &Journal| (1..=self.runs).all(|turn| journal.has(lane, turn));
        lanes.retain(|lane| !all_done(lane, journal));
        let mut kept = Vec::new();
        for lane in lanes {
            if self.warm_up(&lane, input, &mut reference, journal)? {
                kept.push(lane);
            }
        }
        for turn in 1..=self.runs {
            for (at, lane) in kept.iter().enumerate() {
                if journal.has(lane, turn) {
                    continue;
                }
                let left = self.left(&kept[at..], turn, &kept, input.events);
                let events = units::exact(input.events);
                show::note(format!(
                    "{events} events, turn {turn} of {}: {} ({} left)",
                    self.runs,
                    lanes::shown(lane),
                    shown(left)
                ));
                let cores_taken = machine::cores_taken();
                self.warn(cores_taken);
                let outcome = self.run(lane, input, &mut reference)?;
                if let Outcome::Failed(why) = &outcome {
                    self.failed += 1;
                    show::note(format!("{}: {why}", lanes::shown(lane)));
                }
                journal.add(Run { lane: lane.clone(), turn, cores_taken, outcome })?;
            }
        }
        self.first.extend(reference.map(|results| (input.events, results)));
        Ok(())
    }

    /// Runs a lane once and forgets it; whether it is to be run again.
    fn warm_up(
        &mut self,
        lane: &Lane,
        input: &Input,
        reference: &mut Option<String>,
        journal: &mut Journal,
    ) -> Result<bool, Failure> {
        let estimate = self.estimate(lane, input.events);
        let limit = self.leave_out_above;
        let too_long = |seconds: f64| {
            let (limit, seconds) = (units::seconds(limit), units::seconds(seconds));
            format!("a run would take about {seconds}, longer than {limit}")
        };
        let outcome = match estimate {
            Some(seconds) if seconds > self.leave_out_above => Outcome::LeftOut(too_long(seconds)),
            Some(seconds) if seconds > WARM_UP_MAX => return Ok(true),
            _ => {
                let events = units::exact(input.events);
                show::note(format!("{events} events, warm-up: {}", lanes::shown(lane)));
                match self.run(lane, input, reference)? {
                    Outcome::Verified(figures) if figures.whole_seconds > self.leave_out_above => {
                        Outcome::LeftOut(too_long(figures.whole_seconds))
                    }
                    // What fails now may fail always; the turns will tell.
                    Outcome::Verified(_) | Outcome::Failed(_) => return Ok(true),
                    left_out => left_out,
                }
            }
        };
        if let Outcome::LeftOut(why) = &outcome {
            show::note(format!("left out: {}: {why}", lanes::shown(lane)));
        }
        journal.add(Run { lane: lane.clone(), turn: 0, cores_taken: 0.0, outcome })?;
        Ok(false)
    }

    /// Runs a lane once.
    fn run(
        &mut self,
        lane: &Lane,
        input: &Input,
        reference: &mut Option<String>,
    ) -> Result<Outcome, Failure> {
        input.warm().with_context(|| format!("cannot read `{}`", input.path.display()))?;
        let scratch = tempfile::tempdir().context("cannot make a folder for a run")?;
        let files = Files::within(&scratch);
        let (program, arguments) = match self.command(lane, input, &files) {
            Ok(command) => command,
            Err(why) => return Ok(Outcome::LeftOut(why)),
        };
        let usage = match child::run(&program, &arguments, scratch.path(), self.signals) {
            Ended::Well(usage) => usage,
            Ended::Badly(why) => return Ok(Outcome::Failed(why)),
            Ended::Interrupted => return Err(Failure::Interrupted(Vec::new())),
        };
        self.pace.insert(pace_of(lane), usage.wall_seconds / input.events.max(1) as f64);
        let results = fs::read_to_string(&files.results).unwrap_or_default();
        let expected = reference.get_or_insert_with(|| results.clone());
        if let Some(why) = difference(expected, &results) {
            return Ok(Outcome::Failed(why));
        }
        let report = fs::read_to_string(&files.report).unwrap_or_default();
        Ok(figures(lane, usage, &report).map_or_else(Outcome::Failed, Outcome::Verified))
    }

    /// The program of a lane and its arguments.
    fn command(&self, lane: &Lane, input: &Input, files: &Files) -> Result<(PathBuf, Vec<String>), String> {
        if lane.system != MODRUN {
            let Files { results, report } = files;
            let batch = lane.batch.as_deref();
            let words = Words { input: &input.path, output: results, report, batch };
            return self.baselines.command(&lane.system, &words);
        }
        let own = std::env::current_exe().map_err(|error| format!("cannot find this command: {error}"))?;
        let placement = lane.placement.as_deref().unwrap_or_default();
        let mut arguments = self.placements.arguments(placement, &input.path, &files.results);
        let report = files.report.display().to_string();
        arguments.extend(["--quiet".into(), "--no-build".into(), "--report".into(), report]);
        match lane.batch.as_deref() {
            Some("adaptive") => arguments.extend(["--set".into(), "batch=adaptive".into()]),
            Some(rows) => arguments.extend(["--set".into(), format!("batch={{rows: {rows}}}")]),
            None => {}
        }
        if lane.purpose == Purpose::Unmeasured {
            arguments.push("--no-ledger".into());
        }
        Ok((own, arguments))
    }

    fn estimate(&self, lane: &Lane, events: u64) -> Option<f64> {
        Some(self.pace.get(&pace_of(lane))? * events as f64)
    }

    /// How long the rest of this size takes.
    fn left(&self, of_turn: &[Lane], turn: u32, all: &[Lane], events: u64) -> Duration {
        let sum = |lanes: &[Lane]| -> f64 {
            lanes.iter().map(|lane| BESIDE + self.estimate(lane, events).unwrap_or(1.0)).sum()
        };
        Duration::from_secs_f64(sum(of_turn) + sum(all) * f64::from(self.runs - turn))
    }

    fn warn(&mut self, cores_taken: f64) {
        if cores_taken > machine::BUSY_CORES && !std::mem::replace(&mut self.warned, true) {
            show::note(format!(
                "warning: other programs use {cores_taken:.1} cores; figures from a busy machine are worth little"
            ));
        }
    }
}

/// The files of one run.
struct Files {
    results: PathBuf,
    report: PathBuf,
}

impl Files {
    fn within(folder: &TempDir) -> Self {
        Self { results: folder.path().join("results.ndjson"), report: folder.path().join("report.json") }
    }
}

/// What lanes of any size have in common.
fn pace_of(lane: &Lane) -> Lane {
    Lane { events: 0, purpose: Purpose::Figure, ..lane.clone() }
}

/// What a run took; why that cannot be said.
fn figures(lane: &Lane, usage: Usage, report: &str) -> Result<Figures, String> {
    let whole = Figures {
        whole_seconds: usage.wall_seconds,
        wall_seconds: usage.wall_seconds,
        whole_cpu_seconds: usage.cpu_seconds,
        peak_rss_bytes: usage.peak_rss_bytes,
        ..Figures::default()
    };
    if lane.system == MODRUN {
        let report: RunReport =
            serde_json::from_str(report).map_err(|error| format!("its report cannot be read: {error}"))?;
        let of_stages: u64 = report.stages.iter().filter_map(|stage| stage.peak_rss_bytes).sum();
        return Ok(Figures {
            wall_seconds: report.wall_seconds,
            cpu_seconds: Some(report.cpu_seconds.user + report.cpu_seconds.system),
            peak_rss_bytes: report.peak_rss_bytes + of_stages,
            report: Some(Box::new(report)),
            ..whole
        });
    }
    // A baseline may say nothing of itself.
    let Ok(report) = serde_json::from_str::<Value>(report) else { return Ok(whole) };
    Ok(Figures {
        wall_seconds: baselines::wall_seconds(&report).unwrap_or(whole.wall_seconds),
        peak_rss_bytes: baselines::peak_rss_bytes(&report).unwrap_or(whole.peak_rss_bytes),
        parts: baselines::parts(&report),
        ..whole
    })
}

/// The first line in which results differ from the expected ones.
fn difference(expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let (mut expected, mut found) = (expected.lines(), found.lines());
    for line in 1.. {
        match (expected.next(), found.next()) {
            (None, None) => break,
            (Some(a), Some(b)) if a == b => {}
            (a, b) => {
                let [a, b] = [a, b].map(|line| line.unwrap_or("nothing"));
                return Some(format!("wrong results: line {line} is\n  {b}\ninstead of\n  {a}"));
            }
        }
    }
    Some("wrong results: they end otherwise".to_owned())
}

fn shown(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..90 => format!("about {seconds} s"),
        seconds => format!("about {} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_shown() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let text = difference("a\nb\n", "a\nc\n").unwrap();
        assert_eq!(text, "wrong results: line 2 is\n  c\ninstead of\n  b");
        assert!(difference("a\n", "a\nb\n").unwrap().contains("line 2 is\n  b\ninstead of\n  nothing"));
        assert!(difference("a\n", "a").unwrap().contains("end otherwise"));
    }

    #[test]
    fn what_is_left_is_said_roughly() {
        for (seconds, expected) in
            [(5, "about 5 s"), (89, "about 89 s"), (90, "about 2 min"), (121, "about 3 min")]
        {
            assert_eq!(shown(Duration::from_secs(seconds)), expected);
        }
    }
}
