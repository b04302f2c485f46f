//! Stages that are processes, against a runtime that the test plays.
//!
//! A small letter in an expected sequence is a wait, at whose beginning the runtime says what it has to say next: no
//! sequence depends on how fast anybody is.

use std::collections::VecDeque;
use std::io::Write;
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use arrow_schema::SchemaRef;
use modrun_core::env::{Clock, Disk, Env};
use modrun_core::{Bound, Columns, Concurrency, Description, Kind, Limits, Open, Problem, Role, Seq};
use modrun_shm::{Readable, Writable, pair};
use modrun_wire::{Barrier, Batch, BatchPolicy, Credit, Frames, FromStage, Place, ToStage};
use modrun_worker::{ServeOptions, serve};

use super::{Form, Given, Looking, Looks, ROWS, STILL, letters, schema, sequence, table};

/// Bytes of a segment, and of the largest payload that travels inline where there is none.
const PAYLOAD_MAX: u64 = 64 << 10;
/// No life takes so long.
const LIFE_MAX: Duration = Duration::from_secs(30);

/// A kind of stage that is open without a configuration.
#[derive(Clone, Copy)]
enum Played {
    Source(&'static [Given]),
    Transform(Form),
    Sink,
}

impl Kind for Played {
    fn describe(&self) -> Description {
        Description::of::<()>("played", Role::Transform, "looks at the clock")
    }

    fn bind(&self, _: &serde_json::Value, _: Option<&SchemaRef>, _: &Columns) -> Result<Bound, Vec<Problem>> {
        let (open, concurrency) = match *self {
            Played::Source(gives) => {
                let open = Open::source(move |context| Ok(Looking::source(&context.env, gives)));
                (open, Concurrency::Ordered)
            }
            Played::Transform(form) => {
                let open = Open::transform(move |context| Ok(Looking::new(&context.env, form)));
                let held = matches!(form, Form::Held);
                (open, if held { Concurrency::Ordered } else { Concurrency::Stateless })
            }
            Played::Sink => {
                (Open::sink(|context| Ok(Looking::new(&context.env, Form::Batch))), Concurrency::Ordered)
            }
        };
        let output = (!matches!(self, Played::Sink)).then(schema);
        Ok(Bound { output, uses: Columns::All, concurrency, open })
    }
}

/// Where payloads lie.
#[derive(Clone, Copy)]
enum Carrier {
    Inline,
    Shm,
}

/// What a stage is opened with, and what the runtime has to say to it.
struct Conversation {
    kind: Played,
    carrier: Carrier,
    window_batches: u32,
    /// Rows that a batch of a source should have; 0: as many as suit the runtime.
    policy_rows: u32,
    /// What the runtime says when it hears something.
    answer: fn(&FromStage) -> Option<Vec<u8>>,
}

impl Conversation {
    fn open(&self) -> Vec<u8> {
        let columns = Some(modrun_wire::Schema::of(&schema()).unwrap());
        let (inline_max, segment) = match self.carrier {
            Carrier::Inline => (PAYLOAD_MAX, 0),
            Carrier::Shm => (0, PAYLOAD_MAX),
        };
        said(&ToStage::Open(Box::new(modrun_wire::Open {
            protocol: 1,
            stage: "played".into(),
            config: "null".into(),
            input: columns.clone().filter(|_| !matches!(self.kind, Played::Source(_))),
            output: columns.filter(|_| !matches!(self.kind, Played::Sink)),
            window_batches: self.window_batches,
            window_bytes: 1 << 20,
            inline_max,
            input_segment: segment,
            output_segment: segment,
            policy: Some(BatchPolicy { rows: self.policy_rows, linger_us: 0 }),
            replicas: 1,
            ..modrun_wire::Open::default()
        })))
    }

    /// Over shared memory, all batches lie in the only slot.
    fn batch(&self, seq: u64) -> Vec<u8> {
        let payload = table();
        let (place, behind) = match self.carrier {
            Carrier::Inline => (Place::Inline, &payload[..]),
            Carrier::Shm => (Place::Slot(0), &[][..]),
        };
        let (length, form) = (payload.len() as u32, modrun_wire::Form::Table);
        let batch = Batch { seq: Seq(seq), place, length, rows: ROWS as u32, form, input: None };
        [&batch.frame()[..], behind].concat()
    }
}

fn said(message: &ToStage) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out).unwrap();
    out
}

fn barrier() -> Vec<u8> {
    said(&ToStage::Barrier(Barrier { epoch: 1 }))
}

fn end() -> Vec<u8> {
    said(&ToStage::End)
}

fn credit(seq: u64) -> Vec<u8> {
    Credit { seq: Seq(seq), events: 0, filtered: 0 }.frame().to_vec()
}

/// The number of a descriptor that is left for a stage: it does not close on exec.
fn left_open(descriptor: OwnedFd) -> RawFd {
    rustix::io::dup(descriptor).unwrap().into_raw_fd()
}

/// A life of a stage whose clock moves at the look `moves_at`.
fn life(
    how: &Conversation,
    script: &[Vec<u8>],
    expected: &str,
    moves_at: usize,
) -> (Arc<Looks>, Vec<String>) {
    let (socket, stage) = pair().unwrap();
    let (input, input_end) = Writable::create(PAYLOAD_MAX).unwrap();
    let (_output, output_end) = Readable::create(PAYLOAD_MAX).unwrap();
    let payload = table();
    let mut slot = input.take(payload.len()).unwrap();
    assert_eq!(slot.offset(), 0);
    slot.copy_from_slice(&payload);
    let [stage, input_end, output_end] = [stage, input_end, output_end].map(left_open);
    let variable = format!("socket={stage},input={input_end},output={output_end}");

    let (left, runtime) = (Mutex::new(VecDeque::from(script.to_vec())), socket.try_clone().unwrap());
    let say_next = move || {
        let next = left.lock().unwrap().pop_front().expect("the runtime has something to say");
        (&runtime).write_all(&next).unwrap();
    };
    say_next();
    let waits: Vec<bool> = expected.chars().map(|letter| letter.is_lowercase()).collect();
    let at_look = Box::new(move |look: usize| {
        if waits.get(look) == Some(&true) {
            say_next();
        }
    });
    let clock = Arc::new(Looks { looks: 0.into(), moves_at, at_look });
    let env = Env { clock: clock.clone() as Arc<dyn Clock>, disk: Arc::new(STILL.clone()) as Arc<dyn Disk> };
    let (limits, workers, sdk) = (Limits::default(), NonZeroUsize::MIN, "test 1".into());
    let (kind, options) = (Arc::new(how.kind) as Arc<dyn Kind>, ServeOptions { env, limits, workers, sdk });
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(serve(&kind, &variable, &options)));

    socket.set_read_timeout(Some(LIFE_MAX)).unwrap();
    let mut frames = Frames::<_, FromStage>::new(socket.try_clone().unwrap(), PAYLOAD_MAX as usize);
    let mut last = None;
    loop {
        let frame = frames.next();
        let frame = frame.unwrap_or_else(|error| panic!("after {} looks: {error}", clock.so_far()));
        let message = frame.expect("a stage ends with `Done`").message;
        if let Some(answer) = (how.answer)(&message) {
            (&socket).write_all(&answer).unwrap();
        }
        match message {
            FromStage::Activity(activity) => last = Some(activity),
            FromStage::Done(_) => break,
            _ => {}
        }
    }
    if matches!(how.kind, Played::Sink) {
        (&socket).write_all(&said(&ToStage::Commit)).unwrap();
    }
    socket.shutdown(Shutdown::Write).unwrap();
    end.recv_timeout(LIFE_MAX).expect("a stage that is done ends with its socket").unwrap();
    let last = last.expect("a stage says how its time was spent");
    (clock, letters(|activity| last.spent(activity)).chars().map(String::from).collect())
}

fn check(kind: Played, window_batches: u32, script: &dyn Fn(&Conversation) -> Vec<Vec<u8>>, expected: &str) {
    for carrier in [Carrier::Inline, Carrier::Shm] {
        let how = Conversation { kind, carrier, window_batches, policy_rows: 0, answer: |_| None };
        let script = script(&how);
        let looks = sequence(&|moves_at| life(&how, &script, expected, moves_at)).concat();
        assert_eq!(looks, expected.to_uppercase());
    }
}

/// Two batches with a barrier between them, all there from the start.
fn at_once(how: &Conversation) -> Vec<Vec<u8>> {
    vec![[how.open(), how.batch(0), barrier(), how.batch(1), end()].concat()]
}

/// Each when the stage waits for it.
fn one_by_one(how: &Conversation) -> Vec<Vec<u8>> {
    vec![how.open(), how.batch(0), barrier(), how.batch(1), end()]
}

/// For the second answer there is no credit.
fn in_need_of_credit(how: &Conversation) -> Vec<Vec<u8>> {
    vec![[how.open(), how.batch(0)].concat(), [how.batch(1), end()].concat(), credit(0)]
}

#[test]
fn a_transform_that_answers_with_batches() {
    let kind = Played::Transform(Form::Batch);
    check(kind, 4, &at_once, ".TTSRDPPEESSRPPRDPPEESSR.TTS");
    check(kind, 4, &one_by_one, ".TTSSRtRDPPEESSSRtRPPSRtRDPPEESSSRtR.TTS");
    check(kind, 1, &in_need_of_credit, ".TTSRDPPEESSSRtRDPPEbESSR.TTS");
}

#[test]
fn a_transform_that_answers_with_selections() {
    let kind = Played::Transform(Form::Selection);
    check(kind, 4, &at_once, ".TTSRDPPESSRPPRDPPESSR.TTS");
    check(kind, 4, &one_by_one, ".TTSSRtRDPPESSSRtRPPSRtRDPPESSSRtR.TTS");
    check(kind, 1, &in_need_of_credit, ".TTSRDPPESSSRtRDPPbESSR.TTS");
}

#[test]
fn a_transform_that_hands_over_at_the_end() {
    let kind = Played::Transform(Form::Held);
    check(kind, 4, &at_once, ".TTSRDPPSSRPPRDPPSSR.TTSPPEE");
    check(kind, 4, &one_by_one, ".TTSSRtRDPPSSSRtRPPSRtRDPPSSSRtR.TTSPPEE");
}

#[test]
fn a_sink() {
    check(Played::Sink, 4, &at_once, ".TTSRDPPSSRSRDPPSSRPP");
    check(Played::Sink, 4, &one_by_one, ".TTSSRtRDPPSSSRtRSSRtRDPPSSSRtRPP");
}

/// What a source does that is told `first` and then answered by `answer`: looks in a row that find the same are one.
fn source(policy_rows: u32, first: &[Vec<u8>], answer: fn(&FromStage) -> Option<Vec<u8>>) -> String {
    let kind = Played::Source(&[Given::Wait, Given::Rows]);
    let both = [Carrier::Inline, Carrier::Shm].map(|carrier| {
        let how = Conversation { kind, carrier, window_batches: 1, policy_rows, answer };
        let script = [[how.open(), first.concat()].concat()];
        let mut looks = sequence(&|moves_at| life(&how, &script, "", moves_at));
        looks.dedup();
        looks.concat()
    });
    assert_eq!(both[0], both[1]);
    both[0].clone()
}

/// Nothing leaves a source before it waits for credit: what answers a batch comes while it waits.
#[test]
fn a_source() {
    let with_credit = |message: &FromStage| match message {
        FromStage::Batch(batch) => Some(credit(batch.seq.0)),
        _ => None,
    };
    let first_a_barrier = |message: &FromStage| match message {
        FromStage::Batch(batch) if batch.seq.0 == 0 => Some(barrier()),
        FromStage::Snapshot(_) => Some(credit(0)),
        FromStage::Batch(batch) => Some(credit(batch.seq.0)),
        _ => None,
    };
    assert_eq!(source(1, &[], with_credit), ".TSRSPTPRSPREBEBESPRS");
    assert_eq!(source(1, &[], first_a_barrier), ".TSRSPTPRSPREBRPEBEBESPRS");
    assert_eq!(source(0, &[barrier(), end()], with_credit), ".TSRPSPTPRS");
}
