//! The SDKs: what they need, and what is checked of each. The Rust one is checked with the workspace.

use anyhow::Result;

use crate::{cmake, go, npm, process, python};

const PYTHON: &str = "sdk/python";
const TYPESCRIPT: &str = "sdk/typescript";
pub(crate) const GO: &str = "sdk/go";
const CPP: &str = "sdk/cpp";

/// Installs the Python SDK and what checks it.
pub(crate) fn setup_python() -> Result<()> {
    python::install_sdk()?;
    python::install(&python::CHECKERS)
}

/// Installs what the TypeScript SDK needs and compiles it.
pub(crate) fn setup_typescript() -> Result<()> {
    npm::install(TYPESCRIPT)?;
    npm::script(TYPESCRIPT, "build")
}

/// Compiles the Go SDK and its modules, which downloads what they need.
pub(crate) fn setup_go() -> Result<()> {
    go::modules(GO)?
        .iter()
        .try_for_each(|module| process::run(&mut process::within(module, "go", &["build", "./..."])))
}

/// Builds the C++ SDK, its tests and its conformance program.
pub(crate) fn setup_cpp() -> Result<()> {
    cmake::build(CPP)
}

/// Format, style, types and tests of the Python SDK.
pub(crate) fn test_python() -> Result<()> {
    setup_python()?;
    python::check(PYTHON, &["."])?;
    let interpreter = python::interpreter().display().to_string();
    let discover = ["-m", "unittest", "discover", "--start-directory", "tests", "--top-level-directory", "."];
    process::run(&mut process::within(PYTHON, &interpreter, &discover))
}

/// Format, types and tests of the TypeScript SDK.
pub(crate) fn test_typescript() -> Result<()> {
    setup_typescript()?;
    npm::script(TYPESCRIPT, "check")?;
    npm::script(TYPESCRIPT, "test")
}

/// Format, `go vet` and tests of the Go SDK's modules.
pub(crate) fn test_go() -> Result<()> {
    go::modules(GO)?.iter().try_for_each(|module| go::check(module))
}

/// Builds the C++ SDK without warnings and runs its tests.
pub(crate) fn test_cpp() -> Result<()> {
    cmake::test(CPP)
}

/// The C++ SDK's tests again, with the sanitizers of the compiler.
pub(crate) fn sanitize_cpp() -> Result<()> {
    let options = ["-DMODULAR_RUNTIME_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=RelWithDebInfo"];
    cmake::test_in(CPP, &format!("{CPP}/build/sanitized"), &options)
}
