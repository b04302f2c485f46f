//! How many rows travel together.

use std::num::NonZeroU32;
use std::time::Duration;

/// How many rows a batch on a link should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchPolicy {
    /// What there is at once, unless a batch has left just before; more while the receiver is busy.
    #[default]
    Adaptive,
    /// So many; fewer at the end, or after `linger` where it is given.
    Rows {
        /// The rows of a full batch.
        rows: NonZeroU32,
        /// After how long a batch that is not full leaves all the same.
        linger: Option<Duration>,
    },
}

/// What may be on its way to a process stage, or back, without credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Batches.
    pub batches: u32,
    /// Bytes of payload; a single batch may always be on its way.
    pub bytes: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { batches: 32, bytes: 8 << 20 }
    }
}
