//! Whether the program of an implementation could run here.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use modrun_plan::Implementation;

use super::tool::{self, CARGO, CMAKE, COMPILER, Found, GO, NODE, PYARROW, PYTHON, SIMDJSON, Tool, Toolbox};
use crate::program;

/// Endings of files that are given to an interpreter.
const SCRIPTS: [&str; 6] = ["py", "js", "mjs", "cjs", "ts", "mts"];

/// Commands that come with Node, or with packages of it.
const NODE_COMMANDS: [&str; 4] = ["node", "npm", "npx", "tsc"];
/// What stages in Python import.
const PYTHON_SDK: &str = "modular_runtime";

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
    let none = BTreeMap::new();
    let builder = build.as_ref().map(|words| Command { words, folder, env: &none, toolbox });
    if let Some(missing) = builder.as_ref().and_then(Command::missing) {
        return State::Missing(missing);
    }
    let command = Command { words: run, folder, env, toolbox };
    match (command.missing().or_else(|| command.missing_script()), build) {
        (None, _) => match command.missing_sdk() {
            Some(missing) => State::Missing(missing),
            None => command.note().map_or(State::Ready, State::Almost),
        },
        (Some(_), Some(build)) => State::ToBuild(program::shown(build)),
        (Some(missing), None) => State::Missing(missing),
    }
}

/// A command of an implementation.
struct Command<'a> {
    words: &'a [String],
    folder: &'a Path,
    /// The variables that it gets of its own.
    env: &'a BTreeMap<String, String>,
    toolbox: &'a Toolbox,
}

impl Command<'_> {
    /// What it needs that is not there.
    fn missing(&self) -> Option<String> {
        let name = self.words.first()?;
        let Some(found) = self.program() else { return Some(format!("there is no program `{name}`")) };
        if self.needs_packages() {
            return Some(format!("`npm install` is to be run in `{}`", self.folder.display()));
        }
        needed(file_name(name)).iter().find_map(|tool| match self.here(tool, &found) {
            Found::Fit(_) => None,
            Found::Old(version) => {
                Some(format!("`{}` is {version}, and {} is needed", tool.name, tool.least))
            }
            Found::Nothing => Some(format!("there is no `{}` for `{name}`", tool.name)),
        })
    }

    /// The file that it gives to an interpreter, if that is not there.
    fn missing_script(&self) -> Option<String> {
        let script = self.script().filter(|script| !self.folder.join(script).is_file())?;
        Some(format!("there is no file `{script}`"))
    }

    /// The package that a program in Python imports, if its interpreter does not find it.
    fn missing_sdk(&self) -> Option<String> {
        let name = self.words.first().filter(|name| is_python(name))?;
        let text = fs::read_to_string(self.folder.join(self.script()?)).ok()?;
        let is_there = tool::imports(&self.program()?, PYTHON_SDK, self.folder, self.env);
        let is_missing = text.contains(PYTHON_SDK) && !is_there;
        is_missing
            .then(|| format!("`{name}` does not find the package `{PYTHON_SDK}`: pip install sdk/python"))
    }

    /// What is said of it though it could run.
    fn note(&self) -> Option<String> {
        self.words.first().filter(|name| is_python(name))?;
        match self.here(&PYARROW, &self.program()?) {
            Found::Fit(_) => None,
            Found::Old(_) | Found::Nothing => {
                Some(format!("handlers of batches need `pyarrow` {} or later", PYARROW.least))
            }
        }
    }

    /// Where its program is, in full.
    fn program(&self) -> Option<PathBuf> {
        let path =
            self.env.get("PATH").map(OsString::from).or_else(|| env::var_os("PATH")).unwrap_or_default();
        std::path::absolute(program::find(self.words.first()?, self.folder, &path)?).ok()
    }

    fn script(&self) -> Option<&String> {
        self.words.iter().skip(1).find(|argument| is_script(argument))
    }

    /// What is here of a tool for its program: an interpreter has a version and packages of its own.
    fn here(&self, tool: &Tool, program: &Path) -> Found {
        let is_interpreter =
            self.words.first().is_some_and(|name| is_python(name) || file_name(name) == "node");
        match is_interpreter {
            true => tool.ask(program, self.folder, self.env),
            false => self.toolbox.found(tool.name),
        }
    }

    /// Whether it is one of Node's, and packages are declared and not installed.
    fn needs_packages(&self) -> bool {
        let is_node = self.words.first().is_some_and(|name| NODE_COMMANDS.contains(&file_name(name)));
        is_node
            && !self.folder.join("node_modules").is_dir()
            && fs::read_to_string(self.folder.join("package.json"))
                .is_ok_and(|text| text.contains("ependencies"))
    }
}

fn file_name(program: &str) -> &str {
    Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn is_python(program: &str) -> bool {
    file_name(program).starts_with("python")
}

/// The tools that a command of this name needs to be of use.
fn needed(name: &str) -> &'static [Tool] {
    match name {
        "go" => &[GO],
        "cmake" => &[CMAKE, COMPILER, SIMDJSON],
        "cargo" => &[CARGO],
        name if NODE_COMMANDS.contains(&name) => &[NODE],
        name if is_python(name) => &[PYTHON],
        _ => &[],
    }
}

fn is_script(argument: &str) -> bool {
    let ending = Path::new(argument).extension().and_then(|ending| ending.to_str());
    !argument.starts_with('-') && ending.is_some_and(|ending| SCRIPTS.contains(&ending))
}
