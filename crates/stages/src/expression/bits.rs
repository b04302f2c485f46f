//! One answer per row, packed into bits.
//!
//! [`pack`] and [`pack_pairs`] fill 64 bytes at a time in a loop over plain slices, which the compiler turns into
//! vector instructions, and gather each eight of them by one multiplication.

use arrow_buffer::{BooleanBuffer, Buffer};

/// The answer for each value.
pub(super) fn pack<A: Copy>(values: &[A], answer: impl Fn(A) -> bool) -> BooleanBuffer {
    let (chunks, rest) = values.as_chunks::<64>();
    let mut words = Vec::with_capacity(chunks.len() + 1);
    for chunk in chunks {
        let mut flags = [0; 64];
        for (flag, value) in flags.iter_mut().zip(chunk) {
            *flag = u8::from(answer(*value));
        }
        words.push(word(&flags));
    }
    let mut flags = [0; 64];
    for (flag, value) in flags.iter_mut().zip(rest) {
        *flag = u8::from(answer(*value));
    }
    words.push(word(&flags));
    BooleanBuffer::new(Buffer::from_vec(words), 0, values.len())
}

/// The answer for each pair of values; both slices are equally long.
pub(super) fn pack_pairs<A: Copy, B: Copy>(
    left: &[A],
    right: &[B],
    answer: impl Fn(A, B) -> bool,
) -> BooleanBuffer {
    let ((left_chunks, left_rest), (right_chunks, right_rest)) =
        (left.as_chunks::<64>(), right.as_chunks::<64>());
    let mut words = Vec::with_capacity(left_chunks.len() + 1);
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        let mut flags = [0; 64];
        for ((flag, left), right) in flags.iter_mut().zip(left).zip(right) {
            *flag = u8::from(answer(*left, *right));
        }
        words.push(word(&flags));
    }
    let mut flags = [0; 64];
    for ((flag, left), right) in flags.iter_mut().zip(left_rest).zip(right_rest) {
        *flag = u8::from(answer(*left, *right));
    }
    words.push(word(&flags));
    BooleanBuffer::new(Buffer::from_vec(words), 0, left.len())
}

/// The same answer for every row.
pub(super) fn constant(answer: bool, rows: usize) -> BooleanBuffer {
    if answer { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) }
}

/// 64 flags of 0 or 1 as the bits of a word, the first one lowest, in the byte order of Arrow.
fn word(flags: &[u8; 64]) -> u64 {
    // Multiplying moves flag `i`, which is bit `8 * i`, to bit `56 + i`; no two of the partial products meet.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (eights, _) = flags.as_chunks::<8>();
    let mut bytes = [0; 8];
    for (byte, eight) in bytes.iter_mut().zip(eights) {
        *byte = (u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56) as u8;
    }
    u64::from_ne_bytes(bytes)
}
