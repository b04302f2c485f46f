//! All runs of a program: which ones, two at a time, and what came of each.
//!
//! Guarantees: outcomes are told and kept in the order of the cases, whichever run ended first. A run that is known to
//! fail is performed like any other, and fails if it passes: the list of known failures stays true.
//!
//! Neighbours: `script` performs one run, `verdict` judges it, `report` shows all.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

use glob::Pattern;

use crate::case::{self, Ability, Carrier, Run};
use crate::report::{Outcome, Report, Status};
use crate::script::Performance;
use crate::{Error, vectors, verdict};

/// Programs at a time.
const PROGRAMS_MAX: usize = 2;
/// Performances of a run whose times are not as they should be: whoever else wants the processor may take it between two
/// clocks that are read at once, but hardly every time. What a stage puts into a wrong cell is there every time.
const PERFORMANCES_MAX: usize = 3;

macro_rules! groups {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../cases/", $name, ".yaml")))),*] };
}

/// The groups of cases, in the order of the protocol's chapters.
const GROUPS: &[(&str, &str)] = groups![
    "start",
    "log",
    "open",
    "config",
    "frame",
    "equal",
    "types",
    "bits",
    "dictionary",
    "unicode",
    "empty",
    "selection",
    "garbage",
    "large",
    "keep",
    "order",
    "window",
    "several",
    "filtered",
    "error",
    "fatal",
    "source",
    "sink",
    "drain",
    "end",
    "state",
    "activity",
    "async",
];

/// What to run, and what the program can do.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only runs whose id matches.
    pub only: Vec<Pattern>,
    /// The folder of the protocol's vectors; without it, those that must be refused are not sent.
    pub vectors: Option<PathBuf>,
    /// Only this carrier.
    pub carrier: Option<Carrier>,
    /// Runs that are known to fail.
    pub known: Vec<Pattern>,
    /// Whether handlers may await.
    pub with_async: bool,
    /// Whether whole numbers beyond 2^53 may fail in the per-event form.
    pub safe_int64: bool,
    /// Whether events become columns while the handler of events runs.
    pub gathers_early: bool,
}

/// All runs that were chosen, in order.
///
/// # Errors
/// If a case cannot be read.
pub fn chosen(choice: &Choice) -> crate::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for (group, text) in GROUPS {
        runs.extend(case::runs(group, text)?);
    }
    if let Some(folder) = &choice.vectors {
        runs.extend(vectors::runs(folder)?);
    }
    let named = |run: &Run| {
        let matches = |only: &Pattern| only.matches(&run.id) || only.matches(&run.case_id);
        choice.only.is_empty() || choice.only.iter().any(matches)
    };
    runs.retain(|run| named(run) && choice.carrier.is_none_or(|carrier| carrier == run.carrier));
    Ok(runs)
}

/// Performs all runs, and tells each outcome in order.
pub fn perform(
    runs: &[Run],
    command: &[OsString],
    choice: &Choice,
    mut tell: impl FnMut(&Outcome),
) -> Report {
    let next = AtomicUsize::new(0);
    let mut outcomes: Vec<Option<Outcome>> = vec![None; runs.len()];
    std::thread::scope(|scope| {
        let (sender, arrived) = channel();
        for _ in 0..PROGRAMS_MAX {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(run) = runs.get(at) else { return };
                    if sender.send((at, one(run, command, choice))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut told = 0;
        for (at, outcome) in arrived {
            outcomes[at] = Some(outcome);
            while let Some(Some(outcome)) = outcomes.get(told) {
                tell(outcome);
                told += 1;
            }
        }
    });
    Report { outcomes: outcomes.into_iter().flatten().collect() }
}

fn one(run: &Run, command: &[OsString], choice: &Choice) -> Outcome {
    let start = Instant::now();
    let applies = match run.case.needs {
        Some(Ability::Async) => choice.with_async,
        Some(Ability::Apart) => !choice.gathers_early,
        None => true,
    };
    let known = choice.known.iter().any(|known| known.matches(&run.id) || known.matches(&run.case_id));
    let mut sdk = String::new();
    let (status, reason) = if applies {
        match (judged(run, command, choice, &mut sdk), known) {
            (Ok(()), false) => (Status::Passed, String::new()),
            (Ok(()), true) => (
                Status::Failed,
                "passes, but is on the list of those known to fail: remove it there".to_owned(),
            ),
            (Err(reason), false) => (Status::Failed, reason),
            (Err(reason), true) => (Status::Known, reason),
        }
    } else {
        (Status::NotApplicable, String::new())
    };
    Outcome {
        id: run.id.clone(),
        case: run.case_id.clone(),
        form: run.form,
        carrier: run.carrier,
        status,
        reason,
        millis: start.elapsed().as_millis() as u64,
        sdk,
    }
}

fn judged(run: &Run, command: &[OsString], choice: &Choice, sdk: &mut String) -> Result<(), String> {
    for _ in 1..PERFORMANCES_MAX {
        match performed(run, command, choice, sdk) {
            Err((Error::Time { .. }, _)) => {}
            outcome => return outcome.map_err(|(error, log)| format!("{error}{log}")),
        }
    }
    performed(run, command, choice, sdk).map_err(|(error, log)| format!("{error}{log}"))
}

/// Why a run failed, and the end of its log.
type Reason = (Error, String);

fn performed(run: &Run, command: &[OsString], choice: &Choice, sdk: &mut String) -> Result<(), Reason> {
    let silent = |error: Error| (error, String::new());
    let dir =
        tempfile::tempdir().map_err(|error| silent(Error::Kit(format!("no folder can be made: {error}"))))?;
    let performance = Performance::new(run, command, dir.path()).map_err(silent)?;
    let (outcome, mut record) = performance.perform(run.case.open.shuffled);
    sdk.clone_from(&record.sdk);
    let outcome = match outcome {
        Err(Error::Ended) | Ok(()) => {
            verdict::check(run, &performance, &mut record, dir.path(), choice.safe_int64)
        }
        Err(error) => Err(error),
    };
    outcome.map_err(|error| (error, record.log_tail()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use glob::Pattern;

    use super::{Choice, chosen};
    use crate::script::Performance;
    use crate::verdict;

    /// Its rules name the cases that check them, as `` `frame/*` ``.
    const PROTOCOL: &str = include_str!("../../proto/PROTOCOL.md");

    #[test]
    fn every_case_makes_sense() {
        let mut ids = HashSet::new();
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/vectors");
        let all = Choice { vectors: Some(vectors), ..Choice::default() };
        for run in chosen(&all).unwrap() {
            assert!(ids.insert(run.id.clone()), "`{}` is there twice", run.id);
            let sense = Performance::new(&run, &["true".into()], Path::new("/"))
                .and_then(|performance| verdict::expected(&run, &performance, false));
            assert!(sense.is_ok(), "{}: {}", run.id, sense.unwrap_err());
        }
    }

    #[test]
    fn the_protocol_names_cases_that_are_there() {
        let runs = chosen(&Choice::default()).unwrap();
        let is_name = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let of_cases = |word: &&str| match word.split_once('/') {
            Some(("*", carrier)) => is_name(carrier),
            Some((group, name)) => is_name(group) && (name == "*" || is_name(name)),
            None => false,
        };
        let named: Vec<&str> = PROTOCOL.split('`').filter(of_cases).collect();
        assert!(named.len() > 20, "the rules name cases");
        for name in named {
            let pattern = Pattern::new(name).unwrap();
            assert!(
                runs.iter().any(|run| pattern.matches(&run.id) || pattern.matches(&run.case_id)),
                "`{name}` is no case"
            );
        }
    }
}
