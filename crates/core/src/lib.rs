//! The contract between stages and the runtime.
//!
//! What it is: the nouns of the system as types. A [`Kind`] checks a stage's configuration and opens it as a
//! [`Source`], [`Transform`] or [`Sink`]; [`Message`]s travel between stages; a [`Ledger`] accounts for every
//! moment of a stage loop; a [`RunReport`] tells a run in numbers.
//!
//! Guarantees: everything here is synchronous, allocates no thread and touches no file; time and disk come in
//! through [`env::Env`].
//!
//! Refuses: knowing any concrete stage, any YAML, any operating system.
//!
//! ```text
//!   Source ──RecordBatch──▶ Transform ──RecordBatch──▶ Sink
//!      │                        │                        │
//!      └───── DeadLetter ───────┴──────▶ runtime ◀───────┘
//! ```
//!
//! Neighbours: `modrun-plan` turns YAML into bound stages, `modrun-worker` runs them, `modrun-stages` implements
//! the built-in ones.

mod batching;
mod dead_letter;
pub mod env;
mod error;
mod ledger;
mod message;
mod problem;
mod report;
mod size;
mod stage;
mod types;
pub mod value;
mod written;

pub use batching::{BatchPolicy, Window};
pub use dead_letter::{DeadLetter, Origin, Payload};
pub use error::{Error, ErrorKind, Result};
pub use ledger::{Activity, Ledger, Reads, Row, Watch};
pub use message::{Message, Seq, StageId, State};
pub use problem::{Code, Problem, Segment, nearest};
pub use report::{
    ActivitySeconds, Bottleneck, Busy, Carrier, CpuSeconds, Events, Latency, LinkReport, LoopReport,
    Measuring, RunReport, StageReport,
};
pub use size::Size;
pub use stage::{
    Bound, Columns, Concurrency, Description, Kind, Limits, Open, OpenContext, Opener, Output, Polled,
    Progress, Role, Sink, Source, Transform, read_config,
};
pub use types::{Type, raw_schema};
pub use written::Written;
