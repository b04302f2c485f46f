//! Building and testing the C++ folders.

use anyhow::Result;

use crate::process;

/// Builds the CMake project in `folder`, which is under the root, into its `build`.
pub(crate) fn build(folder: &str) -> Result<()> {
    build_into(folder, &format!("{folder}/build"), &[])
}

/// Builds the CMake project in `folder` and runs its tests.
pub(crate) fn test(folder: &str) -> Result<()> {
    test_in(folder, &format!("{folder}/build"), &[])
}

/// As [`test()`], built into another folder, with `options` such as `-DNAME=ON`.
pub(crate) fn test_in(folder: &str, build: &str, options: &[&str]) -> Result<()> {
    build_into(folder, build, options)?;
    let test = ["--test-dir", build, "--output-on-failure", "--no-tests=error"];
    process::run(&mut process::command("ctest", &test))
}

fn build_into(folder: &str, build: &str, options: &[&str]) -> Result<()> {
    let configure = [&["-S", folder, "-B", build, "--log-level=WARNING"], options].concat();
    process::run(&mut process::command("cmake", &configure))?;
    process::run(&mut process::command("cmake", &["--build", build, "--parallel"]))
}
