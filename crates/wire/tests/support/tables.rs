//! Tables as tests and fuzzers look at them.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType, UInt8Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use modrun_core::Type;
use modrun_wire::table::{self, Layout};

/// What came of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Refused,
    Used,
}

/// Reads any bytes as a table, and looks at every value of what was read.
pub(crate) fn check(payload: &[u8], schema: &SchemaRef) -> Read {
    let Ok(batch) = table::decode(Buffer::from_slice_ref(payload), schema) else {
        return Read::Refused;
    };
    // Rows without columns may be any number, and are nowhere.
    let rows = if batch.num_columns() > 0 { batch.num_rows() } else { 0 };
    assert!(rows <= 8 * payload.len());
    // Whoever works on codes need not ask which rows are null.
    for column in batch.columns().iter().filter_map(|column| column.as_dictionary_opt::<UInt8Type>()) {
        let values = column.values().len().max(1);
        assert!(column.keys().values().iter().all(|&code| usize::from(code) < values));
    }
    let again = table::decode(written(&batch).into(), schema).unwrap();
    assert_eq!(values(&again), values(&batch));
    assert_eq!(again.num_rows(), batch.num_rows());
    Read::Used
}

/// A batch as a table.
pub(crate) fn written(batch: &RecordBatch) -> Vec<u8> {
    let layout = Layout::of(batch).unwrap();
    // What a slot held before must not shine through.
    let [table, other] = [0, 0xaa].map(|before| {
        let mut slot = vec![before; layout.length() + 3];
        layout.write(&mut slot);
        assert_eq!(slot.split_off(layout.length()), [before; 3]);
        slot
    });
    assert_eq!(table, other);
    table
}

/// One value, compared by its bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int64(i64),
    Float64(u64),
    String(String),
    Binary(Vec<u8>),
}

/// The rows of a batch, column by column.
pub(crate) fn values(batch: &RecordBatch) -> Vec<Vec<Value>> {
    batch.columns().iter().map(|array| (0..array.len()).map(|row| value(array, row)).collect()).collect()
}

fn value(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        return value(dictionary.values(), dictionary.normalized_keys()[row]);
    }
    match Type::from_arrow(array.data_type()).unwrap() {
        Type::Bool => Value::Bool(array.as_boolean().value(row)),
        Type::Int64 => Value::Int64(array.as_primitive::<Int64Type>().value(row)),
        Type::Float64 => Value::Float64(array.as_primitive::<Float64Type>().value(row).to_bits()),
        Type::String => Value::String(array.as_string::<i32>().value(row).to_owned()),
        Type::Binary => Value::Binary(array.as_binary::<i32>().value(row).to_owned()),
        Type::Timestamp => Value::Int64(array.as_primitive::<TimestampMicrosecondType>().value(row)),
    }
}
