//! A column on its way through an expression.
//!
//! [`Vector`] is what every step takes and gives: values, which of them are null, and the rows that failed. A row's
//! value means nothing where it is null or has failed.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType, UInt8Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, DictionaryArray, PrimitiveArray, StringArray,
    TimestampMicrosecondArray, UInt8Array, new_null_array,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer, ScalarBuffer};
use modrun_core::Type;

use super::text::{Coded, Text};

/// One value per row, some null, some failed.
#[derive(Clone, Debug)]
pub(super) struct Vector {
    pub(super) values: Values,
    pub(super) nulls: Option<NullBuffer>,
    /// In the order of evaluation: the first of a row is its cause.
    pub(super) faults: Vec<Fault>,
}

/// A row that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) row: usize,
    /// Position among the causes that the bound expression knows.
    pub(super) cause: usize,
}

/// The values of a column, by type.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Bool(BooleanBuffer),
    Int(Numbers<i64>),
    Float(Numbers<f64>),
    /// Microseconds since 1970 in UTC.
    Time(Numbers<i64>),
    Text(Text),
    /// A column that can only be handed on or tested for null.
    Binary(ArrayRef),
}

/// Numbers of one kind.
#[derive(Clone, Debug)]
pub(super) enum Numbers<T: ArrowNativeType> {
    /// The same for every row.
    One(T),
    /// One per row.
    Many(ScalarBuffer<T>),
}

impl<T: ArrowNativeType> Numbers<T> {
    /// One per row, the same as before.
    pub(super) fn spread(&self, rows: usize) -> ScalarBuffer<T> {
        match self {
            Numbers::One(value) => vec![*value; rows].into(),
            Numbers::Many(values) => values.clone(),
        }
    }

    /// Each number turned into another.
    pub(super) fn map<U: ArrowNativeType>(&self, turn: impl Fn(T) -> U) -> Numbers<U> {
        match self {
            Numbers::One(value) => Numbers::One(turn(*value)),
            Numbers::Many(values) => Numbers::Many(values.iter().map(|value| turn(*value)).collect()),
        }
    }

    fn to_array<P: ArrowPrimitiveType<Native = T>>(
        &self,
        rows: usize,
        nulls: Option<NullBuffer>,
    ) -> PrimitiveArray<P> {
        PrimitiveArray::new(self.spread(rows), nulls)
    }
}

impl Vector {
    /// Values without nulls or faults.
    pub(super) fn of(values: Values) -> Self {
        Self { values, nulls: None, faults: Vec::new() }
    }

    /// A column of a batch, if it has the type.
    pub(super) fn from_array(array: &ArrayRef, of: Type) -> Option<Self> {
        if Type::from_arrow(array.data_type()) != Some(of) {
            return None;
        }
        let values = match of {
            Type::Bool => Values::Bool(array.as_boolean().values().clone()),
            Type::Int64 => Values::Int(Numbers::Many(array.as_primitive::<Int64Type>().values().clone())),
            Type::Float64 => {
                Values::Float(Numbers::Many(array.as_primitive::<Float64Type>().values().clone()))
            }
            Type::Timestamp => {
                Values::Time(Numbers::Many(array.as_primitive::<TimestampMicrosecondType>().values().clone()))
            }
            Type::String => Values::Text(match array.as_any_dictionary_opt() {
                Some(dictionary) => Text::Coded(Coded::new(array.clone(), dictionary)),
                None => Text::Plain(array.as_string().clone()),
            }),
            Type::Binary => Values::Binary(array.clone()),
        };
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        Some(Self { values, nulls, faults: Vec::new() })
    }

    /// Nothing but nulls.
    pub(super) fn null(of: Type, rows: usize) -> Self {
        let values = match of {
            Type::Bool => Values::Bool(BooleanBuffer::new_unset(rows)),
            Type::Int64 => Values::Int(Numbers::One(0)),
            Type::Float64 => Values::Float(Numbers::One(0.0)),
            Type::Timestamp => Values::Time(Numbers::One(0)),
            Type::String => Values::Text(Text::One("".into())),
            Type::Binary => Values::Binary(new_null_array(&of.to_arrow(), rows)),
        };
        Self { values, nulls: Some(NullBuffer::new_null(rows)), faults: Vec::new() }
    }

    /// The column as Arrow has it; strings keep their dictionary.
    pub(super) fn into_array(self, rows: usize) -> ArrayRef {
        let nulls = self.nulls;
        match self.values {
            Values::Bool(bits) => Arc::new(BooleanArray::new(bits, nulls)),
            Values::Int(numbers) => Arc::new(numbers.to_array::<Int64Type>(rows, nulls)),
            Values::Float(numbers) => Arc::new(numbers.to_array::<Float64Type>(rows, nulls)),
            Values::Time(numbers) => {
                let array: TimestampMicrosecondArray = numbers.to_array(rows, nulls);
                Arc::new(array.with_data_type(Type::Timestamp.to_arrow()))
            }
            Values::Text(Text::One(text)) => {
                let keys = UInt8Array::new(vec![0; rows].into(), nulls);
                let values = Arc::new(StringArray::from_iter_values([text]));
                Arc::new(DictionaryArray::<UInt8Type>::new(keys, values))
            }
            Values::Text(Text::Plain(array)) => Arc::new(array),
            Values::Text(Text::Coded(coded)) => coded.into_array(),
            Values::Binary(array) => array,
        }
    }

    /// Whether `row` is not null.
    pub(super) fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }
}
