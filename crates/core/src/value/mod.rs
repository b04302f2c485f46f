//! The value rules that hold in every stage and every language: how numbers and timestamps are read, summed and
//! printed.
//!
//! Guarantees: each function is total, allocates only into the buffer it is given, and gives the same bytes on
//! every machine. Sums do not depend on the order of their terms.
//!
//! Refuses: guessing. A timestamp without an offset is none, and a number is never rounded twice.

mod column;
pub mod exact;
pub mod ndjson;
pub mod number;
mod strings;
pub mod timestamp;

pub use column::Column;
pub use strings::Strings;
