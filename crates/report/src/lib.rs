//! Statistics and tables of measured runs.
//!
//! ```text
//! measurements ── Summary::of ──▶ Summary ── units ──▶ text ── Table ──▶ Markdown
//!              └─ ratios ──▶ a sample again ─┘
//! ```
//!
//! It guarantees that a spread is always shown beside its middle, and that a figure carries its unit and no more
//! digits than a measurement is worth.
//!
//! It refuses to measure anything, and to summarise nothing: an empty sample has no [`Summary`].
//!
//! Neighbours: the benchmarks in `xtask` measure and print with it; the command's summary uses its [`units`].

pub mod price;
pub mod record;
mod summary;
mod table;
pub mod units;

pub use summary::{Summary, ratios};
pub use table::{Align, Table};
