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
use modrun_core::{Bound, Code, Columns, Concurrency, Description, Problem, Role, Segment, Size, raw_schema};
use serde_json::Value;

use crate::batching::Span;
use crate::conform::conform;
use crate::foreign;
use crate::graph::{Graph, at_from, at_stage};
use crate::implementation::{Base, Implementation};
use crate::place::{Placed, place};
use crate::plan::{Limits, Plan, PlannedStage};
use crate::registry::{Known, Registry};
use crate::spec::{Spec, StageSpec};

/// What a table of one raw line has beside the line, and room to spare: heads of columns, offsets, the source's name.
const TABLE_BYTES_MAX: u64 = 64 << 10;

/// Checks and binds `spec`, or reports everything that is wrong but for what its JSON Schema says.
pub(crate) fn plan(spec: &Spec, base: Base<'_>, registry: &Registry) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    if spec.stages.contains_key("") {
        problems.push(at_stage("", Code::WRONG_VALUE, "the name of a stage must not be empty"));
    }
    let graph = Graph::new(spec, &mut problems);
    let placed = place(spec, &mut problems);
    let stages = Stages::resolve(spec, graph, placed, registry, &mut problems);
    stages.check_chain(&mut problems);
    let limits = limits(spec);
    let bound = stages.bind_all_columns(&mut problems);
    problems.extend(stages.check_segment(&bound, &limits));
    stages.check_parallelism(&bound, &mut problems);
    // A stage may be unbound or without a place and have no problem here: its JSON Schema says what is wrong.
    let is_sound = problems.is_empty() && stages.placed.iter().all(Option::is_some);
    let Some(bound) = bound.into_iter().collect::<Option<Vec<Bound>>>().filter(|_| is_sound) else {
        return Err(problems);
    };
    let wanted = stages.wanted(&bound)?;
    let stages = stages.bind_wanted(&wanted, base)?;
    Ok(Plan { pipeline: spec.pipeline.clone(), stages, parallelism: spec.parallelism, limits })
}

/// Adds `found` to `problems`, but for those about a value that is known to be wrong as a whole.
pub(crate) fn add_unless_covered(problems: &mut Vec<Problem>, found: Vec<Problem>) {
    let wrong: Vec<Vec<Segment>> =
        problems.iter().filter(|p| p.code == Code::WRONG_VALUE).map(|p| p.path.clone()).collect();
    let is_covered = |problem: &Problem| {
        // What `placement` should say, wherever that is shown, is not to be known while it cannot be read.
        let covers = |path: &Vec<Segment>| {
            problem.path.starts_with(path)
                || problem.code == Code::PLACEMENT && *path == [Segment::from("placement")]
        };
        wrong.iter().any(covers)
    };
    problems.extend(found.into_iter().filter(|problem| !is_covered(problem)));
}

fn limits(spec: &Spec) -> Limits {
    let (given, mut limits) =
        (&spec.limits, Limits { dead_letters: spec.limits.dead_letters, ..Limits::default() });
    if let Some(Size(line_bytes)) = given.line {
        limits.stage = modrun_core::Limits { line_bytes };
    }
    if let Some(Size(segment)) = given.segment {
        limits.segment = segment;
    }
    if let Some(Span(start)) = given.start {
        limits.start = start;
    }
    let window = given.window.unwrap_or_default();
    if let Some(batches) = window.batches {
        limits.window.batches = batches.get();
    }
    if let Some(Size(bytes)) = window.bytes {
        limits.window.bytes = bytes;
    }
    limits
}

/// The stages of a spec with their kinds, as far as they are known.
struct Stages<'a> {
    spec: &'a Spec,
    graph: Graph,
    /// How each stage runs, as far as that can be made out.
    placed: Vec<Option<Placed<'a>>>,
    kinds: Vec<Option<&'a Known>>,
}

impl<'a> Stages<'a> {
    fn resolve(
        spec: &'a Spec,
        graph: Graph,
        placed: Vec<Option<Placed<'a>>>,
        registry: &'a Registry,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut stages = Self { spec, graph, placed, kinds: Vec::new() };
        for index in 0..spec.stages.len() {
            let kind = stages.kind(index, registry).unwrap_or_else(|problem| {
                // The stage before it in the file has a reader, as soon as this one is mended.
                stages.graph.incomplete |= problem.code == Code::MISSING_KEY;
                problems.push(*problem);
                None
            });
            stages.graph.incomplete |= spec.stages[index].kind.as_deref() == Some("");
            stages.kinds.push(kind);
        }
        stages
    }

    /// The kind of a stage by its word and place; `None` where there are only implementations, or where the word
    /// cannot be made out, which is reported elsewhere.
    fn kind(&self, index: usize, registry: &'a Registry) -> Result<Option<&'a Known>, Box<Problem>> {
        let (name, StageSpec { kind, from, implementations, .. }) = self.stage(index);
        let Some(word) = kind else {
            if !implementations.is_empty() {
                return Ok(None);
            }
            let problem = Problem::new(Code::MISSING_KEY, "missing key `use`");
            let hint = "`use`: the kind of stage; or give it a program of its own with `or`";
            return Err(Box::new(problem.with_hint(hint).at(name).at("stages")));
        };
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

    /// What a stage is: by its kind, or by its place where it has none. `None` where its kind is not known.
    fn role(&self, index: usize) -> Option<Role> {
        let (_, stage) = self.stage(index);
        match (self.kinds[index], &stage.kind) {
            (Some(known), _) => Some(known.description.role),
            (None, Some(_)) => None,
            (None, None) if stage.implementations.is_empty() => None,
            (None, None) if stage.from.is_none() => Some(Role::Source),
            (None, None) if self.graph.readers[index].is_empty() && stage.out.is_none() => Some(Role::Sink),
            (None, None) => Some(Role::Transform),
        }
    }

    /// Whether the stages stand at their places: one source first, one sink last.
    fn check_chain(&self, problems: &mut Vec<Problem>) {
        let mut first_source = None;
        for index in 0..self.kinds.len() {
            let Some(role) = self.role(index) else { continue };
            let (name, stage) = self.stage(index);
            let readers = &self.graph.readers[index];
            match (role, first_source) {
                (Role::Source, Some(first)) => {
                    let message = format!("stage `{name}` is a second source beside `{first}`");
                    let hint = "the stages form one chain: several sources are not supported yet";
                    problems.push(at_stage(name, Code::NOT_A_CHAIN, message).with_hint(hint));
                    continue;
                }
                (Role::Source, None) => first_source = Some(name),
                (Role::Transform, _) => {}
                (Role::Sink, _) => {
                    if stage.batch.is_some() {
                        let message = format!("stage `{name}` is a sink, which sends no batches");
                        let problem = Problem::new(Code::WRONG_VALUE, message)
                            .with_hint("remove `batch`; that of the stage before is for what the sink gets");
                        problems.push(problem.on_key().at("batch").at(name).at("stages"));
                    }
                    let word = stage.kind.as_deref().unwrap_or_default();
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
            let (name, stage) = self.stage(index);
            let Some(kind) = kind else {
                fits[index] = self.role(index).is_some();
                continue;
            };
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
                Ok(stage) => {
                    let (name, spec) = self.stage(index);
                    problems.extend(foreign::check_declared(name, spec, input.as_ref(), &stage));
                    bound[index] = Some(stage);
                }
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
    fn bind_wanted(&self, wanted: &[Columns], base: Base<'_>) -> Result<Vec<PlannedStage>, Vec<Problem>> {
        let mut planned: Vec<PlannedStage> = Vec::new();
        for (place, wanted) in wanted.iter().enumerate() {
            let input = planned.last().and_then(|before| before.bound.output.clone());
            let bound = self.bind_again(place, input.as_ref(), wanted)?;
            let index = self.graph.order[place];
            let (name, stage) = self.stage(index);
            let placed = self.placed[index].expect("a stage whose placement is unknown is a problem");
            let config = self.kinds[index].map(|known| known.description.config.as_value());
            planned.push(PlannedStage {
                name: name.to_owned(),
                kind: stage.kind.clone(),
                placement: placed.word(),
                program: placed.program(stage, config, base),
                implementations: Implementation::all(stage, config, base),
                input,
                bound,
                with: Value::Object(stage.with.clone()),
                batch: stage.batch.or(self.spec.batch).unwrap_or_default().into(),
                parallelism: stage.parallelism,
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
        let own = match self.placed[index] {
            Some(Placed::Foreign(_, own)) => Some(own),
            _ => None,
        };
        match (self.kinds[index], own) {
            (Some(known), None) => bind_kind(name, stage, known, input, wanted),
            (Some(known), Some(own)) => {
                let full = bind_kind(name, stage, known, input, &Columns::All)?;
                let pruned = bind_kind(name, stage, known, input, wanted)?;
                Ok(foreign::bind_as_kind(full, pruned, own, input, wanted))
            }
            (None, own) => {
                let role = self.role(index).expect("only stages that are something are bound");
                foreign::bind_alone(name, stage, role, own, input, wanted)
            }
        }
    }

    /// A line of raw text is never split, so that the longest one must fit into a segment.
    fn check_segment(&self, bound: &[Option<Bound>], limits: &Limits) -> Option<Problem> {
        let is_here = |index: usize| matches!(self.placed[index], Some(Placed::Here) | None);
        let crossing = self.graph.order.iter().find_map(|index| {
            let from = self.graph.from[*index]?;
            let output = bound[from].as_ref()?.output.as_ref()?;
            (*output == raw_schema() && !(is_here(*index) && is_here(from))).then_some((from, *index))
        });
        let (from, to) = crossing?;
        let (line, segment) = (limits.stage.line_bytes, limits.segment);
        if segment >= line.saturating_add(TABLE_BYTES_MAX) {
            return None;
        }
        let (from, to) = (self.stage(from).0, self.stage(to).0);
        let message = format!(
            "a line of {} does not fit into a segment of {} on its way from `{from}` to `{to}`",
            Size(line),
            Size(segment)
        );
        let least = Size(line.saturating_add(TABLE_BYTES_MAX).next_multiple_of(1 << 20));
        let key = if self.spec.limits.segment.is_some() { "segment" } else { "line" };
        let hint = format!("set `limits.segment` to {least} or more, or `limits.line` to less");
        Some(Problem::new(Code::WRONG_VALUE, message).with_hint(hint).at(key).at("limits"))
    }

    /// Whether each stage that is to be shared can be.
    fn check_parallelism(&self, bound: &[Option<Bound>], problems: &mut Vec<Problem>) {
        for (index, bound) in bound.iter().enumerate() {
            let (name, stage) = self.stage(index);
            let Some(bound) = bound.as_ref().filter(|_| stage.parallelism.is_some_and(|n| n.get() > 1))
            else {
                continue;
            };
            // Whether a stage without a kind needs order is known once it runs.
            let reason = match (bound.open.role(), bound.concurrency) {
                (Role::Source, _) => "a source is one",
                (Role::Sink, _) => "a sink is one",
                (_, Concurrency::Ordered) if stage.kind.is_some() => "it needs all events in their order",
                _ => continue,
            };
            let message = format!("stage `{name}` cannot be shared: {reason}");
            let problem = Problem::new(Code::WRONG_VALUE, message).with_hint("remove `parallelism`");
            problems.push(problem.at("parallelism").at(name).at("stages"));
        }
    }

    fn stage(&self, index: usize) -> (&'a str, &'a StageSpec) {
        let (name, stage) = self.spec.stages.get_index(index).expect("a number of a stage");
        (name, stage)
    }
}

/// Binds a stage as its kind.
fn bind_kind(
    name: &str,
    stage: &StageSpec,
    known: &Known,
    input: Option<&SchemaRef>,
    wanted: &Columns,
) -> Result<Bound, Vec<Problem>> {
    let config = Value::Object(stage.with.clone());
    let bound = known.kind.bind(&config, input, wanted).map_err(|found| within_stage(name, found))?;
    let Description { word, role, .. } = &known.description;
    if bound.open.role() == *role && bound.output.is_some() == (*role != Role::Sink) {
        return Ok(bound);
    }
    let message = format!("`{word}` says that it is a {role:?} but is bound as another").to_lowercase();
    Err(vec![at_stage(name, Code::STAGE, message)])
}

/// Problems of a configuration, by path from the root of the file.
fn within_stage(stage: &str, problems: Vec<Problem>) -> Vec<Problem> {
    problems.into_iter().map(|problem| problem.at("with").at(stage).at("stages")).collect()
}
