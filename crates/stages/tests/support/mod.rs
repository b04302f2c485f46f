//! What the tests of the stages share.

pub(crate) mod json;
