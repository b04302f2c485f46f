//! What the stages under test are: their roles and the columns that they have by themselves.
//!
//! Neighbours: `STAGES.md` says it in words; `reference` says what they do.

use indexmap::IndexMap;
use modrun_core::{Concurrency, Role, Type};

use crate::case::Case;
use crate::value::{Column, Columns, columns};
use crate::{Error, Result};

/// A stage under test, with the columns of one case.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) role: Role,
    pub(crate) concurrency: Concurrency,
    /// Nothing for a source.
    pub(crate) input: Option<Columns>,
    /// Nothing for a sink.
    pub(crate) output: Option<Columns>,
}

const STATELESS: [&str; 14] = [
    "echo",
    "keep_even",
    "select",
    "duplicate",
    "derive",
    "fail_on",
    "fail_batch",
    "fail_open",
    "config",
    "log",
    "slow",
    "spin",
    "async",
    "lines",
];

impl Stage {
    /// The stage of `case`.
    pub(crate) fn of(case: &Case) -> Result<Self> {
        let name = case.stage.as_str();
        let role = role(name)?;
        let concurrency =
            if STATELESS.contains(&name) { Concurrency::Stateless } else { Concurrency::Ordered };
        let written = |written: &Option<IndexMap<String, String>>| written.as_ref().map(columns).transpose();
        let input = match (role, written(&case.input)?) {
            (Role::Source, _) => None,
            (_, Some(columns)) => Some(columns),
            (_, None) => Some(own_input(name)),
        };
        let output = match (role, written(&case.output)?) {
            (Role::Sink, _) => None,
            (_, Some(columns)) => Some(columns),
            (_, None) => Some(own_output(name).or_else(|| input.clone()).unwrap_or_default()),
        };
        Ok(Self { role, concurrency, input, output })
    }
}

fn role(name: &str) -> Result<Role> {
    Ok(match name {
        "numbers" | "endless" | "fail_source" | "slow_numbers" => Role::Source,
        "lines" | "fail_sink" | "slow_sink" => Role::Sink,
        "fatal_on" | "fail_finish" | "count" | "sum" | "delay" | "slow_end" => Role::Transform,
        name if STATELESS.contains(&name) => Role::Transform,
        name => return Err(Error::Case(format!("`{name}` is none of the stages in STAGES.md"))),
    })
}

fn own_input(name: &str) -> Columns {
    match name {
        "derive" => list(&[
            ("n", Type::Int64, true),
            ("s", Type::String, true),
            ("x", Type::Float64, true),
            ("b", Type::Bool, true),
            ("t", Type::Timestamp, true),
            ("r", Type::Binary, true),
        ]),
        "count" => list(&[("s", Type::String, true)]),
        "sum" => list(&[("n", Type::Int64, false)]),
        _ => list(&[("n", Type::Int64, true), ("s", Type::String, true)]),
    }
}

fn own_output(name: &str) -> Option<Columns> {
    let columns = match name {
        "numbers" | "endless" | "fail_source" | "slow_numbers" => {
            list(&[("n", Type::Int64, false), ("s", Type::String, false)])
        }
        "derive" => list(&[
            ("n2", Type::Int64, true),
            ("s2", Type::String, true),
            ("x2", Type::Float64, true),
            ("b2", Type::Bool, true),
            ("t2", Type::Timestamp, true),
            ("r2", Type::Binary, true),
        ]),
        "count" => list(&[("key", Type::String, true), ("count", Type::Int64, false)]),
        "sum" => list(&[("sum", Type::Int64, false)]),
        "spin" => list(&[("s", Type::String, true), ("wall", Type::Int64, false)]),
        "config" => list(&[
            ("text", Type::String, false),
            ("number", Type::Float64, false),
            ("whole", Type::Int64, false),
            ("flag", Type::Bool, false),
            ("list", Type::Int64, false),
            ("nested", Type::String, false),
        ]),
        _ => return None,
    };
    Some(columns)
}

fn list(columns: &[(&str, Type, bool)]) -> Columns {
    let column = |&(name, data_type, nullable): &(&str, Type, bool)| Column {
        name: name.to_owned(),
        data_type,
        nullable,
    };
    columns.iter().map(column).collect()
}
