//! The command modrun
fn main() {}
