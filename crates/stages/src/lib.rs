//! The built-in stages. They see only what a foreign SDK sees: `modrun-core`.
//!
//! | word | place | what it does |
//! |---|---|---|
//! | `file` | source | reads files in blocks of whole lines |
//! | `json` | transform | parses lines into declared columns |
//! | `filter` | transform | keeps the events for which an expression is true |
//! | `project` | transform | picks, renames and computes columns |
//! | `aggregate` | transform | groups and counts, sums, averages |
//! | `rolling` | transform | adds numbers about the last values of a key |
//! | `file` | sink | writes NDJSON |
//!
//! Guarantees: a bad event costs only itself and becomes a dead letter; output does not depend on the number of
//! workers or the size of batches.

mod aggregate;
pub mod expression;
mod file_sink;
mod file_source;
mod filter;
mod json;
mod project;
mod rolling;
mod selection;

use std::sync::Arc;

use modrun_core::Kind;

/// All built-in kinds.
pub fn builtin() -> Vec<Arc<dyn Kind>> {
    vec![
        Arc::new(aggregate::Aggregate),
        Arc::new(file_source::FileSource),
        Arc::new(file_sink::FileSink),
        Arc::new(json::Json),
        Arc::new(filter::Filter),
        Arc::new(project::Project),
        Arc::new(rolling::Rolling),
    ]
}
