//! The edges between chains of stages: ordered, numbered, limited by credit.
//!
//! What it is: [`ordered`] joins two chains in one process. A [`Host`] is the runtime's end of a stage that runs as a
//! process of its own, with a [`HostSender`] before the stage and a [`HostReceiver`] behind it; a [`Guest`] is the
//! stage's end.
//!
//! Guarantees: messages arrive in the order of their numbers, none is lost, and a sender without credit waits. What
//! comes from another process is bounded, copied and checked before anything is made of it.
//!
//! Refuses: spawning, and knowing what a stage does.
//!
//! ```text
//!   chain ──ordered──▶ chain          HostSender ──▶ │ process │ ──▶ HostReceiver
//!                                        chain       └─ Guest ─┘       chain
//! ```
//!
//! Neighbours: `modrun-worker` runs the loops at both ends; `modrun-wire` knows the bytes, `modrun-shm` the memory.

mod batcher;
mod failure;
mod guest;
mod host;
mod memory;
mod peer;
mod pool;
mod traffic;

pub use guest::{Guest, Outlet, Request, STAGE_VARIABLE};
pub use host::{Arrival, Ended, Gone, Host, HostReceiver, HostSender, INLINE_MAX, Parcel, Passed, Received};
pub use memory::{Closed, Readiness, Receiver, Sender, ordered};
pub use traffic::{Carried, Traffic};
