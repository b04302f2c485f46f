//! Memory and descriptors shared with a stage that is a process of its own.
//!
//! What it is: the two sides of shared segments, the slots in them, the socket pair, and the start and end of a
//! stage's process. It knows no message; bytes are bytes here.
//!
//! Guarantees: a segment can neither shrink nor grow once two processes see it, so that no access ends in SIGBUS. What
//! one side writes the other cannot write where the kernel can forbid it. Bytes that the other side may change are
//! only copied, never borrowed. A stage inherits the named descriptors and no others, and does not outlive the thread
//! that started it; while the runtime lives, what is left of a stage's process group ends with the stage.
//!
//! Refuses: names in a file system (segments are nameless and vanish with their last user), descriptors without the
//! seals that make them safe to map, and a slot that overlaps another.
//!
//! ```text
//!       runtime                                                       stage
//!  ┌───────────────┐        socket pair: framed messages        ┌───────────────┐
//!  │  UnixStream   │◀──────────────────────────────────────────▶│  descriptor 3 │
//!  │               │      ┌───────┬───────┬────────────┐        │               │
//!  │  Writable ────┼─────▶│ slot  │ slot  │    free    │────────┼─▶ Readable    │  4: input, sealed against
//!  │               │      └───────┴───────┴────────────┘        │               │     writing by the stage
//!  │               │      ┌───────┬────────────┬───────┐        │               │
//!  │  Readable ◀───┼──────│ slot  │    free    │ slot  │◀───────┼── Writable    │  5: output
//!  │               │      └───────┴────────────┴───────┘        │               │
//!  │  Child ·······┼··· process group, parent-death signal ·····│               │
//!  └───────────────┘                                            └───────────────┘
//! ```
//!
//! Neighbours: `modrun-runtime` starts stages with it and `sdk/rust` is the stage's side. This is the only crate with
//! unsafe code: mapping and copying in `segment`, what happens between fork and exec in `spawn`, taking over inherited
//! descriptors in `socket`, and one call of the C library in `heap`.

mod child;
mod heap;
mod segment;
mod slots;
mod socket;
mod spawn;

pub use child::{Child, Exit};
pub use heap::keep_freed_memory;
pub use segment::{Readable, Slot, Writable};
pub use slots::ALIGNMENT;
pub use socket::{inherited, pair};
pub use spawn::Stage;
