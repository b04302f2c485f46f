//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

pub(crate) mod batches;
pub(crate) mod contract;
pub(crate) mod streams;
pub(crate) mod tables;
