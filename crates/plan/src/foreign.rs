//! The columns of a stage whose code is in another program.
//!
//! What it is: what such a stage is sent and hands on, from its built-in kind where it has one, from what its author
//! declares, and from its place in the pipeline.
//!
//! ```text
//!   `use`   output: what the kind gives with all columns     uses: the implementation's, or the kind's
//!   `out`   output: as declared                              uses: the implementation's, or all
//!   neither output: its input                                uses: those, and what later stages want of it
//! ```
//!
//! Guarantees: an implementation hands on the same columns whatever later stages use, because its code is written
//! for them; only one that hands on what it gets may get less.
//!
//! Neighbours: `bind` calls it where a stage is placed as an implementation.

use arrow_schema::{Schema, SchemaRef};
use modrun_core::{Bound, Code, Columns, Concurrency, Open, Problem, Role, Type};

use crate::implementation::ImplementationSpec;
use crate::spec::StageSpec;

/// Binds an implementation of a kind. `full` is the kind bound wanting all columns, `pruned` wanting `wanted`.
pub(crate) fn bind_as_kind(
    full: Bound,
    pruned: Bound,
    own: &ImplementationSpec,
    input: Option<&SchemaRef>,
    wanted: &Columns,
) -> Bound {
    let hands_on_input = input.is_some() && full.output.as_ref() == input;
    let uses = match (&own.uses, hands_on_input) {
        (Some(uses), true) => wanted.clone().with(uses.iter().map(String::as_str)),
        (Some(uses), false) => uses.iter().collect(),
        (None, true) => pruned.uses,
        (None, false) => full.uses,
    };
    let concurrency = match full.concurrency {
        Concurrency::Stateless => Concurrency::Stateless,
        // Partial states do not leave a process.
        Concurrency::Mergeable | Concurrency::Ordered => Concurrency::Ordered,
    };
    Bound { output: full.output, uses, concurrency, open: Open::Elsewhere(full.open.role()) }
}

/// Binds a stage without a kind; `own` is the implementation that runs, if that is known.
pub(crate) fn bind_alone(
    name: &str,
    stage: &StageSpec,
    role: Role,
    own: Option<&ImplementationSpec>,
    input: Option<&SchemaRef>,
    wanted: &Columns,
) -> Result<Bound, Vec<Problem>> {
    let declared = stage.out.as_ref().map(|out| out.schema());
    let (output, hands_on_input) = match (role, declared) {
        (Role::Sink, _) => (None, false),
        (_, Some(declared)) => (Some(declared), false),
        (Role::Transform, None) => (input.cloned(), true),
        (Role::Source, None) => return Err(vec![missing_out(name)]),
    };
    let uses = match own.and_then(|own| own.uses.as_ref()) {
        Some(uses) if hands_on_input => wanted.clone().with(uses.iter().map(String::as_str)),
        Some(uses) => uses.iter().collect(),
        None if role == Role::Source => Columns::none(),
        None => Columns::All,
    };
    Ok(Bound { output, uses, concurrency: Concurrency::Ordered, open: Open::Elsewhere(role) })
}

fn missing_out(stage: &str) -> Problem {
    let message = "missing key `out`: a source without `use` says which columns it hands on";
    Problem::new(Code::MISSING_KEY, message)
        .with_hint("write `out: raw` for lines of text, or the columns such as `out: {id: int64, name: \"string?\"}`")
        .at(stage)
        .at("stages")
}

/// What is wrong with what `stage` declares: columns that no stage sends, or hands on.
pub(crate) fn check_declared(
    name: &str,
    stage: &StageSpec,
    input: Option<&SchemaRef>,
    bound: &Bound,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (own, spec) in &stage.implementations {
        for (index, column) in spec.uses.iter().flatten().enumerate() {
            let unknown = match input {
                Some(input) if input.field_with_name(column).is_ok() => continue,
                Some(input) => {
                    let known = input.fields().iter().map(|field| field.name().as_str());
                    Problem::new(Code::UNKNOWN_COLUMN, format!("there is no column `{column}` here"))
                        .with_nearest(column, known)
                }
                None => Problem::new(
                    Code::UNKNOWN_COLUMN,
                    format!("there is no column `{column}`: a source gets none"),
                )
                .with_hint("remove `uses`"),
            };
            let at = |problem: Problem| problem.at(index).at("uses").at(own.as_str()).at("or");
            problems.push(at(unknown).at(name).at("stages"));
        }
    }
    if let Some(declared) = stage.out.as_ref().filter(|_| stage.kind.is_some()).map(|out| out.schema()) {
        let word = stage.kind.as_deref().unwrap_or_default();
        let given = bound.output.as_ref().map(|output| shown(output));
        if given.as_ref() != Some(&shown(&declared)) {
            let message = format!("`out` is not what `{word}` hands on");
            let hint = match given {
                Some(given) => format!("remove `out`, or write `out: {{{given}}}`"),
                None => "remove `out`: a sink hands on nothing".to_owned(),
            };
            let problem = Problem::new(Code::OUTPUT_COLUMNS, message).with_hint(hint);
            problems.push(problem.on_key().at("out").at(name).at("stages"));
        }
    }
    problems
}

/// Columns as `out` has them.
fn shown(schema: &Schema) -> String {
    let column = |field: &std::sync::Arc<arrow_schema::Field>| {
        let word = Type::from_arrow(field.data_type()).map(|column_type| column_type.to_string());
        let word = word.unwrap_or_else(|| field.data_type().to_string());
        match field.is_nullable() {
            true => format!("{}: \"{word}?\"", field.name()),
            false => format!("{}: {word}", field.name()),
        }
    };
    schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
}
