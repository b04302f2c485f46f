//! A column of a batch as one of the link types.

use crate::Type;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BinaryArray, BooleanArray, Float64Array, Int64Array, TimestampMicrosecondArray};

use super::Strings;

/// A column, taken from its batch once and read row by row.
pub enum Column<'a> {
    /// Truth values.
    Bool(&'a BooleanArray),
    /// Whole numbers.
    Int64(&'a Int64Array),
    /// Numbers.
    Float64(&'a Float64Array),
    /// Text, either way it is encoded.
    String(Strings<'a>),
    /// Bytes.
    Binary(&'a BinaryArray),
    /// Microseconds since 1970 in UTC.
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> Column<'a> {
    /// `None` if no link can carry a column of that type.
    pub fn of(array: &'a dyn Array) -> Option<Self> {
        Some(match Type::from_arrow(array.data_type())? {
            Type::Bool => Self::Bool(array.as_boolean()),
            Type::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            Type::Float64 => Self::Float64(array.as_primitive::<Float64Type>()),
            Type::String => Self::String(Strings::of(array)?),
            Type::Binary => Self::Binary(array.as_binary()),
            Type::Timestamp => Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>()),
        })
    }

    /// `None` if the column is not of `wanted` type.
    pub fn of_type(array: &'a dyn Array, wanted: Type) -> Option<Self> {
        (Type::from_arrow(array.data_type()) == Some(wanted)).then(|| Self::of(array))?
    }
}
