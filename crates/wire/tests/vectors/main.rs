//! The golden bytes in `proto/vectors`, which every implementation of the protocol reads.
//!
//! What stands there must be what the codec makes of the cases here, and what it reads from there must be the cases.
//! `MODRUN_BLESS=1 cargo test -p modrun-wire vectors` writes the files anew.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

mod folder;
mod garbage;
mod messages;
mod selections;
#[path = "../support/mod.rs"]
mod support;
mod tables;
