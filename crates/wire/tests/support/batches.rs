//! Random record batches of every link type, however their columns may lie in memory.

use std::sync::Arc;

use arrow_array::types::{Int8Type, UInt8Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema, SchemaRef};
use modrun_core::Type;
use proptest::collection::vec;
use proptest::prelude::*;

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
