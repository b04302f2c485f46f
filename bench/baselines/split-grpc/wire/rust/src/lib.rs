//! What the Rust parts of the split baseline share: the messages and the measured transport.
//!
//! ```text
//!   message --MeteredCodec--> bytes --tonic, h2--> frames --MeteredSocket--> kernel
//!           serialise_seconds                               write_seconds
//! ```
//!
//! Everything is timed into one [`Ledger`] per process. What tonic, h2 and tokio do between the two measured
//! edges shows as CPU time that no activity claims. The clock is read per message and per system call, never
//! per event.

mod codec;
mod ledger;
mod socket;

pub use codec::MeteredCodec;
pub use ledger::{Activity, LEDGER, Ledger, Window, runtime};
pub use socket::MeteredSocket;

/// Bytes that a peer may send on one stream before its receiver has read any: the bound on every leg.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// The same for a connection; one carries a single stream of events, so it never limits.
///
/// It is large because h2 takes half of it as its budget for small frames and breaks the connection beyond
/// that: a frame of fewer than 256 bytes, which is every message of one event, costs what it lacks. A full
/// stream window of the smallest possible messages stays within the budget of 128 such windows.
pub const CONNECTION_WINDOW_BYTES: u32 = 128 * STREAM_WINDOW_BYTES;

/// The messages and services of `proto/split.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub mod proto {
    tonic::include_proto!("split.v1");
}
