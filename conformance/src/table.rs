//! Rows to payloads and back, through the codec of `modrun-wire`.
//!
//! Neighbours: `slack` looks at what the codec ignores.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType, UInt8Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
    TimestampMicrosecondArray,
};
use arrow_buffer::Buffer;
use arrow_schema::{Field, SchemaRef};
use modrun_core::Type;
use modrun_wire::table::{Layout, decode};
use modrun_wire::{Column as WireColumn, Schema};

use crate::value::{Column, Row, Value};
use crate::{Error, Result};

/// Values of a dictionary.
const DICTIONARY_VALUES_MAX: usize = 256;

/// The columns as they are said in `Open` and `Ready`.
pub(crate) fn schema(columns: &[Column]) -> Schema {
    let column = |column: &Column| WireColumn {
        name: column.name.clone(),
        column_type: column.data_type,
        nullable: column.nullable,
    };
    Schema { columns: columns.iter().map(column).collect() }
}

/// The table of `rows`; strings as dictionaries where `dictionary` says so and they are few.
pub(crate) fn write(columns: &[Column], rows: &[Row], dictionary: bool) -> Result<Vec<u8>> {
    let cannot = |error: &dyn std::fmt::Display| Error::Case(format!("rows cannot be written: {error}"));
    let arrays: Vec<ArrayRef> =
        columns.iter().enumerate().map(|(at, column)| array(column, rows, at, dictionary)).collect();
    let field = |(column, array): (&Column, &ArrayRef)| {
        Field::new(&column.name, array.data_type().clone(), column.nullable)
    };
    let fields: Vec<Field> = columns.iter().zip(&arrays).map(field).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let schema = Arc::new(arrow_schema::Schema::new(fields));
    let batch =
        RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|error| cannot(&error))?;
    let layout = Layout::of(&batch).map_err(|error| cannot(&error))?;
    let mut payload = vec![0; layout.length()];
    layout.write(&mut payload);
    Ok(payload)
}

/// The rows of a payload.
pub(crate) fn read(columns: &[Column], payload: Buffer) -> Result<Vec<Row>, modrun_wire::Garbage> {
    let schema: SchemaRef = schema(columns).to_arrow();
    let batch = decode(payload, &schema)?;
    let mut rows = vec![Vec::with_capacity(columns.len()); batch.num_rows()];
    for (array, column) in batch.columns().iter().zip(columns) {
        append(array, column.data_type, &mut rows);
    }
    Ok(rows)
}

fn array(column: &Column, rows: &[Row], at: usize, dictionary: bool) -> ArrayRef {
    let cells = rows.iter().map(|row| &row[at]);
    let number = |value: &Value| match value {
        Value::Int64(number) | Value::Timestamp(number) => Some(*number),
        _ => None,
    };
    match column.data_type {
        Type::Bool => Arc::new(BooleanArray::from_iter(cells.map(|value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        }))),
        Type::Int64 => Arc::new(Int64Array::from_iter(cells.map(number))),
        Type::Timestamp => {
            Arc::new(TimestampMicrosecondArray::from_iter(cells.map(number)).with_timezone("UTC"))
        }
        Type::Float64 => Arc::new(Float64Array::from_iter(cells.map(|value| match value {
            Value::Float64(bits) => Some(f64::from_bits(*bits)),
            _ => None,
        }))),
        Type::String => strings(cells.map(text), dictionary),
        Type::Binary => {
            let mut builder = BinaryBuilder::new();
            for value in cells {
                builder.append_option(match value {
                    Value::Binary(bytes) => Some(bytes),
                    _ => None,
                });
            }
            Arc::new(builder.finish())
        }
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn strings<'v>(texts: impl Iterator<Item = Option<&'v str>> + Clone, dictionary: bool) -> ArrayRef {
    let few = || texts.clone().flatten().collect::<HashSet<_>>().len() <= DICTIONARY_VALUES_MAX;
    if dictionary && few() {
        let mut builder = StringDictionaryBuilder::<UInt8Type>::new();
        builder.extend(texts);
        return Arc::new(builder.finish());
    }
    let mut builder = StringBuilder::new();
    texts.for_each(|text| builder.append_option(text));
    Arc::new(builder.finish())
}

fn append(array: &ArrayRef, data_type: Type, rows: &mut [Row]) {
    let plain = match array.as_any_dictionary_opt() {
        // The codes are checked; what the values are is plain strings.
        Some(_) => return append_dictionary(array, rows),
        None => array,
    };
    for (at, row) in rows.iter_mut().enumerate() {
        let value = if plain.is_null(at) {
            Value::Null
        } else {
            match data_type {
                Type::Bool => Value::Bool(plain.as_boolean().value(at)),
                Type::Int64 => Value::Int64(plain.as_primitive::<Int64Type>().value(at)),
                Type::Float64 => Value::Float64(plain.as_primitive::<Float64Type>().value(at).to_bits()),
                Type::String => Value::String(plain.as_string::<i32>().value(at).to_owned()),
                Type::Binary => Value::Binary(plain.as_binary::<i32>().value(at).to_owned()),
                Type::Timestamp => {
                    Value::Timestamp(plain.as_primitive::<TimestampMicrosecondType>().value(at))
                }
            }
        };
        row.push(value);
    }
}

fn append_dictionary(array: &ArrayRef, rows: &mut [Row]) {
    let dictionary = array.as_dictionary::<UInt8Type>();
    let values = dictionary.values().as_string::<i32>();
    for (at, row) in rows.iter_mut().enumerate() {
        row.push(match dictionary.key(at) {
            Some(code) => Value::String(values.value(code).to_owned()),
            None => Value::Null,
        });
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::{read, write};
    use crate::case::{Generated, Pattern};
    use crate::generate;
    use crate::value::columns;

    #[test]
    fn rows_come_back_as_they_were() {
        let names = ["bool?", "int64?", "float64?", "string?", "binary?", "timestamp?", "string", "int64"];
        let written: IndexMap<String, String> =
            names.iter().enumerate().map(|(at, &name)| (format!("c{at}"), name.to_owned())).collect();
        let columns = columns(&written).unwrap();
        for dictionary in [false, true] {
            for (generate, rows) in [(Pattern::Mixed, 1000), (Pattern::Plain, 9), (Pattern::Distinct, 0)] {
                let rows = generate::rows(&Generated { generate, rows, bytes: 0 }, &columns);
                let payload = write(&columns, &rows, dictionary).unwrap();
                assert_eq!(read(&columns, payload.into()).unwrap(), rows);
            }
        }
    }
}
