//! `cargo xtask setup`: what has to be on the machine before anything else works.
//!
//! Toolchains are the user's own choice, so they are only looked for. Debian packages are installed where this
//! process may; elsewhere the command to type is shown. Python packages go into `.venv` in the project, and only
//! for the task that needs them.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::split;
use crate::steps::{self, Step};

const STEPS: &[Step] =
    &[("toolchains", toolchains), ("packages", packages), ("split baseline", split::setup)];

/// Does all of it.
pub(crate) fn run() -> Result<()> {
    steps::run(STEPS)
}

/// A program that something here is built or run with.
struct Tool {
    program: &'static str,
    arguments: &'static [&'static str],
    needed_for: &'static str,
    how_to_get: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "cargo",
        arguments: &["--version"],
        needed_for: "everything",
        how_to_get: "https://rustup.rs",
    },
    Tool {
        program: "cargo",
        arguments: &["clippy", "--version"],
        needed_for: "checks",
        how_to_get: "rustup component add clippy",
    },
    Tool {
        program: "cargo",
        arguments: &["fmt", "--version"],
        needed_for: "checks",
        how_to_get: "rustup component add rustfmt",
    },
    Tool {
        program: "node",
        arguments: &["--version"],
        needed_for: "TypeScript",
        how_to_get: "https://nodejs.org, 20 or later",
    },
    Tool { program: "go", arguments: &["version"], needed_for: "Go", how_to_get: "https://go.dev/dl" },
    Tool {
        program: "python3",
        arguments: &["--version"],
        needed_for: "Python",
        how_to_get: "Debian: apt-get install python3 python3-venv",
    },
];

/// Looks for every tool, and says how to get those that are not there.
fn toolchains() -> Result<()> {
    let mut missing = Vec::new();
    for Tool { program, arguments, needed_for, how_to_get } in TOOLS {
        match process::output(&mut process::command(program, arguments)) {
            Some(version) => println!("{version}"),
            None => {
                missing.push(format!("{program} {} (for {needed_for}): {how_to_get}", arguments.join(" ")))
            }
        }
    }
    if !missing.is_empty() {
        bail!("these do not run:\n  {}", missing.join("\n  "));
    }
    Ok(())
}

/// What the C++ parts are built with.
const PACKAGES: [&str; 3] = ["g++", "cmake", "libsimdjson-dev"];

/// Installs the Debian packages that are not there yet.
pub(crate) fn packages() -> Result<()> {
    let installed = |package: &&str| {
        let query = ["--show", "--showformat=${db:Status-Status}", package];
        process::output(&mut process::command("dpkg-query", &query)).as_deref() == Some("installed")
    };
    let missing: Vec<&str> = PACKAGES.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        println!("installed: {}", PACKAGES.join(", "));
        return Ok(());
    }
    let install = [&["install", "--yes", "--no-install-recommends"], missing.as_slice()].concat();
    let root = process::output(&mut process::command("id", &["-u"])).as_deref() == Some("0");
    let debian = process::output(&mut process::command("apt-get", &["--version"])).is_some();
    if !root || !debian {
        bail!("these packages are missing; on Debian or Ubuntu: sudo apt-get {}", install.join(" "));
    }
    process::run(&mut process::command("apt-get", &["update", "--quiet"]))?;
    process::run(process::command("apt-get", &install).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The database that the parse benchmark compares with, as pip names it.
pub(crate) const DUCKDB: &str = "duckdb==2.0.0";

/// Installs Python packages, given as pip names them, into the project's own `.venv` and gives its interpreter.
pub(crate) fn python(packages: &[&str]) -> Result<PathBuf> {
    let python = process::root().join(".venv/bin/python");
    if !python.exists() {
        process::run(&mut process::command("python3", &["-m", "venv", ".venv"]))
            .context("on Debian or Ubuntu: apt-get install python3-venv")?;
    }
    let install = [&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"], packages].concat();
    process::run(&mut process::command(&python, &install))?;
    Ok(python)
}
