//! The reproducible event generator
