//! From the arguments to a plan.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use modrun_plan::{LoadOptions, Plan, load};

use crate::failure::Failure;
use crate::files;

/// More than any pipeline file has; a plan says itself what is too long.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// The pipeline, and what the command line changes in it
#[derive(clap::Args, Debug)]
pub(crate) struct Pipeline {
    /// The pipeline file; `-` is standard input
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
    /// Override a key of the file, such as `stages.ingest.with.path=FILE`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl Pipeline {
    /// Reads the file and checks it.
    pub(crate) fn plan(&self) -> Result<Plan, Failure> {
        let from_stdin = self.path.as_os_str() == "-";
        let name = if from_stdin { "standard input".to_owned() } else { self.path.display().to_string() };
        let text = self.text(from_stdin).with_context(|| format!("cannot read the pipeline `{name}`"));
        let text = text.map_err(Failure::Arguments)?;
        let folder = if from_stdin {
            PathBuf::new()
        } else {
            self.path.parent().map(PathBuf::from).unwrap_or_default()
        };
        let options = LoadOptions { folder, overrides: self.overrides.clone(), ..LoadOptions::default() };
        let plan = load(&name, &text, &options, &modrun_stages::builtin())?;
        if from_stdin && plan.stages.first().is_some_and(|source| files::named(source).contains(&"-")) {
            let error = anyhow!("the pipeline and its events cannot both come from standard input");
            return Err(Failure::Arguments(error));
        }
        Ok(plan)
    }

    fn text(&self, from_stdin: bool) -> io::Result<String> {
        let mut text = String::new();
        let from: Box<dyn Read> =
            if from_stdin { Box::new(io::stdin()) } else { Box::new(File::open(&self.path)?) };
        from.take(TEXT_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    }
}
