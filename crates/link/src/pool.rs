//! Buffers that payloads are copied into, used again when the last batch that shows them is gone.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_buffer::Buffer;
use bytes::Bytes;

/// How many buffers wait to be used again; more are never lent at once in a steady flow.
const FREE_MAX: usize = 16;
/// A buffer larger than this is not kept: one huge row should not be remembered for ever.
const KEPT_BYTES_MAX: usize = 8 << 20;

#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// A buffer of `length` bytes as `fill` leaves it; its memory comes back to the pool by itself.
    pub(crate) fn fill<E>(
        self: &Arc<Self>,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Buffer, E> {
        let mut memory = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        if memory.len() < length {
            memory.resize(length.next_power_of_two(), 0);
        }
        fill(&mut memory[..length])?;
        let lent = Lent { memory, length, pool: self.clone() };
        Ok(Buffer::from(Bytes::from_owner(lent)))
    }
}

struct Lent {
    memory: Vec<u8>,
    length: usize,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() <= KEPT_BYTES_MAX && free.len() < FREE_MAX {
            free.push(memory);
        }
    }
}
