//! Frames: a stream of bytes cut into messages and their payloads.
//!
//! ```text
//!   ┌────────────────┬────────────────┬─────────┬─────────┐
//!   │ message length │ payload length │ message │ payload │ the next frame …
//!   └────────────────┴────────────────┴─────────┴─────────┘
//! ```
//!
//! [`split`] is the decision, over bytes that are there; [`Frames`] reads more where it says that there are too few.

use std::io::{ErrorKind, Read};
use std::marker::PhantomData;

use arrow_buffer::{Buffer, MutableBuffer};

use crate::message::{Incoming, MESSAGE_BYTES_MAX, STATE_BYTES_MAX};
use crate::{Error, Result};

/// Bytes before a message: its length and its payload's.
const HEADER: usize = 8;

/// Bytes that are read at once, if there are so many.
const BUFFER_BYTES: usize = 64 << 10;

/// What the beginning of a stream is.
#[derive(Clone, Debug, PartialEq)]
pub enum Split<M> {
    /// Too little: the message ends at this byte, or its header does.
    Short(usize),
    /// A message that keeps the rules.
    Message {
        /// The message.
        message: M,
        /// Where it ends and its payload begins.
        end: usize,
        /// Bytes of its payload, all of which may still be on their way.
        payload: usize,
    },
}

/// Reads the message at the beginning of `bytes`. A batch may have a payload of `inline_max` bytes.
pub fn split<M: Incoming>(bytes: &[u8], inline_max: usize) -> Result<Split<M>> {
    let Some((message, payload)) = lengths(bytes) else {
        return Ok(Split::Short(HEADER));
    };
    if message > MESSAGE_BYTES_MAX {
        return Err(Error::MessageLength { length: message, max: MESSAGE_BYTES_MAX });
    }
    let end = HEADER + message;
    let Some(message) = bytes.get(HEADER..end) else {
        return Ok(Split::Short(end));
    };
    let message = M::decode(message)?;
    message.check_payload(payload, inline_max)?;
    Ok(Split::Message { message, end, payload })
}

/// The lengths of the message and of the payload, if the header is there.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let (message, rest) = bytes.split_first_chunk()?;
    let payload = rest.first_chunk()?;
    Some((u32::from_le_bytes(*message) as usize, u32::from_le_bytes(*payload) as usize))
}

/// One message, with its payload if it has one.
#[derive(Debug)]
pub struct Frame<M> {
    /// The message.
    pub message: M,
    /// The bytes behind it, at an address that any column may have; `None` if there are none.
    pub payload: Option<Buffer>,
}

/// The frames of a stream, which must block where it has nothing to read. `M` is [`ToStage`](crate::ToStage) or
/// [`FromStage`](crate::FromStage).
#[derive(Debug)]
pub struct Frames<R, M> {
    stream: R,
    inline_max: usize,
    /// What was read; `taken..filled` of it is still to be looked at.
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
    messages: PhantomData<fn() -> M>,
}

impl<R: Read, M: Incoming> Frames<R, M> {
    /// Reads frames whose batches may have payloads of `inline_max` bytes.
    pub fn new(stream: R, inline_max: usize) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        Self { stream, inline_max, buffer, taken: 0, filled: 0, messages: PhantomData }
    }

    /// From the next frame on, batches may have payloads of `inline_max` bytes.
    pub fn set_inline_max(&mut self, inline_max: usize) {
        self.inline_max = inline_max;
    }

    /// Whether the next frame, or what is wrong with it, is known without reading more from the stream.
    pub fn has_frame(&self) -> bool {
        let there = self.there();
        lengths(there).is_some_and(|(message, payload)| {
            let too_long = message > MESSAGE_BYTES_MAX || payload > self.inline_max.max(STATE_BYTES_MAX);
            too_long || there.len() - HEADER >= message + payload
        })
    }

    /// Waits for the next frame; `None` is the end of the stream between two frames. After an error the stream
    /// cannot be read any further.
    #[allow(clippy::should_implement_trait, reason = "an iterator would have to end after an error")]
    pub fn next(&mut self) -> Result<Option<Frame<M>>> {
        loop {
            match split::<M>(self.there(), self.inline_max)? {
                Split::Message { message, end, payload } => {
                    self.taken += end;
                    let payload = if payload == 0 { None } else { Some(self.payload(payload)?) };
                    return Ok(Some(Frame { message, payload }));
                }
                Split::Short(length) => {
                    if self.fill(length)? == 0 {
                        return if self.there().is_empty() { Ok(None) } else { Err(Error::Truncated) };
                    }
                }
            }
        }
    }

    fn there(&self) -> &[u8] {
        &self.buffer[self.taken..self.filled]
    }

    /// Takes the next `length` bytes, whose number is known to be bounded.
    fn payload(&mut self, length: usize) -> Result<Buffer> {
        let mut payload = MutableBuffer::with_capacity(length);
        loop {
            let part = self.there();
            let part = &part[..part.len().min(length - payload.len())];
            payload.extend_from_slice(part);
            self.taken += part.len();
            if payload.len() == length {
                return Ok(payload.into());
            }
            if self.fill(1)? == 0 {
                return Err(Error::Truncated);
            }
        }
    }

    /// Reads as much as there is, into a buffer that has room for `length` bytes that are not taken; 0 is the end.
    fn fill(&mut self, length: usize) -> Result<usize> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        }
        if self.taken + length > self.buffer.len() || self.filled == self.buffer.len() {
            self.buffer.copy_within(self.taken..self.filled, 0);
            (self.taken, self.filled) = (0, self.filled - self.taken);
        }
        if length > self.buffer.len() {
            self.buffer.resize(length, 0);
        }
        loop {
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(read) => {
                    self.filled += read;
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
