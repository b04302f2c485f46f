//! Which parts of a segment are in use.
//!
//! What it is: an allocator without memory of its own; it hands out offsets, first fit at the lowest address, so that
//! a segment that is larger than its traffic touches few pages.
//!
//! Guarantees: slots begin at multiples of [`ALIGNMENT`], lie inside the segment and never overlap.
//!
//! Refuses: freeing what is not taken.
//!
//! ```text
//!   0        64       128      192      256
//!   ├ slot ──┤        ├ slot ───────────┤    take(60) finds 64, take(65) finds 256
//! ```
//!
//! Neighbours: `segment` gives the offsets their memory. Slots are as few as the batches in a window, so that a walk
//! over all of them is cheaper than an index of the gaps.

use std::collections::BTreeMap;

/// Every slot begins at a multiple of so many bytes: a cache line, and what Arrow asks of its buffers.
pub const ALIGNMENT: usize = 64;

#[derive(Debug)]
pub(crate) struct Slots {
    bytes: usize,
    /// Offset and length of each slot in use; lengths are rounded up to the alignment.
    taken: BTreeMap<usize, usize>,
}

impl Slots {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, taken: BTreeMap::new() }
    }

    /// The lowest offset with room for `length` bytes, which are in use from now on.
    ///
    /// A slot without bytes takes the room of the smallest one, so that its offset is its own too.
    pub(crate) fn take(&mut self, length: usize) -> Option<usize> {
        let rounded = length.max(1).checked_next_multiple_of(ALIGNMENT)?;
        let mut gap = 0;
        for (&offset, &taken) in &self.taken {
            if offset - gap >= rounded {
                break;
            }
            gap = offset + taken;
        }
        // The last slot may end beyond a segment whose size is no multiple of the alignment: only its bytes count.
        let room = self.bytes.checked_sub(gap)?;
        if room < length.max(1) {
            return None;
        }
        self.taken.insert(gap, rounded);
        Some(gap)
    }

    /// Gives the slot at `offset` back; false if there is none.
    pub(crate) fn free(&mut self, offset: usize) -> bool {
        self.taken.remove(&offset).is_some()
    }
}

#[cfg(test)]
mod tests;
