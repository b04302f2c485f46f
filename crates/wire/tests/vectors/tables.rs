//! Tables.

use std::sync::Arc;

use arrow_array::types::UInt8Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray, UInt8Array,
};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_schema::{Field, SchemaRef};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use modrun_core::{Type, raw_schema};
use modrun_wire::table;
use modrun_wire::{Column, Schema};
use serde_json::{Value, json};

use super::folder::{self, Vectors};
use super::support::tables::{self, written};

/// A batch of columns of (name, array, nullable).
pub(crate) fn batch(columns: Vec<(&str, ArrayRef, bool)>) -> RecordBatch {
    let (fields, arrays): (Vec<_>, Vec<_>) = columns
        .into_iter()
        .map(|(name, array, nullable)| (Field::new(name, array.data_type().clone(), nullable), array))
        .unzip();
    RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), arrays).unwrap()
}

fn arc(array: impl arrow_array::Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn timestamps(values: Vec<Option<i64>>) -> ArrayRef {
    arc(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

/// Columns of every type with `rows` rows, of which `null` are null.
fn every_type(rows: usize, null: impl Fn(usize) -> bool) -> RecordBatch {
    let valid = |row: usize| (!null(row)).then_some(row);
    let each = || (0..rows).map(valid);
    let nullable = (0..rows).any(&null);
    batch(vec![
        ("b", arc(each().map(|row| row.map(|row| row % 3 == 0)).collect::<BooleanArray>()), nullable),
        (
            "n",
            arc(each().map(|row| row.map(|row| row as i64 * 1_000_003 - 5)).collect::<Int64Array>()),
            nullable,
        ),
        (
            "x",
            arc(each().map(|row| row.map(|row| row as f64 / 8.0 - 1.0)).collect::<Float64Array>()),
            nullable,
        ),
        ("s", arc(each().map(|row| row.map(|row| "ab☃".repeat(row % 3))).collect::<StringArray>()), nullable),
        (
            "r",
            arc(each().map(|row| row.map(|row| vec![row as u8; row % 4])).collect::<BinaryArray>()),
            nullable,
        ),
        (
            "t",
            timestamps(each().map(|row| row.map(|row| 1_768_093_150_000_000 + row as i64)).collect()),
            nullable,
        ),
    ])
}

fn extremes() -> RecordBatch {
    let ints = vec![
        i64::MIN,
        i64::MAX,
        -1,
        0,
        1,
        9_007_199_254_740_991,
        9_007_199_254_740_992,
        -9_007_199_254_740_993,
    ];
    let floats = [0.1, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let times = [i64::MIN, i64::MAX, 0, -1, 1, -62_135_596_800_000_000, 253_402_300_799_999_999, 1_000_000];
    batch(vec![
        ("n", arc(Int64Array::from(ints)), false),
        ("x", arc(Float64Array::from(floats.to_vec())), false),
        ("t", timestamps(times.map(Some).to_vec()), false),
    ])
}

fn strings(values: &[Option<&str>]) -> ArrayRef {
    arc(values.iter().copied().collect::<StringArray>())
}

fn unicode() -> RecordBatch {
    let all: &[Option<&str>] = &[
        Some(""),
        Some("é"),
        Some("e\u{301}"),
        Some("☃"),
        Some("𝄞"),
        Some("\u{10ffff}"),
        Some("\u{feff}bom"),
        Some("nul\0inside"),
        Some("line\nbreak \"quoted\" \\ \u{7f}"),
        None,
        Some("👩‍👩‍👧"),
        Some("日本語"),
        Some("\u{d7ff}\u{e000}"),
    ];
    let codes = all.iter().enumerate().map(|(at, value)| value.map(|_| at as u8)).collect::<UInt8Array>();
    let values = all.iter().map(|value| Some(value.unwrap_or("not used"))).collect::<StringArray>();
    let dictionary = DictionaryArray::<UInt8Type>::new(codes, Arc::new(values));
    batch(vec![("städte", strings(all), true), ("𝄞", arc(dictionary), true)])
}

fn coded(codes: Vec<Option<u8>>, values: Vec<&str>) -> ArrayRef {
    arc(DictionaryArray::<UInt8Type>::new(codes.into(), Arc::new(StringArray::from(values))))
}

fn no_columns(rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(arrow_schema::Schema::empty()), vec![], &options).unwrap()
}

fn raw() -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        strings(&[Some("/in/events.ndjson")]),
        arc(Int64Array::from(vec![1 << 33])),
        arc(Int64Array::from(vec![None])),
        arc(BinaryArray::from(vec![&b"{\"n\":1}\n{\"n\":2}\nnot json \xff\n"[..]])),
    ];
    RecordBatch::try_new(raw_schema(), columns).unwrap()
}

fn dictionaries() -> Vec<(&'static str, RecordBatch)> {
    let names: Vec<String> = (0..256).map(|at| format!("value {at}")).collect();
    let all = coded((0..=255).rev().map(Some).collect(), names.iter().map(String::as_str).collect());
    let some = coded(vec![Some(1), None, Some(0), Some(1), Some(2)], vec!["click", "", "☃"]);
    let one = |array: ArrayRef, nullable| batch(vec![("s", array, nullable)]);
    vec![
        (
            "dictionary",
            batch(vec![("s", some, true), ("n", arc(Int64Array::from(vec![1, 2, 3, 4, 5])), false)]),
        ),
        ("dictionary_256_values", one(all, false)),
        ("dictionary_unused_values", one(coded(vec![Some(2), Some(2)], vec!["a", "b", "c", "d"]), false)),
        ("dictionary_equal_values", one(coded(vec![Some(0), Some(1), Some(2)], vec!["a", "b", "a"]), false)),
        ("dictionary_all_null", one(coded(vec![None; 9], vec![]), true)),
        ("dictionary_no_rows", one(coded(vec![], vec!["a"]), true)),
    ]
}

fn cases() -> Vec<(&'static str, RecordBatch)> {
    let long = every_type(140, |row| row % 5 == 2);
    let mut cases = vec![
        ("no_columns", no_columns(3)),
        ("no_columns_no_rows", no_columns(0)),
        ("no_rows", every_type(0, |_| false)),
        ("one_row", every_type(1, |_| false)),
        ("every_type", every_type(5, |_| false)),
        ("nulls", every_type(11, |row| row % 3 == 1)),
        ("all_null", every_type(8, |_| true)),
        ("rows_64", every_type(64, |row| row == 63)),
        ("rows_65", every_type(65, |row| row == 64)),
        ("slice", long.slice(67, 13)),
        ("extremes", extremes()),
        ("unicode", unicode()),
        ("raw", raw()),
    ];
    cases.extend(dictionaries());
    cases
}

/// Where a column is described.
fn head(column: usize) -> usize {
    16 + 48 * column
}

/// Tables that no one writes like this and everyone must read, made of one that is written: its name, what to change.
/// Here bytes without a meaning are anything.
fn loose_bytes() -> Vec<(&'static str, &'static str, Edit)> {
    vec![
        (
            "loose_unused_bits",
            "nulls",
            Box::new(|table| {
                // The last byte of the first column's validity and values.
                for buffer in [16, 24] {
                    let end = number(table, head(0) + buffer) + number(table, head(0) + buffer + 4);
                    table[end as usize - 1] |= 0b1111_1000;
                }
            }),
        ),
        (
            "loose_bytes_between",
            "nulls",
            Box::new(|table| {
                let used = used(table, 6);
                table.iter_mut().zip(used).filter(|(_, used)| !used).for_each(|(byte, _)| *byte = 0xa5);
                table.extend_from_slice(b"behind");
            }),
        ),
        (
            "loose_values_of_nulls",
            "nulls",
            Box::new(|table| {
                // Row 1 is null: its int64, float64 and timestamp may be anything.
                for column in [1, 2, 5] {
                    let at = number(table, head(column) + 24) as usize + 8;
                    table[at..at + 8].fill(0xff);
                }
            }),
        ),
        (
            "loose_codes_of_nulls",
            "dictionary",
            Box::new(|table| {
                let codes = number(table, head(0) + 24) as usize;
                table[codes + 1] = 200;
            }),
        ),
        (
            "loose_codes_of_no_values",
            "dictionary_all_null",
            Box::new(|table| {
                let codes = number(table, head(0) + 24) as usize;
                table[codes..codes + 9].fill(7);
            }),
        ),
    ]
}

/// As [`loose_bytes`]; here buffers lie where no one puts them.
fn loose_buffers() -> Vec<(&'static str, &'static str, Edit)> {
    vec![
        (
            "loose_empty_buffers",
            "every_type",
            Box::new(|table| {
                // No validity, wherever it may be, and no text where it cannot be.
                let length = table.len() as u32;
                for (column, offset) in [(0, 1), (1, 7), (2, length), (3, length - 1), (4, 15), (5, 16)] {
                    set(table, head(column) + 16, offset);
                }
                for column in [0, 1, 2, 5] {
                    set(table, head(column) + 32, 3);
                    set(table, head(column) + 40, 5);
                }
            }),
        ),
        (
            "loose_other_order",
            "every_type",
            Box::new(|table| {
                // The int64 values move behind everything else, with a gap.
                let from = number(table, head(1) + 24) as usize;
                let values = table[from..from + 40].to_vec();
                let to = table.len().next_multiple_of(8) + 64;
                table.resize(to, 0);
                table.extend_from_slice(&values);
                set(table, head(1) + 24, to as u32);
            }),
        ),
    ]
}

pub(crate) type Edit = Box<dyn Fn(&mut Vec<u8>)>;

pub(crate) fn number(table: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(table[at..at + 4].try_into().unwrap())
}

pub(crate) fn set(table: &mut [u8], at: usize, number: u32) {
    table[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// Which bytes of a table mean something.
fn used(table: &[u8], columns: usize) -> Vec<bool> {
    let mut used = vec![false; table.len()];
    used[..16 + 48 * columns].fill(true);
    for buffer in (0..columns).flat_map(|column| (0..4).map(move |buffer| 16 + 48 * column + 16 + 8 * buffer))
    {
        let (start, length) = (number(table, buffer) as usize, number(table, buffer + 4) as usize);
        used[start..start + length].fill(true);
    }
    used
}

pub(crate) fn schema_json(schema: &arrow_schema::Schema) -> Value {
    let columns = Schema::of(schema).unwrap().columns.into_iter();
    let column = |Column { name, column_type, nullable }| json!({"name": name, "type": column_type.to_string(), "nullable": nullable});
    columns.map(column).collect()
}

pub(crate) fn schema_of(json: &Value) -> SchemaRef {
    let column = |column: &Value| Column {
        name: column["name"].as_str().unwrap().to_owned(),
        column_type: serde_json::from_value::<Type>(column["type"].clone()).unwrap(),
        nullable: column["nullable"].as_bool().unwrap(),
    };
    Schema { columns: json.as_array().unwrap().iter().map(column).collect() }.to_arrow()
}

fn rows_json(batch: &RecordBatch) -> Value {
    let columns = tables::values(batch);
    let cell = |column: &Vec<tables::Value>, row: usize| match &column[row] {
        tables::Value::Null => Value::Null,
        tables::Value::Bool(value) => json!(value),
        tables::Value::Int64(value) => json!(value.to_string()),
        tables::Value::Float64(bits) => match f64::from_bits(*bits) {
            value if value.is_nan() => json!("NaN"),
            value if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
            value => json!(value),
        },
        tables::Value::String(value) => json!(value),
        tables::Value::Binary(value) => json!(BASE64.encode(value)),
    };
    let row = |row| columns.iter().map(|column| cell(column, row)).collect::<Value>();
    (0..batch.num_rows()).map(row).collect()
}

fn meaning(batch: &RecordBatch) -> Value {
    let dictionaries =
        batch.columns().iter().map(|column| column.data_type().to_string().starts_with("Dict"));
    json!({
        "schema": schema_json(&batch.schema()),
        "dictionary": dictionaries.collect::<Vec<_>>(),
        "rows": rows_json(batch),
    })
}

#[test]
fn the_vectors_of_tables_are_written_and_read() {
    let mut expected = Vectors::new();
    for (name, batch) in cases() {
        expected.insert(name.to_owned(), (written(&batch), meaning(&batch)));
    }
    for (name, of, edit) in loose_bytes().into_iter().chain(loose_buffers()) {
        let (mut table, meaning) = expected[of].clone();
        edit(&mut table);
        assert_ne!(table, expected[of].0, "{name}");
        expected.insert(name.to_owned(), (table, meaning));
    }
    for (name, (bytes, expected)) in folder::check("tables", &expected) {
        let batch = table::decode(Buffer::from_slice_ref(&bytes), &schema_of(&expected["schema"])).unwrap();
        assert_eq!(meaning(&batch), expected, "{name}");
        if !name.starts_with("loose_") {
            assert_eq!(written(&batch), bytes, "{name}");
        }
    }
}

/// A null of an Arrow column may hide any code.
#[test]
fn codes_of_null_rows_are_written_as_they_are_and_read_safely() {
    let nulls = NullBuffer::from(vec![true, false]);
    let codes = UInt8Array::new(vec![0, 255].into(), Some(nulls));
    let column = DictionaryArray::<UInt8Type>::new(codes, Arc::new(StringArray::from(vec!["a"])));
    let batch = batch(vec![("s", arc(column), true)]);
    let read = table::decode(written(&batch).into(), &batch.schema()).unwrap();
    assert_eq!(rows_json(&read), json!([["a"], [null]]));
}
