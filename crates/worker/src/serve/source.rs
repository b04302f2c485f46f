//! A source that is a process.
//!
//! Its state is what it says of itself, and the rows that it has handed over and the runtime has not got yet.

use std::time::Duration;

use arrow_array::RecordBatch;
use modrun_core::{Activity, Bound, Error, Opener, Polled, Result, Source, State};
use modrun_link::{Outlet, Request};
use modrun_wire::Done;

use super::account::Account;
use super::{Stage, state};

/// How long the source waits for input before it looks whether it should stop.
const POLL_MAX: Duration = Duration::from_millis(100);

pub(super) fn run(stage: &Stage, bound: &Bound, open: &Opener<dyn Source>) -> Result<()> {
    let (states, waiting) = read(stage.guest.state())?;
    let mut source = open(stage.context_with(states))?;
    let mut outlet = stage.guest.outlet(waiting);
    let (guest, clock) = (&stage.guest, &stage.options.env.clock);
    let account = Account::new(clock.clone(), guest);
    let mut time = account.open();
    stage.ready(bound)?;
    let mut waited = Duration::ZERO;
    let mut ended = false;
    loop {
        match guest.next(Some(clock.now()), &mut |activity| time.enter(activity))? {
            Some(Request::End) => ended = true,
            Some(Request::Exit) => return Err(Error::unavailable("the runtime has gone")),
            Some(Request::Barrier(epoch)) => {
                time.enter(Activity::Process);
                state::send(guest, epoch, &write(source.as_mut(), &mut outlet)?)?;
            }
            _ => {}
        }
        if !outlet.send(ended, &mut |activity| time.enter(activity))? {
            continue;
        }
        if ended {
            break;
        }
        time.enter(Activity::Process);
        let polled = source.poll(clock.now() + POLL_MAX)?;
        let progress = source.progress();
        time.starved_for(progress.waited - std::mem::replace(&mut waited, progress.waited));
        match polled {
            Polled::Batch(rows) => outlet.push(rows),
            Polled::Idle => {}
            Polled::End => ended = true,
        }
        if time.is_due() {
            time.tell(guest, (progress.bytes_read, progress.bytes_total.unwrap_or(0)))?;
        }
    }
    let progress = source.progress();
    time.close();
    account.tell(guest, (progress.bytes_read, progress.bytes_total.unwrap_or(0)))?;
    stage.done(Done::default())?;
    super::leave(guest, &mut |_| Err(Error::internal("a source was asked for more after its end")))
}

/// The number of the batches that are the source's own state, then these, then those that wait; nothing for a source
/// that would begin anew.
fn write(source: &mut dyn Source, outlet: &mut Outlet) -> Result<Vec<u8>> {
    let mut state = source.snapshot()?;
    if state.is_empty() {
        return Ok(Vec::new());
    }
    let mut bytes = (state.len() as u64).to_le_bytes().to_vec();
    state.extend(outlet.waiting()?);
    bytes.extend(state::write(&state)?);
    Ok(bytes)
}

/// The states to open the source with, and the rows that are to leave first.
fn read(bytes: &[u8]) -> Result<(Vec<State>, Vec<RecordBatch>)> {
    if bytes.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let broken = || Error::invalid("the state is none of this source's");
    let (own, batches) = bytes.split_first_chunk().ok_or_else(broken)?;
    let (own, mut state) = (u64::from_le_bytes(*own) as usize, state::read(batches)?);
    if own > state.len() {
        return Err(broken());
    }
    let waiting = state.split_off(own);
    Ok((vec![state], waiting))
}
