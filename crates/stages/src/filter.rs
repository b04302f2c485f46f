//! `filter`: keeps the events for which an expression is true.
//!
//! Guarantees: an event for which the expression is false or null is counted as filtered, one for which it fails is
//! a dead letter, and all others go on in order. Only columns that later stages want are copied.
//!
//! Refuses: changing events; that is what `project` is for. Neighbours: [`crate::expression`] has the language.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::{Schema, SchemaRef};
use modrun_core::{
    Bound, Code, Columns, Concurrency, Description, Kind, Open, Output, Problem, Result, Role, Transform,
    Type, read_config,
};
use serde_json::Value;

use crate::expression::{BoundExpression, Evaluated, Expression};
use crate::selection::{defect, keep, set_aside, sound};

/// What `filter` takes.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The events that go on: those for which this column expression is true, such as
    /// `type != 'view' and value >= 10`.
    #[serde(rename = "where")]
    rule: String,
}

/// The kind `filter`.
pub(crate) struct Filter;

impl Kind for Filter {
    fn describe(&self) -> Description {
        Description::of::<Config>(
            "filter",
            Role::Transform,
            "keeps the events for which an expression is true",
        )
    }

    fn bind(
        &self,
        config: &Value,
        input: Option<&SchemaRef>,
        wanted: &Columns,
    ) -> Result<Bound, Vec<Problem>> {
        let Config { rule } = read_config(config)?;
        let input = input.cloned().unwrap_or_else(|| Arc::new(Schema::empty()));
        let at_rule = |problem: Problem| problem.at("where");
        let bound = Expression::parse(&rule)
            .map_err(|problem| vec![problem])
            .and_then(|expression| expression.bind(&input))
            .map_err(|problems| problems.into_iter().map(at_rule).collect::<Vec<_>>())?;
        if bound.data_type() != Type::Bool {
            let message = format!("the expression is {}, but a rule must be bool", bound.data_type());
            let problem = Problem::new(Code::WRONG_TYPE, message).within(0..rule.len());
            return Err(vec![at_rule(problem.with_hint("compare it with a value"))]);
        }
        let handed_on = input.fields().iter().filter(|field| wanted.contains(field.name()));
        let output = Arc::new(Schema::new(handed_on.cloned().collect::<Vec<_>>()));
        let uses = match wanted {
            Columns::All => Columns::All,
            Columns::Only(_) => Columns::none().with(names(&output)).with(bound.columns()),
        };
        let instance = Rule { rule: bound, handed_on: names(&output).map(str::to_owned).collect() };
        Ok(Bound {
            output: Some(output),
            uses,
            concurrency: Concurrency::Stateless,
            open: Open::transform(move |_| Ok(instance.clone())),
        })
    }
}

fn names(schema: &Schema) -> impl Iterator<Item = &str> {
    schema.fields().iter().map(|field| field.name().as_str())
}

#[derive(Clone)]
struct Rule {
    rule: BoundExpression,
    /// The columns that go on.
    handed_on: Vec<String>,
}

impl Transform for Rule {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        let Evaluated { column, errors } = self.rule.evaluate(&batch)?;
        let mut mask: BooleanArray = column.as_boolean().clone();
        let (rows, failed) = (batch.num_rows(), errors.len());
        if failed > 0 {
            let sound = sound(rows, errors.iter().map(|(row, _)| *row));
            mask = BooleanArray::new(mask.values() & &sound, mask.nulls().cloned());
            set_aside(&batch, errors, out);
        }
        let indices = self.handed_on.iter().map(|name| batch.schema_ref().index_of(name));
        let indices = indices.collect::<Result<Vec<_>, _>>().map_err(defect)?;
        let kept = keep(batch.project(&indices).map_err(defect)?, &mask, out)?;
        out.filtered += (rows - failed - kept) as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
