//! The command as its users run it: every test starts the real binary in a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bad_input;
mod bench;
mod check;
mod commands;
mod dead_letters;
mod interrupt;
mod new;
mod processes;
mod reference;
mod results;
mod running;
mod support;
mod watching;
