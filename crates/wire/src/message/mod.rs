//! The messages of `stage.proto`.
//!
//! [`Batch`] and [`Credit`] have one fixed layout, equal in both directions, and are read as plain structs; the others
//! are protobuf like any other.

mod from_stage;
mod hot;
mod to_stage;

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::field::{Body, Fields, Value, write_message, write_u32};
use crate::{Error, Result};

use from_stage::RawReady;
pub use from_stage::{Activity, Done, Failed, Ready, Snapshot};
pub use hot::{Batch, Credit, Form, Place};
pub use to_stage::{Barrier, BatchPolicy, Open};

/// Bytes that a message may have.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Bytes that a chunk of state may have.
pub const STATE_BYTES_MAX: usize = 1 << 20;

/// What the runtime sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ToStage {
    /// Everything a stage needs to know.
    Open(Box<Open>),
    /// Rows to process.
    Batch(Batch),
    /// An output batch is done with.
    Credit(Credit),
    /// A chunk of the state to open with.
    State(State),
    /// Asks for the state after all batches before.
    Barrier(Barrier),
    /// There are no more batches; to a source: stop.
    End,
    /// Give the results their final name.
    Commit,
}

/// What a stage sends.
#[derive(Clone, Debug, PartialEq)]
pub enum FromStage {
    /// The stage is open.
    Ready(Ready),
    /// Rows that the stage emits.
    Batch(Batch),
    /// An input batch is done with.
    Credit(Credit),
    /// A chunk of the stage's state.
    State(State),
    /// All chunks of the state were sent.
    Snapshot(Snapshot),
    /// Something went wrong.
    Failed(Failed),
    /// Where the time went.
    Activity(Activity),
    /// The stage has sent all that it will.
    Done(Done),
    /// The results have their final name.
    Committed,
}

/// One chunk of a stage's state, which is the payload of this message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Its position among the chunks, from 0.
    pub index: u32,
}

/// A message of one direction, as [`Frames`](crate::Frames) reads them: [`ToStage`] or [`FromStage`].
pub trait Incoming: Sized {
    /// Reads a message.
    fn decode(message: &[u8]) -> Result<Self>;

    /// Checks that a payload of `length` bytes may follow, where a batch may have one of `inline_max` bytes.
    fn check_payload(&self, length: usize, inline_max: usize) -> Result<()>;
}

/// How the messages of one direction are written.
trait Outgoing {
    /// Writes the message without its frame's header.
    fn write(&self, out: &mut Vec<u8>);
}

/// Appends a frame to `out`, without the payload of `payload_length` bytes; on failure `out` stays as it was.
fn frame(message: &impl Outgoing, payload_length: usize, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    message.write(out);
    let length = out.len() - start - 8;
    if length > MESSAGE_BYTES_MAX {
        out.truncate(start);
        return Err(Error::MessageLength { length, max: MESSAGE_BYTES_MAX });
    }
    let Ok(payload_length) = u32::try_from(payload_length) else {
        out.truncate(start);
        return Err(Error::TableLength(payload_length as u64));
    };
    out[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&payload_length.to_le_bytes());
    Ok(())
}

macro_rules! encode {
    ($message:ty) => {
        impl $message {
            /// Appends the frame of a message without a payload to `out`; a batch that is inline has one. Fails, leaving
            /// `out` as it was, if the message is longer than [`MESSAGE_BYTES_MAX`].
            pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
                frame(self, 0, out)
            }

            /// As `encode`, with a payload behind the message.
            pub fn encode_with_payload(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
                frame(self, payload.len(), out)?;
                out.extend_from_slice(payload);
                Ok(())
            }

            /// As `encode`, with room for a payload of `length` bytes behind the message, for the caller to fill.
            pub fn encode_with_room<'a>(&self, length: usize, out: &'a mut Vec<u8>) -> Result<&'a mut [u8]> {
                frame(self, length, out)?;
                let start = out.len();
                out.resize(start + length, 0);
                Ok(&mut out[start..])
            }
        }
    };
}

encode!(ToStage);
encode!(FromStage);

impl Outgoing for ToStage {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            ToStage::Open(open) => write_message(1, &**open, out),
            ToStage::Batch(batch) => out.extend_from_slice(&batch.message()),
            ToStage::Credit(credit) => out.extend_from_slice(&credit.message()),
            ToStage::State(state) => write_message(4, state, out),
            ToStage::Barrier(barrier) => write_message(5, barrier, out),
            ToStage::End => write_message(6, &Nothing, out),
            ToStage::Commit => write_message(7, &Nothing, out),
        }
    }
}

impl Outgoing for FromStage {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            FromStage::Ready(ready) => write_message(1, &RawReady::from(ready), out),
            FromStage::Batch(batch) => out.extend_from_slice(&batch.message()),
            FromStage::Credit(credit) => out.extend_from_slice(&credit.message()),
            FromStage::State(state) => write_message(4, state, out),
            FromStage::Snapshot(snapshot) => write_message(5, snapshot, out),
            FromStage::Failed(failed) => write_message(6, failed, out),
            FromStage::Activity(activity) => write_message(7, activity, out),
            FromStage::Done(done) => write_message(8, done, out),
            FromStage::Committed => write_message(9, &Nothing, out),
        }
    }
}

impl Incoming for ToStage {
    fn decode(message: &[u8]) -> Result<Self> {
        if let Some(batch) = Batch::read(message) {
            return Ok(ToStage::Batch(batch?));
        }
        if let Some(credit) = Credit::read(message) {
            return Ok(ToStage::Credit(credit));
        }
        let (number, body) = last(message, 1..=7)?;
        Ok(match number {
            1 => ToStage::Open(Box::new(read(&body)?)),
            2 => return Err(Error::NotFixed("Batch")),
            3 => return Err(Error::NotFixed("Credit")),
            4 => ToStage::State(read(&body)?),
            5 => ToStage::Barrier(read(&body)?),
            6 => read(&body).map(|Nothing| ToStage::End)?,
            _ => read(&body).map(|Nothing| ToStage::Commit)?,
        })
    }

    fn check_payload(&self, length: usize, inline_max: usize) -> Result<()> {
        let (message, max) = match self {
            ToStage::Batch(batch) => return batch.check_payload(length, inline_max),
            ToStage::State(_) => ("State", STATE_BYTES_MAX),
            ToStage::Open(_) => ("Open", 0),
            ToStage::Credit(_) => ("Credit", 0),
            ToStage::Barrier(_) => ("Barrier", 0),
            ToStage::End => ("End", 0),
            ToStage::Commit => ("Commit", 0),
        };
        check_length(message, length, max)
    }
}

impl Incoming for FromStage {
    fn decode(message: &[u8]) -> Result<Self> {
        if let Some(batch) = Batch::read(message) {
            return Ok(FromStage::Batch(batch?));
        }
        if let Some(credit) = Credit::read(message) {
            return Ok(FromStage::Credit(credit));
        }
        let (number, body) = last(message, 1..=9)?;
        Ok(match number {
            1 => FromStage::Ready(RawReady::of(&body)?),
            2 => return Err(Error::NotFixed("Batch")),
            3 => return Err(Error::NotFixed("Credit")),
            4 => FromStage::State(read(&body)?),
            5 => FromStage::Snapshot(read(&body)?),
            6 => FromStage::Failed(read(&body)?),
            7 => FromStage::Activity(read(&body)?),
            8 => FromStage::Done(read(&body)?),
            _ => read(&body).map(|Nothing| FromStage::Committed)?,
        })
    }

    fn check_payload(&self, length: usize, inline_max: usize) -> Result<()> {
        let (message, max) = match self {
            FromStage::Batch(batch) => return batch.check_payload(length, inline_max),
            FromStage::State(_) => ("State", STATE_BYTES_MAX),
            FromStage::Ready(_) => ("Ready", 0),
            FromStage::Credit(_) => ("Credit", 0),
            FromStage::Snapshot(_) => ("Snapshot", 0),
            FromStage::Failed(_) => ("Failed", 0),
            FromStage::Activity(_) => ("Activity", 0),
            FromStage::Done(_) => ("Done", 0),
            FromStage::Committed => ("Committed", 0),
        };
        check_length(message, length, max)
    }
}

fn check_length(message: &'static str, length: usize, max: usize) -> Result<()> {
    if length > max { Err(Error::PayloadLength { message, length, max }) } else { Ok(()) }
}

/// The last of the `known` fields, of which a message has one. If it stands there several times in a row, the bodies
/// are joined, which is how protobuf merges messages.
fn last(message: &[u8], known: RangeInclusive<u32>) -> Result<(u32, Cow<'_, [u8]>)> {
    let mut last: Option<(u32, Cow<'_, [u8]>)> = None;
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        if !known.contains(&number) {
            continue;
        }
        let body = value.bytes()?;
        match &mut last {
            Some((before, bodies)) if *before == number => bodies.to_mut().extend_from_slice(body),
            _ => last = Some((number, Cow::Borrowed(body))),
        }
    }
    last.ok_or(Error::Unknown)
}

fn read<B: Body>(body: &[u8]) -> Result<B> {
    let mut message = B::default();
    message.merge(body)?;
    Ok(message)
}

/// A message without fields.
#[derive(Default)]
struct Nothing;

impl Body for Nothing {
    fn field(&mut self, _: u32, _: Value<'_>) -> Result<()> {
        Ok(())
    }

    fn write(&self, _: &mut Vec<u8>) {}
}

impl Body for State {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        if number == 1 {
            self.index = value.u32()?;
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_u32(1, self.index, out);
    }
}
