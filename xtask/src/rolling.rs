//! The second example, with real computation for each event: its implementations, checked, and equal results of all.

use std::path::Path;

use anyhow::Result;

use crate::input::{self, Input};
use crate::{cmake, go, modrun, npm, process, python, sdk};

const FOLDER: &str = "examples/rolling-features";
/// The pipeline's file.
pub(crate) const PIPELINE: &str = "examples/rolling-features/pipeline.yaml";
/// How the stage `features` runs.
const PLACEMENTS: [&str; 6] = ["one-process", "process", "python", "typescript", "go", "cpp"];
const EVENTS: u64 = 100_000;

/// Installs and builds what its stages need.
pub(crate) fn setup() -> Result<()> {
    python::install_sdk_once()?;
    sdk::setup_typescript()?;
    npm::install(FOLDER)?;
    npm::script(FOLDER, "build")?;
    go::build(FOLDER, "bin/", &["./..."])?;
    cmake::build(FOLDER)
}

/// Checks the implementations as each language's users would, and that all give the expected results.
pub(crate) fn test() -> Result<()> {
    setup()?;
    python::check(FOLDER, &["features.py"])?;
    npm::script(FOLDER, "check")?;
    go::check(FOLDER)?;
    let input = Input::plain(EVENTS);
    input.generate_once()?;
    let pipeline = process::root().join(PIPELINE);
    for placement in PLACEMENTS {
        let (output, report) = (input::scratch("rolling.ndjson")?, input::scratch("rolling.json")?);
        let command = process::command(modrun::program(), &[]);
        let mut run = modrun::run_pipeline(command, &pipeline, &input.path(), &output, &report);
        run.args(["--placement", placement, "--no-build"]);
        run.args(["--verify", &format!("{FOLDER}/expected/100k.ndjson")]);
        process::look_first_in(&mut run, &[Path::new(python::PROGRAMS)]);
        process::run(&mut run)?;
    }
    Ok(())
}
