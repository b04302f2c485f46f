//! The steps of a script: what the runtime does in a case.
//!
//! What it is: the types that `script:` is read into. A step that waits ends early if the stage does.
//!
//! Neighbours: `script` performs them; `README.md` lists them.

use serde::Deserialize;

/// One step of the runtime.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Start the program without `MODRUN_STAGE` and wait for its end.
    StartAlone,
    /// Send `Open` and the state, wait for `Ready`.
    Open,
    /// Send `Open` and go on at once.
    OpenWithoutWaiting,
    /// Send all batches that are left, as far as the window allows.
    Send,
    /// Send so many batches.
    SendBatches(usize),
    /// Wait until every batch that was sent has its credit.
    Settle,
    /// Wait until the stage has sent so many rows.
    AwaitRows(u64),
    /// Wait until the stage has used up its window.
    AwaitFullWindow,
    /// Leave the stage alone for so long.
    PauseMs(u64),
    /// Read nothing of what the stage sends.
    Deafen,
    /// Read it, and all further.
    Hear,
    /// Give the credits that were withheld, and all further ones at once.
    Release,
    /// Ask for the stage's state and wait for it.
    Snapshot,
    /// End the program, start another one, open it with the state of the last snapshot.
    Restart,
    /// Send `End`.
    End,
    /// Wait for `Done`.
    Done,
    /// Send `Commit`, wait for `Committed`.
    Commit,
    /// Close the socket, wait for the program's end.
    Close,
    /// Send these bytes, in hexadecimal; `00*9` stands for nine zero bytes.
    Bytes(String),
    /// Send these bytes as the payload of a batch, which has as many rows as they say.
    Payload(String),
    /// Send a batch that breaks a rule.
    Break(Breach),
    /// Wait until the program says that it failed, and ends.
    Failure,
    /// Send the next batch with other bytes, in hexadecimal, from a position of its payload on.
    Corrupt(Corruption),
}

/// Other bytes in a payload.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corruption {
    /// Count from the beginning of this column's struct, not of the payload.
    pub column: Option<usize>,
    /// Count from the beginning of this buffer of the column.
    pub buffer: Option<Part>,
    /// Where the bytes begin.
    pub at: usize,
    /// The bytes in hexadecimal; none: the payload ends here.
    pub put: String,
}

/// A buffer of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The validity bitmap.
    Validity,
    /// The values.
    Values,
    /// The string offsets.
    Offsets,
    /// The string bytes.
    Bytes,
}

/// How a batch of the runtime breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// Its `seq` is the one after the next one.
    SeqGap,
    /// Its payload ends beyond the segment.
    OutsideSegment,
    /// Its offset is not a multiple of 64.
    OddOffset,
    /// Its frame has a longer payload than `length` says.
    LengthMismatch,
    /// It names one row more than its table has.
    RowsMismatch,
    /// Its fields are in another order.
    FieldOrder,
    /// It is neither a table nor a selection.
    UnknownForm,
    /// It travels inline, though it is longer than `inline_max`.
    LongInline,
}
