//! `modrun schema`: the JSON Schemas that editors and readers of reports use.

use modrun_core::RunReport;
use serde_json::Value;

use crate::failure::Failure;
use crate::show;

/// Print the JSON Schema of a file
///
/// For an editor, save the schema of the pipeline and begin the pipeline file with
/// `# yaml-language-server: $schema=pipeline.schema.json`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Of which file
    #[arg(value_enum, default_value_t = File::Pipeline)]
    file: File,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum File {
    /// The pipeline file
    Pipeline,
    /// What `modrun run --report` writes
    Report,
}

/// Prints the schema.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let schema: Value = match args.file {
        File::Pipeline => modrun_plan::json_schema(&modrun_stages::builtin()),
        File::Report => schemars::schema_for!(RunReport).to_value(),
    };
    show::output(&format!("{schema:#}\n"))
}
