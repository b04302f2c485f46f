//! The `json` stage against a slow reader of its own kind: `serde_json::Value`, line by line, field by field.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BinaryArray, Int64Array, RecordBatch, StringArray};
use modrun_core::env::Memory;
use modrun_core::value::timestamp;
use modrun_core::{
    Columns, Kind, Limits, Open, OpenContext, Output, Payload, Role, Transform, Type, raw_schema,
};
use serde_json::{Value, json};

/// A row, its fields as JSON (timestamps in microseconds), or the line number and bytes of a dead letter.
#[derive(Debug, PartialEq)]
enum Read {
    Row(Vec<Value>),
    Dead { line: u64, offset: u64, bytes: Vec<u8> },
}

/// A declared field: its name, its type and whether it may be null or missing.
type Field = (&'static str, Type, bool);

const FIELDS: [Field; 6] = [
    ("ts", Type::Timestamp, false),
    ("type", Type::String, false),
    ("user", Type::String, true),
    ("value", Type::Int64, false),
    ("score", Type::Float64, true),
    ("ok", Type::Bool, true),
];

fn declared() -> Value {
    json!({"fields": {
        "ts": "timestamp", "type": "string", "user": "string?", "value": "int64", "score": "float64?", "ok": "bool?",
    }})
}

fn reference_field((_, field_type, optional): Field, value: Option<&Value>) -> Option<Value> {
    match (field_type, value) {
        (_, None | Some(Value::Null)) => optional.then_some(Value::Null),
        (Type::Bool, Some(value)) => value.as_bool().map(Value::from),
        (Type::Int64, Some(value)) => value.as_i64().map(Value::from),
        (Type::Float64, Some(value)) => value.as_f64().map(|float| json!({ "bits": float.to_bits() })),
        (Type::String, Some(value)) => value.as_str().map(Value::from),
        (Type::Timestamp, Some(value)) => timestamp::parse(value.as_str()?.as_bytes()).map(Value::from),
        (Type::Binary, _) => None,
    }
}

fn reference(text: &[u8], wanted: &Columns) -> Vec<Read> {
    let (mut reads, mut offset) = (Vec::new(), 0);
    for (line, whole) in (1..).zip(text.split_inclusive(|&byte| byte == b'\n')) {
        let bytes = whole.strip_suffix(b"\n").unwrap_or(whole);
        let start = offset;
        offset += whole.len() as u64;
        if bytes.iter().all(|byte| b" \t\r".contains(byte)) {
            continue;
        }
        let value = serde_json::from_slice::<Value>(bytes).ok();
        let row = value.as_ref().and_then(Value::as_object).and_then(|object| {
            let row =
                FIELDS.iter().map(|field| Some((field.0, reference_field(*field, object.get(field.0))?)));
            let row: Vec<_> = row.collect::<Option<_>>()?;
            Some(row.into_iter().filter(|(name, _)| wanted.contains(name)).map(|(_, cell)| cell).collect())
        });
        reads.push(match row {
            Some(row) => Read::Row(row),
            None => Read::Dead { line, offset: start, bytes: bytes.to_vec() },
        });
    }
    reads
}

fn cell(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    let plain = match column.as_any_dictionary_opt() {
        Some(codes) => {
            let code = codes.normalized_keys()[row];
            return codes.values().as_string::<i32>().value(code).into();
        }
        None => column,
    };
    match Type::from_arrow(plain.data_type()).expect("the stage keeps its contract") {
        Type::Bool => plain.as_boolean().value(row).into(),
        Type::Int64 => plain.as_primitive::<Int64Type>().value(row).into(),
        Type::Float64 => json!({"bits": plain.as_primitive::<Float64Type>().value(row).to_bits()}),
        Type::Timestamp => plain.as_primitive::<TimestampMicrosecondType>().value(row).into(),
        Type::String | Type::Binary => plain.as_string::<i32>().value(row).into(),
    }
}

/// Parses `text` in blocks that end at each of `cuts`; rows and dead letters, each in their order.
fn parsed(text: &[u8], cuts: &[usize], wanted: &Columns) -> (Vec<Read>, Vec<Read>, u64) {
    let (schema, mut parser) = (raw_schema(), json_stage(wanted));
    let (mut rows, mut dead, mut events) = (Vec::new(), Vec::new(), 0);
    let (mut start, mut line) = (0, 1);
    for &end in cuts.iter().chain([&text.len()]) {
        let block = &text[start..end];
        let batch = RecordBatch::try_new(
            schema.clone(),
            vec![
                Arc::new(StringArray::from(vec!["feed"])),
                Arc::new(Int64Array::from(vec![start as i64])),
                Arc::new(Int64Array::from(vec![line])),
                Arc::new(BinaryArray::from(vec![block])),
            ],
        );
        let mut out = Output::default();
        parser
            .process(batch.expect("the stage keeps its contract"), &mut out)
            .expect("the stage keeps its contract");
        events += out.events_found.expect("the stage keeps its contract");
        for batch in out.batches {
            rows.extend(
                (0..batch.num_rows())
                    .map(|row| Read::Row(batch.columns().iter().map(|column| cell(column, row)).collect())),
            );
        }
        dead.extend(out.dead_letters.into_iter().map(|letter| {
            let (Some(origin), Payload::Raw { bytes, .. }) = (letter.origin, letter.payload) else {
                panic!("a line that is no event is kept with its origin");
            };
            Read::Dead {
                line: origin.line.expect("the stage keeps its contract"),
                offset: origin.offset,
                bytes,
            }
        }));
        line += block.iter().filter(|&&byte| byte == b'\n').count() as i64;
        start = end;
    }
    (rows, dead, events)
}

/// The stage, opened for the columns in `wanted`.
fn json_stage(wanted: &Columns) -> Box<dyn Transform> {
    let kinds = modrun_stages::builtin();
    let is_json =
        |kind: &&Arc<dyn Kind>| kind.describe().word == "json" && kind.describe().role == Role::Transform;
    let kind = kinds.iter().find(is_json).expect("`json` is a built-in kind");
    let bound = kind.bind(&declared(), Some(&raw_schema()), wanted).expect("the fields are well declared");
    let Open::Transform(open) = bound.open else { panic!("`json` is a transform") };
    let context = OpenContext { env: Memory::default().env(), limits: Limits::default(), states: Vec::new() };
    open(context).expect("`json` needs nothing to open")
}

/// Checks that `text` reads as the reference reads it, whole and cut into blocks.
pub(crate) fn check(text: &[u8], cuts: &[usize], wanted: &Columns) {
    let (mut rows, mut dead) = (Vec::new(), Vec::new());
    for read in reference(text, wanted) {
        if matches!(read, Read::Row(_)) { rows.push(read) } else { dead.push(read) }
    }
    let events = (rows.len() + dead.len()) as u64;
    assert_eq!(parsed(text, cuts, wanted), (rows, dead, events), "in\n{}", String::from_utf8_lossy(text));
}
