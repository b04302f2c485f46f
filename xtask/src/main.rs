//! The project's own tasks: `cargo xtask demo | test | setup | bench`.

fn main() {}
