//! A transform that is a process.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow_array::{Array, BooleanArray, RecordBatch};
use modrun_core::{Activity, Bound, Concurrency, Error, Opener, Output, Result, Seq, Transform, raw_schema};
use modrun_link::{Guest, Request};
use modrun_wire::{Credit, Done, Failed};

use super::account::{Account, Loop};
use super::{Stage, letters, state};

pub(super) fn run(stage: &Stage, bound: &Bound, open: &Opener<dyn Transform>) -> Result<()> {
    let workers = match bound.concurrency {
        Concurrency::Stateless => stage.options.workers.get(),
        _ => 1,
    };
    let mut transforms = (0..workers).map(|_| open(stage.context()?)).collect::<Result<Vec<_>>>()?;
    let guest = &stage.guest;
    let account = Account::new(stage.options.env.clock.clone(), guest);
    let loops: Vec<Loop<'_>> = transforms.iter().map(|_| account.open()).collect();
    stage.ready(bound)?;
    let work = Work {
        guest,
        is_stateless: bound.concurrency == Concurrency::Stateless,
        may_select: bound.output.as_ref() == guest.input(),
        turn: Mutex::default(),
    };
    let ends: Vec<Result<End>> = thread::scope(|scope| {
        let work = &work;
        let serve = |(transform, time)| move || work.serve(transform, time).inspect_err(|_| guest.abandon());
        let threads: Vec<_> = transforms.iter_mut().zip(loops).map(|both| scope.spawn(serve(both))).collect();
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
            if !guest.send(rows, None, &mut |activity| time.enter(activity))?.is_empty() {
                return Err(Error::stage("a row is larger than the segment")
                    .with_hint("`limits.segment` makes it larger"));
            }
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

/// What the threads of a transform share.
struct Work<'a> {
    guest: &'a Guest,
    is_stateless: bool,
    /// Whether an answer may say which rows go on.
    may_select: bool,
    turn: Mutex<Turn>,
}

/// Answers wait here for those to batches before theirs.
#[derive(Default)]
struct Turn {
    next: u64,
    waiting: BTreeMap<u64, Answer>,
}

/// What one batch has caused.
struct Answer {
    given: Given,
    /// Whether each row given is what became of the row of the same number.
    row_by_row: bool,
    failed: Vec<Failed>,
    credit: Credit,
}

enum Given {
    Rows(Vec<RecordBatch>),
    /// The rows of the batch that go on.
    Selection(BooleanArray),
}

impl Work<'_> {
    fn serve(&self, transform: &mut Box<dyn Transform>, mut time: Loop<'_>) -> Result<End> {
        let (guest, mut output) = (self.guest, Output::default());
        time.move_here();
        let end = loop {
            if !guest.has_request() {
                time.enter(Activity::Send);
                guest.flush()?;
            }
            match guest.next(None, &mut |activity| time.enter(activity))? {
                Some(Request::Batch(seq, rows)) => {
                    time.enter(Activity::Process);
                    let answer = self.answer(transform.as_mut(), seq, rows, &mut output)?;
                    self.deliver(seq, answer, &mut time)?;
                    if time.is_due() {
                        time.tell(guest, (0, 0))?;
                    }
                }
                Some(Request::Barrier(epoch)) => {
                    time.enter(Activity::Process);
                    let state = guard(|| transform.snapshot())?;
                    state::send(guest, epoch, &state::write(&state)?)?;
                }
                Some(Request::End) => {
                    // The other threads wait for it as well.
                    guest.repeat_end();
                    break End::Input;
                }
                Some(Request::Commit) => {
                    return Err(Error::internal("a transform has no results to commit"));
                }
                Some(Request::Exit) => break End::Exit,
                None => {}
            }
        };
        time.close();
        Ok(end)
    }

    fn answer(
        &self,
        transform: &mut dyn Transform,
        seq: Seq,
        rows: RecordBatch,
        output: &mut Output,
    ) -> Result<Answer> {
        let (input, count) = (rows.clone(), rows.num_rows());
        let may_select = self.may_select && self.guest.may_select(count);
        let selected = if may_select { guard(|| transform.select(&rows, output))? } else { None };
        let given = match selected {
            Some(kept) => {
                let dropped = count.checked_sub(kept.true_count() + output.dead_letters.len());
                let dropped = dropped.filter(|_| kept.len() == count && kept.null_count() == 0);
                output.filtered = dropped.ok_or_else(|| {
                    Error::stage("its selection does not say for each event what becomes of it")
                })? as u64;
                Given::Selection(kept)
            }
            None => {
                guard(|| transform.process(rows, output))?;
                Given::Rows(std::mem::take(&mut output.batches))
            }
        };
        let row_by_row = self.is_stateless
            && input.schema() != raw_schema()
            && matches!(&given, Given::Rows(all) if all.iter().map(RecordBatch::num_rows).sum::<usize>() == count);
        let failed = letters::told(output.dead_letters.drain(..), seq, &input);
        let events = output.events_found.take().unwrap_or(count as u64) as u32;
        let filtered = std::mem::take(&mut output.filtered) as u32;
        Ok(Answer { given, row_by_row, failed, credit: Credit { seq, events, filtered } })
    }

    /// Sends an answer once all before it were sent.
    fn deliver(&self, seq: Seq, answer: Answer, time: &mut Loop<'_>) -> Result<()> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.waiting.insert(seq.0, answer);
        loop {
            let next = turn.next;
            let Some(answer) = turn.waiting.remove(&next) else { return Ok(()) };
            turn.next += 1;
            self.send(answer, time)?;
        }
    }

    fn send(
        &self,
        Answer { given, row_by_row, mut failed, credit }: Answer,
        time: &mut Loop<'_>,
    ) -> Result<()> {
        let (guest, input) = (self.guest, credit.seq);
        let mut meter = |activity| time.enter(activity);
        match given {
            Given::Selection(kept) if kept.true_count() > 0 => {
                guest.select(kept.values(), input, &mut meter)?
            }
            Given::Selection(_) => {}
            Given::Rows(all) => {
                let mut before = 0;
                for rows in &all {
                    for row in guest.send(rows, Some(input), &mut meter)? {
                        let became_of = row_by_row.then_some(before + row);
                        failed.push(letters::too_large(rows, row, input, became_of));
                    }
                    before += rows.num_rows();
                }
            }
        }
        time.enter(Activity::Send);
        failed.into_iter().try_for_each(|failed| guest.fail(failed))?;
        guest.credit(credit);
        Ok(())
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
