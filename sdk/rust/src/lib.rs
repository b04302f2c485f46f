//! Stages of your own in Rust, run in a pipeline from YAML or from code.
//!
//! What it is: the contract that stages are written against ([`Kind`], [`Source`], [`Transform`], [`Sink`]) and, with
//! the feature `runtime`, which is on by default, everything that runs them: [`load`] or [`Spec`] for a [`Plan`],
//! [`run`], the [`builtin`] stages, and [`stage`], which makes a stage of a plain function. [`serve`] makes a program of a
//! stage, which `modrun run` starts as a process of its own.
//!
//! Guarantees: a stage written here is a stage like the built-in ones, which see no more than this crate shows.
//!
//! ```
//! # #[cfg(feature = "runtime")] {
//! use modular_runtime::{LoadOptions, Options, builtin, load, run, stage};
//!
//! # let folder = tempfile::tempdir()?;
//! # let (input, output) = (folder.path().join("events.ndjson"), folder.path().join("results.ndjson"));
//! # std::fs::write(&input, "{\"type\":\"view\"}\n{\"type\":\"click\"}\n")?;
//! # let text = format!("pipeline: p
//! # stages:
//! #   ingest: {{use: file, with: {{path: {}}}}}
//! #   parse: {{use: json, from: ingest, with: {{fields: {{type: string}}}}}}
//! #   rules: {{use: no-views, from: parse}}
//! #   sink: {{use: file, from: rules, with: {{path: {}}}}}", input.display(), output.display());
//! let mut kinds = builtin();
//! kinds.push(stage::filter("no-views", &["type"], |event| Ok(event.str("type")? != "view")));
//! let plan = load("pipeline.yaml", &text, &LoadOptions::default(), &kinds)?; // a stage of it says `use: no-views`
//! let outcome = run(plan, Options::default())?;
//! assert_eq!(outcome.report.events.filtered, 1);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Neighbours: `modrun-core`, which this re-exports; the command `modrun`, which runs the built-in stages alone.

#[cfg(feature = "runtime")]
mod cell;
#[cfg(feature = "runtime")]
mod event;
#[cfg(feature = "runtime")]
pub mod log;
#[cfg(feature = "runtime")]
mod program;
#[cfg(feature = "runtime")]
pub mod stage;

/// The columnar data that stages exchange, in the version that this crate is built with.
pub mod arrow {
    pub use arrow_array as array;
    pub use arrow_schema as schema;
}

pub use arrow_array::RecordBatch;
pub use modrun_core::*;

#[cfg(feature = "runtime")]
pub use cell::Cell;
#[cfg(feature = "runtime")]
pub use event::{Event, Events, Fault};
#[cfg(feature = "runtime")]
pub use modrun_plan::{
    DeadLetterLimit, Diagnostics, LimitsSpec, LoadOptions, Placement, Plan, Spec, StageSpec, load,
};
#[cfg(feature = "runtime")]
pub use modrun_runtime::{Differences, Live, Options, Outcome, run};
#[cfg(feature = "runtime")]
pub use modrun_stages::builtin;
#[cfg(feature = "runtime")]
pub use program::serve;
