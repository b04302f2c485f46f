//! The `rolling` transform: each event with numbers about the last values of its key.
//!
//! ```text
//!   batch ──key columns──▶ Groups ──key of each row──▶ Windows ──▶ window ──▶ features ──▶ five columns more
//! ```
//!
//! Guarantees: integers only, so that every language and every machine gets the same; all between is below 2^53. The
//! output depends on the order of events, not on how they were split into batches. An event whose value is null or
//! beyond 10^9 is a dead letter and in no window. Memory grows with keys: a window each.
//!
//! Neighbours: `features` defines the numbers, `windows` holds the values, the `groups` of `aggregate` number the keys.

mod features;
#[cfg(test)]
mod tests;
mod windows;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use modrun_core::{
    Bound, Code, Columns, Concurrency, DeadLetter, Description, Error, Kind, Open, Output, Payload, Problem,
    Result, Role, State, Transform, Type, read_config,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::aggregate::groups::Groups;
use crate::selection::{defect, keep, sound};
use features::{Features, VALUE_MAX};
use modrun_core::value::ndjson;
use windows::Windows;

/// Rows of a chunk of the state at most.
const ROWS_MAX: usize = 8192;

/// What `rolling` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The column whose values have a window each, or a list of columns.
    by: By,
    /// The int64 column that the window is of.
    value: String,
    /// How many values a window has once it is full, the event's own included.
    #[schemars(range(min = 2, max = 4096))]
    last: usize,
}

/// Columns that have a window for each of their values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum By {
    /// One column.
    Column(String),
    /// The columns together.
    Columns(Vec<String>),
}

impl By {
    fn columns(&self) -> &[String] {
        match self {
            By::Column(column) => std::slice::from_ref(column),
            By::Columns(columns) => columns,
        }
    }
}

/// The kind `rolling`.
pub(crate) struct Rolling;

impl Kind for Rolling {
    fn describe(&self) -> Description {
        let about = "adds numbers about the last values of the event's key";
        Description::of::<Config>("rolling", Role::Transform, about)
    }

    fn bind(
        &self,
        config: &Value,
        input: Option<&SchemaRef>,
        wanted: &Columns,
    ) -> Result<Bound, Vec<Problem>> {
        let config: Config = read_config(config)?;
        let input = input.cloned().unwrap_or_else(|| Arc::new(Schema::empty()));
        let keys = check(&config, &input)?;
        let handed_on: Vec<String> = input
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .filter(|name| wanted.contains(name))
            .collect();
        let mut fields: Vec<Field> = Vec::new();
        for name in &handed_on {
            fields.extend(input.field_with_name(name).ok().cloned());
        }
        fields.extend(Features::NAMES.map(|name| Field::new(name, DataType::Int64, false)));
        let uses = match wanted {
            Columns::All => Columns::All,
            Columns::Only(_) => Columns::none()
                .with(handed_on.iter().chain(config.by.columns()).map(String::as_str))
                .with([config.value.as_str()]),
        };
        let layout = Arc::new(Layout {
            by: config.by.columns().to_vec(),
            value: config.value,
            last: config.last,
            keys,
            handed_on,
        });
        Ok(Bound {
            output: Some(Arc::new(Schema::new(fields))),
            uses,
            concurrency: Concurrency::Ordered,
            open: Open::transform(move |ctx| Instance::open(layout.clone(), &ctx.states)),
        })
    }
}

/// The types of the key columns, or everything that is wrong.
fn check(config: &Config, input: &Schema) -> Result<Vec<Type>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut keys = Vec::new();
    let by = config.by.columns();
    if by.is_empty() {
        problems.push(Problem::new(Code::WRONG_VALUE, "no column is named").at("by"));
    }
    for (at, name) in by.iter().enumerate() {
        let path = |problem: Problem| match config.by {
            By::Column(_) => problem.at("by"),
            By::Columns(_) => problem.at(at).at("by"),
        };
        match column_type(input, name) {
            Ok(key_type) => keys.push(key_type),
            Err(problem) => problems.push(path(problem)),
        }
    }
    match column_type(input, &config.value) {
        Ok(Type::Int64) => {}
        Ok(other) => {
            let message = format!("`{}` is {other}, but a window is of an int64 column", config.value);
            problems.push(Problem::new(Code::WRONG_TYPE, message).at("value"));
        }
        Err(problem) => problems.push(problem.at("value")),
    }
    for name in Features::NAMES.iter().filter(|name| input.field_with_name(name).is_ok()) {
        let message = format!("`rolling` adds a column `{name}`, but its input has one");
        let hint = format!("give `{name}` another name before, with `use: project`");
        problems.push(Problem::new(Code::WRONG_VALUE, message).with_hint(hint));
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

fn column_type(input: &Schema, name: &str) -> Result<Type, Problem> {
    let field = input.field_with_name(name).map_err(|_| {
        Problem::new(Code::UNKNOWN_COLUMN, format!("there is no column `{name}`"))
            .with_nearest(name, input.fields().iter().map(|field| field.name().as_str()))
    })?;
    Type::from_arrow(field.data_type()).ok_or_else(|| {
        let message = format!("`{name}` is {}, which is no link type", field.data_type());
        Problem::new(Code::WRONG_TYPE, message)
    })
}

/// What was bound.
struct Layout {
    by: Vec<String>,
    value: String,
    last: usize,
    /// The types of the columns `by`.
    keys: Vec<Type>,
    /// The input columns that go on.
    handed_on: Vec<String>,
}

/// The windows so far.
struct Instance {
    layout: Arc<Layout>,
    groups: Groups,
    windows: Windows,
}

impl Instance {
    fn open(layout: Arc<Layout>, states: &[State]) -> Result<Self> {
        let (groups, windows) = (Groups::new(layout.keys.clone()), Windows::new(layout.last));
        let mut instance = Self { layout, groups, windows };
        states.iter().flatten().try_for_each(|chunk| instance.restore(chunk))?;
        Ok(instance)
    }

    /// Adds a chunk of the state that an instance left.
    fn restore(&mut self, chunk: &RecordBatch) -> Result<()> {
        let unfit = || Error::invalid("the state of a `rolling` does not fit its configuration");
        if chunk.schema().fields() != self.state_schema().fields() {
            return Err(unfit());
        }
        let (keys, windows) = chunk.columns().split_at(self.layout.keys.len());
        let ids = self.groups.of_rows(keys, chunk.num_rows())?;
        self.windows.grow(self.groups.len());
        let windows = windows.first().ok_or_else(unfit)?.as_binary::<i32>();
        for (id, window) in ids.iter().zip(windows.iter()) {
            let (values, rest) = window.ok_or_else(unfit)?.as_chunks::<8>();
            let values = values.iter().map(|bytes| i64::from_le_bytes(*bytes));
            if !rest.is_empty() || values.len() > self.layout.last || values.clone().any(is_too_large) {
                return Err(unfit());
            }
            values.for_each(|value| {
                self.windows.push(*id, value);
            });
        }
        self.groups.recycle(ids);
        Ok(())
    }

    fn state_schema(&self) -> SchemaRef {
        let keys = self.layout.by.iter().zip(&self.layout.keys);
        let mut fields: Vec<Field> =
            keys.map(|(name, key_type)| Field::new(name, key_type.to_arrow(), true)).collect();
        fields.push(Field::new("window", DataType::Binary, false));
        Arc::new(Schema::new(fields))
    }

    fn set_aside(&self, batch: &RecordBatch, row: usize, is_null: bool, out: &mut Output) {
        let value = &self.layout.value;
        let (reason, cause) = if is_null {
            ("null", format!("`{value}` is null, which no window can hold"))
        } else {
            ("overflow", format!("`{value}` is beyond {VALUE_MAX}, the most that a window can hold"))
        };
        let payload = Payload::Event(ndjson::event(batch, row));
        let reason = reason.into();
        out.dead_letter(DeadLetter { reason, cause, detail: None, origin: None, payload });
    }
}

fn is_too_large(value: i64) -> bool {
    value.unsigned_abs() > VALUE_MAX
}

fn named<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::internal(format!("a batch has no column `{name}`")))
}

impl Transform for Instance {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        let keys =
            self.layout.by.iter().map(|name| named(&batch, name).cloned()).collect::<Result<Vec<_>>>()?;
        let ids = self.groups.of_rows(&keys, batch.num_rows())?;
        self.windows.grow(self.groups.len());
        let values = named(&batch, &self.layout.value)?
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| Error::internal("the values of a `rolling` are not int64"))?;
        let mut columns = Features::NAMES.map(|_| Vec::with_capacity(ids.len()));
        let mut failed = Vec::new();
        for (row, (id, value)) in ids.iter().zip(values.values()).enumerate() {
            let is_null = values.is_null(row);
            let features = if is_null || is_too_large(*value) {
                failed.push(row);
                self.set_aside(&batch, row, is_null, out);
                [0; 5]
            } else {
                Features::of(self.windows.push(*id, *value)).columns()
            };
            columns.iter_mut().zip(features).for_each(|(column, feature)| column.push(feature));
        }
        self.groups.recycle(ids);

        let handed_on = self.layout.handed_on.iter().map(|name| batch.schema_ref().index_of(name));
        let handed_on = handed_on.collect::<Result<Vec<_>, _>>().map_err(defect)?;
        let (schema, mut arrays, rows) = batch.project(&handed_on).map_err(defect)?.into_parts();
        // A string column keeps its dictionary, which the batch's own schema tells.
        let added = Features::NAMES.map(|name| Arc::new(Field::new(name, DataType::Int64, false)));
        let fields: Vec<_> = schema.fields().iter().cloned().chain(added).collect();
        arrays.extend(columns.map(|column| Arc::new(Int64Array::from(column)) as ArrayRef));
        let events = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(defect)?;
        keep(events, &BooleanArray::from(sound(rows, failed)), out)?;
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let all: Vec<u32> = (0..self.groups.len() as u32).collect();
        let chunk = |ids: &[u32]| {
            let windows = ids.iter().map(|id| {
                let (old, new) = self.windows.get(*id);
                let values = old.iter().chain(new);
                Some(values.flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
            });
            let mut columns = self.groups.decode(ids);
            columns.push(Arc::new(windows.collect::<BinaryArray>()));
            RecordBatch::try_new(self.state_schema(), columns).map_err(defect)
        };
        all.chunks(ROWS_MAX).map(chunk).collect()
    }
}
