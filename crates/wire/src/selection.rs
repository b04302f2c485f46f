//! Selections: one bit for each row of a batch, set for those that are kept.

use arrow_buffer::{BooleanBuffer, Buffer};

use crate::Garbage;

/// Bytes of a selection from `rows` rows.
pub fn length(rows: usize) -> usize {
    rows.div_ceil(8)
}

/// Writes `kept` into the first [`length`] bytes of `slot`, each of them.
///
/// # Panics
/// If `slot` is shorter.
pub fn write(kept: &BooleanBuffer, slot: &mut [u8]) {
    write_bits(kept, &mut slot[..length(kept.len())]);
}

/// Reads a selection from a batch of `rows` rows that keeps `kept` of them.
pub fn decode(payload: Buffer, rows: usize, kept: u32) -> Result<BooleanBuffer, Garbage> {
    if payload.len() != length(rows) {
        return Err(Garbage::SelectionLength { found: payload.len(), rows });
    }
    let bits = BooleanBuffer::new(payload, 0, rows);
    let found = bits.count_set_bits();
    if found != kept as usize {
        return Err(Garbage::SelectionRows { found, expected: kept });
    }
    Ok(bits)
}

/// Writes bits, wherever in a byte they begin, into exactly the bytes that they need; the unused ones are 0.
pub(crate) fn write_bits(bits: &BooleanBuffer, to: &mut [u8]) {
    let chunks = bits.bit_chunks();
    for (to, chunk) in to.chunks_mut(8).zip(chunks.iter_padded()) {
        to.copy_from_slice(&chunk.to_le_bytes()[..to.len()]);
    }
}
