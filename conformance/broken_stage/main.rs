//! A stage program that breaks one rule on demand: `broken-stage FAULT STAGE FORM`.
//!
//! What it is: some of the stages of `STAGES.md`, kept small. With the fault `none` they are right; any other fault is
//! one deviation, so that `tests/faults.rs` can see that the kit notices it.
//!
//! Refuses: being an SDK. It answers one batch after the other and knows two columns.

mod link;
mod work;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use modrun_core::{Concurrency, ErrorKind, Role, Seq};
use modrun_wire::{Activity, Done, Failed, FromStage, Ready, Snapshot, State, ToStage};

use link::Link;
use work::Work;

/// Places in an account of time.
const PROCESS: usize = modrun_core::Activity::Process as usize;
const STARVED: usize = modrun_core::Activity::Starved as usize;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, fault, stage, _form] = &arguments[..] else {
        eprintln!("usage: broken-stage FAULT STAGE FORM");
        return ExitCode::from(64);
    };
    let Some(variable) = std::env::var_os("MODRUN_STAGE") else {
        eprintln!("this program is a stage that `modrun run` starts");
        return ExitCode::from(if fault == "silent_exit_alone" { 0 } else { 2 });
    };
    match run(fault, stage, &variable.to_string_lossy()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(fault: &str, stage: &str, variable: &str) -> anyhow::Result<u8> {
    let mut link = Link::inherited(fault, variable)?;
    let Some(open) = link.open()? else { return Ok(1) };
    if open.protocol != 1 && fault != "takes_any_protocol" {
        return fail(&mut link, ErrorKind::Invalid, "the protocol is not version 1");
    }
    let mut work = Work::new(fault, stage, &open)?;
    for _ in 0..open.state_chunks {
        match link.next()? {
            Some((ToStage::State(_), chunk)) if fault != "forgets_its_state" => work.restore(&chunk)?,
            Some((ToStage::State(_), _)) => {}
            _ => return Ok(1),
        }
    }
    if fault == "batch_before_ready" {
        link.emit(&work.empty()?, None)?;
    }
    let (role, concurrency) = work.role();
    let role = if fault == "says_it_is_a_sink" { Role::Sink } else { role };
    let concurrency = if fault == "says_it_is_stateless" { Concurrency::Stateless } else { concurrency };
    let protocol = if fault == "speaks_version_2" { 2 } else { 1 };
    link.send(&FromStage::Ready(Ready {
        protocol,
        sdk: "broken 1".to_owned(),
        role,
        concurrency,
        output: None,
    }))?;
    match serve(&mut link, &mut work, fault) {
        Err(error) if fault != "dies_without_a_word" => {
            fail(&mut link, ErrorKind::Internal, &error.to_string())
        }
        served => served,
    }
}

fn fail(link: &mut Link, kind: ErrorKind, message: &str) -> anyhow::Result<u8> {
    let message = message.to_owned();
    let failed = Failed { kind, code: "Broken".to_owned(), message, ..Failed::default() };
    link.send(&FromStage::Failed(failed))?;
    Ok(if link.fault == "exits_with_0" { 0 } else { 1 })
}

/// The loop: takes what comes until the end of the socket, and tells the exit code.
fn serve(link: &mut Link, work: &mut Work, fault: &str) -> anyhow::Result<u8> {
    let ready_at = Instant::now();
    let mut done = false;
    loop {
        if !done && work.produce(link)? {
            done = finish(link, work, fault, ready_at)?;
        }
        let Some((message, payload)) = link.next()? else { break };
        match message {
            ToStage::Batch(batch) => work.process(link, &batch, payload)?,
            ToStage::Barrier(barrier) => {
                let chunks = work.snapshot();
                for (index, chunk) in (0..).zip(&chunks) {
                    let index = if fault == "chunks_from_1" { index + 1 } else { index };
                    link.send_with(&FromStage::State(State { index }), chunk)?;
                }
                let epoch = barrier.epoch + u64::from(fault == "another_epoch");
                let chunks = chunks.len() as u32;
                link.send(&FromStage::Snapshot(Snapshot { epoch, chunks }))?;
            }
            ToStage::End if !done => done = finish(link, work, fault, ready_at)?,
            ToStage::End => {}
            ToStage::Commit => {
                work.commit()?;
                link.send(&FromStage::Committed)?;
                return Ok(0);
            }
            other => anyhow::bail!("`{other:?}` has no place here"),
        }
        if fault == "done_before_end" && !done {
            done = finish(link, work, fault, ready_at)?;
        }
    }
    if fault == "stays_after_the_end" {
        loop {
            std::thread::park();
        }
    }
    Ok(u8::from(!done && fault != "exits_with_0" || work.role().0 == Role::Sink))
}

/// Where its time went: it does little but wait.
fn activity(fault: &str, life: Duration) -> Activity {
    let mut activity = Activity::default();
    match fault {
        "forgets_its_time" => {}
        "loses_some_time" => activity.spent[STARVED] = life * 97 / 100,
        "takes_waiting_for_work" => activity.spent[PROCESS] = life,
        _ => activity.spent[STARVED] = life,
    }
    activity
}

fn finish(link: &mut Link, work: &mut Work, fault: &str, ready_at: Instant) -> anyhow::Result<bool> {
    let Done { artifact, rows } = work.finish(link)?;
    if fault != "no_activity" {
        link.send(&FromStage::Activity(activity(fault, ready_at.elapsed())))?;
    }
    link.send(&FromStage::Done(Done { artifact, rows }))?;
    match fault {
        "activity_after_done" => link.send(&FromStage::Activity(Activity::default()))?,
        "failed_after_done" => {
            let rows = vec![0];
            let failed = Failed { kind: ErrorKind::Stage, input: Seq(0), rows, ..Failed::default() };
            link.send(&FromStage::Failed(failed))?;
        }
        "committed_by_itself" => link.send(&FromStage::Committed)?,
        _ => {}
    }
    Ok(true)
}
