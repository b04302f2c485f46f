//! The closed set of types on a link.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// A column's type. The set is closed: every SDK knows each of them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// 64-bit signed integer.
    Int64,
    /// 64-bit IEEE 754 number.
    Float64,
    /// UTF-8 text; a batch may carry it dictionary-encoded.
    String,
    /// Bytes.
    Binary,
    /// Microseconds since 1970 in UTC.
    Timestamp,
}

impl Type {
    /// The Arrow type of the column, strings plain.
    pub fn to_arrow(self) -> DataType {
        match self {
            Type::Bool => DataType::Boolean,
            Type::Int64 => DataType::Int64,
            Type::Float64 => DataType::Float64,
            Type::String => DataType::Utf8,
            Type::Binary => DataType::Binary,
            Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// The type of an Arrow column, if a link can carry it. Dictionary-encoded strings are strings.
    pub fn from_arrow(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Type::Bool,
            DataType::Int64 => Type::Int64,
            DataType::Float64 => Type::Float64,
            DataType::Utf8 => Type::String,
            DataType::Dictionary(_, values) if **values == DataType::Utf8 => Type::String,
            DataType::Binary => Type::Binary,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Type::Timestamp,
            _ => return None,
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "bool",
            Type::Int64 => "int64",
            Type::Float64 => "float64",
            Type::String => "string",
            Type::Binary => "binary",
            Type::Timestamp => "timestamp",
        })
    }
}

/// What a source of raw text hands over: `source` (its name), `offset` (byte offset of the text), `line` (number of
/// its first line, from 1, or null) and `text`, one line or a block of whole lines.
pub fn raw_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("line", DataType::Int64, true),
        Field::new("text", DataType::Binary, false),
    ]))
}
