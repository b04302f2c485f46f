//! Messages, with their frames.

use std::time::Duration;

use arrow_buffer::Buffer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use modrun_core::{Concurrency, ErrorKind, Role, Seq, Type};
use modrun_wire::{
    Activity, Barrier, Batch, BatchPolicy, Column, Credit, Done, Failed, Form, Frames, FromStage, Incoming,
    Open, Place, Ready, Schema, Snapshot, State, ToStage,
};
use serde_json::{Value, json};

use super::folder::{self, Vectors};
use super::support::contract::{self, Contract};

/// Bytes that an inline payload of a vector may have.
const INLINE_MAX: usize = 64;

const TO_STAGE: &str = "ToStage";
const FROM_STAGE: &str = "FromStage";

fn schema(columns: &[(&str, Type, bool)]) -> Schema {
    let column = |&(name, column_type, nullable): &(&str, _, _)| Column {
        name: name.to_owned(),
        column_type,
        nullable,
    };
    Schema { columns: columns.iter().map(column).collect() }
}

fn open() -> Open {
    Open {
        protocol: 1,
        generation: 3,
        stage: "régles".to_owned(),
        config: r#"{"where":"value >= 10","list":[1,2]}"#.to_owned(),
        input: Some(schema(&[
            ("b", Type::Bool, true),
            ("n", Type::Int64, false),
            ("x", Type::Float64, true),
            ("s", Type::String, false),
            ("r", Type::Binary, true),
            ("t", Type::Timestamp, false),
        ])),
        output: Some(schema(&[("sum", Type::Int64, false)])),
        window_batches: 8,
        window_bytes: 64 << 20,
        inline_max: 64 << 10,
        input_segment: 64 << 20,
        output_segment: 1 << 40,
        policy: Some(BatchPolicy { rows: 1000, linger_us: 10_000 }),
        state_chunks: 2,
        replica: 1,
        replicas: 2,
        unmeasured: false,
    }
}

fn to_stage() -> Vec<(&'static str, ToStage, &'static [u8])> {
    let inline =
        Batch { seq: Seq(0), place: Place::Inline, length: 5, rows: 1, form: Form::Table, input: None };
    let slot = Batch {
        seq: Seq(7),
        place: Place::Slot(1 << 33),
        length: 3_000_000,
        rows: 32_768,
        input: Some(Seq(6)),
        ..inline
    };
    let no_columns = Open { input: Some(Schema::default()), policy: Some(BatchPolicy::default()), ..open() };
    let source = Open {
        protocol: 1,
        stage: "s".to_owned(),
        config: "{}".to_owned(),
        output: Some(schema(&[("", Type::Int64, true)])),
        ..Open::default()
    };
    vec![
        ("open", ToStage::Open(Box::new(open())), b""),
        ("open_no_columns", ToStage::Open(Box::new(no_columns)), b""),
        ("open_source", ToStage::Open(Box::new(source)), b""),
        ("open_unmeasured", ToStage::Open(Box::new(Open { unmeasured: true, ..open() })), b""),
        ("batch_inline", ToStage::Batch(inline), b"MRB1?"),
        ("batch_slot", ToStage::Batch(slot), b""),
        ("credit", ToStage::Credit(Credit { seq: Seq(0), events: 0, filtered: 0 }), b""),
        ("state", ToStage::State(State { index: 0 }), b"the state\0\xff"),
        ("state_empty", ToStage::State(State { index: 1 }), b""),
        ("barrier", ToStage::Barrier(Barrier { epoch: 300 }), b""),
        ("end", ToStage::End, b""),
        ("commit", ToStage::Commit, b""),
    ]
}

fn from_stage() -> Vec<(&'static str, FromStage, &'static [u8])> {
    let ready = Ready {
        protocol: 1,
        sdk: "python 0.1.0".to_owned(),
        role: Role::Transform,
        concurrency: Concurrency::Stateless,
        output: Some(schema(&[("key", Type::String, true), ("count", Type::Int64, false)])),
    };
    let role = |role| Ready { role, concurrency: Concurrency::Ordered, output: None, ..ready.clone() };
    let selection = Batch {
        seq: Seq(u64::MAX - 1),
        place: Place::Inline,
        length: 2,
        rows: 3,
        form: Form::Selection,
        input: Some(Seq(41)),
    };
    let unasked =
        Batch { place: Place::Slot(0), rows: 0, length: 16, form: Form::Table, input: None, ..selection };
    let failed = Failed {
        kind: ErrorKind::Stage,
        code: "ValueError".to_owned(),
        message: "bad n: 7".to_owned(),
        detail: "Traceback (most recent call last):\n  …".to_owned(),
        ..Failed::default()
    };
    let events = Failed { input: Seq(5), rows: vec![0, 127, 128, 32_767], ..failed.clone() };
    let line =
        Failed { input: Seq(5), rows: vec![0], text_offset: 1 << 20, text_length: 123, ..failed.clone() };
    let event = Failed { input: Seq(5), rows: vec![3], event: r#"{"n":7}"#.to_owned(), ..failed.clone() };
    let spent = [1, 20, 300, 4_000, 50_000, 6_000_000_000, 7].map(Duration::from_nanos);
    let activity =
        Activity { spent, cpu: Duration::from_micros(355), bytes_read: 1 << 33, bytes_total: 1 << 34 };
    let done = Done { artifact: Some("/tmp/ergebnisse ☃.ndjson.partial".to_owned()), rows: 42 };
    vec![
        ("ready", FromStage::Ready(ready.clone()), b""),
        ("ready_source", FromStage::Ready(role(Role::Source)), b""),
        ("ready_sink", FromStage::Ready(role(Role::Sink)), b""),
        ("batch_selection", FromStage::Batch(selection), b"\x05\x10"),
        ("batch_no_input", FromStage::Batch(unasked), b""),
        ("credit", FromStage::Credit(Credit { seq: Seq(9), events: 32_768, filtered: 1_000 }), b""),
        ("state", FromStage::State(State { index: 2 }), b"{}"),
        ("snapshot", FromStage::Snapshot(Snapshot { epoch: 300, chunks: 3 }), b""),
        ("snapshot_nothing", FromStage::Snapshot(Snapshot::default()), b""),
        ("failed_stage", FromStage::Failed(failed), b""),
        ("failed_events", FromStage::Failed(events), b""),
        ("failed_line", FromStage::Failed(line), b""),
        ("failed_event", FromStage::Failed(event), b""),
        ("activity", FromStage::Activity(activity), b""),
        ("activity_nothing", FromStage::Activity(Activity::default()), b""),
        ("done", FromStage::Done(Done::default()), b""),
        ("done_sink", FromStage::Done(done), b""),
        ("committed", FromStage::Committed, b""),
    ]
}

/// Messages that no one writes like this and everyone must read: direction, name, bytes.
fn loose() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let unknown = [
        &[0xa0, 0x06, 0x96, 0x01][..], // a varint
        &[0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0xa2, 0x06, 2, 0xff, 0xfe],
        &[0xa5, 0x06, 1, 2, 3, 4],
    ]
    .concat();
    let body = |fields: &[&[u8]]| fields.concat();
    let message = |tag: u8, body: Vec<u8>| [&[tag, body.len() as u8][..], &body].concat();
    let reversed = body(&[b"\x78\x01", &unknown, b"\x22\x02{}", b"\x1a\x01s", b"\x10\x05", b"\x08\x01"]);
    let repeated = body(&[b"\x08\x09", b"\x1a\x04last", b"\x08\x01", b"\x1a\x01s", b"\x22\x02{}"]);
    let merged = body(&[
        b"\x08\x01\x1a\x01s\x22\x02{}",
        b"\x32\x09\x0a\x07\x0a\x01a\x10\x02\x18\x01", // the output's first column
        b"\x32\x07\x0a\x05\x10\x04\x0a\x01b",         // and one more, its type before its name
        b"\x62\x02\x08\x07",
        b"\x62\x02\x10\x08",
    ]);
    let explicit = body(&[b"\x08\x81\x80\x80\x80\x00", b"\x10\x00", b"\x1a\x00", b"\x22\x02{}", b"\x38\x00"]);
    let rows = body(&[b"\x30\x07", b"\x32\x02\x08\x09", b"\x30\x0a", b"\x08\x04", b"\x12\x01E"]);
    let barrier = message(0x2a, body(&[&unknown, b"\x08\x07"]));
    vec![
        (TO_STAGE, "loose_any_order", message(0x0a, reversed)),
        (TO_STAGE, "loose_last_one_wins", message(0x0a, repeated)),
        (TO_STAGE, "loose_merged", message(0x0a, merged)),
        (TO_STAGE, "loose_zeros_and_long_varint", message(0x0a, explicit)),
        (TO_STAGE, "loose_unknown_fields", [&unknown[..], &barrier, &unknown].concat()),
        (FROM_STAGE, "loose_rows_packed_and_not", message(0x32, rows)),
    ]
}

fn frame(message: &[u8], payload: &[u8]) -> Vec<u8> {
    let lengths = [message.len() as u32, payload.len() as u32];
    [&lengths[0].to_le_bytes()[..], &lengths[1].to_le_bytes(), message, payload].concat()
}

/// What a vector means, by an implementation that is not ours.
fn meaning(contract: &Contract, direction: &str, message: &[u8], payload: &[u8]) -> Value {
    let message = contract::json(&contract.read(direction, message).unwrap());
    let mut meaning = json!({"direction": direction, "message": message});
    if !payload.is_empty() {
        meaning["payload"] = json!(BASE64.encode(payload));
    }
    meaning
}

fn vectors() -> Vectors {
    let contract = Contract::load();
    let mut vectors = Vectors::new();
    let mut add = |direction: &str, name: &str, bytes: Vec<u8>, payload: &[u8]| {
        let meaning = meaning(&contract, direction, &bytes[8..bytes.len() - payload.len()], payload);
        let side = if direction == TO_STAGE { "to_stage" } else { "from_stage" };
        vectors.insert(format!("{side}_{name}"), (bytes, meaning));
    };
    for (name, message, payload) in to_stage() {
        let mut bytes = Vec::new();
        message.encode_with_payload(payload, &mut bytes).unwrap();
        add(TO_STAGE, name, bytes, payload);
    }
    for (name, message, payload) in from_stage() {
        let mut bytes = Vec::new();
        message.encode_with_payload(payload, &mut bytes).unwrap();
        add(FROM_STAGE, name, bytes, payload);
    }
    for (direction, name, message) in loose() {
        add(direction, name, frame(&message, b""), b"");
    }
    vectors
}

fn read<M: Incoming>(bytes: &[u8]) -> (M, Buffer) {
    let mut frames = Frames::<_, M>::new(bytes, INLINE_MAX);
    let frame = frames.next().unwrap().unwrap();
    assert!(frames.next().unwrap().is_none());
    (frame.message, frame.payload.unwrap_or_default())
}

#[test]
fn the_vectors_of_messages_are_written_and_read() {
    let contract = Contract::load();
    for (name, (bytes, expected)) in folder::check("messages", &vectors()) {
        let mut written = Vec::new();
        let direction = if expected["direction"] == TO_STAGE { TO_STAGE } else { FROM_STAGE };
        let payload = if direction == TO_STAGE {
            let (message, payload) = read::<ToStage>(&bytes);
            message.encode_with_payload(&payload, &mut written).unwrap();
            payload
        } else {
            let (message, payload) = read::<FromStage>(&bytes);
            message.encode_with_payload(&payload, &mut written).unwrap();
            payload
        };
        let message = &written[8..written.len() - payload.len()];
        assert_eq!(meaning(&contract, direction, message, &payload), expected, "{name}");
        if !name.contains("_loose_") {
            assert_eq!(written, bytes, "{name}");
        }
    }
}
