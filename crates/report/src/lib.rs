//! What is made of measured runs: statistics, comparisons, prices, tables and pages.
//!
//! ```text
//! files ── read ──▶ Measured ── comparison ──▶ page ──▶ document ──▶ HTML, Markdown
//!                            └─ price                 └─ plot ──▶ SVG
//! measurements ── Summary::of ──▶ Summary ── units ──▶ text ── Table ──▶ Markdown
//! ```
//!
//! It guarantees that a spread is always shown beside its middle, and that a figure carries its unit and no more
//! digits than a measurement is worth.
//!
//! It refuses to measure anything, and to summarise nothing: an empty sample has no [`Summary`].
//!
//! Neighbours: the benchmarks in `xtask` measure and print with it; the command's summary uses its [`units`].

pub mod comparison;
pub mod document;
mod page;
mod plot;
pub mod price;
pub mod read;
pub mod record;
mod summary;
mod table;
pub mod units;

pub use page::{add_tables, page, summary};
pub use plot::Plot;
pub use summary::{Summary, ratios};
pub use table::{Align, Table};
