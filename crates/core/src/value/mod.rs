//! The value rules that hold in every stage and every language: how numbers and timestamps are read, summed and
//! printed.
