//! Cells of events that a function makes, and the columns that they become.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use modrun_core::Type;

/// A value of an event, or none.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int64(i64),
    /// A number.
    Float64(f64),
    /// A text.
    String(Cow<'a, str>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
    /// Microseconds since 1970 in UTC.
    Timestamp(i64),
}

impl Cell<'_> {
    fn data_type(&self) -> Option<Type> {
        Some(match self {
            Cell::Null => return None,
            Cell::Bool(_) => Type::Bool,
            Cell::Int64(_) => Type::Int64,
            Cell::Float64(_) => Type::Float64,
            Cell::String(_) => Type::String,
            Cell::Binary(_) => Type::Binary,
            Cell::Timestamp(_) => Type::Timestamp,
        })
    }
}

macro_rules! from {
    ($($type:ty => $value:ident: $cell:expr),*) => {
        $(impl<'a> From<$type> for Cell<'a> {
            fn from($value: $type) -> Self {
                $cell
            }
        })*
    };
}

from!(bool => value: Cell::Bool(value), i64 => value: Cell::Int64(value), f64 => value: Cell::Float64(value),
    &'a str => value: Cell::String(value.into()), String => value: Cell::String(value.into()),
    &'a [u8] => value: Cell::Binary(value.into()), Vec<u8> => value: Cell::Binary(value.into()));

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

/// Columns of these names and types, such as `string?`.
pub(crate) fn schema(columns: &[(&str, &str)]) -> SchemaRef {
    let field = |(name, written): &(&str, &str)| {
        let plain = written.strip_suffix('?').unwrap_or(written);
        let types = [Type::Bool, Type::Int64, Type::Float64, Type::String, Type::Binary, Type::Timestamp];
        let found = types.into_iter().find(|data_type| data_type.to_string() == plain);
        let found = found.unwrap_or_else(|| panic!("`{written}`, of the column `{name}`, is no type"));
        Field::new(*name, found.to_arrow(), written.ends_with('?'))
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// A batch that is being made, row by row.
pub(crate) struct Rows {
    schema: SchemaRef,
    columns: Vec<Builder>,
    count: usize,
}

enum Builder {
    Bool(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    String(StringBuilder),
    Binary(BinaryBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Rows {
    /// None yet, of these columns.
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|field| match Type::from_arrow(field.data_type()) {
            Some(Type::Bool) => Builder::Bool(BooleanBuilder::new()),
            Some(Type::Int64) => Builder::Int64(Int64Builder::new()),
            Some(Type::Float64) => Builder::Float64(Float64Builder::new()),
            Some(Type::Binary) => Builder::Binary(BinaryBuilder::new()),
            Some(Type::Timestamp) => {
                Builder::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            Some(Type::String) | None => Builder::String(StringBuilder::new()),
        });
        Self { schema: schema.clone(), columns: columns.collect(), count: 0 }
    }

    /// Adds a row, or says why it cannot stand in these columns and adds nothing.
    pub(crate) fn push(&mut self, cells: &[Cell<'_>]) -> Result<(), String> {
        for (field, cell) in self.schema.fields().iter().zip(cells) {
            let (name, wanted) = (field.name(), Type::from_arrow(field.data_type()));
            match cell.data_type() {
                None if !field.is_nullable() => {
                    return Err(format!("the column `{name}` of the output cannot be null"));
                }
                Some(found) if Some(found) != wanted => {
                    return Err(format!(
                        "a value of the type {found} is none of the column `{name}` of the output"
                    ));
                }
                _ => {}
            }
        }
        self.columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
        self.count += 1;
        Ok(())
    }

    /// The batch.
    pub(crate) fn finish(self) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.into_iter().map(Builder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        RecordBatch::try_new_with_options(self.schema, columns, &options)
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Builder {
    /// Adds a cell of its type; any other is a null.
    fn push(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Builder::Bool(column), Cell::Bool(value)) => column.append_value(*value),
            (Builder::Int64(column), Cell::Int64(value)) => column.append_value(*value),
            (Builder::Float64(column), Cell::Float64(value)) => column.append_value(*value),
            (Builder::String(column), Cell::String(value)) => column.append_value(value),
            (Builder::Binary(column), Cell::Binary(value)) => column.append_value(value),
            (Builder::Timestamp(column), Cell::Timestamp(value)) => column.append_value(*value),
            (Builder::Bool(column), _) => column.append_null(),
            (Builder::Int64(column), _) => column.append_null(),
            (Builder::Float64(column), _) => column.append_null(),
            (Builder::String(column), _) => column.append_null(),
            (Builder::Binary(column), _) => column.append_null(),
            (Builder::Timestamp(column), _) => column.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Builder::Bool(mut column) => Arc::new(column.finish()),
            Builder::Int64(mut column) => Arc::new(column.finish()),
            Builder::Float64(mut column) => Arc::new(column.finish()),
            Builder::String(mut column) => Arc::new(column.finish()),
            Builder::Binary(mut column) => Arc::new(column.finish()),
            Builder::Timestamp(mut column) => Arc::new(column.finish()),
        }
    }
}
