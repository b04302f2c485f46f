//! Events that could not be processed; nothing is dropped without one.

use std::borrow::Cow;

/// Where a raw line came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The name of the input, such as a path.
    pub source: String,
    /// Line number, from 1, where the source counts lines.
    pub line: Option<u64>,
    /// Byte offset of the line's start.
    pub offset: u64,
}

/// What is known of the event itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// The raw bytes of a line.
    Raw {
        /// The bytes, without the newline.
        bytes: Vec<u8>,
        /// Whether these are only the beginning of a line that is longer than the limit.
        truncated: bool,
    },
    /// The columns of a parsed event.
    Event(serde_json::Map<String, serde_json::Value>),
}

/// One event that went wrong: where, why, and the event.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The cause as a stable word, such as `not_json`; of code in another language, its error's class.
    pub reason: Cow<'static, str>,
    /// The cause for a person: lowercase, names in backticks.
    pub cause: String,
    /// More of it, such as a traceback.
    pub detail: Option<String>,
    /// Where it came from, if the stage knows.
    pub origin: Option<Origin>,
    /// The event.
    pub payload: Payload,
}
