//! Loops of the runtime, of each kind of inlet and outlet.
//!
//! A word such as `1P` is what the stage in that place of the chain does; looks in a row that find the same are one.

use std::io::Write;
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;
use modrun_core::env::{Clock, Env, Memory};
use modrun_core::{
    Activity, BatchPolicy, Concurrency, Message, Row, Seq, StageId, State, Transform, Window, Written,
};
use modrun_link::{Host, HostReceiver, HostSender, Receiver, Traffic, ordered};
use modrun_shm::{Readable, Writable, pair};
use modrun_wire::{Batch, Credit, Done, Form as PayloadForm, FromStage, Place};
use modrun_worker::{
    Chain, Finished, Inlet, Live, Operator, Outlet, Sent, SharedHost, SharedSource, Step, Worker,
};

use super::{Form, Given, Looking, Looks, ROWS, STILL, letters, rows, schema, sequence, still, table};

const GIVES: &[Given] = &[Given::Rows, Given::Wait, Given::Rows];
const MOMENT: Duration = Duration::from_millis(10);
/// Nobody waits for so long.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A loop over its parts, in a world of its own.
fn worker(env: &Env, inlet: Inlet, stages: Vec<Operator>, outlet: Outlet) -> Worker {
    let step = |(at, operator)| (Step { id: StageId(at), name: format!("stage {at}") }, operator);
    let chain = Chain::new(stages.into_iter().enumerate().map(step).collect());
    let (env, live) = (env.clone(), Arc::new(Live::default()));
    Worker { env, live, measured: true, inlet, chain, outlet, partial: false, merge: None }
}

/// What a loop does from its beginning to its end; `make` also gives what is at the other ends of its links.
fn looks<Ends>(make: impl Fn(&Env) -> (Worker, Ends)) -> String {
    let life = |moves_at| {
        let clock = Arc::new(Looks { looks: 0.into(), moves_at, at_look: Box::new(|_| {}) });
        let env = Env { clock: clock.clone(), disk: Arc::new(STILL.clone()) };
        let (worker, _ends) = make(&env);
        let finished = worker.run().unwrap();
        let words = words(&finished);
        assert_eq!(words.len() as u128, finished.lifetime.as_nanos());
        (clock, words)
    };
    let mut looks = sequence(&life);
    looks.retain(|word| word != ".");
    looks.dedup();
    looks.join(" ")
}

/// A word for each nanosecond.
fn words(finished: &Finished) -> Vec<String> {
    let rows = finished.stages.iter().map(|(_, row, _)| row).chain(&finished.forwarding);
    let words = |(at, row): (usize, &Row)| -> Vec<String> {
        letters(|activity| row.spent(activity)).chars().map(|letter| format!("{at}{letter}")).collect()
    };
    rows.enumerate().flat_map(words).collect()
}

fn source(env: &Env) -> Inlet {
    let source = Box::new(Looking::source(env, GIVES));
    Inlet::Source(Arc::new(SharedSource::new("source", source, Arc::new(Live::default()))))
}

fn transform(env: &Env, form: Form) -> Operator {
    Operator::Transform(Box::new(Looking::new(env, form)), Concurrency::Mergeable)
}

fn sink(env: &Env) -> Operator {
    Operator::Sink(Box::new(Looking::new(env, Form::Batch)), Written::default())
}

fn end() -> Outlet {
    Outlet::End(Box::new(|_, _| Ok(())))
}

/// A link with all that comes through it there already.
fn filled(messages: Vec<Message>) -> Inlet {
    let (sender, receiver) = ordered(messages.len() + 1);
    for (seq, message) in messages.into_iter().enumerate() {
        sender.send(Seq(seq as u64), Some(Sent { message, at: None })).unwrap();
    }
    sender.finish();
    Inlet::Link(receiver, Traffic::on())
}

fn batches() -> Message {
    Message::Batches { rows: vec![rows()], dead_letters: Vec::new() }
}

/// A link with room for all, and its other end.
fn link() -> (Outlet, Receiver<Sent>) {
    let (sender, receiver) = ordered(16);
    (Outlet::Link(sender), receiver)
}

/// The runtime's end of a process in the place `stage`, and the process's socket.
fn host(stage: usize, schemas: (Option<SchemaRef>, Option<SchemaRef>)) -> (Host, UnixStream) {
    let (socket, process) = pair().unwrap();
    let (input, _) = Writable::create(64 << 10).unwrap();
    let (output, _) = Readable::create(64 << 10).unwrap();
    let window = Window { batches: 8, bytes: 1 << 20 };
    let (ends, traffic) = ((socket, input, output), (Traffic::on(), Traffic::on()));
    let host = Host::new(StageId(stage), "played", ends, still(), window, schemas, traffic).unwrap();
    (host, process.into())
}

fn shared(host: Host) -> Arc<SharedHost> {
    Arc::new(SharedHost::new(HostReceiver::new(vec![host], 1 << 20), Arc::new(Live::default())))
}

/// Sends batches of so many rows, and at the end what is left.
fn sender(host: Host, rows: u32) -> HostSender {
    let policy = BatchPolicy::Rows { rows: NonZeroU32::new(rows).unwrap(), linger: None };
    HostSender::new(vec![host], policy, still())
}

fn say(mut socket: &UnixStream, frames: &[Vec<u8>]) {
    socket.write_all(&frames.concat()).unwrap();
}

fn done() -> Vec<u8> {
    let mut out = Vec::new();
    FromStage::Done(Done::default()).encode(&mut out).unwrap();
    out
}

/// A source's process that has said all that it will.
fn source_process() -> (Inlet, UnixStream) {
    let (host, process) = host(0, (None, Some(schema())));
    let payload = table();
    let (place, length, form) = (Place::Inline, payload.len() as u32, PayloadForm::Table);
    let batch = Batch { seq: Seq(0), place, length, rows: ROWS as u32, form, input: None };
    say(&process, &[batch.frame().to_vec(), payload, done()]);
    (Inlet::Host(shared(host)), process)
}

#[test]
fn the_whole_pipeline() {
    let looks = looks(|env| {
        let stages = [Operator::Source, transform(env, Form::Batch), transform(env, Form::Held), sink(env)];
        (worker(env, source(env), stages.into(), end()), ())
    });
    assert_eq!(looks, "0T 0P 1P 2P 3P 0T 0P 0T 0P 0T 0P 1P 2P 3P 0T 0P 1P 2P 3P 2P 3P");
}

#[test]
fn a_head_that_sends_batches() {
    let looks = looks(|env| {
        let (outlet, behind) = link();
        (worker(env, source(env), vec![Operator::Source, transform(env, Form::Batch)], outlet), behind)
    });
    assert_eq!(looks, "0T 0P 1P 1B 1S 0T 0P 0T 0P 0T 0P 1P 1B 1S 0T 0P 1P 1B 1S");
}

#[test]
fn a_head_that_sends_its_state() {
    let looks = looks(|env| {
        let (outlet, behind) = link();
        let stages = vec![Operator::Source, transform(env, Form::Held)];
        (Worker { partial: true, ..worker(env, source(env), stages, outlet) }, behind)
    });
    assert_eq!(looks, "0T 0P 1P 1B 1S 0T 0P 0T 0P 0T 0P 1P 1B 1S 0T 0P 1P 1B 1S");
}

#[test]
fn a_tail_that_merges_states() {
    let looks = looks(|env| {
        let inlet = filled(vec![Message::Partial(State::new()), Message::Partial(State::new())]);
        let merged = Looking::new(env, Form::Held);
        let merge = Box::new(move |_: Vec<State>| Ok(Box::new(merged) as Box<dyn Transform>));
        (Worker { merge: Some(merge), ..worker(env, inlet, vec![Operator::Merge, sink(env)], end()) }, ())
    });
    assert_eq!(looks, "0T 0R 0T 0R 0T 0R 0P 1P");
}

#[test]
fn a_tail_that_takes_batches() {
    let looks = looks(|env| {
        let stages = vec![transform(env, Form::Batch), sink(env)];
        (worker(env, filled(vec![batches(), batches()]), stages, end()), ())
    });
    assert_eq!(looks, "0T 0R 0P 1P 0T 0R 0P 1P 0T 0R 0P 1P");
}

#[test]
fn a_tail_that_is_a_sink() {
    let looks = looks(|env| (worker(env, filled(vec![batches()]), vec![sink(env)], end()), ()));
    assert_eq!(looks, "0T 0R 0P 0T 0R 0P");
}

#[test]
fn a_loop_that_forwards_from_process_to_process() {
    let looks = looks(|env| {
        let (inlet, before) = source_process();
        let (host, behind) = host(1, (Some(schema()), Some(schema())));
        (worker(env, inlet, Vec::new(), Outlet::Host(sender(host, 2))), (before, behind))
    });
    assert_eq!(looks, "0T 0R 0D 0R 0E 0S 0T 0S 0E 0S");
}

#[test]
fn a_loop_before_a_sink_that_is_a_process() {
    let looks = looks(|env| {
        let (host, process) = host(2, (Some(schema()), None));
        let credit = |seq| Credit { seq: Seq(seq), events: ROWS as u32, filtered: 0 }.frame().to_vec();
        say(&process, &[credit(0), credit(1), done()]);
        let outlet = Outlet::Sink(sender(host.clone(), 4), shared(host), Box::new(|_, _| Ok(())));
        let inlet = filled(vec![batches(), batches()]);
        (worker(env, inlet, vec![transform(env, Form::Batch)], outlet), process)
    });
    assert_eq!(looks, "0T 0R 0P 0T 0R 0P 0E 0S 0T 0R 0P 0S 0E 0S 0B");
}

/// The row of the only stage of a finished loop.
fn row(finished: &Finished) -> Row {
    finished.stages[0].1
}

#[test]
fn merging_states_is_processing() {
    let world = Memory::default();
    let (inlet, passing) = (filled(vec![Message::Partial(State::new())]), world.clone());
    let merged = Looking::new(&world.env(), Form::Held);
    let merge = Box::new(move |_: Vec<State>| {
        passing.pass(MOMENT, Duration::ZERO);
        Ok(Box::new(merged) as Box<dyn Transform>)
    });
    let tail = Worker { merge: Some(merge), ..worker(&world.env(), inlet, vec![Operator::Merge], end()) };
    let row = row(&tail.run().unwrap());
    assert_eq!((row.spent(Activity::Process), row.total()), (MOMENT, MOMENT));
}

#[test]
fn a_slow_stage_behind_a_link_makes_the_one_before_it_backpressured_and_not_busy() {
    const BATCHES: u32 = 3;
    let world = Memory::default();
    let env = world.env();
    let (sender, receiver) = ordered(1);
    let source = Box::new(Looking::source(&env, &[Given::Rows; BATCHES as usize]));
    let inlet = Inlet::Source(Arc::new(SharedSource::new("source", source, Arc::default())));
    let before = worker(&env, inlet, vec![Operator::Source], Outlet::Link(sender));
    let live = before.live.clone();
    let row = thread::scope(|scope| {
        // Closed if this thread fails, so that the other ends.
        let receiver = receiver;
        let before = scope.spawn(|| before.run().map(|finished| row(&finished)));
        for _ in 0..BATCHES {
            // The next one is on its way, which there is no credit for.
            assert!(receiver.ready().unwrap());
            wait_until(|| doing(&live, &world) == Some(Activity::Backpressured));
            world.pass(MOMENT, Duration::ZERO);
            receiver.recv().unwrap();
        }
        before.join().unwrap().unwrap()
    });
    assert_eq!((row.spent(Activity::Backpressured), row.total()), (BATCHES * MOMENT, BATCHES * MOMENT));
}

/// What the only stage of a run is doing: what it would have done for longest, if it went on for years.
fn doing(live: &Live, world: &Memory) -> Option<Activity> {
    const YEARS: Duration = Duration::from_secs(100_000_000);
    let (stages, _) = live.observe(world.now() + YEARS);
    Activity::ALL.into_iter().find(|&activity| stages[0].row.spent(activity) >= YEARS)
}

#[expect(clippy::disallowed_methods, reason = "a bound for a test that fails")]
fn wait_until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < WAIT_MAX, "it never came");
        thread::yield_now();
    }
}
