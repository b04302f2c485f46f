//! Tables: record batches as bytes that another process reads where they lie.
//!
//! ```text
//!   ┌────────┬───────────────────────────┬──────────────────────────────────────────────┐
//!   │ header │ 48 bytes for each column  │ validity, values, offsets, bytes of each one │
//!   └────────┴───────────────────────────┴──────────────────────────────────────────────┘
//!   0        16                          body: buffers begin at multiples of 8
//! ```
//!
//! [`Layout`] writes one into memory of the caller's, such as a slot of a segment; [`decode()`] checks one and gives a
//! record batch whose columns point into it.

mod decode;
mod layout;

use modrun_core::Type;

pub use decode::decode;
pub use layout::{Layout, rows_within};

/// The first bytes of every table.
const MAGIC: [u8; 4] = *b"MRB1";

/// Bytes before the columns.
const HEADER: usize = 16;

/// Bytes that describe one column.
const COLUMN: usize = 48;

/// Where buffers may begin.
const ALIGNMENT: usize = 8;

/// Values that a dictionary may have: codes are one byte.
const DICTIONARY_MAX: usize = 256;

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain = 0,
    Dictionary = 1,
}

/// The buffers of a column, in the order of their spans.
const BUFFERS: [&str; 4] = ["validity bits", "values", "string offsets", "string bytes"];

/// Bytes that one buffer of a column has for each row.
fn bits(rows: usize) -> usize {
    rows.div_ceil(8)
}

/// The length of a plain column's values.
fn values_length(column_type: Type, rows: usize) -> u64 {
    match column_type {
        Type::Bool => bits(rows) as u64,
        Type::Int64 | Type::Float64 | Type::Timestamp => 8 * rows as u64,
        Type::String | Type::Binary => 0,
    }
}
