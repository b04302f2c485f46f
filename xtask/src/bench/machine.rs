//! Where and on what commit figures were measured: a figure without that is worth nothing.

use std::fs;

use serde::Serialize;

use crate::process;

/// The circumstances of a measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    commit: String,
    command: String,
}

impl Machine {
    /// This machine, and the command and the commit that this process is.
    pub(crate) fn this() -> Self {
        let commit = process::output(&mut process::command("git", &["describe", "--always", "--dirty"]));
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            cpu: cpu().unwrap_or_else(|| "unknown".to_owned()),
            cores: cores(),
            commit: commit.unwrap_or_else(|| "unknown".to_owned()),
            command: format!("cargo xtask {}", arguments.join(" ")),
        }
    }

    /// One line for the head of a table.
    pub(crate) fn line(&self) -> String {
        let Self { cpu, cores, commit, command } = self;
        format!("`{command}` at {commit} on {cpu}, {cores} cores")
    }
}

/// How many cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn cpu() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let model = info.lines().find(|line| line.starts_with("model name"))?;
    Some(model.split_once(':')?.1.trim().to_owned())
}
