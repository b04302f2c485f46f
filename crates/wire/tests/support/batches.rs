//! Random record batches of every link type, however their columns may lie in memory.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, UInt8Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::Buffer;
use arrow_schema::{Field, Schema, SchemaRef};
use modrun_core::Type;
use modrun_wire::table::{self, Layout};
use proptest::collection::vec;
use proptest::prelude::*;

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
    let any = array.as_any();
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        return value(dictionary.values(), dictionary.normalized_keys()[row]);
    }
    match Type::from_arrow(array.data_type()).unwrap() {
        Type::Bool => Value::Bool(any.downcast_ref::<BooleanArray>().unwrap().value(row)),
        Type::Int64 => Value::Int64(any.downcast_ref::<Int64Array>().unwrap().value(row)),
        Type::Float64 => Value::Float64(any.downcast_ref::<Float64Array>().unwrap().value(row).to_bits()),
        Type::String => Value::String(any.downcast_ref::<StringArray>().unwrap().value(row).to_owned()),
        Type::Binary => Value::Binary(any.downcast_ref::<BinaryArray>().unwrap().value(row).to_owned()),
        Type::Timestamp => Value::Int64(any.downcast_ref::<TimestampMicrosecondArray>().unwrap().value(row)),
    }
}

/// A batch, and the schema that its link has.
pub(crate) fn batch() -> impl Strategy<Value = (RecordBatch, SchemaRef)> {
    // Enough rows for bitmaps of several words, or so few that everything happens at their edges.
    let rows = prop_oneof![0..3usize, 3..20usize, 60..140usize];
    let sliced = (rows, 0..11usize, 0..11usize);
    (sliced, vec(0..COLUMNS, 0..6)).prop_flat_map(|((rows, before, behind), kinds)| {
        let all = before + rows + behind;
        let columns: Vec<_> = kinds.into_iter().map(|kind| (column(kind, all), any::<bool>())).collect();
        columns.prop_map(move |columns| {
            let arrays: Vec<ArrayRef> = columns.iter().map(|(array, _)| array.slice(before, rows)).collect();
            let fields = |plain: bool| -> SchemaRef {
                let fields = columns.iter().zip(&arrays).enumerate().map(|(at, ((_, nullable), array))| {
                    let data_type = if plain {
                        Type::from_arrow(array.data_type()).unwrap().to_arrow()
                    } else {
                        array.data_type().clone()
                    };
                    Field::new(format!("c{at}"), data_type, *nullable || array.logical_null_count() > 0)
                });
                Arc::new(Schema::new(fields.collect::<Vec<_>>()))
            };
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let batch = RecordBatch::try_new_with_options(fields(false), arrays.clone(), &options).unwrap();
            (batch, fields(true))
        })
    })
}

const COLUMNS: usize = 10;

fn column(kind: usize, rows: usize) -> BoxedStrategy<ArrayRef> {
    fn of<T: std::fmt::Debug + 'static, A: Array + 'static>(
        rows: usize,
        value: impl Strategy<Value = T> + 'static,
        build: impl Fn(Vec<Option<T>>) -> A + 'static,
    ) -> BoxedStrategy<ArrayRef> {
        let value = value.boxed();
        // No nulls, some, or nothing else.
        (0..=4u32)
            .prop_flat_map(move |nulls| {
                let value = value.clone();
                let element = (0..4u32, value).prop_map(move |(at, value)| (at >= nulls).then_some(value));
                vec(element, rows)
            })
            .prop_map(move |values| Arc::new(build(values)) as ArrayRef)
            .boxed()
    }
    let word = || "[abé☃𝄞]{0,3}";
    match kind {
        0 => of(rows, any::<bool>(), BooleanArray::from),
        1 => of(rows, any::<i64>(), Int64Array::from),
        2 => of(rows, any::<u64>().prop_map(f64::from_bits), Float64Array::from),
        3 => of(rows, any::<i64>(), |values| TimestampMicrosecondArray::from(values).with_timezone("UTC")),
        4 => of(rows, ".{0,9}", StringArray::from),
        5 => of(rows, vec(any::<u8>(), 0..9), |values| {
            values.iter().map(Option::as_ref).collect::<BinaryArray>()
        }),
        6 => of(rows, word(), |values| strings(&values).collect::<DictionaryArray<UInt8Type>>()),
        7 => of(rows, word(), |values| strings(&values).collect::<DictionaryArray<UInt32Type>>()),
        // Nulls among the values of the dictionary.
        8 => of(rows, 0..3u8, |codes| {
            let values = StringArray::from(vec![Some("x"), None, Some("☃")]);
            DictionaryArray::<UInt8Type>::new(codes.into(), Arc::new(values))
        }),
        // Bytes of strings that no row uses, in front and behind.
        _ => of(rows, 0..4i8, |codes| {
            let values = StringArray::from(vec!["unused", "é", "", "c", "ab", "unused"]).slice(1, 4);
            DictionaryArray::<Int8Type>::new(codes.into(), Arc::new(values))
        }),
    }
}

fn strings(values: &[Option<String>]) -> impl Iterator<Item = Option<&str>> {
    values.iter().map(Option::as_deref)
}
