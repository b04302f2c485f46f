//! From YAML to a checked plan, with every problem at its line and column.
//!
//! What it is: [`load`] reads a pipeline file and the overrides of the command line into a [`Spec`], checks it
//! against the kinds of stages there are and binds it into a [`Plan`]; [`Plan::from_spec`] does the same for a
//! [`Spec`] made in code. [`json_schema`] is the schema of the file for editors, [`explain()`] the page of an error.
//!
//! Guarantees: a [`Plan`] is one chain from a source to a sink whose configurations fit their columns, so later
//! code never checks again. All problems are reported at once, each with a code. The JSON Schema that editors get
//! and the check of the file are one truth.
//!
//! Refuses: reading files, knowing any concrete stage, any mapping language beyond what a stage's kind checks.
//!
//! ```text
//!   text ──yaml──▶ Document ◀──overrides── --set a.b=c
//!                     │ conform (JSON Schema)
//!                     ▼
//!                   Spec ──graph──▶ order ──bind forward, prune backward──▶ Plan
//!                     │                │                    │
//!                     └────────────────┴── Problem by path ─┴──▶ Diagnostics
//! ```
//!
//! Neighbours: `modrun-core` defines [`Kind`](modrun_core::Kind) and [`Problem`](modrun_core::Problem),
//! `modrun-runtime` runs a [`Plan`], the command shows [`Diagnostics`].

mod batching;
mod bind;
mod conform;
mod diagnostics;
mod document;
mod explain;
mod foreign;
mod graph;
mod implementation;
mod limits;
mod overrides;
mod place;
mod plan;
mod registry;
mod scalar;
mod schema;
mod spec;
mod yaml;

pub use batching::{BatchSpec, Span};
pub use diagnostics::{Diagnostic, Diagnostics};
pub use explain::{codes, explain};
pub use implementation::{ColumnType, ENVIRONMENT, Implementation, ImplementationSpec, OutSpec, passes_on};
pub use limits::DeadLetterLimit;
pub use plan::{Limits, LoadOptions, Plan, PlannedStage, Program, load, read};
pub use schema::json_schema;
pub use spec::{LimitsSpec, Placement, Spec, StageSpec, WindowSpec};
