//! The runtime's end of a stage against stages that break the protocol: an error, never a crash, never a wait for ever.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::io::Write;
use std::net::Shutdown;
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::types::UInt8Type;
use arrow_array::{DictionaryArray, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use modrun_core::env::Clock;
use modrun_core::{BatchPolicy, Concurrency, Error, ErrorKind, Role, Seq, StageId, Window};
use modrun_link::{Host, HostReceiver, HostSender, Received, Traffic};
use modrun_shm::{Readable, Writable, pair};
use modrun_wire::table::Layout;
use modrun_wire::{
    Activity, Batch, Credit, Done, Failed, Form, FromStage, Place, Ready, Snapshot, selection,
};

const BATCHES: u64 = 6;
const ROWS: usize = 40;
const SEGMENT_BYTES: u64 = 64 << 10;

#[derive(Debug)]
struct Real;

impl Clock for Real {
    #[expect(clippy::disallowed_methods, reason = "these tests wait for a socket")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn thread_cpu(&self) -> Duration {
        Duration::ZERO
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("type", DataType::Utf8, false),
        Field::new("value", DataType::Int64, true),
    ]))
}

fn rows() -> RecordBatch {
    let codes = UInt8Array::from_iter_values((0..ROWS).map(|row| (row % 3) as u8));
    let names = Arc::new(StringArray::from(vec!["click", "purchase", "view"]));
    let types = DictionaryArray::<UInt8Type>::try_new(codes, names).unwrap();
    let values = Int64Array::from_iter((0..ROWS).map(|row| (row % 7 > 0).then_some(row as i64)));
    let fields = vec![
        Field::new("type", DataType::Dictionary(DataType::UInt8.into(), DataType::Utf8.into()), false),
        Field::new("value", DataType::Int64, true),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(types), Arc::new(values)]).unwrap()
}

fn frame(message: &FromStage, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode_with_payload(payload, &mut out).unwrap();
    out
}

fn table(rows: &RecordBatch) -> Vec<u8> {
    let layout = Layout::of(rows).unwrap();
    let mut bytes = vec![0; layout.length()];
    layout.write(&mut bytes);
    bytes
}

fn batch(seq: u64, payload: &[u8], rows: usize, form: Form) -> Vec<u8> {
    let (length, rows, input) = (payload.len() as u32, rows as u32, Some(Seq(seq)));
    frame(
        &FromStage::Batch(Batch { seq: Seq(seq), place: Place::Inline, length, rows, form, input }),
        payload,
    )
}

fn credit(seq: u64) -> Vec<u8> {
    frame(&FromStage::Credit(Credit { seq: Seq(seq), events: ROWS as u32, filtered: 0 }), &[])
}

fn ready() -> Vec<u8> {
    let (role, concurrency) = (Role::Transform, Concurrency::Stateless);
    frame(
        &FromStage::Ready(Ready { protocol: 1, sdk: "test 1".into(), role, concurrency, output: None }),
        &[],
    )
}

fn failed(seq: u64, row: u32) -> Vec<u8> {
    let (input, rows) = (Seq(seq), vec![row]);
    let told = Failed { kind: ErrorKind::Stage, code: "Oops".into(), input, rows, ..Failed::default() };
    frame(&FromStage::Failed(told), &[])
}

fn select(seq: u64, kept: usize) -> Vec<u8> {
    let bits = BooleanBuffer::collect_bool(ROWS, |row| row < kept);
    let mut payload = vec![0; selection::length(ROWS)];
    selection::write(&bits, &mut payload);
    batch(seq, &payload, kept, Form::Selection)
}

fn done() -> Vec<u8> {
    frame(&FromStage::Done(Done::default()), &[])
}

/// What a stage that keeps every rule says, frame by frame.
fn conversation() -> Vec<Vec<u8>> {
    let mut frames = vec![ready()];
    for seq in 0..BATCHES {
        frames.push(match seq % 3 {
            0 => batch(seq, &table(&rows()), ROWS, Form::Table),
            1 => select(seq, 13),
            _ => select(seq, ROWS),
        });
        if seq % 2 == 0 {
            frames.push(failed(seq, 3));
        }
        frames.push(credit(seq));
    }
    frames.push(frame(&FromStage::Activity(Activity::default()), &[]));
    frames.push(done());
    frames
}

/// What the runtime makes of what a stage says: rows and dead letters, or the error. A stage that says `Ready` goes on
/// when it has got its batches.
fn hear(said: &[Vec<u8>]) -> Result<(usize, usize), Error> {
    let (socket, stage) = pair().unwrap();
    let (input, _input_end) = Writable::create(SEGMENT_BYTES).unwrap();
    let (output, _output_end) = Readable::create(SEGMENT_BYTES).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(Real);
    let (window, schemas) = (Window { batches: 8, bytes: 1 << 20 }, (Some(schema()), Some(schema())));
    let traffic = (Traffic::on(), Traffic::on());
    let host =
        Host::new(StageId(1), "hostile", (socket, input, output), clock.clone(), window, schemas, traffic)
            .unwrap();
    let stage = UnixStream::from(stage);
    let (first, then) = if said[0] == ready() { said.split_at(1) } else { (said, &[][..]) };
    let say = |frames: &[Vec<u8>], last: bool| {
        (&stage).write_all(&frames.concat()).unwrap();
        if last {
            stage.shutdown(Shutdown::Write).unwrap();
        }
    };
    say(first, then.is_empty());

    let until = clock.now() + Duration::from_secs(30);
    host.ready(until)?.expect("what was said is there, and then the end");
    let policy = BatchPolicy::Rows { rows: NonZeroU32::new(ROWS as u32).unwrap(), linger: None };
    let mut sender = HostSender::new(vec![host.clone()], policy, clock);
    let receiver = HostReceiver::new(vec![host], 1 << 20);
    let ignore = &mut |_| {};
    for _ in 0..BATCHES {
        sender.send(vec![rows()], Vec::new(), false, ignore)?;
    }
    sender.finish(ignore)?;
    if !then.is_empty() {
        say(then, true);
    }
    let (mut received, mut letters) = (0, 0);
    loop {
        match receiver.recv(Some(until))? {
            Received::Some(_, parcel) => {
                let arrival = receiver.open(parcel, ignore)?;
                received += arrival.rows.iter().map(RecordBatch::num_rows).sum::<usize>();
                letters += arrival.dead_letters.len();
            }
            Received::End(_) => break,
            Received::Nothing => panic!("nothing came, and no end"),
        }
    }
    Ok((received, letters))
}

#[test]
fn a_stage_that_keeps_the_rules_is_heard() {
    let heard = hear(&conversation()).unwrap();
    assert_eq!(heard, (2 * (ROWS + 13 + ROWS), 3));
}

#[test]
fn each_broken_rule_is_an_error_that_names_the_stage() {
    let at = |at: usize, frame: Vec<u8>| {
        let mut frames = conversation();
        frames.insert(at, frame);
        frames
    };
    let instead = |at: usize, frame: Vec<u8>| {
        let mut frames = conversation();
        frames[at] = frame;
        frames
    };
    let slot = |offset, length| {
        let place = Place::Slot(offset);
        let (seq, rows, form, input) = (Seq(0), ROWS as u32, Form::Table, Some(Seq(0)));
        frame(&FromStage::Batch(Batch { seq, place, length, rows, form, input }), &[])
    };
    let wrong_columns = table(&rows().project(&[1]).unwrap());
    let cases: Vec<(&str, Vec<Vec<u8>>, &str)> = vec![
        ("a slot behind the segment", instead(1, slot(SEGMENT_BYTES, 64)), "segment"),
        ("a slot across the segment's end", instead(1, slot(SEGMENT_BYTES - 64, 128)), "segment"),
        ("a slot that was never written", instead(1, slot(0, 64)), "MRB1"),
        ("a batch out of turn", instead(1, batch(1, &table(&rows()), ROWS, Form::Table)), "batch 1 came"),
        (
            "more rows than the table has",
            instead(1, batch(0, &table(&rows()), ROWS + 1, Form::Table)),
            "rows",
        ),
        ("columns of another schema", instead(1, batch(0, &wrong_columns, ROWS, Form::Table)), "column"),
        ("credit twice", at(3, credit(0)), "credit"),
        ("credit before its turn", at(1, credit(1)), "next in turn"),
        ("credit for a batch that was never sent", instead(3, credit(77)), "credit"),
        ("a selection from a batch that is gone", at(4, select(0, 13)), "came"),
        ("a row behind the end", instead(2, failed(0, ROWS as u32)), "row"),
        ("an answer to no batch", instead(2, failed(99, 0)), "not on its way"),
        ("Ready twice", at(1, ready()), "nobody asked"),
        (
            "a snapshot",
            at(1, frame(&FromStage::Snapshot(Snapshot { epoch: 1, chunks: 0 }), &[])),
            "nobody asked",
        ),
        ("Done before credit", at(1, done()), "`Done`"),
        ("no frame", at(1, vec![0xff; 64]), "message"),
        ("the end inside a frame", instead(14, vec![1, 0, 0, 0, 0]), ""),
    ];
    for (what, said, expected) in cases {
        let error = hear(&said).expect_err(what);
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        assert!(text.contains("stage `hostile` failed") && text.contains(expected), "{what}: {text}");
    }
}

#[test]
fn a_hundred_thousand_broken_frames_are_heard_out() {
    const BROKEN: usize = 100_000;
    let (mut state, frames) = (0x2545_f491_4f6c_dd1d_u64, conversation());
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let (mut broken, mut errors, mut conversations) = (0, 0, 0);
    while broken < BROKEN {
        let mut said = frames.clone();
        for _ in 0..8 {
            let at = random(said.len());
            match random(6) {
                0 => {
                    let copy = said[at].clone();
                    said.insert(random(said.len()), copy);
                }
                1 => {
                    let other = random(frames.len());
                    said.swap(at, other);
                }
                2 => {
                    let length = random(said[at].len().max(1));
                    said[at].truncate(length);
                }
                _ => {
                    let length = said[at].len();
                    for _ in 0..=random(3) {
                        if length > 0 {
                            said[at][random(length)] = random(256) as u8;
                        }
                    }
                }
            }
            broken += 1;
        }
        conversations += 1;
        errors += hear(&said).is_err() as usize;
    }
    assert!(errors * 2 > conversations, "{errors} of {conversations} conversations ended in an error");
}
