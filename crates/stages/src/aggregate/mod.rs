//! The `aggregate` transform: rows into groups, and each group into one row.
//!
//! ```text
//!   batch ──key columns──▶ Groups ──group of each row──▶ Accumulators ──finish──▶ rows sorted by key
//!                                                            │  ▲
//!                                                    snapshot│  │open
//!                                                            ▼  │
//!                                                           State (of any number of instances)
//! ```
//!
//! Guarantees: the output depends on the set of input rows only, neither on their order nor on how they were split
//! into batches or among instances; float sums are exact and rounded once. Rows come out sorted by the key columns
//! in order: nulls first, `false` before `true`, strings by their bytes, numbers by value with NaN last. Memory grows
//! with groups, never with rows.
//!
//! Rules: a null key is a group of its own; `-0` and `0` are one key, and so are all NaNs. Nulls are skipped by all
//! but `count()`; a sum, average, minimum or maximum of nothing is null. For `min` and `max` NaN is above all numbers.
//! Without key columns all rows are one group, which there is even for no rows at all.
//!
//! Neighbours: `call` reads `sum(value)`, `layout` knows the columns, `groups` numbers the keys, `key` writes a key as
//! bytes that sort like it, `accumulator` holds the numbers.

mod accumulator;
mod call;
pub(crate) mod groups;
mod key;
mod layout;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use indexmap::IndexMap;
use modrun_core::{
    Bound, Code, Columns, Concurrency, Description, Error, Kind, Open, Output, Problem, Result, Role, State,
    Transform, read_config,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use accumulator::Accumulator;
use groups::Groups;
use layout::Layout;
use modrun_core::value::ndjson;

/// Rows of a batch at most.
const ROWS_MAX: usize = 8192;

/// Groups rows and counts, sums, averages, or picks the least and greatest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The columns that make a group: output names with the input column of each, such as `{key: type}`, or a list of
    /// columns that keep their names. Left out or empty, all rows are one group.
    #[serde(default)]
    by: By,
    /// The columns after these, by name: `count()` counts rows, `count(x)` those where `x` is not null; `sum(x)` and
    /// `avg(x)` take numbers, `min(x)` and `max(x)` also strings, timestamps and bools.
    #[serde(default)]
    values: IndexMap<String, String>,
}

/// Columns to group by.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum By {
    /// Columns that keep their names.
    Columns(Vec<String>),
    /// Output names with the input column of each.
    Renamed(IndexMap<String, String>),
}

impl Default for By {
    fn default() -> Self {
        By::Columns(Vec::new())
    }
}

/// The kind `aggregate`.
pub(crate) struct Aggregate;

impl Kind for Aggregate {
    fn describe(&self) -> Description {
        Description::of::<Config>("aggregate", Role::Transform, "groups rows and counts, sums, averages them")
    }

    fn bind(&self, config: &Value, input: Option<&SchemaRef>, _: &Columns) -> Result<Bound, Vec<Problem>> {
        let config: Config = read_config(config)?;
        let input = input.cloned().unwrap_or_else(|| Arc::new(Schema::empty()));
        let layout = Arc::new(Layout::new(&config, &input)?);
        Ok(Bound {
            output: Some(layout.output.clone()),
            uses: layout.input_columns().map(str::to_owned).collect(),
            concurrency: Concurrency::Mergeable,
            open: Open::transform(move |ctx| Instance::open(layout.clone(), &ctx.states)),
        })
    }
}

/// The groups so far.
struct Instance {
    layout: Arc<Layout>,
    groups: Groups,
    /// Rows of each group.
    rows: Vec<u64>,
    /// One for each of [`Layout::arguments`].
    accumulators: Vec<Accumulator>,
}

impl Instance {
    fn open(layout: Arc<Layout>, states: &[State]) -> Result<Self> {
        let mut instance = Self {
            groups: Groups::new(layout.keys.iter().map(|key| key.key_type).collect()),
            rows: Vec::new(),
            accumulators: layout.arguments.iter().map(Accumulator::new).collect(),
            layout,
        };
        if instance.layout.keys.is_empty() {
            instance.groups.group(&[]);
            instance.grow();
        }
        states.iter().flatten().try_for_each(|chunk| instance.restore(chunk))?;
        Ok(instance)
    }

    /// Adds a chunk of the state that an instance left.
    fn restore(&mut self, chunk: &RecordBatch) -> Result<()> {
        if chunk.schema_ref().fields() != self.layout.state.fields() {
            return Err(unfit());
        }
        let (keys, rest) = chunk.columns().split_at(self.layout.keys.len());
        let ids = self.groups.of_rows(keys, chunk.num_rows())?;
        self.grow();
        let (rows, mut rest) = rest.split_first().ok_or_else(unfit)?;
        accumulator::restore_counts(&mut self.rows, &ids, rows)?;
        for accumulator in &mut self.accumulators {
            let columns = rest.split_off(..accumulator.state_columns()).ok_or_else(unfit)?;
            accumulator.restore(&ids, columns)?;
        }
        self.groups.recycle(ids);
        Ok(())
    }

    /// Makes room for groups that are new.
    fn grow(&mut self) {
        let groups = self.groups.len();
        if groups > self.rows.len() {
            self.rows.resize(groups, 0);
            self.accumulators.iter_mut().for_each(|accumulator| accumulator.grow(groups));
        }
    }

    /// The result row of each group of `ids`.
    fn results(&self, ids: &[u32]) -> Result<RecordBatch> {
        let mut columns = self.groups.decode(ids);
        for value in &self.layout.values {
            columns.push(match value.argument {
                None => self.counts(ids),
                Some(at) => self.accumulators[at]
                    .results(value.function, ids, &self.rows)
                    .map_err(|overflow| self.overflow(overflow.group, &self.layout.arguments[at].column))?,
            });
        }
        assemble(&self.layout.output, columns, ids.len())
    }

    /// The rows of some groups.
    fn counts(&self, ids: &[u32]) -> ArrayRef {
        Arc::new(ids.iter().map(|id| Some(self.rows[*id as usize] as i64)).collect::<Int64Array>())
    }

    fn overflow(&self, group: u32, column: &str) -> Error {
        let fields = self.layout.output.fields()[..self.layout.keys.len()].to_vec();
        let key = assemble(&Arc::new(Schema::new(fields)), self.groups.decode(&[group]), 1);
        let of_group = match key.map(|key| ndjson::event(&key, 0)) {
            Ok(key) if !key.is_empty() => format!(" in the group `{}`", Value::Object(key)),
            _ => String::new(),
        };
        Error::invalid(format!("the sum of `{column}` leaves the range of int64{of_group}"))
            .with_code(Code::OVERFLOW)
            .with_hint(format!("read `{column}` as float64, or ask for `avg({column})` instead"))
    }
}

impl Transform for Instance {
    fn process(&mut self, batch: RecordBatch, _: &mut Output) -> Result<()> {
        let keys = self.layout.key_columns(&batch)?;
        let ids = self.groups.of_rows(&keys, batch.num_rows())?;
        self.grow();
        accumulator::count(&mut self.rows, &ids);
        for (accumulator, argument) in self.accumulators.iter_mut().zip(&self.layout.arguments) {
            accumulator.add(&ids, layout::column(&batch, &argument.column)?)?;
        }
        self.groups.recycle(ids);
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result<()> {
        for ids in self.groups.sorted().chunks(ROWS_MAX) {
            out.emit(self.results(ids)?);
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let all: Vec<u32> = (0..self.groups.len() as u32).collect();
        let chunk = |ids: &[u32]| {
            let mut columns = self.groups.decode(ids);
            columns.push(self.counts(ids));
            self.accumulators.iter().for_each(|accumulator| accumulator.snapshot(ids, &mut columns));
            assemble(&self.layout.state, columns, ids.len())
        };
        all.chunks(ROWS_MAX).map(chunk).collect()
    }
}

fn assemble(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(defect)
}

fn defect(error: ArrowError) -> Error {
    Error::internal("the rows of an `aggregate` could not be put together").with_source(error)
}

/// A column of a type that the plan did not promise.
fn mistyped() -> Error {
    Error::internal("a column of an `aggregate` is not of the type that was planned")
}

/// A state that no instance with this configuration can have left.
fn unfit() -> Error {
    Error::invalid("the state of an `aggregate` does not fit its configuration")
}
