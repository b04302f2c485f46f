//! The two messages that every batch needs, as plain structs.

use modrun_core::Seq;

use super::check_length;
use crate::{Error, Result};

/// What an offset says of a payload that lies behind its message.
const INLINE: u64 = u64::MAX;

/// What `Batch.input` says of a batch that no single batch caused.
const NO_INPUT: u64 = u64::MAX;

/// Rows for the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The number of this batch on its link.
    pub seq: Seq,
    /// Where its payload is.
    pub place: Place,
    /// Bytes of its payload.
    pub length: u32,
    /// Rows of a table; rows kept by a selection.
    pub rows: u32,
    /// What its payload is.
    pub form: Form,
    /// The batch that caused this one, if one did.
    pub input: Option<Seq>,
}

/// Where a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the sender's segment, from this byte on: a multiple of 64.
    Slot(u64),
    /// Behind the message.
    Inline,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A table.
    Table,
    /// One bit for each row of the batch `input`.
    Selection,
}

impl Batch {
    const MESSAGE: usize = 44;
    /// Bytes of a batch's frame, without its payload.
    pub const FRAME: usize = 8 + Self::MESSAGE;
    /// The tags before each field, with the message's own.
    const TAGS: [&'static [u8]; 6] = [&[0x12, 0x2a, 0x09], &[0x11], &[0x1d], &[0x25], &[0x2d], &[0x31]];

    /// The whole frame but for the payload, which follows if the batch is inline; equal in both directions.
    pub fn frame(&self) -> [u8; Self::FRAME] {
        let payload = if self.place == Place::Inline { self.length } else { 0 };
        let mut frame = [0; Self::FRAME];
        frame[..4].copy_from_slice(&(Self::MESSAGE as u32).to_le_bytes());
        frame[4..8].copy_from_slice(&payload.to_le_bytes());
        frame[8..].copy_from_slice(&self.message());
        frame
    }

    pub(super) fn message(&self) -> [u8; Self::MESSAGE] {
        let offset = match self.place {
            Place::Slot(offset) => offset,
            Place::Inline => INLINE,
        };
        let input = self.input.map_or(NO_INPUT, |seq| seq.0);
        let [seq, at, length, rows, form, cause] = Self::TAGS;
        let mut to = Fixed { bytes: [0; Self::MESSAGE], at: 0 };
        to.put(seq, &self.seq.0.to_le_bytes());
        to.put(at, &offset.to_le_bytes());
        to.put(length, &self.length.to_le_bytes());
        to.put(rows, &self.rows.to_le_bytes());
        to.put(form, &(self.form as u32).to_le_bytes());
        to.put(cause, &input.to_le_bytes());
        to.bytes
    }

    /// Reads a message that looks like a batch; `None` if it does not.
    pub(super) fn read(message: &[u8]) -> Option<Result<Self>> {
        let mut from: &[u8] = <&[u8; Self::MESSAGE]>::try_from(message).ok()?;
        let [seq, at, length, rows, form, cause] = Self::TAGS;
        let seq = u64::from_le_bytes(take(&mut from, seq)?);
        let offset = u64::from_le_bytes(take(&mut from, at)?);
        let length = u32::from_le_bytes(take(&mut from, length)?);
        let rows = u32::from_le_bytes(take(&mut from, rows)?);
        let form = u32::from_le_bytes(take(&mut from, form)?);
        let input = u64::from_le_bytes(take(&mut from, cause)?);
        let place = match offset {
            INLINE => Place::Inline,
            offset if offset.is_multiple_of(64) => Place::Slot(offset),
            offset => return Some(Err(Error::Offset(offset))),
        };
        let form = match form {
            0 => Form::Table,
            1 => Form::Selection,
            value => return Some(Err(Error::Meaning { name: "Batch.form", value: value.into() })),
        };
        let input = (input != NO_INPUT).then_some(Seq(input));
        Some(Ok(Self { seq: Seq(seq), place, length, rows, form, input }))
    }

    pub(super) fn check_payload(&self, payload: usize, inline_max: usize) -> Result<()> {
        check_length("Batch", payload, inline_max)?;
        let (expected, place) = match self.place {
            Place::Inline => (self.length as usize, "inline"),
            Place::Slot(_) => (0, "in the segment"),
        };
        if payload != expected {
            return Err(Error::BatchLength { length: self.length, place, payload });
        }
        Ok(())
    }
}

/// A batch of the other side is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The batch.
    pub seq: Seq,
    /// From a stage: events in the batch.
    pub events: u32,
    /// From a stage: events that it dropped on purpose.
    pub filtered: u32,
}

impl Credit {
    const MESSAGE: usize = 21;
    /// Bytes of a credit's frame.
    pub const FRAME: usize = 8 + Self::MESSAGE;
    const TAGS: [&'static [u8]; 3] = [&[0x1a, 0x13, 0x09], &[0x15], &[0x1d]];

    /// The whole frame, equal in both directions.
    pub fn frame(&self) -> [u8; Self::FRAME] {
        let mut frame = [0; Self::FRAME];
        frame[..4].copy_from_slice(&(Self::MESSAGE as u32).to_le_bytes());
        frame[8..].copy_from_slice(&self.message());
        frame
    }

    pub(super) fn message(&self) -> [u8; Self::MESSAGE] {
        let [seq, events, filtered] = Self::TAGS;
        let mut to = Fixed { bytes: [0; Self::MESSAGE], at: 0 };
        to.put(seq, &self.seq.0.to_le_bytes());
        to.put(events, &self.events.to_le_bytes());
        to.put(filtered, &self.filtered.to_le_bytes());
        to.bytes
    }

    /// Reads a message that looks like a credit; `None` if it does not.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let mut from: &[u8] = <&[u8; Self::MESSAGE]>::try_from(message).ok()?;
        let [seq, events, filtered] = Self::TAGS;
        Some(Self {
            seq: Seq(u64::from_le_bytes(take(&mut from, seq)?)),
            events: u32::from_le_bytes(take(&mut from, events)?),
            filtered: u32::from_le_bytes(take(&mut from, filtered)?),
        })
    }
}

/// A message of fixed length while it is written.
struct Fixed<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Fixed<N> {
    #[inline(always)]
    fn put(&mut self, tag: &[u8], value: &[u8]) {
        for part in [tag, value] {
            self.bytes[self.at..self.at + part.len()].copy_from_slice(part);
            self.at += part.len();
        }
    }
}

/// The value behind `tag`, which must come first.
#[inline(always)]
fn take<const N: usize>(from: &mut &[u8], tag: &[u8]) -> Option<[u8; N]> {
    let (value, rest) = from.strip_prefix(tag)?.split_first_chunk()?;
    *from = rest;
    Some(*value)
}
