//! What people read: errors, the summary of a run, and a command's output.
//!
//! Nothing here panics where a stream is closed: what cannot be shown is an error of the command if it was its output,
//! and no longer of interest if it was not. Colour goes to terminals only, and not where `NO_COLOR` is set.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::iter;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use modrun_core::{Code, Error};
use modrun_report::units;
use modrun_runtime::Outcome;

use crate::account;
use crate::failure::Failure;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HELP: Style = AnsiColor::Cyan.on_default();

/// Writes what the command was asked for to standard output.
pub(crate) fn output(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
        let failed = Error::unavailable("cannot write to standard output").with_code(Code::OUTPUT);
        Failure::from(failed.with_source(error))
    })
}

/// Shows one line to the person at the terminal.
pub(crate) fn note(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Shows why the command failed.
pub(crate) fn failure(failure: &Failure) {
    let text = match failure {
        Failure::Arguments(error) | Failure::Failed(error) => error_text(error.as_ref()),
        Failure::Pipeline(problems) => problems.render(true),
        Failure::Shown | Failure::Told => return,
        Failure::Differs(differences, expected) => {
            let lines = if differences.count == 1 { "line" } else { "lines" };
            let count = units::exact(differences.count);
            let text = format!("the results differ from `{}` in {count} {lines}", expected.display());
            let error = Error::invalid(text).with_code(Code::VERIFY);
            format!("{}\n  - expected, + found\n{}", error_text(&error), differences.to_string().trim_end())
        }
        Failure::Interrupted(files) => format!("interrupted{}", kept(files)),
    };
    note(text);
}

/// Where the results of an interrupted run are.
pub(crate) fn kept(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|file| format!("`{}`", file.display())).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(": what was written so far is in {}", names.join(" and "))
}

/// An error with its code, its causes and what to do about it.
fn error_text(error: &(dyn StdError + 'static)) -> String {
    let causes = || iter::successors(Some(error), |error: &&(dyn StdError + 'static)| (*error).source());
    let known = causes().find_map(|error| error.downcast_ref::<Error>());
    let code = known.and_then(Error::code).map(|code| format!("[{code}]")).unwrap_or_default();
    let mut text = format!("{ERROR}error{code}{ERROR:#}: {error}");
    for cause in causes().skip(1) {
        let _ = write!(text, "\n  caused by: {cause}");
    }
    if let Some(hint) = known.and_then(Error::hint) {
        let _ = write!(text, "\n  {HELP}help{HELP:#}: {hint}");
    }
    text
}

/// Shows a run: what became of the events, and where the time went.
pub(crate) fn summary(outcome: &Outcome, results: Option<&Path>) {
    let report = &outcome.report;
    let events = report.events;
    let beside = |path: Option<&Path>| path.map(|path| format!("  {}", path.display())).unwrap_or_default();
    let results = results.filter(|path| !outcome.interrupted && path.as_os_str() != "-");
    let cpu = report.cpu_seconds;
    let lines = [
        ("events in", units::exact(events.r#in)),
        ("filtered", units::exact(events.filtered)),
        ("dead letters", units::exact(events.dead_letters) + &beside(outcome.dead_letters.as_deref())),
        ("results", units::exact(events.results) + &beside(results)),
        ("wall", units::seconds(report.wall_seconds)),
        (
            "CPU",
            format!(
                "{} ({} user, {} system)",
                units::seconds(cpu.user + cpu.system),
                units::seconds(cpu.user),
                units::seconds(cpu.system)
            ),
        ),
        ("events/s", units::scaled(report.events_per_second)),
        ("peak memory", units::bytes(report.peak_rss_bytes as f64)),
    ];
    let mut text = report.pipeline.clone();
    for (name, value) in lines {
        let _ = write!(text, "\n  {name:<12}  {value}");
    }
    account::show(report, &mut text);
    note(text);
}
