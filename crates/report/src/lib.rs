//! What is made of measured runs: statistics, comparisons, prices, tables and pages.
//!
//! ```text
//! measurements ── Summary::of ──▶ Summary ── units ──▶ text ── Table ──▶ Markdown
//!              └─ ratios ──▶ a sample again ─┘
//!
//! files ── read ──▶ Measured ── comparison ──▶ Comparison ── page ──▶ Document ──▶ HTML, Markdown
//!                            └─ price                         └─ plot ──▶ SVG
//! ```
//!
//! It guarantees that a spread is always shown beside its middle, that a figure carries its unit and no more digits than
//! a measurement is worth, and that no figure comes from a run whose results were wrong.
//!
//! It refuses to measure anything, and to summarise nothing: an empty sample has no [`Summary`].
//!
//! Neighbours: the command's benchmark writes [`record`]s; `modrun report` and the tasks in `xtask` make pages of them;
//! the command's summary uses its [`units`].

pub mod comparison;
pub mod document;
pub mod page;
pub mod plot;
pub mod price;
pub mod read;
pub mod record;
mod summary;
mod table;
pub mod units;

pub use summary::{Summary, ratios};
pub use table::{Align, Table};
