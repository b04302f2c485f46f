//! A transform that is a process.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow_array::RecordBatch;
use modrun_core::{Activity, Bound, Concurrency, Error, Opener, Output, Result, Seq, Transform};
use modrun_link::{Guest, Request};
use modrun_wire::{Credit, Done, Failed};

use super::account::{Account, Loop};
use super::{Stage, letters};

pub(super) fn run(stage: &Stage, bound: &Bound, open: &Opener<dyn Transform>) -> Result<()> {
    let workers = match bound.concurrency {
        Concurrency::Stateless => stage.options.workers.get(),
        _ => 1,
    };
    let mut transforms = (0..workers).map(|_| open(stage.context()?)).collect::<Result<Vec<_>>>()?;
    stage.ready(bound)?;
    let guest = &stage.guest;
    let account = Account::new(stage.options.env.clock.clone());
    let turn = Mutex::new(Turn::default());
    let ends: Vec<Result<End>> = thread::scope(|scope| {
        let (account, turn) = (&account, &turn);
        let serve = |transform| {
            move || serve(guest, transform, account.open(), turn).inspect_err(|_| guest.abandon())
        };
        let threads: Vec<_> = transforms.iter_mut().map(|transform| scope.spawn(serve(transform))).collect();
        let defect = |_| Err(Error::internal("a thread of the stage panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(defect)).collect()
    });
    // Threads that were abandoned know less than the one that failed.
    let mut exit = false;
    for end in ends {
        exit |= matches!(end?, End::Exit);
    }
    if exit {
        return Err(Error::unavailable("the runtime has gone"));
    }
    let mut time = account.open();
    if bound.concurrency != Concurrency::Stateless {
        time.enter(Activity::Process);
        let mut output = Output::default();
        guard(|| transforms[0].finish(&mut output))?;
        if let Some(letter) = output.dead_letters.first() {
            return Err(Error::stage(format!("an event went wrong at the end: {}", letter.cause)));
        }
        for rows in &output.batches {
            send(guest, rows, None, &mut time)?;
        }
    }
    time.close();
    account.tell(guest, (0, 0))?;
    stage.done(Done::default())?;
    super::leave(guest, &mut |_| Err(Error::internal("a transform was asked for more after its end")))
}

/// How a thread's work ended.
enum End {
    Input,
    Exit,
}

/// Answers wait here for those to batches before theirs.
#[derive(Default)]
struct Turn {
    next: u64,
    waiting: BTreeMap<u64, Answer>,
}

/// What one batch has caused.
struct Answer {
    rows: Vec<RecordBatch>,
    failed: Vec<Failed>,
    credit: Credit,
}

fn serve(
    guest: &Guest,
    transform: &mut Box<dyn Transform>,
    mut time: Loop<'_>,
    turn: &Mutex<Turn>,
) -> Result<End> {
    let mut output = Output::default();
    let end = loop {
        if !guest.has_request() {
            time.enter(Activity::Send);
            guest.flush()?;
        }
        match guest.next(None, &mut |activity| time.enter(activity))? {
            Some(Request::Batch(seq, rows)) => {
                let input = rows.clone();
                time.enter(Activity::Process);
                guard(|| transform.process(rows, &mut output))?;
                let answer = answer(seq, &input, &mut output);
                deliver(guest, seq, answer, turn, &mut time)?;
                if time.is_due() {
                    time.tell(guest, (0, 0))?;
                }
            }
            Some(Request::Barrier(epoch)) => {
                time.enter(Activity::Process);
                let state = guard(|| transform.snapshot())?;
                super::state::send(guest, epoch, &state)?;
            }
            Some(Request::End) => {
                // The other threads wait for it as well.
                guest.repeat_end();
                break End::Input;
            }
            Some(Request::Commit) => return Err(Error::internal("a transform has no results to commit")),
            Some(Request::Exit) => break End::Exit,
            None => {}
        }
    };
    time.close();
    Ok(end)
}

fn answer(seq: Seq, input: &RecordBatch, output: &mut Output) -> Answer {
    let failed = letters::told(output.dead_letters.drain(..), seq, input);
    let events = output.events_found.take().unwrap_or(input.num_rows() as u64) as u32;
    let filtered = std::mem::take(&mut output.filtered) as u32;
    Answer { rows: std::mem::take(&mut output.batches), failed, credit: Credit { seq, events, filtered } }
}

/// Sends an answer once all before it were sent.
fn deliver(guest: &Guest, seq: Seq, answer: Answer, turn: &Mutex<Turn>, time: &mut Loop<'_>) -> Result<()> {
    let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    turn.waiting.insert(seq.0, answer);
    loop {
        let next = turn.next;
        let Some(Answer { rows, failed, credit }) = turn.waiting.remove(&next) else { return Ok(()) };
        turn.next += 1;
        for rows in &rows {
            send(guest, rows, Some(credit.seq), time)?;
        }
        time.enter(Activity::Send);
        failed.into_iter().try_for_each(|failed| guest.fail(failed))?;
        guest.credit(credit);
    }
}

fn send(guest: &Guest, rows: &RecordBatch, input: Option<Seq>, time: &mut Loop<'_>) -> Result<()> {
    match guest.send(rows, input, &mut |activity| time.enter(activity))?.len() {
        0 => Ok(()),
        _ => {
            Err(Error::stage("a row is larger than the segment")
                .with_hint("`limits.segment` makes it larger"))
        }
    }
}

/// Runs the stage's own code; a panic is its error.
fn guard<T>(code: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text =
            text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        Err(Error::stage(format!("its code panicked: {text}")))
    })
}
