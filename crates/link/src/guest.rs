//! A stage's end of its process: what the Rust SDK, and built-in stages in a process of their own, talk through.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use arrow_schema::SchemaRef;
use modrun_core::env::Clock;
use modrun_core::{Activity, Error, ErrorKind, Result, Seq, Window};
use modrun_shm::{Readable, Writable, inherited};
use modrun_wire::table::{Layout, rows_within};
use modrun_wire::{Credit, Failed, Frame, Frames, FromStage, Open, ToStage, selection, table};

use crate::failure::Failure;
use crate::peer::{Arrived, Kept, Peer, Side, Sorted, Terms};
use crate::{Closed, Traffic};

mod outlet;

pub use outlet::Outlet;

/// The variable that tells a process that it is a stage, and where its descriptors are.
pub const STAGE_VARIABLE: &str = "MODRUN_STAGE";

impl Side for ToStage {
    const CREDIT_IS_AN_ANSWER: bool = false;

    fn sort(self) -> Sorted<Self> {
        match self {
            ToStage::Batch(batch) => Sorted::Batch(batch),
            ToStage::Credit(credit) => Sorted::Credit(credit),
            other => Sorted::Other(other, None),
        }
    }

    fn is_last(&self) -> bool {
        false
    }
}

/// What the runtime wants of a stage.
#[derive(Debug)]
pub enum Request {
    /// Process these rows, the batch of this number.
    Batch(Seq, RecordBatch),
    /// Send the state at this epoch.
    Barrier(u64),
    /// There are no more batches; a source stops.
    End,
    /// Give the results their final name.
    Commit,
    /// Exit: the runtime has gone, or is done with the stage.
    Exit,
}

/// A stage's end of its process; several threads may share it.
#[derive(Clone)]
pub struct Guest {
    peer: Arc<Peer<ToStage>>,
    open: Arc<Open>,
    state: Arc<Vec<u8>>,
    input: Option<SchemaRef>,
    clock: Arc<dyn Clock>,
}

impl Guest {
    /// Takes over the descriptors that `variable`, the value of [`STAGE_VARIABLE`], names, and waits for `Open`.
    ///
    /// # Errors
    /// Invalid, if the descriptors are not what the protocol says; Internal, if the runtime breaks it.
    pub fn start(variable: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let socket = UnixStream::from(inherited(number(variable, "socket")?)?);
        let input = inherited(number(variable, "input")?)?;
        let output = inherited(number(variable, "output")?)?;
        let reading = socket.try_clone().map_err(|error| {
            Error::unavailable("no descriptor is left for the stage's socket").with_source(error)
        })?;
        let mut frames = Frames::new(reading, 0);
        let (open, state) = opened(&mut frames).inspect_err(|error| {
            let mut frame = Vec::new();
            if error.kind() != ErrorKind::Unavailable
                && FromStage::Failed(failed(error)).encode(&mut frame).is_ok()
            {
                // The runtime may have gone meanwhile.
                let _ = (&socket).write_all(&frame);
            }
        })?;
        let terms = Terms {
            window: Window { batches: open.window_batches, bytes: open.window_bytes },
            inline_max: open.inline_max as usize,
        };
        frames.set_inline_max(terms.inline_max);
        let theirs = Some(open.input_segment).filter(|&bytes| bytes > 0);
        let theirs = theirs.map(|bytes| Readable::attach(input, bytes)).transpose()?;
        let mine = Some(open.output_segment).filter(|&bytes| bytes > 0);
        let mine = mine.map(|bytes| Writable::attach(output, bytes)).transpose()?;
        let input = open.input.as_ref().map(modrun_wire::Schema::to_arrow);
        let peer =
            Arc::new(Peer::new(socket, frames, clock.clone(), terms, mine, theirs, Traffic::default()));
        Ok(Self { peer, open: Arc::new(open), state: Arc::new(state), input, clock })
    }

    /// What the stage was opened with.
    pub fn opened_with(&self) -> &Open {
        &self.open
    }

    /// The state to go on from; empty at the start.
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    /// The columns that come in; `None` for a source.
    pub fn input(&self) -> Option<&SchemaRef> {
        self.input.as_ref()
    }

    /// Waits for what the runtime wants next, until `until` at most. `meter` is told what the time is spent on.
    pub fn next(&self, until: Option<Instant>, meter: &mut dyn FnMut(Activity)) -> Result<Option<Request>> {
        meter(Activity::Receive);
        loop {
            // Without an account nobody needs to know what is waiting and what is reading.
            let told = !self.open.unmeasured;
            let arrived = match self.peer.wait_told(until, |state| state.take(), told, meter) {
                Ok(None) => return Ok(None),
                Ok(Some(arrived)) => arrived,
                Err(Failure::Ended | Failure::Closed(_) | Failure::Socket(_)) => {
                    return Ok(Some(Request::Exit));
                }
                Err(failure) => return Err(error(failure)),
            };
            return Ok(Some(match arrived {
                Arrived::Batch(batch, inline, ..) => {
                    let payload = self.peer.payload(&batch, inline).map_err(error)?;
                    meter(Activity::Decode);
                    let schema = self.input.as_ref();
                    let schema =
                        schema.ok_or_else(|| Error::internal("the runtime sent rows to a source"))?;
                    let rows = table::decode(payload, schema)
                        .map_err(|garbage| error(Failure::garbage(garbage.to_string())))?;
                    if rows.num_rows() != batch.rows as usize {
                        let (has, says) = (rows.num_rows(), batch.rows);
                        let what = format!("a table has {has} rows where its batch says {says}");
                        return Err(error(Failure::garbage(what)));
                    }
                    Request::Batch(batch.seq, rows)
                }
                Arrived::Other(ToStage::Barrier(barrier), ..) => Request::Barrier(barrier.epoch),
                Arrived::Other(ToStage::End, ..) => Request::End,
                Arrived::Other(ToStage::Commit, ..) => Request::Commit,
                Arrived::Other(..) => {
                    return Err(Error::internal("the runtime said something out of turn"));
                }
                Arrived::Credit(..) | Arrived::Bypass(_) => continue,
            }));
        }
    }

    /// Whether the runtime wants something already.
    pub fn has_request(&self) -> bool {
        self.peer.has_arrived()
    }

    /// The way out of a source, on which `waiting` was left.
    pub fn outlet(&self, waiting: Vec<RecordBatch>) -> Outlet {
        Outlet::new(self.clone(), waiting)
    }

    /// Sends rows that the batch `input` caused, once there is credit; in parts if they are too large for one payload.
    /// Gives the rows, by number, that are too large even alone.
    pub fn send(
        &self,
        rows: &RecordBatch,
        input: Option<Seq>,
        meter: &mut dyn FnMut(Activity),
    ) -> Result<Vec<usize>> {
        let (mut begin, mut too_large) = (0, Vec::new());
        while begin < rows.num_rows() {
            meter(Activity::Encode);
            let part = self.part(rows, begin)?;
            match &part {
                None => too_large.push(begin),
                Some(layout) => self.peer.send(layout, input, Kept::default(), meter).map_err(error)?,
            }
            begin += part.map_or(1, |layout| layout.rows() as usize);
        }
        Ok(too_large)
    }

    /// The rows from `begin` on that fit into one payload, as many as possible; `None` if not even one does.
    fn part(&self, rows: &RecordBatch, begin: usize) -> Result<Option<Layout>> {
        let unfit = |error| Error::internal("a batch does not fit the protocol").with_source(error);
        let left = rows.slice(begin, rows.num_rows() - begin);
        let layout = Layout::of(&left).map_err(unfit)?;
        if layout.length() <= self.peer.payload_max() {
            return Ok(Some(layout));
        }
        let count = rows_within(&left, self.peer.payload_max()).map_err(unfit)?;
        let part = (count > 0).then(|| Layout::of(&left.slice(0, count)).map_err(unfit));
        part.transpose()
    }

    /// Whether a selection from so many rows can be sent.
    pub fn may_select(&self, rows: usize) -> bool {
        selection::length(rows) <= self.peer.payload_max()
    }

    /// Sends which rows of the batch `input` go on, once there is credit.
    pub fn select(&self, kept: &BooleanBuffer, input: Seq, meter: &mut dyn FnMut(Activity)) -> Result<()> {
        self.peer.select(kept, input, meter).map_err(error)
    }

    /// Tells of an error that ends the stage, unless nobody is there any more to hear it.
    pub fn give_up(&self, error: &Error) {
        if !self.peer.has_gone() {
            // The runtime may have gone meanwhile.
            let _ = self.say(&FromStage::Failed(failed(error))).and_then(|()| self.flush());
        }
    }

    /// Tells of events that went wrong.
    pub fn fail(&self, failed: Failed) -> Result<()> {
        self.say(&FromStage::Failed(failed))
    }

    /// The batch is done with: what it caused has been sent.
    pub fn credit(&self, credit: Credit) {
        self.peer.pay(&[credit]);
    }

    /// Writes what waits to be written.
    pub fn flush(&self) -> Result<()> {
        self.peer.flush().map_err(error)
    }

    /// Has another thread get `End`, which this one has taken.
    pub fn repeat_end(&self) {
        self.peer.repeat(ToStage::End);
    }

    /// Has all threads that wait for the runtime stop waiting; what is said is still sent.
    pub fn abandon(&self) {
        self.peer.fail(Failure::Closed(Closed));
    }

    /// Says something with a payload, with what is flushed next.
    pub fn say_with(&self, message: &FromStage, payload: &[u8]) -> Result<()> {
        let mut encoded = Ok(());
        self.peer.say(|out| encoded = message.encode_with_payload(payload, out));
        encoded.map_err(|error| Error::internal("a message cannot be written").with_source(error))
    }

    /// Says something, with what is flushed next.
    pub fn say(&self, message: &FromStage) -> Result<()> {
        let mut encoded = Ok(());
        self.peer.say(|out| encoded = message.encode(out));
        encoded.map_err(|error| Error::internal("a message cannot be written").with_source(error))
    }
}

/// What the stage is opened with, and the state that it goes on from.
fn opened<R: Read>(frames: &mut Frames<R, ToStage>) -> Result<(Open, Vec<u8>)> {
    let ToStage::Open(open) = next(frames)?.message else {
        return Err(Error::internal("the runtime did not begin with `Open`"));
    };
    let mut state = Vec::new();
    for _ in 0..open.state_chunks {
        let Frame { message: ToStage::State(_), payload } = next(frames)? else {
            return Err(Error::internal("the runtime sent fewer chunks of state than it said"));
        };
        state.extend_from_slice(payload.as_deref().unwrap_or_default());
    }
    Ok((*open, state))
}

/// The first messages, which nobody else waits for.
fn next<R: Read>(frames: &mut Frames<R, ToStage>) -> Result<Frame<ToStage>> {
    let frame = frames
        .next()
        .map_err(|error| Error::internal("the runtime broke the stage protocol").with_source(error))?;
    frame.ok_or_else(|| Error::unavailable("the runtime has gone before the stage was open"))
}

/// The number of a descriptor in the variable's value.
fn number(variable: &str, name: &str) -> Result<i32> {
    let value = variable.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).ok_or_else(|| {
        Error::invalid(format!("`{STAGE_VARIABLE}` has no number for `{name}`"))
            .with_hint("`modrun run` sets it for the stages that it starts")
    })
}

/// An error that ends the stage, with its causes.
fn failed(error: &Error) -> Failed {
    let mut detail = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        detail.push(error.to_string());
        cause = error.source();
    }
    let kind = error.kind();
    let code = error.code().map_or_else(|| format!("{kind:?}"), |code| code.0.to_owned());
    Failed { kind, code, message: error.to_string(), detail: detail.join("\n"), ..Failed::default() }
}

fn error(failure: Failure) -> Error {
    match failure {
        Failure::Garbage(what) => Error::internal(format!("the runtime broke the stage protocol: {what}")),
        failure => Error::unavailable("the runtime has gone").with_source(failure),
    }
}
