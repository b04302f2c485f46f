//! A sink that is a process.

use std::path::Path;

use modrun_core::env::partial_path;
use modrun_core::{Activity, Bound, Error, Result, Sink, Written};
use modrun_link::Request;
use modrun_wire::{Credit, Done, FromStage};

use super::Stage;
use super::account::Account;

pub(super) fn run(stage: &Stage, bound: &Bound, mut sink: Box<dyn Sink>) -> Result<()> {
    let artifact = artifact(stage)?;
    let guest = &stage.guest;
    let account = Account::new(stage.options.env.clock.clone(), guest);
    let mut time = account.open();
    stage.ready(bound)?;
    let mut written = Written::default();
    loop {
        if !guest.has_request() {
            time.enter(Activity::Send);
            guest.flush()?;
        }
        match guest.next(None, &mut |activity| time.enter(activity))? {
            Some(Request::Batch(seq, rows)) => {
                let events = rows.num_rows() as u32;
                time.enter(Activity::Process);
                sink.write(rows, &mut written)?;
                time.enter(Activity::Send);
                guest.credit(Credit { seq, events, filtered: 0 });
                if time.is_due() {
                    time.tell(guest, (0, 0))?;
                }
            }
            Some(Request::Barrier(epoch)) => {
                time.enter(Activity::Send);
                super::state::send(guest, epoch, &[])?;
            }
            Some(Request::End) => break,
            Some(Request::Commit) => {
                return Err(Error::internal("the runtime asked for results before the end"));
            }
            Some(Request::Exit) => return Err(Error::unavailable("the runtime has gone")),
            None => {}
        }
    }
    time.enter(Activity::Process);
    sink.prepare()?;
    time.close();
    account.tell(guest, (0, 0))?;
    stage.done(Done { artifact, rows: written.rows() })?;
    let mut committed = false;
    super::leave(guest, &mut |request| match request {
        Request::Commit => {
            sink.commit()?;
            committed = true;
            guest.say(&FromStage::Committed)?;
            guest.flush()
        }
        _ => Err(Error::internal("a sink was asked for more after its end")),
    })?;
    if committed { Ok(()) } else { Err(Error::unavailable("the runtime has gone without its results")) }
}

/// Where the results stand until they are committed: a sink that writes a file names it `path`.
fn artifact(stage: &Stage) -> Result<Option<String>> {
    let config: serde_json::Value =
        serde_json::from_str(&stage.guest.opened_with().config).unwrap_or_default();
    let Some(path) = config.get("path").and_then(|path| path.as_str()) else { return Ok(None) };
    if path == "-" || path.starts_with("/dev/") {
        let what = format!("a sink in a process of its own cannot write to `{path}`: its output is its log");
        return Err(Error::invalid(what).with_hint("place it as `thread`"));
    }
    let path = std::path::absolute(Path::new(path))
        .map_err(|error| Error::invalid(format!("`{path}` is no path")).with_source(error))?;
    Ok(Some(partial_path(&path).display().to_string()))
}
