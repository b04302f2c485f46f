//! The folders with a `go.mod`.

use anyhow::{Context, Result, ensure};

use crate::process;

/// Builds `packages` of the module in `folder` into `output`, which is under the folder.
pub(crate) fn build(folder: &str, output: &str, packages: &[&str]) -> Result<()> {
    process::run(&mut process::within(folder, "go", &[&["build", "-o", output], packages].concat()))
}

/// Checks the format of the module in `folder` and what `go vet` knows, and runs its tests.
pub(crate) fn check(folder: &str) -> Result<()> {
    let format = process::output(&mut process::within(folder, "gofmt", &["-l", "."]));
    let files = format.with_context(|| format!("`gofmt -l .` does not run in `{folder}`"))?;
    ensure!(files.is_empty(), "not formatted by `gofmt -w`, in `{folder}`:\n{files}");
    process::run(&mut process::within(folder, "go", &["vet", "./..."]))?;
    process::run(&mut process::within(folder, "go", &["test", "./..."]))
}

/// The folders of the modules in `folder` and below it.
pub(crate) fn modules(folder: &str) -> Result<Vec<String>> {
    let [here, below] = ["go.mod", "*/go.mod"].map(|pattern| format!("{folder}/{pattern}"));
    let files = process::output(&mut process::command("git", &["ls-files", &here, &below]));
    let files = files.context("`git ls-files` must run: it names the modules")?;
    Ok(files.lines().filter_map(|file| file.strip_suffix("/go.mod")).map(str::to_owned).collect())
}
