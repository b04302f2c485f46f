//! Strings: tests, case and length, on the dictionary where there is one.
//!
//! A dictionary-encoded column has few values and many codes. Every function here answers for the values first and
//! then looks the answers up by code, so that a row costs one table access.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{AnyDictionaryArray, Array, ArrayRef, StringArray, downcast_dictionary_array};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, ScalarBuffer};
use arrow_select::take::take;

use super::bits;
use super::vector::Numbers;

/// Strings of one column.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// The same for every row.
    One(Arc<str>),
    /// One per row.
    Plain(StringArray),
    /// A code per row.
    Coded(Coded),
}

/// A dictionary-encoded column.
#[derive(Clone, Debug)]
pub(super) struct Coded {
    array: ArrayRef,
    values: StringArray,
}

impl Coded {
    /// `array`, which is `dictionary` and has strings as values.
    pub(super) fn new(array: ArrayRef, dictionary: &dyn AnyDictionaryArray) -> Self {
        let values = dictionary.values().as_string().clone();
        Self { array, values }
    }

    pub(super) fn into_array(self) -> ArrayRef {
        self.array
    }

    /// The bit of each row's value. A null row may hold any code, so one beyond the table counts as unset.
    fn look_up_bits(&self, table: &[bool]) -> BooleanBuffer {
        let array = self.array.as_ref();
        downcast_dictionary_array!(
            array => bits::pack(array.keys().values(), |code| {
                table.get(code.as_usize()).copied().unwrap_or_default()
            }),
            _ => unreachable!("a coded column is a dictionary array")
        )
    }

    /// The number of each row's value, as [`Coded::look_up_bits`].
    fn look_up(&self, table: &[i64]) -> ScalarBuffer<i64> {
        let array = self.array.as_ref();
        downcast_dictionary_array!(
            array => {
                let codes = array.keys().values().iter();
                codes.map(|code| table.get(code.as_usize()).copied().unwrap_or_default()).collect()
            },
            _ => unreachable!("a coded column is a dictionary array")
        )
    }

    /// One string per row.
    fn plain(&self) -> StringArray {
        let keys = self.array.as_any_dictionary().keys();
        let rows = take(&self.values, keys, None).expect("codes lie within their dictionary");
        rows.as_string().clone()
    }

    /// The same codes for other values, or plain strings where two values have become one: the values of a
    /// dictionary stay distinct, so that stages may compare codes.
    fn with_values(&self, values: StringArray) -> Text {
        let mut seen = HashSet::with_capacity(values.len());
        let distinct = values.iter().all(|value| seen.insert(value));
        let array = self.array.as_any_dictionary().with_values(Arc::new(values.clone()));
        let coded = Coded { array, values };
        if distinct { Text::Coded(coded) } else { Text::Plain(coded.plain()) }
    }
}

impl Text {
    /// Whether each string fulfils `test`.
    pub(super) fn test(&self, rows: usize, test: impl Fn(&str) -> bool) -> BooleanBuffer {
        match self {
            Text::One(text) => bits::constant(test(text), rows),
            Text::Plain(array) => BooleanBuffer::collect_bool(rows, |row| test(array.value(row))),
            Text::Coded(coded) => {
                let table: Vec<bool> = coded.values.iter().map(|value| value.is_some_and(&test)).collect();
                coded.look_up_bits(&table)
            }
        }
    }

    /// Whether each pair of strings fulfils `test`.
    pub(super) fn test_pairs(
        &self,
        right: &Text,
        rows: usize,
        test: impl Fn(&str, &str) -> bool,
    ) -> BooleanBuffer {
        match (self, right) {
            (left, Text::One(right)) => left.test(rows, |left| test(left, right)),
            (Text::One(left), right) => right.test(rows, |right| test(left, right)),
            (left, right) => {
                let (left, right) = (left.spread(rows), right.spread(rows));
                BooleanBuffer::collect_bool(rows, |row| test(left.value(row), right.value(row)))
            }
        }
    }

    /// One string per row, without a dictionary.
    pub(super) fn spread(&self, rows: usize) -> StringArray {
        match self {
            Text::One(text) => StringArray::from_iter_values(std::iter::repeat_n(text, rows)),
            Text::Plain(array) => array.clone(),
            Text::Coded(coded) => coded.plain(),
        }
    }

    /// Each string in the other case.
    pub(super) fn to_case(&self, case: Case) -> Text {
        match self {
            Text::One(text) => Text::One(case.of(text).into()),
            Text::Plain(array) => Text::Plain(case.of_all(array)),
            Text::Coded(coded) => coded.with_values(case.of_all(&coded.values)),
        }
    }

    /// The number of characters (Unicode scalar values) of each string.
    pub(super) fn length(&self) -> Numbers<i64> {
        match self {
            Text::One(text) => Numbers::One(characters(text)),
            Text::Plain(array) => Numbers::Many(lengths(array).into()),
            Text::Coded(coded) => Numbers::Many(coded.look_up(&lengths(&coded.values))),
        }
    }
}

/// Lower or upper case, by Unicode's rules without regard to language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    Upper,
}

impl Case {
    fn of(self, text: &str) -> String {
        match self {
            Case::Lower => text.to_lowercase(),
            Case::Upper => text.to_uppercase(),
        }
    }

    fn of_all(self, array: &StringArray) -> StringArray {
        if !array.value_data().is_ascii() {
            return array.iter().map(|text| text.map(|text| self.of(text))).collect();
        }
        // ASCII keeps its lengths: one pass over all bytes, and the offsets stay.
        let mut bytes = array.value_data().to_vec();
        match self {
            Case::Lower => bytes.make_ascii_lowercase(),
            Case::Upper => bytes.make_ascii_uppercase(),
        }
        StringArray::new(array.offsets().clone(), bytes.into(), array.nulls().cloned())
    }
}

fn lengths(array: &StringArray) -> Vec<i64> {
    (0..array.len()).map(|row| characters(array.value(row))).collect()
}

fn characters(text: &str) -> i64 {
    text.chars().count() as i64
}
