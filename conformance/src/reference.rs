//! What each stage under test must do: slow, simple, and in no way like an SDK.
//!
//! What it is: [`reference()`], from a stage's config and its input batches to everything that must come out of them.
//!
//! Guarantees: it works on single cells of [`Value`]; no column, no table and no codec is involved.
//!
//! Neighbours: `STAGES.md` says the same in words; `verdict` compares.

use std::collections::{BTreeMap, HashSet};

use modrun_core::Type;
use serde_json::Value as Json;

use crate::case::{Failure, Form, Kind};
use crate::json_line;
use crate::stages::Stage;
use crate::value::{Row, Value};
use crate::{Error, Result};

/// 2^53: from here on, a number of ECMAScript may stand for several whole numbers.
const EXACT_MAX: u64 = 1 << 53;

/// One row that the stage must emit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Emitted {
    /// The batch that must have caused it; nothing, if the protocol leaves that open.
    pub(crate) batch: Option<usize>,
    /// The row of the whole input that it was made from.
    pub(crate) source: Option<usize>,
    pub(crate) row: Row,
}

/// Everything that must come out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    /// In this order.
    pub(crate) emitted: Vec<Emitted>,
    /// Events that fail: their rows in the whole input and what their messages hold.
    pub(crate) failed: Vec<(usize, String)>,
    /// Rows of the input that may also fail, by a documented limit of the language.
    pub(crate) may_fail: HashSet<usize>,
    /// Events dropped on purpose, where the protocol says what counts as such.
    pub(crate) filtered: Option<u64>,
    /// How the stage as a whole fails.
    pub(crate) failure: Option<Failure>,
    /// Whether a stage that ends early may have emitted less.
    pub(crate) beginning: bool,
    /// Rows of a source, which [`number`] tells; `emitted` is empty then.
    pub(crate) numbers: u64,
    /// What a sink writes.
    pub(crate) lines: Option<Vec<String>>,
}

/// What is known of a run.
pub(crate) struct Question<'q> {
    pub(crate) name: &'q str,
    pub(crate) form: Form,
    pub(crate) stage: &'q Stage,
    pub(crate) config: &'q Json,
    pub(crate) batches: &'q [Vec<Row>],
    /// Whether whole numbers beyond 2^53 may fail in the per-event form.
    pub(crate) safe_int64: bool,
}

/// What must come of the batches.
pub(crate) fn reference(question: &Question<'_>) -> Result<Reference> {
    let mut reference = match question.name {
        "numbers" | "endless" | "fail_source" | "slow_numbers" => return source(question),
        "lines" | "fail_sink" | "slow_sink" => sink(question),
        "count" => count(question),
        "sum" => sum(question)?,
        "fail_open" => Reference { failure: failure("no luck"), ..Reference::default() },
        _ => each(question)?,
    };
    if question.safe_int64 && question.form == Form::Event {
        reference.may_fail = beyond_exact(question);
    }
    Ok(reference)
}

/// The row `n` of the sources.
pub(crate) fn number(n: u64) -> Row {
    vec![Value::Int64(n as i64), Value::String(format!("s{}", n % 10))]
}

fn failure(message: &str) -> Option<Failure> {
    Some(Failure { kind: Kind::Stage, message: message.to_owned() })
}

/// Stages that look at one event after the other.
fn each(question: &Question<'_>) -> Result<Reference> {
    let Question { name, form, config, .. } = *question;
    let mut reference = Reference { filtered: Some(0), ..Reference::default() };
    let wanted = config.get("n").and_then(Json::as_i64);
    let meets = |row: &Row| wanted.is_some() && cell(question, row, "n") == wanted.map(Value::Int64);
    let mut index = 0;
    for (batch, rows) in question.batches.iter().enumerate() {
        let whole_batch_fails = name == "fail_batch" && rows.iter().any(meets);
        for row in rows {
            let source = index;
            index += 1;
            if whole_batch_fails {
                reference.failed.push((source, String::new()));
                continue;
            }
            if name == "fail_on" && meets(row) {
                reference.failed.push((source, format!("bad n: {}", wanted.unwrap_or_default())));
                continue;
            }
            if name == "fatal_on" && meets(row) {
                reference.failure = Some(Failure { kind: Kind::Stage, message: String::new() });
                reference.beginning = true;
                reference.filtered = None;
                return Ok(reference);
            }
            let made = one(question, row)?;
            if made.is_empty() {
                reference.filtered = reference.filtered.map(|filtered| filtered + 1);
            }
            let cause = (name != "delay").then_some(batch);
            let emitted = |row| Emitted { batch: cause, source: Some(source), row };
            reference.emitted.extend(made.into_iter().map(emitted));
        }
    }
    // A batch handler that makes a shorter table says nothing of events that it dropped.
    if form == Form::Batch && matches!(name, "select" | "duplicate") {
        reference.filtered = None;
    }
    if name == "fail_finish" {
        reference.failure = failure("too late");
    }
    Ok(reference)
}

/// The rows that one row becomes.
fn one(question: &Question<'_>, row: &Row) -> Result<Vec<Row>> {
    let rows = match question.name {
        "keep_even" | "select" => match cell(question, row, "n") {
            Some(Value::Int64(n)) if n % 2 == 0 => vec![row.clone()],
            _ => Vec::new(),
        },
        "duplicate" => {
            let times = question.config["times"].as_u64().unwrap_or_default();
            (0..times).map(|_| row.clone()).collect()
        }
        "derive" => vec![row.iter().map(derived).collect()],
        "config" => vec![configured(question.config)?],
        // How long it took is taken out of the rows before they are compared.
        "spin" => vec![vec![cell(question, row, "s").unwrap_or(Value::Null), Value::Int64(0)]],
        _ => vec![row.clone()],
    };
    Ok(rows)
}

fn derived(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Int64(n) => n.checked_add(1).map_or(Value::Null, Value::Int64),
        Value::String(s) => Value::String(format!("{s}!")),
        Value::Float64(bits) => crate::value::float(f64::from_bits(*bits) / 2.0),
        Value::Bool(b) => Value::Bool(!b),
        Value::Timestamp(t) => Value::Timestamp(t + 1_000_000),
        Value::Binary(r) => Value::Binary(r.iter().rev().copied().collect()),
    }
}

fn configured(config: &Json) -> Result<Row> {
    let missing = || Error::Case("the config of the stage `config` lacks a member".to_owned());
    let text = |value: &Json| value.as_str().map(|text| Value::String(text.to_owned())).ok_or_else(missing);
    Ok(vec![
        text(&config["text"])?,
        config["number"].as_f64().map(crate::value::float).ok_or_else(missing)?,
        config["whole"].as_i64().map(Value::Int64).ok_or_else(missing)?,
        config["flag"].as_bool().map(Value::Bool).ok_or_else(missing)?,
        Value::Int64(config["list"].as_array().ok_or_else(missing)?.len() as i64),
        text(&config["nested"]["a"])?,
    ])
}

fn count(question: &Question<'_>) -> Reference {
    // Null is the first variant, and Rust compares texts by their UTF-8 bytes.
    let mut counts: BTreeMap<Value, i64> = BTreeMap::new();
    for row in question.batches.iter().flatten() {
        let key = cell(question, row, "s").unwrap_or(Value::Null);
        *counts.entry(key).or_default() += 1;
    }
    let emitted = |(key, count)| Emitted { batch: None, source: None, row: vec![key, Value::Int64(count)] };
    Reference {
        emitted: counts.into_iter().map(emitted).collect(),
        filtered: Some(0),
        ..Reference::default()
    }
}

fn sum(question: &Question<'_>) -> Result<Reference> {
    let mut reference = Reference { filtered: Some(0), ..Reference::default() };
    let mut total: i64 = 0;
    for rows in question.batches {
        for row in rows {
            let Some(Value::Int64(n)) = cell(question, row, "n") else {
                return Err(Error::Case("the stage `sum` needs a number in every row".to_owned()));
            };
            let Some(next) = total.checked_add(n) else {
                reference.failure = failure("");
                reference.beginning = true;
                reference.filtered = None;
                return Ok(reference);
            };
            total = next;
        }
        if !rows.is_empty() {
            let row = vec![Value::Int64(total)];
            reference.emitted.push(Emitted { batch: None, source: None, row });
        }
    }
    Ok(reference)
}

fn source(question: &Question<'_>) -> Result<Reference> {
    let member = |name: &str| {
        let needs = || Error::Case(format!("the stage `{}` needs `{name}`", question.name));
        question.config[name].as_u64().ok_or_else(needs)
    };
    Ok(match question.name {
        "endless" => Reference { numbers: u64::MAX, beginning: true, ..Reference::default() },
        "fail_source" => {
            let failure = failure("dry");
            Reference { numbers: member("fail")?, beginning: true, failure, ..Reference::default() }
        }
        _ => Reference { numbers: member("count")?, ..Reference::default() },
    })
}

fn sink(question: &Question<'_>) -> Reference {
    if question.name == "fail_sink" {
        return Reference { failure: failure("disk on fire"), ..Reference::default() };
    }
    if question.name == "slow_sink" {
        return Reference { filtered: Some(0), ..Reference::default() };
    }
    let columns = question.stage.input.as_deref().unwrap_or_default();
    let lines = question.batches.iter().flatten().map(|row| json_line::write(columns, row)).collect();
    Reference { lines: Some(lines), filtered: Some(0), ..Reference::default() }
}

/// Rows with a whole number that a number of ECMAScript cannot be relied on to hold.
fn beyond_exact(question: &Question<'_>) -> HashSet<usize> {
    let beyond = |value: &Value| matches!(value, Value::Int64(n) if n.unsigned_abs() >= EXACT_MAX);
    let rows = question.batches.iter().flatten().enumerate();
    rows.filter(|(_, row)| row.iter().any(beyond)).map(|(index, _)| index).collect()
}

/// The cell of a column; nothing, if there is no such column.
fn cell(question: &Question<'_>, row: &Row, name: &str) -> Option<Value> {
    let columns = question.stage.input.as_deref().unwrap_or_default();
    let at = columns.iter().position(|column| column.name == name && column.data_type != Type::Binary)?;
    row.get(at).cloned()
}
