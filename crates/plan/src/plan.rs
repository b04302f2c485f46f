//! The checked pipeline, and the ways to it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use modrun_core::{BatchPolicy, Bound, Code, Kind, Problem, Window};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::conform::conform;
use crate::diagnostics::Diagnostics;
use crate::document::Document;
use crate::implementation::{Base, Implementation};
use crate::limits::DeadLetterLimit;
use crate::registry::Registry;
use crate::schema::spec_schema;
use crate::spec::{Placement, Spec};
use crate::{bind, overrides};

/// The checked pipeline: one chain of bound stages. Made only from a [`Spec`], never checked again.
#[derive(Debug)]
pub struct Plan {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The stages, from the source to the sink; at least two.
    pub stages: Vec<PlannedStage>,
    /// How many workers share the stages that allow it, where the author says so.
    pub parallelism: Option<NonZeroUsize>,
    /// What bounds the run.
    pub limits: Limits,
}

/// One stage of a [`Plan`], bound to its columns.
#[derive(Debug)]
pub struct PlannedStage {
    /// The name that its author gave it.
    pub name: String,
    /// The word after `use:`; `None` where there are only implementations.
    pub kind: Option<String>,
    /// How it runs, as its author says it.
    pub placement: Placement,
    /// How it runs, ready to be done.
    pub program: Program,
    /// All programs that it could run as.
    pub implementations: Vec<Implementation>,
    /// The columns that it gets, which are those that the stage before hands on; `None` for the source.
    pub input: Option<SchemaRef>,
    /// The stage and the columns that it hands on. It can be opened unless it runs as an implementation.
    pub bound: Bound,
    /// Its configuration.
    pub with: Value,
    /// How many rows a batch on the link that it sends to should have.
    pub batch: BatchPolicy,
    /// How many share it where it is a process, where its author says so: workers in a built-in one, processes of
    /// an implementation.
    pub parallelism: Option<NonZeroUsize>,
}

/// How a stage runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// In the runtime's own process.
    Here,
    /// The built-in kind in a process of its own.
    BuiltIn,
    /// Another program, which speaks the stage protocol.
    Foreign(Implementation),
}

/// What bounds a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// What a stage is opened with.
    pub stage: modrun_core::Limits,
    /// How many dead letters end the run; `None`: no number does.
    pub dead_letters: Option<DeadLetterLimit>,
    /// Bytes of each of the two shared segments of a process.
    pub segment: u64,
    /// What may be on its way to a process, or back, without credit.
    pub window: Window,
    /// How long a process may take until it is ready.
    pub start: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stage: modrun_core::Limits::default(),
            dead_letters: None,
            segment: 64 << 20,
            window: Window::default(),
            start: Duration::from_secs(30),
        }
    }
}

/// What a pipeline file is read with.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The folder of the file, where those of its implementations begin.
    pub folder: PathBuf,
    /// The working directory in full, where relative paths of data begin; if it is left empty, they are left alone.
    pub directory: PathBuf,
    /// Name and text of a file that takes the place of the pipeline's `placement`: the mapping, or a document with
    /// `placement`, `batch` and `parallelism`.
    pub placement: Option<(String, String)>,
    /// Words that take the place of single ones of the placement, such as `rules=python`.
    pub place: Vec<String>,
    /// Values that take the place of the file's, such as `stages.ingest.with.path=FILE`.
    pub overrides: Vec<String>,
}

/// Reads the pipeline in `text` and checks it against `kinds`.
///
/// `file` is the name that problems are shown under. Where there are problems, all of them are reported.
pub fn load(
    file: &str,
    text: &str,
    options: &LoadOptions,
    kinds: &[Arc<dyn Kind>],
) -> Result<Plan, Diagnostics> {
    let mut findings = Vec::new();
    let Some(mut document) = Document::parse(file, text, &mut findings) else {
        return Err(Diagnostics::of_text(file, text, findings));
    };
    overrides::apply(&mut document, options, &mut findings);

    let json = document.json();
    let mut problems = conform(&json, &spec_schema(), "the pipeline");
    let base = Base { folder: &options.folder, directory: &options.directory };
    match bind::plan(&Spec::salvage(&json), base, &Registry::new(kinds)) {
        Ok(plan) if problems.is_empty() && findings.is_empty() => return Ok(plan),
        Ok(_) => {}
        Err(found) => bind::add_unless_covered(&mut problems, found),
    }
    Err(Diagnostics::of_document(document, findings, problems))
}

impl Plan {
    /// The stages that run as implementations, each with its own.
    pub fn foreign(&self) -> impl Iterator<Item = (&PlannedStage, &Implementation)> {
        self.stages.iter().filter_map(|stage| match &stage.program {
            Program::Foreign(implementation) => Some((stage, implementation)),
            Program::Here | Program::BuiltIn => None,
        })
    }

    /// Checks a pipeline made in code against `kinds`; problems are shown by their path, and the folders of
    /// implementations begin in the working directory.
    pub fn from_spec(spec: &Spec, kinds: &[Arc<dyn Kind>]) -> Result<Plan, Diagnostics> {
        let json = serde_json::to_value(spec).expect("a spec holds nothing that JSON cannot");
        let mut problems = conform(&json, &spec_schema(), "the pipeline");
        let base = Base { folder: Path::new(""), directory: Path::new("") };
        match bind::plan(spec, base, &Registry::new(kinds)) {
            Ok(plan) if problems.is_empty() => return Ok(plan),
            Ok(_) => {}
            Err(found) => bind::add_unless_covered(&mut problems, found),
        }
        Err(Diagnostics::of_spec(&spec.pipeline, problems))
    }
}

/// Reads another YAML file into what it says; `name` stands for the whole of it in messages.
///
/// # Errors
/// All problems at once, each with its place.
pub fn read<T: DeserializeOwned + JsonSchema>(file: &str, text: &str, name: &str) -> Result<T, Diagnostics> {
    let mut findings = Vec::new();
    let Some(document) = Document::parse(file, text, &mut findings) else {
        return Err(Diagnostics::of_text(file, text, findings));
    };
    let json = document.json();
    let mut problems = conform(&json, &schemars::schema_for!(T).to_value(), name);
    if problems.is_empty() && findings.is_empty() {
        match serde_json::from_value(json) {
            Ok(read) => return Ok(read),
            Err(error) => problems.push(Problem::new(Code::WRONG_VALUE, error.to_string())),
        }
    }
    Err(Diagnostics::of_document(document, findings, problems))
}
