//! A column of a batch as one of the link types.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BinaryArray, BooleanArray, Float64Array, Int64Array, TimestampMicrosecondArray};
use modrun_core::Type;

use crate::strings::Strings;

/// A column, taken from its batch once and read row by row.
pub(crate) enum Column<'a> {
    Bool(&'a BooleanArray),
    Int64(&'a Int64Array),
    Float64(&'a Float64Array),
    String(Strings<'a>),
    Binary(&'a BinaryArray),
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> Column<'a> {
    /// `None` if no link can carry a column of that type.
    pub(crate) fn of(array: &'a dyn Array) -> Option<Self> {
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
    pub(crate) fn of_type(array: &'a dyn Array, wanted: Type) -> Option<Self> {
        (Type::from_arrow(array.data_type()) == Some(wanted)).then(|| Self::of(array))?
    }
}
