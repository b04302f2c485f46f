//! The tools of the languages that stages are written in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A program or library that stages of a language need.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) language: &'static str,
    /// The least version that does.
    pub(crate) least: Version,
    /// A command that tells its version, and what stands before the version in its output.
    ask: &'static [&'static str],
    before: &'static str,
    /// How to install it on Debian and its kin.
    pub(crate) install: &'static str,
    /// Where its makers tell how to install it elsewhere.
    pub(crate) page: &'static str,
}

pub(crate) const PYTHON: Tool = Tool {
    name: "python3",
    language: "Python",
    least: Version(3, 10),
    ask: &["python3", "--version"],
    before: "Python",
    install: "apt install python3 python3-venv",
    page: "https://www.python.org/downloads/",
};

pub(crate) const PYARROW: Tool = Tool {
    name: "pyarrow",
    language: "Python",
    least: Version(21, 0),
    ask: &["python3", "-c", "import pyarrow; print(pyarrow.__version__)"],
    before: "",
    install: "python3 -m pip install pyarrow, in a virtual environment",
    page: "https://arrow.apache.org/docs/python/install.html",
};

pub(crate) const NODE: Tool = Tool {
    name: "node",
    language: "TypeScript",
    least: Version(20, 0),
    ask: &["node", "--version"],
    before: "v",
    install: "apt install nodejs npm",
    page: "https://nodejs.org/en/download",
};

pub(crate) const GO: Tool = Tool {
    name: "go",
    language: "Go",
    least: Version(1, 23),
    ask: &["go", "version"],
    before: "go version go",
    install: "apt install golang-go",
    page: "https://go.dev/doc/install",
};

pub(crate) const COMPILER: Tool = Tool {
    name: "g++",
    language: "C++",
    least: Version(12, 0),
    ask: &["g++", "-dumpfullversion"],
    before: "",
    install: "apt install g++",
    page: "https://gcc.gnu.org/install/",
};

pub(crate) const CMAKE: Tool = Tool {
    name: "cmake",
    language: "C++",
    least: Version(3, 25),
    ask: &["cmake", "--version"],
    before: "cmake version",
    install: "apt install cmake",
    page: "https://cmake.org/download/",
};

pub(crate) const SIMDJSON: Tool = Tool {
    name: "simdjson",
    language: "C++",
    least: Version(2, 0),
    ask: &["g++", "-dM", "-E", "-x", "c++", "-include", "simdjson.h", "/dev/null"],
    before: "#define SIMDJSON_VERSION ",
    install: "apt install libsimdjson-dev",
    page: "https://github.com/simdjson/simdjson",
};

pub(crate) const CARGO: Tool = Tool {
    name: "cargo",
    language: "Rust",
    least: Version(1, 95),
    ask: &["cargo", "--version"],
    before: "cargo",
    install: "apt install rustup, then rustup default stable",
    page: "https://rust-lang.org/tools/install/",
};

const TOOLS: [Tool; 8] = [PYTHON, PYARROW, NODE, GO, COMPILER, CMAKE, SIMDJSON, CARGO];

impl Tool {
    /// Asks for the version, `program` standing for the command's own where it is another one.
    pub(crate) fn ask(&self, program: &Path, folder: &Path, env: &BTreeMap<String, String>) -> Found {
        let answer = Command::new(program)
            .args(&self.ask[1..])
            .current_dir(folder)
            .envs(env)
            .stdin(Stdio::null())
            .output()
            .ok()
            .filter(|ended| ended.status.success());
        let Some(answer) = answer else { return Found::Nothing };
        let text = String::from_utf8_lossy(&answer.stdout);
        match text.split_once(self.before).and_then(|(_, after)| Version::first_in(after)) {
            Some(version) if version < self.least => Found::Old(version),
            Some(version) => Found::Fit(version),
            None => Found::Nothing,
        }
    }
}

/// Whether a Python interpreter finds a package.
pub(crate) fn imports(python: &Path, package: &str, folder: &Path, env: &BTreeMap<String, String>) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", &format!("import {package}")]).current_dir(folder).envs(env);
    command.stdin(Stdio::null()).output().is_ok_and(|ended| ended.status.success())
}

/// The first two numbers of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32);

impl Version {
    fn first_in(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let mut numbers = text[start..].split(|c: char| !c.is_ascii_digit());
        Some(Version(numbers.next()?.parse().ok()?, numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What is here of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// One that does.
    Fit(Version),
    /// One that is too old.
    Old(Version),
    Nothing,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Fit(version) => write!(f, "{version}"),
            Found::Old(version) => write!(f, "{version}: too old"),
            Found::Nothing => write!(f, "missing"),
        }
    }
}

/// Every tool, and what is here of it.
#[derive(Debug)]
pub(crate) struct Toolbox([(Tool, Found); TOOLS.len()]);

impl Toolbox {
    /// Looks for every tool on `PATH`.
    pub(crate) fn look() -> Self {
        Self(TOOLS.map(|tool| {
            let found = tool.ask(Path::new(tool.ask[0]), Path::new("."), &BTreeMap::new());
            (tool, found)
        }))
    }

    pub(crate) fn tools(&self) -> impl Iterator<Item = (&Tool, Found)> {
        self.0.iter().map(|(tool, found)| (tool, *found))
    }

    /// What is here of one tool.
    pub(crate) fn found(&self, name: &str) -> Found {
        self.tools().find(|(tool, _)| tool.name == name).map_or(Found::Nothing, |(_, found)| found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        for (text, version) in [
            (" 3.11.7\n", Some(Version(3, 11))),
            ("20.20.2", Some(Version(20, 20))),
            ("12", Some(Version(12, 0))),
            ("\"3.0.0\"", Some(Version(3, 0))),
            ("none", None),
        ] {
            assert_eq!(Version::first_in(text), version, "{text}");
        }
        assert!(Version(3, 9) < Version(3, 10) && Version(4, 0) > Version(3, 10));
    }
}
