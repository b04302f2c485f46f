//! What both ends of a stage's socket say that they spend their time on, word for word.
//!
//! A letter stands for each time that `meter` is told: Receive, Decode, Encode, Send, sTarved, Backpressured. What an
//! end waits for comes when it says that it waits, so that no sequence depends on how fast anybody is.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::io::Write;
use std::net::Shutdown;
use std::num::NonZeroU32;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use arrow_array::{Int64Array, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use modrun_core::env::{Clock, Memory};
use modrun_core::{Activity, BatchPolicy, Seq, StageId, Window};
use modrun_link::{Guest, Host, HostReceiver, HostSender, Received, Request, Traffic};
use modrun_shm::{Readable, Writable, pair};
use modrun_wire::table::Layout;
use modrun_wire::{Barrier, Batch, Credit, Form, Open, Place, ToStage, selection};

const ROWS: usize = 40;
/// Room for one batch of `ROWS` rows, not for two.
const PAYLOAD_MAX: usize = 600;
const SEGMENT_BYTES: u64 = 64 << 10;
/// Nobody waits for so long.
const WAIT_MAX: Duration = Duration::from_secs(30);

fn letter(activity: Activity) -> char {
    match activity {
        Activity::Receive => 'R',
        Activity::Decode => 'D',
        Activity::Process => 'P',
        Activity::Encode => 'E',
        Activity::Send => 'S',
        Activity::Starved => 'T',
        Activity::Backpressured => 'B',
    }
}

/// What `act`, which need not wait, is heard to do.
fn heard<T>(act: impl FnOnce(&mut dyn FnMut(Activity)) -> T) -> (String, T) {
    let mut heard = String::new();
    let done = act(&mut |activity| heard.push(letter(activity)));
    (heard, done)
}

/// What `act` is heard to do, with `at_wait` when it begins to wait. If that is never heard, `other`, the other end of
/// the socket, closes after a while.
fn heard_waiting<T>(
    other: &UnixStream,
    at_wait: impl FnOnce(),
    act: impl FnOnce(&mut dyn FnMut(Activity)) -> T,
) -> (String, T) {
    let (mut at_wait, mut heard) = (Some(at_wait), String::new());
    let (acting, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if ended.recv_timeout(WAIT_MAX) == Err(RecvTimeoutError::Timeout) {
                other.shutdown(Shutdown::Both).unwrap();
            }
        });
        // Dropped at the end, however that comes.
        let _acting = acting;
        let done = act(&mut |activity| {
            heard.push(letter(activity));
            if matches!(activity, Activity::Starved | Activity::Backpressured) {
                at_wait.take().expect("it waits once")();
            }
        });
        (heard, done)
    })
}

/// A clock that stands.
fn clock() -> Arc<dyn Clock> {
    static WORLD: LazyLock<Memory> = LazyLock::new(Memory::default);
    WORLD.env().clock
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn rows(count: usize) -> RecordBatch {
    let numbers = Int64Array::from_iter_values(0..count as i64);
    RecordBatch::try_new(schema(), vec![Arc::new(numbers)]).unwrap()
}

fn table(rows: &RecordBatch) -> Vec<u8> {
    let layout = Layout::of(rows).unwrap();
    let mut bytes = vec![0; layout.length()];
    layout.write(&mut bytes);
    bytes
}

/// A batch of `ROWS` rows as the runtime sends it, or as a stage answers batch `input` with it.
fn batch(seq: u64, input: Option<Seq>) -> Vec<u8> {
    let payload = table(&rows(ROWS));
    let (seq, place, length) = (Seq(seq), Place::Inline, payload.len() as u32);
    let batch = Batch { seq, place, length, rows: ROWS as u32, form: Form::Table, input };
    [&batch.frame()[..], &payload].concat()
}

fn credit(seq: u64) -> Vec<u8> {
    Credit { seq: Seq(seq), events: ROWS as u32, filtered: 0 }.frame().to_vec()
}

fn barrier(epoch: u64) -> Vec<u8> {
    let mut out = Vec::new();
    ToStage::Barrier(Barrier { epoch }).encode(&mut out).unwrap();
    out
}

fn write(mut socket: &UnixStream, frames: &[Vec<u8>]) {
    socket.write_all(&frames.concat()).unwrap();
}

/// The runtime's end, and the socket of the stage that the test plays.
fn host(window_batches: u32) -> (Host, UnixStream) {
    let (socket, stage) = pair().unwrap();
    let (input, _) = Writable::create(SEGMENT_BYTES).unwrap();
    let (output, _) = Readable::create(SEGMENT_BYTES).unwrap();
    let window = Window { batches: window_batches, bytes: 1 << 20 };
    let (schemas, traffic) = ((Some(schema()), Some(schema())), (Traffic::on(), Traffic::on()));
    let ends = (socket, input, output);
    (Host::new(StageId(1), "played", ends, clock(), window, schemas, traffic).unwrap(), stage.into())
}

fn sender(host: &Host, policy: BatchPolicy) -> HostSender {
    HostSender::new(vec![host.clone()], policy, clock())
}

fn rows_policy(rows: usize) -> BatchPolicy {
    BatchPolicy::Rows { rows: NonZeroU32::new(rows as u32).unwrap(), linger: None }
}

/// A stage's end without segments, and the socket of the runtime that the test plays.
fn guest(window_batches: u32) -> (Guest, UnixStream) {
    let (socket, stage) = pair().unwrap();
    let columns = Some(modrun_wire::Schema::of(&schema()).unwrap());
    let open = Open {
        protocol: 1,
        config: "{}".into(),
        input: columns.clone(),
        output: columns,
        window_batches,
        window_bytes: 1 << 20,
        inline_max: PAYLOAD_MAX as u64,
        ..Open::default()
    };
    let mut out = Vec::new();
    ToStage::Open(Box::new(open)).encode(&mut out).unwrap();
    write(&socket, &[out]);
    let (_, input) = Writable::create(SEGMENT_BYTES).unwrap();
    let (_, output) = Readable::create(SEGMENT_BYTES).unwrap();
    let [stage, input, output] = [stage, input, output].map(left_open);
    let variable = format!("socket={stage},input={input},output={output}");
    (Guest::start(&variable, clock()).unwrap(), socket)
}

/// The number of a descriptor that is left for a stage: it does not close on exec.
fn left_open(descriptor: OwnedFd) -> RawFd {
    rustix::io::dup(descriptor).unwrap().into_raw_fd()
}

#[test]
fn a_sender_encodes_and_sends() {
    let (host, _stage) = host(8);
    let mut sender = sender(&host, rows_policy(ROWS));
    let mut send =
        |rows: Vec<RecordBatch>, more| heard(|meter| sender.send(rows, Vec::new(), more, meter).unwrap()).0;
    // The layout first, then the rows.
    assert_eq!(send(vec![rows(ROWS)], false), "EES");
    assert_eq!(send(vec![rows(ROWS)], true), "EE", "what is written waits for more");
    assert_eq!(send(Vec::new(), false), "S");
    assert_eq!(heard(|meter| sender.finish(meter).unwrap()).0, "S");
}

#[test]
fn a_sender_sends_in_parts_what_is_too_large() {
    let (host, _stage) = host(8);
    let mut sender = sender(&host, BatchPolicy::Adaptive);
    let large = vec![rows(SEGMENT_BYTES as usize / 8)];
    assert_eq!(heard(|meter| sender.send(large, Vec::new(), false, meter).unwrap()).0, "EEEES");
}

#[test]
fn a_sender_sends_at_the_end_what_waits() {
    let (host, _stage) = host(8);
    let mut sender = sender(&host, rows_policy(2 * ROWS));
    assert_eq!(heard(|meter| sender.send(vec![rows(ROWS)], Vec::new(), false, meter).unwrap()).0, "S");
    assert_eq!(heard(|meter| sender.finish(meter).unwrap()).0, "EES");
}

#[test]
fn a_sender_without_credit_is_backpressured_and_encodes_afterwards() {
    let (host, stage) = host(1);
    let mut sender = sender(&host, rows_policy(ROWS));
    let mut send =
        |meter: &mut dyn FnMut(Activity)| sender.send(vec![rows(ROWS)], Vec::new(), false, meter).unwrap();
    assert_eq!(heard(&mut send).0, "EES");
    assert_eq!(heard_waiting(&stage, || write(&stage, &[credit(0)]), &mut send).0, "EBES");
}

#[test]
fn a_sender_sends_when_much_has_gathered() {
    const BATCHES: usize = 200;
    let (host, _stage) = host(BATCHES as u32);
    let mut sender = sender(&host, rows_policy(ROWS));
    let all = vec![rows(ROWS); BATCHES];
    let heard = heard(|meter| sender.send(all, Vec::new(), true, meter).unwrap()).0;
    let sent: Vec<&str> = heard.split('S').collect();
    assert!(sent.len() > 2 && sent.iter().all(|part| part.chars().all(|letter| letter == 'E')), "{heard}");
    assert_eq!(heard.matches('E').count(), 2 * BATCHES);
}

#[test]
fn a_receiver_takes_and_decodes_each_batch_and_gives_credit_for_all() {
    let (host, stage) = host(8);
    let mut sender = sender(&host, rows_policy(ROWS));
    for _ in 0..3 {
        sender.send(vec![rows(ROWS)], Vec::new(), false, &mut |_| {}).unwrap();
    }
    let receiver = HostReceiver::new(vec![host], 1 << 20);
    let open = |frames: &[Vec<u8>]| {
        write(&stage, frames);
        let Received::Some(_, parcel) = receiver.recv(None).unwrap() else { panic!("something came") };
        heard(|meter| receiver.open(parcel, meter).unwrap()).0
    };
    let answer = |seq| batch(seq, Some(Seq(seq)));
    assert_eq!(open(&[answer(0), credit(0)]), "RDR");
    let kept = BooleanBuffer::collect_bool(ROWS, |row| row < 3);
    let mut payload = vec![0; selection::length(ROWS)];
    selection::write(&kept, &mut payload);
    let (seq, place, length) = (Seq(1), Place::Inline, payload.len() as u32);
    let selected = Batch { seq, place, length, rows: 3, form: Form::Selection, input: Some(Seq(1)) };
    assert_eq!(open(&[[&selected.frame()[..], &payload].concat(), credit(1), answer(2)]), "RDRDR");
    assert_eq!(open(&[credit(2)]), "", "there is nothing to decode or to pay for");
}

#[test]
fn a_stage_receives_and_decodes_and_is_starved_only_while_nothing_is_there() {
    let (guest, runtime) = guest(8);
    let next = |meter: &mut dyn FnMut(Activity)| guest.next(None, meter).unwrap();
    write(&runtime, &[batch(0, None), barrier(1)]);
    assert!(matches!(heard(next), (heard, Some(Request::Batch(..))) if heard == "RD"));
    assert!(matches!(heard(next), (heard, Some(Request::Barrier(1))) if heard == "R"));
    let (heard_meanwhile, request) = heard_waiting(&runtime, || write(&runtime, &[batch(1, None)]), next);
    assert_eq!((heard_meanwhile.as_str(), request.is_some()), ("RTRD", true));
    let now = clock().now();
    assert!(matches!(heard(|meter| guest.next(Some(now), meter).unwrap()), (heard, None) if heard == "R"));
}

#[test]
fn a_thread_that_another_one_reads_for_is_starved_meanwhile() {
    let (guest, runtime) = guest(8);
    let (waits, reading) = mpsc::channel();
    let read =
        |at_wait: &dyn Fn()| heard_waiting(&runtime, at_wait, |meter| guest.next(None, meter).unwrap());
    thread::scope(|scope| {
        let reader = scope.spawn(|| read(&|| waits.send(()).unwrap()));
        reading.recv_timeout(WAIT_MAX).unwrap();
        let follower = read(&|| write(&runtime, &[barrier(1), barrier(2)]));
        for (heard, request) in [follower, reader.join().unwrap()] {
            assert!(matches!(request, Some(Request::Barrier(_))));
            assert_eq!(heard, "RTR");
        }
    });
}

#[test]
fn a_stage_encodes_its_answers_and_is_backpressured_without_credit() {
    let (guest, runtime) = guest(2);
    let send = |count| {
        let guest = &guest;
        move |meter: &mut dyn FnMut(Activity)| guest.send(&rows(count), Some(Seq(0)), meter).unwrap()
    };
    assert_eq!(heard(send(ROWS)).0, "EE");
    let kept = BooleanBuffer::new_set(ROWS);
    let select = |meter: &mut dyn FnMut(Activity)| guest.select(&kept, Seq(0), meter).unwrap();
    assert_eq!(heard(select).0, "E");
    assert_eq!(heard_waiting(&runtime, || write(&runtime, &[credit(0)]), send(ROWS)).0, "EBE");
    assert_eq!(heard_waiting(&runtime, || write(&runtime, &[credit(1), credit(2)]), select).0, "BE");
    // In two parts, of which the second has to wait.
    assert_eq!(heard_waiting(&runtime, || write(&runtime, &[credit(3)]), send(2 * ROWS)).0, "EEEBE");
}

#[test]
fn a_source_hands_over_or_hears_what_is_wanted_meanwhile() {
    let (guest, runtime) = guest(1);
    let mut outlet = guest.outlet(vec![rows(ROWS)]);
    assert_eq!(heard(|meter| outlet.send(false, meter).unwrap()), ("EES".into(), true));
    assert_eq!(heard(|meter| outlet.send(false, meter).unwrap()), ("S".into(), true));
    outlet.push(rows(ROWS));
    let mut send = |meter: &mut dyn FnMut(Activity)| outlet.send(false, meter).unwrap();
    assert_eq!(heard_waiting(&runtime, || write(&runtime, &[barrier(1)]), &mut send), ("EB".into(), false));
    assert!(matches!(heard(|meter| guest.next(None, meter).unwrap()).1, Some(Request::Barrier(1))));
    assert_eq!(heard_waiting(&runtime, || write(&runtime, &[credit(0)]), &mut send), ("EBES".into(), true));
}
