//! Building and testing the C++ folders.

use anyhow::Result;

use crate::process;

/// Builds the CMake project in `folder`, which is under the root, into its `build`.
pub(crate) fn build(folder: &str) -> Result<()> {
    let build = format!("{folder}/build");
    process::run(&mut process::command("cmake", &["-S", folder, "-B", &build, "--log-level=WARNING"]))?;
    process::run(&mut process::command("cmake", &["--build", &build, "--parallel"]))
}

/// Builds the CMake project in `folder` and runs its tests.
pub(crate) fn test(folder: &str) -> Result<()> {
    build(folder)?;
    let build = format!("{folder}/build");
    process::run(&mut process::command("ctest", &["--test-dir", &build, "--output-on-failure"]))
}
