//! Whether what a program did is what it must do.
//!
//! What it is: [`check`], which compares a record with the reference and with what the case expects besides.
//!
//! Guarantees: rows are compared bit by bit, in order, and each with the batch that must have caused it; every event
//! that went in is accounted for; a program must exit by itself, with the code that the protocol names.
//!
//! Neighbours: `referee` has judged the messages before; `reference` says what is right.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use modrun_core::{ErrorKind, Role};
use modrun_shm::Exit;
use modrun_wire::Form;

use crate::case::{Case, Expect, Failure, Kind, Run, Selections};
use crate::record::Record;
use crate::reference::{Emitted, Question, Reference, number, reference};
use crate::script::{Performance, code, lines, read_row};
use crate::step::Step;
use crate::value::{Row, Shown};
use crate::{Error, Result, time};

/// The file that a sink under test writes.
pub(crate) const FILE: &str = "out.ndjson";

/// Compares.
pub(crate) fn check(
    run: &Run,
    performance: &Performance,
    record: &mut Record,
    dir: &Path,
    safe_int64: bool,
) -> Result<()> {
    let case = &run.case;
    let spun = if case.stage == "spin" { time::take_spun(record) } else { Duration::ZERO };
    let record = &*record;
    if let Some(exit @ Exit::Signal(_)) = record.exit {
        return wrong(format!("ended with {exit}"));
    }
    if case.script.first() == Some(&Step::StartAlone) {
        return check_log(&case.expect, record)
            .and_then(|()| check_exit(case.expect.exit.unwrap_or(2), record));
    }
    let mut reference = expected(run, performance, safe_int64)?;
    if !case.expect.may_fail {
        check_failure(reference.failure.as_ref(), record)?;
    }
    check_failed_rows(&mut reference, performance, record)?;
    check_rows(&reference, record).map_err(|error| ended_early(error, performance, record))?;
    check_batches(&case.expect, record)?;
    if let Some(filtered) = case.expect.filtered.or(reference.filtered)
        && !reference.beginning
        && record.filtered != filtered
    {
        return wrong(format!("{} events were counted as filtered instead of {filtered}", record.filtered));
    }
    check_log(&case.expect, record)?;
    check_sink(&reference, case, record, dir)?;
    let finished = match performance.setup.stage.role {
        Role::Sink => record.committed,
        _ => record.done.is_some(),
    };
    check_exit(case.expect.exit.unwrap_or(i32::from(!finished)), record)?;
    time::check(case, record, spun)
}

/// What must come of a run: the reference, and what the case says besides.
pub(crate) fn expected(run: &Run, performance: &Performance, safe_int64: bool) -> Result<Reference> {
    let question = Question {
        name: &run.case.stage,
        form: run.form,
        stage: &performance.setup.stage,
        config: &performance.config,
        batches: &performance.setup.batches,
        safe_int64,
    };
    let mut reference = reference(&question)?;
    adapt(&mut reference, &run.case, performance)?;
    Ok(reference)
}

/// Says of a stage that did too little how it ended.
fn ended_early(error: Error, performance: &Performance, record: &Record) -> Error {
    match record.exit {
        Some(exit) if performance.expects_done() && record.done.is_none() => {
            Error::Wrong(format!("{error}; ended with {exit} before `Done`"))
        }
        _ => error,
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::Wrong(what.into()))
}

/// Puts what the case says in place of what the reference does, which must agree with rows that are written out.
fn adapt(reference: &mut Reference, case: &Case, performance: &Performance) -> Result<()> {
    let expect = &case.expect;
    reference.beginning |= expect.beginning || expect.failure.is_some();
    if expect.failure.is_some() {
        reference.failure.clone_from(&expect.failure);
    }
    if let Some(failed) = &expect.failed_rows {
        reference.failed.clone_from(failed);
        let rows: HashSet<usize> = failed.iter().map(|(row, _)| *row).collect();
        reference.emitted.retain(|emitted| !emitted.source.is_some_and(|source| rows.contains(&source)));
    }
    if let (Some(written), Some(columns)) = (&expect.rows, &performance.setup.stage.output) {
        let rows: Vec<Row> = written.iter().map(|row| read_row(row, columns)).collect::<Result<_>>()?;
        if rows.len() != reference.emitted.len()
            || rows.iter().zip(&reference.emitted).any(|(row, emitted)| *row != emitted.row)
        {
            return Err(Error::Case(
                "the rows that the case expects are not those of the reference".to_owned(),
            ));
        }
    }
    Ok(())
}

fn check_failure(expected: Option<&Failure>, record: &Record) -> Result<()> {
    match (expected, &record.failure) {
        (None, None) => Ok(()),
        (None, Some(failed)) => {
            wrong(format!("failed as {:?} `{}`: {}", failed.kind, failed.code, failed.message))
        }
        (Some(expected), None) => wrong(format!("did not say that it failed as {:?}", expected.kind)),
        (Some(expected), Some(failed)) => {
            let kind = match expected.kind {
                Kind::Invalid => ErrorKind::Invalid,
                Kind::Stage => ErrorKind::Stage,
                Kind::Internal => ErrorKind::Internal,
            };
            if failed.kind != kind {
                let message = &failed.message;
                return wrong(format!("failed as {:?} instead of {kind:?}: {message}", failed.kind));
            }
            if !failed.message.contains(&expected.message) {
                let message = &failed.message;
                return wrong(format!("failed with `{message}`, without the words `{}`", expected.message));
            }
            Ok(())
        }
    }
}

/// Compares the events that failed; those that were allowed to are no longer expected to be emitted.
fn check_failed_rows(reference: &mut Reference, performance: &Performance, record: &Record) -> Result<()> {
    let mut starts = Vec::new();
    let mut rows = 0;
    for batch in &performance.setup.batches {
        starts.push(rows);
        rows += batch.len();
    }
    let mut expected: BTreeMap<usize, &str> =
        reference.failed.iter().map(|(row, message)| (*row, message.as_str())).collect();
    let mut allowed = HashSet::new();
    for failed in &record.failed {
        let row = starts.get(failed.batch).copied().unwrap_or_default() + failed.row as usize;
        match expected.remove(&row) {
            Some(message) if failed.message.contains(message) => {}
            Some(message) => {
                return wrong(format!("event {row} failed with `{}` instead of `{message}`", failed.message));
            }
            None if reference.may_fail.contains(&row) => {
                allowed.insert(row);
            }
            None => return wrong(format!("event {row} failed: {}", failed.message)),
        }
    }
    if let Some((row, message)) = expected.first_key_value()
        && !reference.beginning
    {
        return wrong(format!("event {row} did not fail with `{message}`"));
    }
    reference.emitted.retain(|emitted| !emitted.source.is_some_and(|source| allowed.contains(&source)));
    Ok(())
}

fn check_rows(reference: &Reference, record: &Record) -> Result<()> {
    let emitted = record.outputs.iter().flat_map(|output| output.rows.iter().map(|row| (output.input, row)));
    let generated = (0..reference.numbers).map(|n| Emitted { batch: None, source: None, row: number(n) });
    let mut expected = reference.emitted.iter().cloned().chain(generated);
    let mut count = 0;
    for (input, row) in emitted {
        let Some(emitted) = expected.next() else {
            return wrong(format!("emitted more than {count} rows, the first of them {}", Shown(row)));
        };
        if emitted.row != *row {
            return wrong(format!("row {count} is {} instead of {}", Shown(row), Shown(&emitted.row)));
        }
        if emitted.batch.is_some() && emitted.batch != input {
            return wrong(format!("row {count} is from batch {input:?} instead of {:?}", emitted.batch));
        }
        count += 1;
    }
    match expected.next() {
        Some(emitted) if !reference.beginning => {
            wrong(format!("emitted {count} rows; the next one is {}", Shown(&emitted.row)))
        }
        _ => Ok(()),
    }
}

fn check_batches(expect: &Expect, record: &Record) -> Result<()> {
    let outputs = &record.outputs;
    if let (Some(rows), [all @ .., last]) = (expect.batch_rows, &outputs[..]) {
        let others = all.iter().find(|output| output.rows.len() != rows as usize);
        if let Some(other) = others.or(Some(last).filter(|last| last.rows.len() > rows as usize)) {
            return wrong(format!("a batch has {} rows instead of {rows}", other.rows.len()));
        }
    }
    let answers = || outputs.iter().filter(|output| !output.rows.is_empty());
    match expect.selections {
        Some(Selections::All) if answers().any(|output| output.form == Form::Table) => {
            return wrong("answered with a table where a selection would do");
        }
        Some(Selections::None) if answers().any(|output| output.form == Form::Selection) => {
            return wrong("answered with a selection where a table was asked for");
        }
        _ => {}
    }
    if expect.batches_min.is_some_and(|least| outputs.len() < least) {
        return wrong(format!("sent {} batches, which are too few", outputs.len()));
    }
    let chunks = record.snapshot.as_ref().map_or(0, |snapshot| snapshot.chunks.len());
    if expect.state_chunks_min.is_some_and(|least| chunks < least as usize)
        || expect.state_chunks_max.is_some_and(|most| chunks > most as usize)
    {
        return wrong(format!("its state has {chunks} chunks"));
    }
    Ok(())
}

fn check_log(expect: &Expect, record: &Record) -> Result<()> {
    for (level, words) in &expect.log {
        if !record.log.iter().any(|line| line.level == *level && line.text.contains(words)) {
            return wrong(format!("did not log `{words}` as {level:?}"));
        }
    }
    Ok(())
}

fn check_sink(reference: &Reference, case: &Case, record: &Record, dir: &Path) -> Result<()> {
    let partial = format!("{FILE}.partial");
    let committed = record.committed.then_some(&reference.lines).cloned().flatten();
    let expected = case.expect.lines.clone().or(committed);
    compare_lines(expected.as_ref(), &dir.join(FILE))?;
    let prepared =
        (record.done.is_some() && !record.committed).then_some(&reference.lines).cloned().flatten();
    let expected = case.expect.partial_lines.clone().or(prepared);
    // A run that fails may leave anything under the temporary name.
    if record.done.is_some() || expected.is_some() {
        compare_lines(expected.as_ref(), &dir.join(&partial))?;
    }
    let (Some(done), Some(written)) = (&record.done, &reference.lines) else {
        return Ok(());
    };
    if done.rows != written.len() as u64 {
        return wrong(format!("counts {} result rows instead of {}", done.rows, written.len()));
    }
    let named = done.artifact.as_deref().map(Path::new);
    if named != Some(&dir.join(FILE)) && named != Some(&dir.join(&partial)) {
        return wrong(format!("names its results {:?}, and they are in `{}`", done.artifact, dir.display()));
    }
    Ok(())
}

fn compare_lines(expected: Option<&Vec<String>>, path: &Path) -> Result<()> {
    let found = lines(path);
    let path = path.file_name().unwrap_or_default().display();
    let (expected, found) = match (expected, found) {
        (None, None) => return Ok(()),
        (Some(_), None) => return wrong(format!("there is no file `{path}`")),
        (None, Some(_)) => return wrong(format!("there is a file `{path}`, which must not be")),
        (Some(expected), Some(found)) => (expected, found),
    };
    for (at, (expected, found)) in expected.iter().zip(&found).enumerate() {
        if expected != found {
            return wrong(format!("line {} of `{path}` is `{found}` instead of `{expected}`", at + 1));
        }
    }
    if expected.len() != found.len() {
        return wrong(format!("`{path}` has {} lines instead of {}", found.len(), expected.len()));
    }
    Ok(())
}

fn check_exit(expected: i32, record: &Record) -> Result<()> {
    match record.exit {
        Some(exit) if code(exit) == Some(expected) => Ok(()),
        Some(exit) => wrong(format!("ended with {exit} instead of {expected}")),
        None => Err(Error::Kit("the end of the program was not seen".to_owned())),
    }
}
