//! Tables: what is written is what is read, and whatever is read is safe to use.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

mod support;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, StringArray, UInt8Array};
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use modrun_wire::table::{self, Layout};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use support::batches;
use support::tables::{Read, check, values, written};

proptest! {
    #[test]
    fn what_is_written_is_read((batch, schema) in batches::batch()) {
        let bytes = written(&batch);
        let read = table::decode(Buffer::from_slice_ref(&bytes), &schema).unwrap();
        prop_assert_eq!(read.num_rows(), batch.num_rows());
        prop_assert_eq!(values(&read), values(&batch));
        prop_assert_eq!(written(&read), bytes);
        for (field, link) in read.schema().fields().iter().zip(schema.fields()) {
            prop_assert_eq!((field.name(), field.is_nullable()), (link.name(), link.is_nullable()));
        }
    }

    #[test]
    fn as_many_rows_are_found_to_fit_as_do((batch, _) in batches::batch(), share in 0.0..1.2f64) {
        let length = |rows| Layout::of(&batch.slice(0, rows)).unwrap().length();
        let bytes = (length(batch.num_rows()) as f64 * share) as usize;
        let expected = (1..=batch.num_rows()).take_while(|&rows| length(rows) <= bytes).count();
        prop_assert_eq!(table::rows_within(&batch, bytes).unwrap(), expected);
    }
}

/// A number that is wrong in an interesting way.
fn wrong(was: u32, length: usize, rng: &mut TestRng) -> u32 {
    match rng.random_range(0..9) {
        0 => 0,
        1 => was.wrapping_add(1),
        2 => was.wrapping_sub(1),
        3 => was.wrapping_add(8),
        4 => was.wrapping_sub(8),
        5 => u32::MAX - rng.random_range(0..9),
        6 => length as u32,
        7 => rng.random_range(0..length as u32 + 9),
        _ => rng.random(),
    }
}

/// Changes a table in one to three places.
fn mutate(table: &mut Vec<u8>, rng: &mut TestRng) {
    for _ in 0..rng.random_range(1..4) {
        let length = table.len();
        match rng.random_range(0..10) {
            0..5 => {
                // A number of the header or of a column.
                let end = table.len().min(16 + 48 * 6);
                let at = 4 * rng.random_range(0..end / 4);
                let was = u32::from_le_bytes(table[at..at + 4].try_into().unwrap());
                table[at..at + 4].copy_from_slice(&wrong(was, length, rng).to_le_bytes());
            }
            5..9 => table[rng.random_range(0..length)] = rng.random(),
            _ => table.truncate(rng.random_range(16..=length)),
        }
    }
}

const CASES: u32 = 500;
const CHANGES: usize = 200;

/// A hundred thousand broken tables are refused, or hold what can be used; never anything else.
#[test]
fn changed_tables_are_refused_or_safe() {
    let (mut refused, mut read) = (0, 0);
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: CASES, ..Default::default() });
    let outcomes = std::sync::Mutex::new((&mut refused, &mut read));
    let cases = (batches::batch(), Just(()).prop_perturb(|(), rng| rng));
    runner
        .run(&cases, |((batch, schema), mut rng)| {
            let sound = written(&batch);
            for _ in 0..CHANGES {
                let mut table = sound.clone();
                mutate(&mut table, &mut rng);
                let mut outcomes = outcomes.lock().unwrap();
                match check(&table, &schema) {
                    Read::Refused => *outcomes.0 += 1,
                    Read::Used => *outcomes.1 += 1,
                }
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(refused + read, CASES as usize * CHANGES);
    assert!(refused > 10_000 && read > 10_000, "{refused} tables were refused, {read} read");
}

/// What the schema says counts, not what the table says of itself.
#[test]
fn a_table_of_other_columns_is_refused() {
    proptest!(|((batch, schema) in batches::batch(), (_, other) in batches::batch())| {
        let types = |schema: &SchemaRef| -> Vec<_> {
            schema.fields().iter().map(|field| field.data_type().clone()).collect()
        };
        let read = table::decode(written(&batch).into(), &other);
        if types(&schema) == types(&other) {
            let nullable = |schema: &SchemaRef, at: usize| schema.field(at).is_nullable();
            let fits = (0..batch.num_columns())
                .all(|at| nullable(&other, at) || batch.column(at).logical_null_count() == 0);
            prop_assert_eq!(read.is_ok(), fits);
        } else {
            prop_assert!(read.is_err());
        }
    });
}

fn coded(rows: usize, values: usize, length: usize) -> RecordBatch {
    let codes: UInt8Array = (0..rows).map(|row| Some((row % values) as u8)).collect();
    let values: StringArray = (0..values).map(|at| Some(format!("{at:length$}"))).collect();
    let array: ArrayRef = Arc::new(DictionaryArray::<UInt8Type>::new(codes, Arc::new(values)));
    RecordBatch::try_from_iter([("s", array)]).unwrap()
}

/// Codes of one byte reach 256 values, however many there are.
#[test]
fn values_beyond_the_codes_stay_behind() {
    let numbers = || (0..300).map(|at| Some(at.to_string()));
    let codes: UInt8Array = (0..=255).map(Some).collect();
    let array = DictionaryArray::<UInt8Type>::new(codes, Arc::new(numbers().collect::<StringArray>()));
    let batch = RecordBatch::try_from_iter([("s", Arc::new(array) as ArrayRef)]).unwrap();
    let read = table::decode(written(&batch).into(), &batch.schema()).unwrap();
    assert_eq!(values(&read), values(&batch));
    assert_eq!(read.column(0).as_dictionary::<UInt8Type>().values().len(), 256);
}

/// A dictionary whose text is long travels only if its rows use it.
#[test]
fn strings_travel_as_the_shorter_of_both_where_it_matters() {
    for (rows, distinct, length, coded_still) in [
        (1, 200, 10, true),       // short text: always as it is
        (1, 100, 10_000, false),  // a megabyte for one row
        (50, 100, 10_000, false), // half of the dictionary is not used
        (200, 100, 10_000, true), // each value twice
    ] {
        let batch = coded(rows, distinct, length);
        let read = table::decode(written(&batch).into(), &batch.schema()).unwrap();
        assert_eq!(read.schema() == batch.schema(), coded_still, "{rows} rows");
        assert_eq!(values(&read), values(&batch));
    }
    // Which lets a batch be split that no slot could hold.
    let batch = coded(100, 100, 10_000);
    assert_eq!(table::rows_within(&batch, 100_000).unwrap(), 9);
}

#[test]
fn columns_that_no_link_carries_are_named() {
    let array: ArrayRef = Arc::new(UInt8Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("v", array)]).unwrap();
    let expected = "column `v` has the type `UInt8`, which is no link type";
    assert_eq!(Layout::of(&batch).unwrap_err().to_string(), expected);
    assert_eq!(modrun_wire::Schema::of(&batch.schema()).unwrap_err().to_string(), expected);
}

/// Payloads come from anywhere, and columns of 8-byte values need their place.
#[test]
fn a_payload_that_lies_askew_is_copied() {
    proptest!(|((batch, schema) in batches::batch(), skew in 1..8usize)| {
        let bytes = [&vec![0; skew][..], &written(&batch)].concat();
        let payload = Buffer::from_slice_ref(&bytes).slice(skew);
        let read = table::decode(payload, &schema).unwrap();
        prop_assert_eq!(values(&read), values(&batch));
    });
}
