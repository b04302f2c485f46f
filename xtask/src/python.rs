//! The project's own Python: `.venv`, with each package in the version that is named here.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process;

/// Where its programs are, under the root.
pub(crate) const PROGRAMS: &str = ".venv/bin";

pub(crate) const CLANG_FORMAT: &str = "clang-format==23.1.5";
/// The database that the parse benchmark compares with.
pub(crate) const DUCKDB: &str = "duckdb==2.0.0";
const MYPY: &str = "mypy==2.4.1";
const RUFF: &str = "ruff==0.17.6";
const PYARROW: &str = "pyarrow==26.0.1";

/// What [`check`] runs.
pub(crate) const CHECKERS: [&str; 2] = [MYPY, RUFF];

/// The interpreter; there once something is installed.
pub(crate) fn interpreter() -> PathBuf {
    process::root().join(PROGRAMS).join("python")
}

/// Installs packages, given as pip names them.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if !interpreter().exists() {
        process::run(&mut process::command("python3", &["-m", "venv", ".venv"]))
            .context("on Debian or Ubuntu: apt-get install python3-venv")?;
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    process::run(process::command(interpreter(), &install).args(packages))
}

/// Installs the SDK, as links to its sources.
pub(crate) fn install_sdk() -> Result<()> {
    install(&["--editable", "sdk/python", PYARROW])
}

/// As [`install_sdk`], where that was not done before.
pub(crate) fn install_sdk_once() -> Result<()> {
    let import = ["-c", "import modular_runtime, pyarrow"];
    match process::output(&mut process::command(interpreter(), &import)) {
        Some(_) => Ok(()),
        None => install_sdk(),
    }
}

/// Checks the format, the style and the types of `paths`, in `folder` and with the configuration that is there.
pub(crate) fn check(folder: &str, paths: &[&str]) -> Result<()> {
    let interpreter = interpreter().display().to_string();
    for check in [
        &["ruff", "format", "--quiet", "--check"][..],
        &["ruff", "check", "--quiet"],
        &["mypy", "--strict", "--no-error-summary"],
    ] {
        let arguments = [&["-m"], check, paths].concat();
        process::run(&mut process::within(folder, &interpreter, &arguments))?;
    }
    Ok(())
}
