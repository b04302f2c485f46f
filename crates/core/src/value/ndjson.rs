//! Rows as JSON: one object a line, keys in column order.
//!
//! Guarantees: what the value rules say for every type (int64 in full, float64 as ECMAScript prints it, timestamps
//! as RFC 3339, binary as base64, nulls, NaN and infinities as `null`), the same bytes for a string whether it
//! comes plain or dictionary-encoded, and one allocation per column and batch at most.
//!
//! Refuses: columns of a type that no link can carry.
//!
//! Neighbours: the `file` sink writes with [`write_rows`], dead letters carry [`event`].

use super::{Column, number, timestamp};
use crate::{Error, Result};
use arrow_array::{Array, RecordBatch};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

/// Appends every row of `batch` as one line of JSON.
///
/// # Errors
/// [`ErrorKind::Stage`](crate::ErrorKind::Stage) if a column has a type that no link can carry; nothing is
/// appended then.
pub fn write_rows(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let values = Column::of(array).ok_or_else(|| {
            Error::stage(format!(
                "column `{}` has the type `{}`, which is no link type",
                field.name(),
                array.data_type()
            ))
        })?;
        let mut key = vec![if columns.is_empty() { b'{' } else { b',' }];
        write_string(field.name(), &mut key);
        key.push(b':');
        columns.push((key, values));
    }
    let end: &[u8] = if columns.is_empty() { b"{}\n" } else { b"}\n" };
    for row in 0..batch.num_rows() {
        for (key, values) in &columns {
            out.extend_from_slice(key);
            values.write(row, out);
        }
        out.extend_from_slice(end);
    }
    Ok(())
}

/// One row as a JSON object; columns of a type that no link can carry are left out.
///
/// # Panics
/// If `batch` has no such row.
pub fn event(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    // A dictionary's codes are read at once: all of them, for each of many rows, would take for ever.
    let event = batch.slice(row, 1);
    let fields = event.schema_ref().fields().iter();
    fields
        .zip(event.columns())
        .filter_map(|(field, array)| Some((field.name().clone(), Column::of(array)?.value(0))))
        .collect()
}

/// Appends `text` as a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    // Without an early exit, so that the compiler checks whole vectors of a string that needs no escape.
    if rest.iter().fold(false, |any, &byte| any | needs_escape(byte)) {
        while let Some(plain) = rest.iter().position(|&byte| needs_escape(byte)) {
            out.extend_from_slice(&rest[..plain]);
            write_escape(rest[plain], out);
            rest = &rest[plain + 1..];
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

impl Column<'_> {
    /// Appends the value of a row as JSON.
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Bool(array) if array.is_valid(row) => {
                out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
            }
            Self::Int64(array) if array.is_valid(row) => number::write_i64(array.value(row), out),
            Self::Float64(array) if array.is_valid(row) => number::write_f64(array.value(row), out),
            Self::String(strings) if let Some(text) = strings.get(row) => write_string(text, out),
            Self::Binary(array) if array.is_valid(row) => {
                write_quoted(out, |out| out.extend_from_slice(BASE64.encode(array.value(row)).as_bytes()));
            }
            Self::Timestamp(array) if array.is_valid(row) => {
                write_quoted(out, |out| timestamp::write(array.value(row), out));
            }
            _ => out.extend_from_slice(b"null"),
        }
    }

    /// The value of a row as JSON.
    fn value(&self, row: usize) -> Value {
        match self {
            Self::Bool(array) => array.is_valid(row).then(|| array.value(row)).into(),
            Self::Int64(array) => array.is_valid(row).then(|| array.value(row)).into(),
            Self::Float64(array) => array.is_valid(row).then(|| array.value(row)).into(),
            Self::String(strings) => strings.get(row).into(),
            Self::Binary(array) => array.is_valid(row).then(|| BASE64.encode(array.value(row))).into(),
            Self::Timestamp(array) => array.is_valid(row).then(|| timestamp_text(array.value(row))).into(),
        }
    }
}

fn timestamp_text(micros: i64) -> String {
    let mut text = Vec::new();
    timestamp::write(micros, &mut text);
    text.into_iter().map(char::from).collect()
}

/// Appends what needs no escape, between quotes.
fn write_quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::{Int8Type, UInt32Type};
    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array,
        StringArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
    };
    use arrow_schema::DataType;
    use proptest::prelude::*;

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .unwrap()
    }

    fn written(batch: &RecordBatch) -> String {
        let mut out = b"before\n".to_vec();
        write_rows(batch, &mut out).unwrap();
        String::from_utf8(out).unwrap().strip_prefix("before\n").unwrap().to_owned()
    }

    fn check(array: impl Array + 'static, expected: &[&str]) {
        let lines: String = expected.iter().map(|value| format!("{{\"v\":{value}}}\n")).collect();
        assert_eq!(written(&batch(vec![("v", Arc::new(array))])), lines);
    }

    #[test]
    fn each_type_prints_by_the_value_rules() {
        check(BooleanArray::from(vec![Some(true), Some(false), None]), &["true", "false", "null"]);
        check(
            Int64Array::from(vec![Some(i64::MIN), Some(9_007_199_254_740_993), None]),
            &["-9223372036854775808", "9007199254740993", "null"],
        );
        check(
            Float64Array::from(vec![Some(55.0), Some(0.1), Some(1e21), Some(f64::NAN), None]),
            &["55", "0.1", "1e+21", "null", "null"],
        );
        check(
            StringArray::from(vec![Some(""), Some("a\"b\\\n\u{1}é"), None]),
            &[r#""""#, "\"a\\\"b\\\\\\n\\u0001é\"", "null"],
        );
        check(
            BinaryArray::from_opt_vec(vec![Some(b""), Some(b"\xff\x00"), None]),
            &[r#""""#, r#""/wA=""#, "null"],
        );
        check(
            TimestampMicrosecondArray::from(vec![Some(785_000), Some(1), None]).with_timezone("UTC"),
            &[r#""1970-01-01T00:00:00.785Z""#, r#""1970-01-01T00:00:00.000001Z""#, "null"],
        );
    }

    #[test]
    fn coded_strings_print_as_plain_ones_do() {
        let expected = [r#""b\"""#, "null", r#""a""#, r#""b\"""#];
        let rows = vec![Some("b\""), None, Some("a"), Some("b\"")];
        check(DictionaryArray::<Int8Type>::from_iter(rows.clone()), &expected);
        check(DictionaryArray::<UInt32Type>::from_iter(rows), &expected);
        let null_in_dictionary = DictionaryArray::new(
            UInt32Array::from(vec![1, 0, 1]),
            Arc::new(StringArray::from(vec![None, Some("a")])),
        );
        check(null_in_dictionary, &[r#""a""#, "null", r#""a""#]);
        let type_of_strings = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        check(new_null_array(&type_of_strings, 2), &["null", "null"]);
    }

    #[test]
    fn a_slice_prints_its_own_rows() {
        let rows: DictionaryArray<Int8Type> = [Some("a"), Some("b"), None].into_iter().collect();
        check(rows.slice(1, 2), &[r#""b""#, "null"]);
        check(Int64Array::from(vec![1, 2, 3]).slice(2, 1), &["3"]);
    }

    #[test]
    fn keys_stand_in_column_order_and_are_escaped() {
        let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let rows = batch(vec![("b", one.clone()), ("a\"", one.clone()), ("", one)]);
        assert_eq!(written(&rows), "{\"b\":1,\"a\\\"\":1,\"\":1}\n");
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(2));
        let schema = Arc::new(arrow_schema::Schema::empty());
        let empty = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        assert_eq!(written(&empty), "{}\n{}\n");
    }

    #[test]
    fn a_column_that_no_link_can_carry_is_refused() {
        let rows = batch(vec![("v", Arc::new(Int32Array::from(vec![1])))]);
        let mut out = Vec::new();
        let error = write_rows(&rows, &mut out).unwrap_err();
        assert_eq!(error.to_string(), "column `v` has the type `Int32`, which is no link type");
        assert!(out.is_empty());
        assert!(event(&rows, 0).is_empty());
    }

    proptest! {
        #[test]
        fn lines_read_back_as_the_events(
            rows in proptest::collection::vec(
                (
                    any::<Option<String>>(),
                    any::<Option<i64>>(),
                    any::<Option<f64>>(),
                    any::<Option<bool>>(),
                    any::<Option<Vec<u8>>>(),
                    proptest::option::of("[ab\"]{0,1}"),
                    any::<Option<i64>>(),
                ),
                1..20,
            ),
        ) {
            let rows = batch(vec![
                ("s", Arc::new(rows.iter().map(|row| row.0.as_deref()).collect::<StringArray>())),
                ("i", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
                ("f", Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>())),
                ("b", Arc::new(rows.iter().map(|row| row.3).collect::<BooleanArray>())),
                ("y", Arc::new(rows.iter().map(|row| row.4.as_deref()).collect::<BinaryArray>())),
                ("d", Arc::new(rows.iter().map(|row| row.5.as_deref()).collect::<DictionaryArray<Int8Type>>())),
                (
                    "t",
                    Arc::new(
                        rows.iter().map(|row| row.6).collect::<TimestampMicrosecondArray>().with_timezone("UTC"),
                    ),
                ),
            ]);
            for (row, line) in written(&rows).lines().enumerate() {
                let mut read: Map<String, Value> = serde_json::from_str(line).unwrap();
                let mut expected = event(&rows, row);
                // A whole float prints without a point and reads back as an integer.
                for map in [&mut read, &mut expected] {
                    let float = map["f"].as_f64();
                    map.insert("f".to_owned(), float.into());
                }
                prop_assert_eq!(read, expected);
            }
        }

        #[test]
        fn strings_are_escaped_as_serde_json_does(text: String) {
            let mut out = Vec::new();
            write_string(&text, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
