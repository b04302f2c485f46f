//! A stream of any bytes, read in two ways.

use std::fmt::Debug;
use std::io::{ErrorKind, Read};

use modrun_wire::{Frames, FromStage, Incoming, Split, ToStage, split};

/// Bytes that arrive in pieces, some of them after an interruption.
pub(crate) struct Pieces<'a> {
    bytes: &'a [u8],
    /// Bytes that a read gives at most, and whether the next one is interrupted.
    piece: usize,
    interrupted: bool,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(bytes: &'a [u8], piece: usize) -> Self {
        Self { bytes, piece, interrupted: true }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        assert!(!out.is_empty(), "a read without room would look like the end");
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(ErrorKind::Interrupted.into());
        }
        let length = self.piece.min(out.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(length);
        out[..length].copy_from_slice(now);
        self.bytes = later;
        Ok(length)
    }
}

/// How a message of one direction is written again.
pub(crate) trait Encode: Incoming + Debug + PartialEq {
    fn framed(&self, payload: &[u8]) -> Vec<u8>;
}

impl Encode for ToStage {
    fn framed(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        self.encode_with_payload(payload, &mut out).unwrap();
        out.split_off(6)
    }
}

impl Encode for FromStage {
    fn framed(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_with_room(payload.len(), &mut out).unwrap().copy_from_slice(payload);
        out
    }
}

/// What a stream holds, frame by frame, and how it ends: with an error, or with how many bytes of a frame.
#[derive(Debug, PartialEq)]
pub(crate) struct Stream<M> {
    pub(crate) frames: Vec<(M, Vec<u8>)>,
    pub(crate) end: Result<bool, String>,
}

/// All frames, by the decision alone.
fn at_once<M: Incoming>(mut bytes: &[u8], inline_max: usize) -> Stream<M> {
    let mut frames = Vec::new();
    let end = loop {
        match split::<M>(bytes, inline_max) {
            Ok(Split::Message { message, end, payload }) if bytes.len() - end >= payload => {
                frames.push((message, bytes[end..end + payload].to_vec()));
                bytes = &bytes[end + payload..];
            }
            Ok(_) => break Ok(bytes.is_empty()),
            Err(error) => break Err(error.to_string()),
        }
    };
    Stream { frames, end }
}

/// All frames, by the reader.
fn in_pieces<M: Incoming>(bytes: &[u8], inline_max: usize, piece: usize) -> Stream<M> {
    let mut reader = Frames::<_, M>::new(Pieces::new(bytes, piece), inline_max);
    let mut frames = Vec::new();
    let end = loop {
        match reader.next() {
            Ok(Some(frame)) => {
                let payload = frame.payload.unwrap_or_default();
                assert!(payload.is_empty() || payload.as_ptr().align_offset(64) == 0);
                frames.push((frame.message, payload.to_vec()));
            }
            Ok(None) => break Ok(true),
            Err(modrun_wire::Error::Truncated) => break Ok(false),
            Err(error) => break Err(error.to_string()),
        }
    };
    Stream { frames, end }
}

/// Reads `bytes` in both ways and writes again what they hold; gives it.
pub(crate) fn check<M: Encode>(bytes: &[u8], inline_max: usize, piece: usize) -> Stream<M> {
    let stream = in_pieces::<M>(bytes, inline_max, piece);
    assert_eq!(stream, at_once(bytes, inline_max));
    for (message, payload) in &stream.frames {
        let written = message.framed(payload);
        let again = in_pieces::<M>(&written, inline_max, usize::MAX);
        assert_eq!((again.frames.len(), &again.end), (1, &Ok(true)));
        assert_eq!((&again.frames[0].0, &again.frames[0].1), (message, payload));
    }
    stream
}
