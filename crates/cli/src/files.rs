//! The files of a run: none is both read and written, none is written twice.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use modrun_core::env::Env;
use modrun_plan::PlannedStage;
use serde_json::Value;

use crate::failure::Failure;

/// The files that a stage is configured with.
pub(crate) fn named(stage: &PlannedStage) -> Vec<&str> {
    match stage.with.get("path") {
        Some(Value::String(path)) => vec![path],
        Some(Value::Array(paths)) => paths.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Refuses a run that would replace a file which it reads, or one of its own files.
pub(crate) fn check(inputs: &[&str], outputs: &[&Path], env: &Env) -> Result<(), Failure> {
    // A name that is no pattern matches itself; one that matches nothing is for the source to report.
    let found = inputs.iter().flat_map(|input| env.disk.glob(input).unwrap_or_default());
    let read: Vec<PathBuf> = found.filter_map(|path| regular(&path)).collect();
    for (at, output) in outputs.iter().enumerate() {
        if outputs[..at].contains(output) && !is_stream(output) {
            return Err(refused(output, "would be written twice"));
        }
        if regular(output).is_some_and(|output| read.contains(&output)) {
            return Err(refused(output, "would be read and replaced"));
        }
    }
    Ok(())
}

/// The full path of a file; none of what is not there or is no file, such as a device.
fn regular(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok().filter(|path| path.is_file())
}

/// Standard output, or a device or pipe that is there.
fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-" || fs::metadata(path).is_ok_and(|found| !found.is_file())
}

fn refused(path: &Path, what: &str) -> Failure {
    Failure::Arguments(anyhow!("`{}` {what} by this run", path.display()))
}
