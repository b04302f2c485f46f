//! A source that is a process.

use std::time::Duration;

use modrun_core::{Activity, Bound, Error, Polled, Result, Source};
use modrun_link::Request;
use modrun_wire::Done;

use super::Stage;
use super::account::Account;

/// How long the source waits for input before it looks whether it should stop.
const POLL_MAX: Duration = Duration::from_millis(100);

pub(super) fn run(stage: &Stage, bound: &Bound, mut source: Box<dyn Source>) -> Result<()> {
    stage.ready(bound)?;
    let (guest, clock) = (&stage.guest, &stage.options.env.clock);
    let account = Account::new(clock.clone());
    let mut time = account.open();
    let mut waited = Duration::ZERO;
    loop {
        match guest.next(Some(clock.now()), &mut |activity| time.enter(activity))? {
            Some(Request::End) => break,
            Some(Request::Exit) => return Err(Error::unavailable("the runtime has gone")),
            Some(Request::Barrier(epoch)) => super::state::send(guest, epoch, &Vec::new())?,
            _ => {}
        }
        time.enter(Activity::Process);
        let polled = source.poll(clock.now() + POLL_MAX)?;
        let progress = source.progress();
        time.starved_for(progress.waited - std::mem::replace(&mut waited, progress.waited));
        let rows = match polled {
            Polled::Batch(rows) => Some(rows),
            Polled::Idle => None,
            Polled::End => break,
        };
        send(stage, rows, false, &mut |activity| time.enter(activity))?;
        if time.is_due() {
            time.tell(guest, (progress.bytes_read, progress.bytes_total.unwrap_or(0)))?;
        }
    }
    send(stage, None, true, &mut |activity| time.enter(activity))?;
    let progress = source.progress();
    time.close();
    account.tell(guest, (progress.bytes_read, progress.bytes_total.unwrap_or(0)))?;
    stage.done(Done::default())?;
    super::leave(guest, &mut |_| Err(Error::internal("a source was asked for more after its end")))
}

fn send(
    stage: &Stage,
    rows: Option<arrow_array::RecordBatch>,
    ended: bool,
    meter: &mut dyn FnMut(Activity),
) -> Result<()> {
    match stage.guest.emit(rows, ended, meter)?.len() {
        0 => Ok(()),
        _ => {
            Err(Error::stage("a row is larger than the segment")
                .with_hint("`limits.segment` makes it larger"))
        }
    }
}
