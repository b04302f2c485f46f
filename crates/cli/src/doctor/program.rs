//! Whether the program of an implementation could run here.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use modrun_plan::Implementation;

use super::tool::{CARGO, CMAKE, COMPILER, Found, GO, NODE, PYARROW, PYTHON, SIMDJSON, Tool, Toolbox};
use crate::program;

/// Endings of files that are given to an interpreter.
const SCRIPTS: [&str; 6] = ["py", "js", "mjs", "cjs", "ts", "mts"];

/// Whether a program could run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    /// It could, but for this.
    Almost(String),
    /// It is not there, and this command makes it before a run.
    ToBuild(String),
    /// What it needs and is not there.
    Missing(String),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Ready => write!(f, "ready"),
            State::ToBuild(command) => write!(f, "ready to be built: {command}"),
            State::Almost(note) => write!(f, "ready, but {note}"),
            State::Missing(what) => write!(f, "{what}"),
        }
    }
}

/// Whether the program of `implementation` could run.
pub(crate) fn state(implementation: &Implementation, toolbox: &Toolbox) -> State {
    let Implementation { run, build, folder, env, .. } = implementation;
    if !folder.is_dir() {
        return State::Missing(format!("there is no folder `{}`", folder.display()));
    }
    let own_path = env::var_os("PATH").unwrap_or_default();
    if let Some(missing) = build.as_ref().and_then(|build| missing(build, folder, &own_path, toolbox)) {
        return State::Missing(missing);
    }
    let path = env.get("PATH").map_or(own_path, OsString::from);
    let file = || run.iter().skip(1).find(|argument| is_script(argument) && !folder.join(argument).is_file());
    let missing =
        missing(run, folder, &path, toolbox).or_else(|| Some(format!("there is no file `{}`", file()?)));
    match (missing, build) {
        (None, _) => note(run, folder, &path, toolbox).map_or(State::Ready, State::Almost),
        (Some(_), Some(build)) => State::ToBuild(program::shown(build)),
        (Some(missing), None) => State::Missing(missing),
    }
}

/// What a command needs that is not there.
fn missing(command: &[String], folder: &Path, path: &OsString, toolbox: &Toolbox) -> Option<String> {
    let name = command.first()?;
    let Some(found) = program::find(name, folder, path) else {
        return Some(format!("there is no program `{name}`"));
    };
    let needed = needed(Path::new(name).file_name()?.to_str()?);
    needed.iter().find_map(|tool| match here(tool, name, &found, folder, toolbox) {
        Found::Fit(_) => None,
        Found::Old(version) => Some(format!("`{}` is {version}, and {} is needed", tool.name, tool.least)),
        Found::Nothing => Some(format!("there is no `{}` for `{name}`", tool.name)),
    })
}

/// What is said of a program that could run.
fn note(command: &[String], folder: &Path, path: &OsString, toolbox: &Toolbox) -> Option<String> {
    let name = command.first().filter(|name| is_python(name))?;
    let found = program::find(name, folder, path)?;
    match here(&PYARROW, name, &found, folder, toolbox) {
        Found::Fit(_) => None,
        Found::Old(_) | Found::Nothing => {
            Some(format!("handlers of batches need `pyarrow` {} or later", PYARROW.least))
        }
    }
}

/// What is here of a tool for the program `name`, which was found: an interpreter of a virtual environment has a
/// version and packages of its own.
fn here(tool: &Tool, name: &str, found: &Path, folder: &Path, toolbox: &Toolbox) -> Found {
    let is_own = name.contains('/') && [PYTHON.name, PYARROW.name, NODE.name].contains(&tool.name);
    match std::path::absolute(found).ok().filter(|_| is_own) {
        Some(program) => tool.ask(program.as_os_str(), folder),
        None => toolbox.found(tool.name),
    }
}

fn is_python(name: &str) -> bool {
    Path::new(name).file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("python"))
}

/// The tools that a command of this name needs to be of use.
fn needed(name: &str) -> &'static [Tool] {
    match name {
        "node" | "npm" | "npx" | "tsc" => &[NODE],
        "go" => &[GO],
        "cmake" => &[CMAKE, COMPILER, SIMDJSON],
        "cargo" => &[CARGO],
        name if is_python(name) => &[PYTHON],
        _ => &[],
    }
}

fn is_script(argument: &str) -> bool {
    let ending = Path::new(argument).extension().and_then(|ending| ending.to_str());
    !argument.starts_with('-') && ending.is_some_and(|ending| SCRIPTS.contains(&ending))
}
