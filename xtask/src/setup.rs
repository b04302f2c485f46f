//! `cargo xtask setup`: what has to be on the machine before anything else works.
//!
//! Toolchains are the user's own choice, so they are only looked for. Debian packages are installed where this
//! process may; elsewhere the command to type is shown. What the languages' own package managers install goes into
//! the project's folder: `.venv`, `node_modules`, Go's cache of modules.

use anyhow::{Context, Result, bail};

use crate::steps::{self, Step};
use crate::{example, process, rolling, sdk, split};

const STEPS: &[Step] = &[
    ("toolchains", toolchains),
    ("packages", packages),
    ("Python SDK", sdk::setup_python),
    ("TypeScript SDK", sdk::setup_typescript),
    ("Go SDK", sdk::setup_go),
    ("C++ SDK", sdk::setup_cpp),
    ("event pipeline", example::setup),
    ("rolling features", rolling::setup),
    ("split baseline", split::setup),
];

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
    Tool {
        program: "npm",
        arguments: &["--version"],
        needed_for: "TypeScript",
        how_to_get: "https://nodejs.org, 20 or later; Debian: apt-get install npm",
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

/// Looks for one of the tools, and says how to get it if it is not there.
pub(crate) fn find(program: &str) -> Result<()> {
    let tool = TOOLS.iter().find(|tool| tool.program == program);
    let tool = tool.with_context(|| format!("`{program}` is not one of the project's tools"))?;
    match process::output(&mut process::command(program, tool.arguments)) {
        Some(_) => Ok(()),
        None => bail!("`{program}` is missing: {}", tool.how_to_get),
    }
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
