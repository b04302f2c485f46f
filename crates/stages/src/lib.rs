//! The built-in sources, transforms and sinks, and the column expressions
