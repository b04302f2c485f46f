//! The sink `lines`: the built-in one, with timestamps in as few digits as it takes.

use std::sync::Arc;

use modular_runtime::arrow::array::cast::AsArray;
use modular_runtime::arrow::array::types::TimestampMicrosecondType;
use modular_runtime::arrow::array::{ArrayRef, StringArray};
use modular_runtime::arrow::schema::{DataType, Field, Schema, SchemaRef};
use modular_runtime::value::timestamp;
use modular_runtime::{
    Bound, Columns, Description, Error, Kind, Open, Problem, RecordBatch, Result, Role, Sink, Type, Written,
    builtin,
};
use serde_json::Value;

/// The kind.
pub(crate) fn lines() -> Option<Arc<dyn Kind>> {
    let is_file = |kind: &Arc<dyn Kind>| {
        let described = kind.describe();
        described.word == "file" && described.role == Role::Sink
    };
    Some(Arc::new(Lines(builtin().into_iter().find(is_file)?)))
}

struct Lines(Arc<dyn Kind>);

impl Kind for Lines {
    fn describe(&self) -> Description {
        self.0.describe()
    }

    fn bind(
        &self,
        config: &Value,
        input: Option<&SchemaRef>,
        wanted: &Columns,
    ) -> Result<Bound, Vec<Problem>> {
        let input = input.map(with_texts);
        let bound = self.0.bind(config, input.as_ref(), wanted)?;
        let open = move |ctx| match &bound.open {
            Open::Sink(open) => Ok(Texts(open(ctx)?)),
            _ => Err(Error::internal("the built-in sink is none")),
        };
        Ok(Bound { output: None, uses: bound.uses, concurrency: bound.concurrency, open: Open::sink(open) })
    }
}

/// A sink that gets timestamps as texts.
struct Texts(Box<dyn Sink>);

impl Sink for Texts {
    fn write(&mut self, batch: RecordBatch, written: &mut Written) -> Result<()> {
        let columns = batch.columns().iter().map(texts).collect();
        let batch = RecordBatch::try_new(with_texts(&batch.schema()), columns)
            .map_err(|error| Error::internal("a batch could not be put together").with_source(error))?;
        self.0.write(batch, written)
    }

    fn prepare(&mut self) -> Result<()> {
        self.0.prepare()
    }

    fn commit(&mut self) -> Result<()> {
        self.0.commit()
    }
}

fn is_timestamp(data_type: &DataType) -> bool {
    Type::from_arrow(data_type) == Some(Type::Timestamp)
}

/// The columns, with strings in the place of timestamps.
fn with_texts(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| match is_timestamp(field.data_type()) {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, field.is_nullable())),
        false => field.clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn texts(column: &ArrayRef) -> ArrayRef {
    if !is_timestamp(column.data_type()) {
        return column.clone();
    }
    let moments = column.as_primitive::<TimestampMicrosecondType>();
    Arc::new(moments.iter().map(|micros| micros.map(text)).collect::<StringArray>())
}

fn text(micros: i64) -> String {
    let mut written = Vec::new();
    timestamp::write(micros, &mut written);
    let written = String::from_utf8_lossy(&written);
    format!("{}Z", written.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.'))
}
