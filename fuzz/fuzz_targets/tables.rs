//! Any bytes as a table: refused, or every value can be looked at and written again.

#![no_main]

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use libfuzzer_sys::fuzz_target;
use modrun_core::Type;

#[path = "../../crates/wire/tests/support/tables.rs"]
mod tables;

/// Columns that a schema has at most.
const COLUMNS_MAX: usize = 12;

/// A schema with the columns that the payload itself claims, so that the fuzzer gets past their comparison.
fn claimed(payload: &[u8], nullable: bool) -> SchemaRef {
    let columns = payload.get(8).map_or(0, |&columns| usize::from(columns).min(COLUMNS_MAX));
    let field = |column: usize| {
        let claimed = match payload.get(16 + 48 * column) {
            Some(1) => Type::Bool,
            Some(3) => Type::Float64,
            Some(4) => Type::String,
            Some(5) => Type::Binary,
            Some(6) => Type::Timestamp,
            _ => Type::Int64,
        };
        Field::new(format!("c{column}"), claimed.to_arrow(), nullable)
    };
    Arc::new(Schema::new((0..columns).map(field).collect::<Vec<_>>()))
}

fuzz_target!(|payload: &[u8]| {
    let nullable = tables::check(payload, &claimed(payload, true));
    if tables::check(payload, &claimed(payload, false)) == tables::Read::Used {
        assert_eq!(nullable, tables::Read::Used, "what holds no nulls may hold some");
    }
});
