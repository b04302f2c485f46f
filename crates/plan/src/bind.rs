//! From a spec to a plan: finds each stage's kind, binds it to its columns, and prunes what nobody wants.
//!
//! What it is: three passes over the chain. Forward with all columns there are, which finds every problem; backward
//! with what each later stage uses; forward again with the columns that remain.
//!
//! Guarantees: a stage behind one that failed is checked as far as its configuration goes, and no further, so that
//! one mistake is one problem.
//!
//! ```text
//!   All columns   source ──▶ parse ──▶ filter ──▶ sink
//!   wanted               ◀──       ◀──        ◀──  uses
//!   pruned        source ──▶ parse ──▶ filter ──▶ sink   = Plan
//! ```
//!
//! Neighbours: `graph` has the edges, `conform` checks a configuration without columns.

use arrow_schema::SchemaRef;
use modrun_core::{Bound, Code, Columns, Problem, Role, Segment, Size};
use serde_json::Value;

use crate::conform::conform;
use crate::graph::{Graph, at_from, at_stage};
use crate::plan::{Limits, Plan, PlannedStage};
use crate::registry::{Known, Registry};
use crate::spec::{Spec, StageSpec};

/// Checks and binds `spec`, or reports everything that is wrong but for what its JSON Schema says.
pub(crate) fn plan(spec: &Spec, registry: &Registry) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    check_names(spec, &mut problems);
    let graph = Graph::new(spec, &mut problems);
    let stages = Stages::resolve(spec, graph, registry, &mut problems);
    stages.check_chain(&mut problems);
    let bound = stages.bind_all_columns(&mut problems);
    // A stage may be unbound without a problem of its own: its JSON Schema says what is wrong.
    let Some(bound) = bound.into_iter().collect::<Option<Vec<Bound>>>().filter(|_| problems.is_empty())
    else {
        return Err(problems);
    };
    let wanted = stages.wanted(&bound)?;
    let limits = Limits {
        stage: spec
            .limits
            .line
            .map(|Size(line_bytes)| modrun_core::Limits { line_bytes })
            .unwrap_or_default(),
        dead_letters: spec.limits.dead_letters,
    };
    let stages = stages.bind_wanted(&wanted)?;
    Ok(Plan { pipeline: spec.pipeline.clone(), stages, parallelism: spec.parallelism, limits })
}

/// Adds `found` to `problems`, but for those about a value that is known to be wrong as a whole.
pub(crate) fn add_unless_covered(problems: &mut Vec<Problem>, found: Vec<Problem>) {
    let wrong: Vec<Vec<Segment>> =
        problems.iter().filter(|p| p.code == Code::WRONG_VALUE).map(|p| p.path.clone()).collect();
    problems.extend(found.into_iter().filter(|p| !wrong.iter().any(|path| p.path.starts_with(path))));
}

fn check_names(spec: &Spec, problems: &mut Vec<Problem>) {
    if spec.stages.contains_key("") {
        problems.push(at_stage("", Code::WRONG_VALUE, "the name of a stage must not be empty"));
    }
    for name in spec.placement.keys().filter(|name| !spec.stages.contains_key(*name)) {
        problems.push(
            Problem::new(Code::UNKNOWN_STAGE, format!("there is no stage `{name}`"))
                .with_nearest(name, spec.stages.keys().map(String::as_str))
                .on_key()
                .at(name.as_str())
                .at("placement"),
        );
    }
}

/// The stages of a spec with their kinds, as far as they are known.
struct Stages<'a> {
    spec: &'a Spec,
    graph: Graph,
    kinds: Vec<Option<&'a Known>>,
}

impl<'a> Stages<'a> {
    fn resolve(spec: &'a Spec, graph: Graph, registry: &'a Registry, problems: &mut Vec<Problem>) -> Self {
        let mut stages = Self { spec, graph, kinds: Vec::new() };
        for index in 0..spec.stages.len() {
            let kind = stages.kind(index, registry).unwrap_or_else(|problem| {
                // The stage before it in the file has a reader, as soon as this one is mended.
                stages.graph.incomplete |= problem.code == Code::MISSING_KEY;
                problems.push(*problem);
                None
            });
            stages.graph.incomplete |= spec.stages[index].kind.is_empty();
            stages.kinds.push(kind);
        }
        stages
    }

    /// The kind of a stage by its word and place; `None` where the word is missing, which is reported elsewhere.
    fn kind(&self, index: usize, registry: &'a Registry) -> Result<Option<&'a Known>, Box<Problem>> {
        let (name, StageSpec { kind: word, from, .. }) = self.stage(index);
        let roles: &[Role] = match (from.is_some(), self.graph.readers[index].is_empty()) {
            (false, _) => &[Role::Source],
            (true, false) => &[Role::Transform, Role::Sink],
            (true, true) => &[Role::Sink, Role::Transform],
        };
        if let Some(known) = roles.iter().find_map(|role| registry.get(word, *role)) {
            return Ok(Some(known));
        }
        Err(Box::new(if word.is_empty() {
            return Ok(None);
        } else if !registry.has(word) {
            registry.unknown(word, roles).at("use").at(name).at("stages")
        } else if from.is_some() {
            at_from(name, Code::NOT_A_CHAIN, format!("`{word}` is a source: it reads from no stage"))
                .with_hint("remove `from`")
        } else {
            let problem =
                Problem::new(Code::MISSING_KEY, format!("missing key `from`: `{word}` reads from a stage"));
            let before = index.checked_sub(1).map(|before| format!("add `from: {}`", self.stage(before).0));
            let hint = before.unwrap_or_else(|| "a pipeline begins with a source".to_owned());
            problem.with_hint(hint).at(name).at("stages")
        }))
    }

    /// Whether the kinds stand at their places: one source first, one sink last.
    fn check_chain(&self, problems: &mut Vec<Problem>) {
        let mut first_source = None;
        for index in 0..self.kinds.len() {
            let Some(known) = self.kinds[index] else { continue };
            let (name, StageSpec { kind: word, .. }) = self.stage(index);
            let readers = &self.graph.readers[index];
            match (known.description.role, first_source) {
                (Role::Source, Some(first)) => {
                    let message = format!("stage `{name}` is a second source beside `{first}`");
                    let hint = "the stages form one chain: several sources are not supported yet";
                    problems.push(at_stage(name, Code::NOT_A_CHAIN, message).with_hint(hint));
                    continue;
                }
                (Role::Source, None) => first_source = Some(name),
                (Role::Transform, _) => {}
                (Role::Sink, _) => {
                    problems.extend(readers.iter().map(|reader| {
                        let message = format!("stage `{name}` is a sink: no stage can read from `{word}`");
                        at_from(self.stage(*reader).0, Code::NOT_A_CHAIN, message)
                    }));
                    continue;
                }
            }
            if readers.is_empty() && !self.graph.incomplete {
                let message = format!("no stage reads from `{name}`, and it is not a sink");
                let hint = "let a stage read from it; the last one is a sink";
                problems.push(at_stage(name, Code::NOT_A_CHAIN, message).with_hint(hint));
            }
        }
    }

    /// Binds each stage to all the columns that the one before it gives, as far as that one could be bound.
    fn bind_all_columns(&self, problems: &mut Vec<Problem>) -> Vec<Option<Bound>> {
        let mut fits = vec![false; self.kinds.len()];
        for (index, kind) in self.kinds.iter().enumerate() {
            let Some(kind) = kind else { continue };
            let (name, stage) = self.stage(index);
            let config = Value::Object(stage.with.clone());
            let found = conform(&config, kind.description.config.as_value(), "`with`");
            fits[index] = found.is_empty();
            problems.extend(within_stage(name, found));
        }
        let mut bound: Vec<Option<Bound>> = self.kinds.iter().map(|_| None).collect();
        for index in self.graph.order.iter().copied().filter(|index| fits[*index]) {
            let input = match self.graph.from[index] {
                None => None,
                Some(from) => match bound[from].as_ref().and_then(|b| b.output.clone()) {
                    Some(input) => Some(input),
                    None => continue,
                },
            };
            match self.bind(index, input.as_ref(), &Columns::All) {
                Ok(stage) => bound[index] = Some(stage),
                Err(found) => problems.extend(found),
            }
        }
        bound
    }

    /// What the stages behind each stage want of it, by its place in the chain: the backward pass.
    fn wanted(&self, bound: &[Bound]) -> Result<Vec<Columns>, Vec<Problem>> {
        let mut wanted = vec![Columns::none(); self.graph.order.len()];
        for place in (1..wanted.len()).rev() {
            let before = self.graph.order[place - 1];
            let input = bound[before].output.as_ref();
            wanted[place - 1] = self.bind_again(place, input, &wanted[place])?.uses;
        }
        Ok(wanted)
    }

    /// Binds each stage to the columns that are left.
    fn bind_wanted(&self, wanted: &[Columns]) -> Result<Vec<PlannedStage>, Vec<Problem>> {
        let mut planned: Vec<PlannedStage> = Vec::new();
        for (place, wanted) in wanted.iter().enumerate() {
            let input = planned.last().and_then(|before| before.bound.output.clone());
            let bound = self.bind_again(place, input.as_ref(), wanted)?;
            let (name, stage) = self.stage(self.graph.order[place]);
            planned.push(PlannedStage {
                name: name.to_owned(),
                kind: stage.kind.clone(),
                placement: self.spec.placement.get(name).copied().unwrap_or_default(),
                input,
                bound,
                with: Value::Object(stage.with.clone()),
            });
        }
        Ok(planned)
    }

    /// Binds a stage that could be bound to all columns; if it now cannot, its kind is at fault.
    fn bind_again(
        &self,
        place: usize,
        input: Option<&SchemaRef>,
        wanted: &Columns,
    ) -> Result<Bound, Vec<Problem>> {
        let index = self.graph.order[place];
        let blamed = |problem: Problem| {
            let hint =
                "this is a defect of the kind of stage: it takes all columns, but not those that are used";
            problem.with_hint(hint)
        };
        self.bind(index, input, wanted).map_err(|problems| problems.into_iter().map(blamed).collect())
    }

    fn bind(&self, index: usize, input: Option<&SchemaRef>, wanted: &Columns) -> Result<Bound, Vec<Problem>> {
        let (name, stage) = self.stage(index);
        let known = self.kinds[index].expect("only stages whose kind is known are bound");
        let config = Value::Object(stage.with.clone());
        let bound = known.kind.bind(&config, input, wanted).map_err(|found| within_stage(name, found))?;
        let role = known.description.role;
        if bound.open.role() == role && bound.output.is_some() == (role != Role::Sink) {
            return Ok(bound);
        }
        let message =
            format!("`{}` says that it is a {role:?} but is bound as another", stage.kind).to_lowercase();
        Err(vec![at_stage(name, Code::STAGE, message)])
    }

    fn stage(&self, index: usize) -> (&'a str, &'a StageSpec) {
        let (name, stage) = self.spec.stages.get_index(index).expect("a number of a stage");
        (name, stage)
    }
}

/// Problems of a configuration, by path from the root of the file.
fn within_stage(stage: &str, problems: Vec<Problem>) -> Vec<Problem> {
    problems.into_iter().map(|problem| problem.at("with").at(stage).at("stages")).collect()
}
