//! From YAML to a checked plan, with every problem at its line and column
