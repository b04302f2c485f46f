//! Building the programs that a run needs, before it begins.
//!
//! Guarantees: only implementations that the placement chooses are built, each command once in each folder, in the
//! order of the stages; what a command says is shown if it fails.

use std::env;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use modrun_core::{Code, Error};
use modrun_plan::Plan;

use crate::{program, show};

/// The most lines of a failed command's output that are shown: its last ones.
const LINES_MAX: usize = 100;

/// Runs the `build` commands of the implementations that `plan` runs.
pub(crate) fn all(plan: &Plan, quiet: bool) -> Result<(), Error> {
    let mut done: Vec<(&[String], &Path)> = Vec::new();
    for (stage, implementation) in plan.foreign() {
        let Some(command) = implementation.build.as_deref() else { continue };
        if done.contains(&(command, &implementation.folder)) {
            continue;
        }
        if !quiet {
            show::note(format!(
                "building {} ({}): {}",
                stage.name,
                implementation.name,
                program::shown(command)
            ));
        }
        one(command, &implementation.folder).map_err(|error| {
            let what = format!("cannot build stage `{}` as `{}`", stage.name, implementation.name);
            Error::invalid(what)
                .with_code(Code::BUILD)
                .with_hint(hint(command, &implementation.folder))
                .with_source(error)
        })?;
        done.push((command, &implementation.folder));
    }
    Ok(())
}

/// Runs one command to its end.
fn one(command: &[String], folder: &Path) -> Result<(), Error> {
    let Some((name, arguments)) = command.split_first() else { return Ok(()) };
    let failed = |error: io::Error| {
        let text = format!("cannot start `{name}` in `{}`", folder.display());
        Error::unavailable(text).with_source(error)
    };
    let ended = program::absolute(name, folder)
        .and_then(|program| {
            Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output()
        })
        .map_err(failed)?;
    if ended.status.success() {
        return Ok(());
    }
    for said in [&ended.stdout, &ended.stderr] {
        let text = String::from_utf8_lossy(said);
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(LINES_MAX)..] {
            show::note(format!("  {line}"));
        }
    }
    let text =
        format!("`{}` in `{}` ended with {}", program::shown(command), folder.display(), end(ended.status));
    Err(Error::invalid(text))
}

/// `exit code 1`, or the signal that ended it.
fn end(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

fn hint(command: &[String], folder: &Path) -> String {
    let path = env::var_os("PATH").unwrap_or_default();
    let name = command.first().map(String::as_str).unwrap_or_default();
    if !folder.is_dir() {
        format!("there is no folder `{}`; `cwd` begins in the folder of the pipeline file", folder.display())
    } else if program::find(name, folder, &path).is_none() {
        format!(
            "there is no program `{name}`; `modrun doctor PIPELINE.yaml` tells how to install what is missing"
        )
    } else {
        "mend the program, or run what is there with `--no-build`".to_owned()
    }
}
