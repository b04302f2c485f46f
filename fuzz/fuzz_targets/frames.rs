//! Any bytes as a stream, in both directions: the reader finds the frames that are there, however they arrive, and
//! what it finds is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use modrun_wire::{FromStage, ToStage};

#[path = "../../crates/wire/tests/support/streams.rs"]
mod streams;

/// Bytes that an inline payload may have.
const INLINE_MAX: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let piece = 1 + bytes.len() % 13;
    streams::check::<ToStage>(bytes, INLINE_MAX, piece);
    streams::check::<FromStage>(bytes, INLINE_MAX, piece);
});
