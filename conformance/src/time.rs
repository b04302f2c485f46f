//! Whether the account that a stage gives of its time is right.
//!
//! What it is: [`check`], which compares the last `Activity` with what the kit's clock and the kernel say.
//!
//! Guarantees: no time is taken for granted. What must come of a case was measured while it ran: pauses of the script by
//! the kit, computing by the stage's own code, CPU time by the kernel. A processor that is shared makes all of them
//! longer alike, so that shares are compared and not speeds.
//!
//! Neighbours: `runner` performs a run again whose times are wrong, `README.md` says why.

use std::time::Duration;

use modrun_core::Activity;

use crate::case::{Case, Measured, Range, Time};
use crate::record::Record;
use crate::value::Value;
use crate::{Error, Result};

/// A shorter life of a loop says nothing: a hundredth of it is less than it takes to wake up.
const LIFE_MIN: Duration = Duration::from_millis(200);
/// How far a time may be from what is known of it, and the sum of all from the life of the loop.
const SLACK_PERCENT: u32 = 5;
const SUM_SLACK_PERCENT: u32 = 1;
/// How much the sum may miss in any case: a turn of another program, while the stage says `Ready` or its last word.
const TURN: Duration = Duration::from_millis(10);

/// Takes out of the rows of the stage `spin` how long it has computed.
pub(crate) fn take_spun(record: &mut Record) -> Duration {
    let mut spun = 0;
    for wall in record.outputs.iter_mut().flat_map(|output| &mut output.rows).filter_map(|row| row.last_mut())
    {
        if let Value::Int64(nanos) = std::mem::replace(wall, Value::Int64(0)) {
            spun += nanos.max(0) as u64;
        }
    }
    Duration::from_nanos(spun)
}

/// Compares.
pub(crate) fn check(case: &Case, record: &Record, spun: Duration) -> Result<()> {
    if case.expect.activities_min.is_some_and(|least| record.activities.len() < least) {
        return wrong("A1", format!("sent `Activity` {} times only", record.activities.len()));
    }
    let (Some(last), Some(ready), Some(told), true) =
        (record.activities.last(), record.ready_at, record.told_at, record.done.is_some())
    else {
        return Ok(());
    };
    let sum: Duration = last.spent.iter().sum();
    if case.open.unmeasured && !sum.is_zero() {
        return wrong("A2", format!("is not to measure and says that it did so for {sum:?}"));
    }
    let known = |time| match time {
        Time::Millis(millis) => Duration::from_millis(millis),
        Time::Measured(Measured::Paused) => record.paused,
        Time::Measured(Measured::Spun) => spun,
        Time::Measured(Measured::Process) => last.spent(Activity::Process),
        Time::Measured(Measured::Used) => told.cpu.saturating_sub(ready.cpu),
    };
    for (name, range) in &case.expect.activity {
        let said = said(name, last)?;
        within(name, said, range, known).map_err(|error| with_all(error, last))?;
    }
    let life = told.at - ready.at;
    let slack = (life * SUM_SLACK_PERCENT / 100).max(TURN);
    if !case.open.unmeasured && life > LIFE_MIN && sum.abs_diff(life) > slack {
        let what = format!("its activities sum to {sum:?} in a life of {life:?}");
        return wrong("A3", what).map_err(|error| with_all(error, last));
    }
    Ok(())
}

/// What the stage says, by the name of an activity, or of its CPU time.
fn said(name: &str, last: &modrun_wire::Activity) -> Result<Duration> {
    let named = |activity: &Activity| format!("{activity:?}").eq_ignore_ascii_case(name);
    match Activity::ALL.iter().position(named) {
        Some(at) => Ok(last.spent[at]),
        None if name == "cpu" => Ok(last.cpu),
        None => Err(Error::Case(format!("`{name}` is no activity"))),
    }
}

fn within(name: &str, said: Duration, range: &Range, known: impl Fn(Time) -> Duration) -> Result<()> {
    let rule = if name == "cpu" { "A5" } else { "A4" };
    if let Some(about) = range.about.map(&known)
        && !is_about(said, about, SLACK_PERCENT)
    {
        return wrong(rule, format!("says that `{name}` took {said:?}, and it took {about:?}"));
    }
    if let Some(above) = range.above.map(&known)
        && said <= above
    {
        return wrong(rule, format!("says that `{name}` took {said:?}, and it took more than {above:?}"));
    }
    if let Some(below) = range.below.map(&known)
        && said >= below
    {
        return wrong(rule, format!("says that `{name}` took {said:?}, and it took less than {below:?}"));
    }
    Ok(())
}

fn is_about(said: Duration, known: Duration, percent: u32) -> bool {
    said.abs_diff(known) <= known * percent / 100
}

/// Adds what the stage says of all its time.
fn with_all(error: Error, last: &modrun_wire::Activity) -> Error {
    match error {
        Error::Time { rule, what } => {
            let all = Activity::ALL.map(|activity| format!("{activity:?} {:?}", last.spent(activity)));
            Error::Time { rule, what: format!("{what} ({}, CPU {:?})", all.join(", "), last.cpu) }
        }
        error => error,
    }
}

fn wrong<T>(rule: &'static str, what: String) -> Result<T> {
    Err(Error::Time { rule, what })
}
