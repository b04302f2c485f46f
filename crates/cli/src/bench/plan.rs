//! The placements of the pipeline that are compared: checked and built before anything is run.

use std::path::{Path, PathBuf};

use modrun_plan::{Plan, Program};
use modrun_report::price::AS_WRITTEN;

use super::lanes::Kind;
use crate::failure::Failure;
use crate::{build, pipeline, show};

/// The placement that the pipeline itself has.
const OWN: &str = ".";

/// The pipeline under each placement.
pub(crate) struct Placements {
    /// The pipeline file.
    pub(crate) file: PathBuf,
    /// What every run overrides.
    pub(crate) overrides: Vec<String>,
    all: Vec<(String, Plan)>,
}

impl Placements {
    /// Checks the pipeline under each placement: a file, a name, or `STAGE=WORD` for one word of its own changed.
    pub(crate) fn load(file: &Path, names: &[String], overrides: &[String]) -> Result<Self, Failure> {
        let mut all = Self { file: file.to_owned(), overrides: overrides.to_vec(), all: Vec::new() };
        names.iter().try_for_each(|name| all.add(name))?;
        Ok(all)
    }

    /// Checks the pipeline under one more placement.
    pub(crate) fn add(&mut self, name: &str) -> Result<(), Failure> {
        let placement = (name != OWN && !is_word(name)).then(|| PathBuf::from(name));
        let place = is_word(name).then(|| name.to_owned()).into_iter().collect();
        let changes = pipeline::Changes::of(placement, place, self.overrides.clone());
        let plan = changes.plan(&self.file)?;
        self.all.push((name.to_owned(), plan));
        Ok(())
    }

    /// The pipeline under each of them.
    pub(crate) fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.all.iter().map(|(_, plan)| plan)
    }

    /// Builds the programs of all of them.
    pub(crate) fn build(&self) -> Result<(), Failure> {
        for (name, plan) in &self.all {
            show::note(format!("placement {}", shown(name)));
            build::all(plan, false)?;
        }
        Ok(())
    }

    /// The pipeline's name.
    pub(crate) fn pipeline(&self) -> &str {
        self.all.first().map_or("", |(_, plan)| &plan.pipeline)
    }

    /// What there is to compare. Without a process, no batch travels.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let has_batches = |plan: &Plan| plan.stages.iter().any(|stage| stage.program != Program::Here);
        self.all
            .iter()
            .map(|(name, plan)| Kind { name: shown(name).to_owned(), has_batches: has_batches(plan) })
            .collect()
    }

    /// The arguments of `modrun run` for a placement, its source reading `input` and its sink writing `output`.
    pub(crate) fn arguments(&self, placement: &str, input: &Path, output: &Path) -> Vec<String> {
        let mut arguments = vec!["run".to_owned(), self.file.display().to_string()];
        let found = self.all.iter().find(|(name, _)| shown(name) == placement);
        let Some((name, plan)) = found else { return arguments };
        if name != OWN {
            let option = if is_word(name) { "--place" } else { "--placement" };
            arguments.extend([option.to_owned(), name.clone()]);
        }
        let set = |key: String, value: &Path| ["--set".to_owned(), format!("{key}={}", value.display())];
        if let (Some(source), Some(sink)) = (plan.stages.first(), plan.stages.last()) {
            arguments.extend(set(format!("stages.{}.with.path", source.name), input));
            arguments.extend(set(format!("stages.{}.with.path", sink.name), output));
        }
        for change in &self.overrides {
            arguments.extend(["--set".to_owned(), change.clone()]);
        }
        arguments
    }
}

fn shown(name: &str) -> &str {
    if name == OWN { AS_WRITTEN } else { name }
}

/// Whether it is one word of a placement, such as `rules=python`.
fn is_word(name: &str) -> bool {
    name.contains('=')
}
