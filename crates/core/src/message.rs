//! What travels between stages.

use arrow_array::RecordBatch;

use crate::DeadLetter;

/// The number of a message on its link, from 0; sources number their batches, and everything that a batch causes
/// keeps its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// A stage's position in its pipeline, the source at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub usize);

/// What a stage leaves behind and is opened with again: chunks of rows, in a layout of the stage's own.
///
/// Restoring is constructing: a stage opened with its state goes on where it left off, and a
/// [`Concurrency::Mergeable`](crate::Concurrency::Mergeable) stage opened with several states is their merge.
pub type State = Vec<RecordBatch>;

/// What travels on a link between two chains. The end of the link is the end of the stream.
#[derive(Debug)]
pub enum Message {
    /// The batches and dead letters that one input batch caused.
    Batches {
        /// Rows for the next stage, in order.
        rows: Vec<RecordBatch>,
        /// What went wrong with single events, and at which stage, in order.
        dead_letters: Vec<(StageId, DeadLetter)>,
    },
    /// The partial state of one worker, for the next chain to merge.
    Partial(State),
}

impl Message {
    /// Rows for the next stage; a partial state has none.
    pub fn rows(&self) -> u64 {
        match self {
            Message::Batches { rows, .. } => rows.iter().map(|batch| batch.num_rows() as u64).sum(),
            Message::Partial(_) => 0,
        }
    }
}
