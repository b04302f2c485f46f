//! Messages are what `stage.proto` says, by the word of a protobuf implementation that is not ours.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

mod support;

use std::time::Duration;

use modrun_core::{Concurrency, ErrorKind, Role, Seq, Type};
use modrun_wire::{
    Activity, Barrier, Batch, BatchPolicy, Column, Credit, Done, Failed, Form, FromStage, Incoming, Open,
    Place, Ready, Schema, Snapshot, State, ToStage,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use support::contract::{self, Contract};
use support::streams::Encode;

fn schema() -> impl Strategy<Value = Schema> {
    use Type::{Binary, Bool, Float64, Int64, String, Timestamp};
    let types = select(vec![Bool, Int64, Float64, String, Binary, Timestamp]);
    let column = (".{0,5}", types, any::<bool>());
    let column = column.prop_map(|(name, column_type, nullable)| Column { name, column_type, nullable });
    vec(column, 0..4).prop_map(|columns| Schema { columns })
}

/// Numbers of every length that a varint has.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64u32).prop_map(|(bits, shift)| bits >> shift)
}

fn small() -> impl Strategy<Value = u32> {
    (any::<u32>(), 0..32u32).prop_map(|(bits, shift)| bits >> shift)
}

fn batch() -> impl Strategy<Value = Batch> {
    let place = prop_oneof![
        Just(Place::Inline),
        (0..u64::MAX / 64).prop_map(|at| Place::Slot(at * 64)),
        Just(Place::Slot(0))
    ];
    let form = select(vec![Form::Table, Form::Selection]);
    (number(), place, small(), small(), form, option::of(0..u64::MAX)).prop_map(
        |(seq, place, length, rows, form, input)| Batch {
            seq: Seq(seq),
            place,
            length,
            rows,
            form,
            input: input.map(Seq),
        },
    )
}

fn credit() -> impl Strategy<Value = Credit> {
    (number(), small(), small()).prop_map(|(seq, events, filtered)| Credit {
        seq: Seq(seq),
        events,
        filtered,
    })
}

fn open() -> impl Strategy<Value = Open> {
    let policy =
        option::of((small(), number()).prop_map(|(rows, linger_us)| BatchPolicy { rows, linger_us }));
    let texts = (".{0,9}", ".{0,200}");
    let schemas = (option::of(schema()), option::of(schema()));
    (vec(small(), 5), vec(number(), 5), texts, schemas, policy, any::<bool>()).prop_map(
        |(small, large, (stage, config), (input, output), policy, unmeasured)| Open {
            protocol: small[0],
            generation: large[0],
            stage,
            config,
            input,
            output,
            window_batches: small[1],
            window_bytes: large[1],
            inline_max: large[2],
            input_segment: large[3],
            output_segment: large[4],
            policy,
            state_chunks: small[2],
            replica: small[3],
            replicas: small[4],
            unmeasured,
        },
    )
}

fn ready() -> impl Strategy<Value = Ready> {
    let role = select(vec![Role::Source, Role::Transform, Role::Sink]);
    let concurrency = select(vec![Concurrency::Stateless, Concurrency::Ordered]);
    (small(), ".{0,9}", role, concurrency, option::of(schema())).prop_map(
        |(protocol, sdk, role, concurrency, output)| Ready { protocol, sdk, role, concurrency, output },
    )
}

fn failed() -> impl Strategy<Value = Failed> {
    use ErrorKind::{Fenced, Internal, Invalid, Stage, Unavailable};
    let kind = select(vec![Invalid, Unavailable, Fenced, Stage, Internal]);
    let texts = (".{0,9}", ".{0,99}", ".{0,400}", ".{0,9}");
    (kind, texts, vec(number(), 3), vec(small(), 0..9)).prop_map(
        |(kind, (code, message, detail, event), numbers, rows)| Failed {
            kind,
            code,
            message,
            detail,
            input: Seq(numbers[0]),
            rows,
            text_offset: numbers[1],
            text_length: numbers[2],
            event,
        },
    )
}

fn activity() -> impl Strategy<Value = Activity> {
    vec(number(), 10).prop_map(|numbers| Activity {
        spent: std::array::from_fn(|at| Duration::from_nanos(numbers[at])),
        cpu: Duration::from_nanos(numbers[7]),
        bytes_read: numbers[8],
        bytes_total: numbers[9],
    })
}

fn to_stage() -> impl Strategy<Value = ToStage> {
    prop_oneof![
        open().prop_map(|open| ToStage::Open(Box::new(open))),
        batch().prop_map(ToStage::Batch),
        credit().prop_map(ToStage::Credit),
        small().prop_map(|index| ToStage::State(State { index })),
        number().prop_map(|epoch| ToStage::Barrier(Barrier { epoch })),
        Just(ToStage::End),
        Just(ToStage::Commit),
    ]
}

fn from_stage() -> impl Strategy<Value = FromStage> {
    let done = (option::of(".{1,30}"), number()).prop_map(|(artifact, rows)| Done { artifact, rows });
    prop_oneof![
        ready().prop_map(FromStage::Ready),
        batch().prop_map(FromStage::Batch),
        credit().prop_map(FromStage::Credit),
        small().prop_map(|index| FromStage::State(State { index })),
        (number(), small()).prop_map(|(epoch, chunks)| FromStage::Snapshot(Snapshot { epoch, chunks })),
        failed().prop_map(FromStage::Failed),
        activity().prop_map(FromStage::Activity),
        done.prop_map(FromStage::Done),
        Just(FromStage::Committed),
    ]
}

/// The message within a frame that has no payload.
fn encoded(message: &impl Encode) -> Vec<u8> {
    message.framed(b"").split_off(8)
}

fn check<M: Encode>(direction: &str, message: &M) {
    let bytes = encoded(message);
    assert_eq!(M::decode(&bytes).unwrap(), *message);
    // All fields have their numbers and types: the other implementation knows each of them and writes the same.
    let theirs = contract().read(direction, &bytes).unwrap();
    assert_eq!(theirs.unknown_fields().count(), 0);
    assert_eq!(contract::written(&theirs), bytes);
}

fn contract() -> &'static Contract {
    static CONTRACT: std::sync::LazyLock<Contract> = std::sync::LazyLock::new(Contract::load);
    &CONTRACT
}

/// What any reader of protobuf and ours may see differently: numbers that mean nothing to us.
fn without_enumerations(mut message: Value) -> Value {
    for (message_name, field) in [("failed", "kind"), ("ready", "concurrency")] {
        if let Some(Value::Object(fields)) = message.get_mut(message_name) {
            fields.remove(field);
        }
    }
    message
}

/// Whatever the bytes: if we read a message, so does the other implementation, and it is the same one.
fn check_any<M: Encode>(direction: &str, bytes: &[u8]) -> bool {
    let Ok(ours) = M::decode(bytes) else { return false };
    let json = |bytes: &[u8]| Ok(contract::json(&contract().read(direction, bytes)?));
    let again = json(&encoded(&ours)).map(without_enumerations);
    // Of several messages in one we look at the last alone.
    let theirs: Result<Value, String> = json(bytes).map(without_enumerations);
    theirs.is_ok_and(|theirs| {
        assert_eq!(Ok(theirs), again);
        true
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn messages_to_a_stage_are_those_of_the_contract(message in to_stage()) {
        check("ToStage", &message);
    }

    #[test]
    fn messages_from_a_stage_are_those_of_the_contract(message in from_stage()) {
        check("FromStage", &message);
    }

    #[test]
    fn fixed_frames_are_the_messages_frames(batch in batch(), credit in credit()) {
        prop_assert_eq!(&ToStage::Credit(credit).framed(b""), &credit.frame());
        prop_assert_eq!(&FromStage::Credit(credit).framed(b""), &credit.frame());
        let frame = batch.frame();
        prop_assert_eq!(&ToStage::Batch(batch).framed(b"")[8..], &frame[8..]);
        let payload = if batch.place == Place::Inline { batch.length } else { 0 };
        prop_assert_eq!(&frame[..8], &[44u32.to_le_bytes(), payload.to_le_bytes()].concat());
    }

    #[test]
    fn changed_messages_are_read_alike_or_not_at_all(
        to in to_stage(),
        from in from_stage(),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
        twice in any::<bool>(),
    ) {
        let changed = |mut bytes: Vec<u8>| {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if twice { bytes.repeat(2) } else { bytes }
        };
        for bytes in [changed(encoded(&to)), encoded(&to).repeat(2)] {
            check_any::<ToStage>("ToStage", &bytes);
            check_any::<ToStage>("ToStage", &bytes[..cut.index(bytes.len())]);
        }
        for bytes in [changed(encoded(&from)), encoded(&from).repeat(2)] {
            check_any::<FromStage>("FromStage", &bytes);
            check_any::<FromStage>("FromStage", &bytes[..cut.index(bytes.len())]);
        }
    }
}

#[test]
fn a_message_that_is_too_long_is_not_written() {
    let config = "x".repeat(modrun_wire::MESSAGE_BYTES_MAX);
    let mut out = b"before".to_vec();
    let error = ToStage::Open(Box::new(Open { config, ..Open::default() })).encode(&mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a message of 1048584 bytes is larger than the 1048576 bytes that one may have"
    );
    assert_eq!(out, b"before");
}

#[test]
fn numbers_have_at_most_64_bits() {
    let epoch = |varint: &[u8]| {
        let message = [&[0x2a, varint.len() as u8 + 1, 0x08], varint].concat();
        ToStage::decode(&message).ok().map(|message| match message {
            ToStage::Barrier(Barrier { epoch }) => epoch,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(epoch(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Some(u64::MAX));
    assert_eq!(epoch(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), Some(1));
    assert_eq!(epoch(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), None);
    assert_eq!(epoch(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None);
    assert_eq!(epoch(&[0x80]), None);
    assert_eq!(epoch(&[]), None);
}

/// Groups are gone from protobuf, but not from its readers.
#[test]
fn unknown_groups_are_skipped() {
    let group = [0xa3, 0x06, 0xab, 0x06, 0x08, 0x01, 0xac, 0x06, 0xa4, 0x06];
    let with = |before: &[u8], behind: &[u8]| [before, &group, behind].concat();
    assert_eq!(ToStage::decode(&with(&[], &[0x32, 0x00])).unwrap(), ToStage::End);
    assert_eq!(ToStage::decode(&with(&[0x32, 0x00], &[])).unwrap(), ToStage::End);
    for broken in
        [&group[..9], &group[..2], &[0xa4, 0x06], &[0xa3, 0x06, 0xac, 0x06], &[0xa3, 0x06].repeat(200)]
    {
        let message = [&[0x32, 0x00], broken].concat();
        assert!(ToStage::decode(&message).is_err(), "{broken:?}");
    }
}
