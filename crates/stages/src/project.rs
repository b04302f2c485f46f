//! `project`: picks, renames and computes columns.
//!
//! Guarantees: the columns of an event come out in the order in which they are declared; an event for which one of
//! them fails is a dead letter, and all others go on in order. A column that nobody wants is not computed, unless it
//! can fail: whether an event is a dead letter never depends on who reads the result.
//!
//! Refuses: dropping events; that is what `filter` is for. Neighbours: [`crate::expression`] has the language.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};
use indexmap::IndexMap;
use modrun_core::{
    Bound, Code, Columns, Concurrency, Description, Kind, Open, Output, Problem, Result, Role, Segment,
    Transform, read_config,
};
use serde_json::Value;

use crate::expression::{BoundExpression, Evaluated, Expression};
use crate::selection::{defect, keep, set_aside, sound};

/// What `project` takes.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The columns that go on, in this order.
    columns: Declared,
}

/// The columns that go on.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Declared {
    /// Names of columns to pick, such as `[type, value]`.
    Picked(Vec<String>),
    /// New columns by name, each a column expression, such as `{kind: lower(type), cents: value * 100}`; a bare
    /// column name picks or renames that column.
    Computed(IndexMap<String, String>),
}

/// The kind `project`.
pub(crate) struct Project;

impl Kind for Project {
    fn describe(&self) -> Description {
        Description::of::<Config>("project", Role::Transform, "picks, renames and computes columns")
    }

    fn bind(
        &self,
        config: &Value,
        input: Option<&SchemaRef>,
        wanted: &Columns,
    ) -> Result<Bound, Vec<Problem>> {
        let config: Config = read_config(config)?;
        let input = input.cloned().unwrap_or_else(|| Arc::new(Schema::empty()));
        let mut columns = config.columns.bind(&input)?;
        for column in &mut columns {
            column.is_wanted = wanted.contains(column.field.name());
        }
        columns.retain(|column| column.is_wanted || column.expression.is_fallible());
        let output = columns.iter().filter(|column| column.is_wanted).map(|column| column.field.clone());
        Ok(Bound {
            output: Some(Arc::new(Schema::new(output.collect::<Vec<_>>()))),
            uses: columns.iter().flat_map(|column| column.expression.columns()).collect(),
            concurrency: Concurrency::Stateless,
            open: Open::transform(move |_| Ok(Projection { columns: columns.clone() })),
        })
    }
}

impl Declared {
    /// Binds each column, or tells the problems of all.
    fn bind(self, input: &Schema) -> Result<Vec<Column>, Vec<Problem>> {
        let parsed: Vec<(String, Segment, Result<Expression, Problem>)> = match self {
            Declared::Picked(names) => {
                let picked = names.into_iter().enumerate().map(|(index, name)| {
                    let expression = Ok(Expression::column(&name));
                    (name, index.into(), expression)
                });
                picked.collect()
            }
            Declared::Computed(columns) => {
                let computed = columns.into_iter().map(|(name, text)| {
                    let expression = Expression::parse(&text);
                    (name.clone(), name.into(), expression)
                });
                computed.collect()
            }
        };
        if parsed.is_empty() {
            return Err(vec![Problem::new(Code::WRONG_VALUE, "no column is declared").at("columns")]);
        }
        let (mut columns, mut problems): (Vec<Column>, Vec<Problem>) = Default::default();
        for (name, segment, expression) in parsed {
            let bound =
                expression.map_err(|problem| vec![problem]).and_then(|expression| expression.bind(input));
            match bound {
                Ok(_) if columns.iter().any(|column| *column.field.name() == name) => {
                    let problem = Problem::new(Code::WRONG_VALUE, format!("`{name}` is declared twice"));
                    problems.push(problem.at(segment).at("columns"));
                }
                Ok(expression) => columns.push(Column::new(name, expression, input)),
                Err(found) => {
                    problems
                        .extend(found.into_iter().map(|problem| problem.at(segment.clone()).at("columns")));
                }
            }
        }
        if problems.is_empty() { Ok(columns) } else { Err(problems) }
    }
}

#[derive(Clone)]
struct Column {
    field: Field,
    expression: BoundExpression,
    /// Whether it goes on; if not, it is computed to find the rows that fail.
    is_wanted: bool,
}

impl Column {
    fn new(name: String, expression: BoundExpression, input: &Schema) -> Self {
        let picked = expression.as_column().and_then(|name| input.field_with_name(name).ok());
        let is_nullable = picked.is_none_or(Field::is_nullable);
        let field = Field::new(name, expression.data_type().to_arrow(), is_nullable);
        Self { field, expression, is_wanted: true }
    }
}

struct Projection {
    columns: Vec<Column>,
}

impl Transform for Projection {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = Default::default();
        let mut failed = BTreeMap::new();
        for Column { field, expression, is_wanted } in &self.columns {
            let Evaluated { column, errors } = expression.evaluate(&batch)?;
            for (row, cause) in errors {
                failed.entry(row).or_insert(cause);
            }
            if *is_wanted {
                // A string column keeps its dictionary, which the batch's own schema tells.
                fields.push(field.clone().with_data_type(column.data_type().clone()));
                arrays.push(column);
            }
        }
        let rows = batch.num_rows();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let projected = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options);
        let projected = projected.map_err(defect)?;
        if failed.is_empty() {
            out.emit(projected);
            return Ok(());
        }
        let sound = BooleanArray::from(sound(rows, failed.keys().copied()));
        set_aside(&batch, failed, out);
        keep(projected, &sound, out)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
