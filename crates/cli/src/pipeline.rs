//! From the arguments to a plan.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

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
    #[command(flatten)]
    changes: Changes,
}

/// What the command line changes in a pipeline
#[derive(clap::Args, Debug)]
pub(crate) struct Changes {
    /// Take the placement from a file instead; `NAME` is `placements/NAME.yaml` beside the pipeline
    ///
    /// The file has what stands under `placement:` in a pipeline, or a document with `placement`, `batch` and
    /// `parallelism`, each of which takes the place of the pipeline's.
    #[arg(long, value_name = "FILE|NAME")]
    placement: Option<PathBuf>,
    /// Run one stage otherwise: `thread`, `process` or one of its implementations, such as `rules=python`
    #[arg(long, value_name = "STAGE=WORD")]
    place: Vec<String>,
    /// Override a key of the file, such as `stages.ingest.with.path=FILE`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl Pipeline {
    /// Reads the file and checks it.
    pub(crate) fn plan(&self) -> Result<Plan, Failure> {
        self.changes.plan(&self.path)
    }
}

impl Changes {
    /// Another placement, if there is one, single words of it, and overrides.
    pub(crate) fn of(placement: Option<PathBuf>, place: Vec<String>, overrides: Vec<String>) -> Self {
        Self { placement, place, overrides }
    }

    /// Reads the pipeline file at `path`, changes it and checks it.
    pub(crate) fn plan(&self, path: &Path) -> Result<Plan, Failure> {
        let from_stdin = path.as_os_str() == "-";
        let name = if from_stdin { "standard input".to_owned() } else { path.display().to_string() };
        let text = if from_stdin { text(io::stdin()) } else { File::open(path).and_then(text) };
        let text = text.with_context(|| format!("cannot read the pipeline `{name}`"));
        let text = text.map_err(Failure::Arguments)?;
        let folder =
            if from_stdin { PathBuf::new() } else { path.parent().map(PathBuf::from).unwrap_or_default() };
        let options = LoadOptions {
            placement: self.placement(&folder)?,
            place: self.place.clone(),
            overrides: self.overrides.clone(),
            directory: env::current_dir().context("cannot find the working directory")?,
            folder,
        };
        let plan = load(&name, &text, &options, &modrun_stages::builtin())?;
        if from_stdin && plan.stages.first().is_some_and(|source| files::named(source).contains(&"-")) {
            let error = anyhow!("the pipeline and its events cannot both come from standard input");
            return Err(Failure::Arguments(error));
        }
        Ok(plan)
    }

    /// Name and text of the placement file; `folder` is that of the pipeline.
    fn placement(&self, folder: &Path) -> Result<Option<(String, String)>, Failure> {
        let Some(given) = &self.placement else { return Ok(None) };
        let is_name = given.components().count() == 1 && given.extension().is_none();
        let path = match is_name {
            true => folder.join("placements").join(given).with_extension("yaml"),
            false => given.clone(),
        };
        let text = File::open(&path)
            .and_then(text)
            .with_context(|| format!("cannot read the placement `{}`", path.display()));
        Ok(Some((path.display().to_string(), text.map_err(Failure::Arguments)?)))
    }
}

fn text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(TEXT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}
