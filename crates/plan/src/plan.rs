//! The checked pipeline, and the ways to it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use modrun_core::{Bound, Kind};
use serde_json::Value;

use crate::conform::conform;
use crate::diagnostics::Diagnostics;
use crate::document::Document;
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
    /// The word after `use:`.
    pub kind: String,
    /// How it runs.
    pub placement: Placement,
    /// The columns that it gets; `None` for the source.
    pub input: Option<SchemaRef>,
    /// The stage, ready to be opened.
    pub bound: Bound,
    /// Its configuration, for showing.
    pub with: Value,
}

/// What bounds a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// What a stage is opened with.
    pub stage: modrun_core::Limits,
    /// How many dead letters end the run; `None`: no number does.
    pub dead_letters: Option<DeadLetterLimit>,
}

/// Reads the pipeline in `text`, applies `overrides` (`stages.ingest.with.path=FILE`) and checks it against `kinds`.
///
/// `file` is the name that problems are shown under. Where there are problems, all of them are reported.
pub fn load(
    file: &str,
    text: &str,
    overrides: &[String],
    kinds: &[Arc<dyn Kind>],
) -> Result<Plan, Diagnostics> {
    let mut findings = Vec::new();
    let Some(mut document) = Document::parse(file, text, &mut findings) else {
        return Err(Diagnostics::of_text(file, text, findings));
    };
    overrides::apply(&mut document, overrides, &mut findings);

    let json = document.json();
    let mut problems = conform(&json, &spec_schema(), "the pipeline");
    match bind::plan(&Spec::salvage(&json), &Registry::new(kinds)) {
        Ok(plan) if problems.is_empty() && findings.is_empty() => return Ok(plan),
        Ok(_) => {}
        Err(found) => bind::add_unless_covered(&mut problems, found),
    }
    Err(Diagnostics::of_document(document, findings, problems))
}

impl Plan {
    /// Checks a pipeline made in code against `kinds`; problems are shown by their path.
    pub fn from_spec(spec: &Spec, kinds: &[Arc<dyn Kind>]) -> Result<Plan, Diagnostics> {
        let json = serde_json::to_value(spec).expect("a spec holds nothing that JSON cannot");
        let mut problems = conform(&json, &spec_schema(), "the pipeline");
        match bind::plan(spec, &Registry::new(kinds)) {
            Ok(plan) if problems.is_empty() => return Ok(plan),
            Ok(_) => {}
            Err(found) => bind::add_unless_covered(&mut problems, found),
        }
        Err(Diagnostics::of_spec(&spec.pipeline, problems))
    }
}
