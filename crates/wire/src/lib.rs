//! The stage protocol in bytes: what `proto/PROTOCOL.md` and `proto/stage.proto` say, as functions over memory.
//!
//! What it is: [`Frames`] cuts a stream into frames and reads their messages; [`ToStage`] and [`FromStage`] are the
//! messages; a [`table::Layout`] writes a record batch straight into a slot, and [`table::decode`] turns a payload
//! into a record batch that points into it; [`selection`] does the same for bitmaps.
//!
//! Guarantees: whatever the bytes are, reading them ends in a value or in an error: no panic, and no allocation by a
//! number that was not checked. What was read keeps every rule of the protocol that can be seen in the bytes alone.
//! The frames that every batch needs ([`Batch`], [`Credit`]) are read and written without an allocation.
//!
//! Refuses: knowing sockets, segments, windows and the order of messages; those are the link's.
//!
//! ```text
//!   RecordBatch ──Layout──▶ payload ─┐                                ┌─▶ payload ──decode──▶ RecordBatch
//!   ToStage, FromStage ────encode────┴▶ frame ── bytes ──▶ Frames ────┴─▶ ToStage, FromStage
//! ```
//!
//! Neighbours: `modrun-link` sends and receives what is coded here; `proto/vectors` holds what every other
//! implementation of the protocol must read and refuse.

#[cfg(target_endian = "big")]
compile_error!(
    "integers of the protocol are little-endian, and this crate copies columns as they lie in memory"
);

mod error;
mod field;
mod frame;
mod message;
mod schema;
pub mod selection;
pub mod table;

pub use error::{Error, Flaw, Garbage, Result};
pub use frame::{Frame, Frames, Split, split};
pub use message::{
    Activity, Barrier, Batch, BatchPolicy, Credit, Done, Failed, Form, FromStage, Incoming,
    MESSAGE_BYTES_MAX, Open, Place, Ready, STATE_BYTES_MAX, Snapshot, State, ToStage,
};
pub use schema::{Column, Schema};
