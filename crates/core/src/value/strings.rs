//! Columns of strings, whichever way they are encoded.

use arrow_array::cast::AsArray;
use arrow_array::{Array, StringArray};

/// A column of strings, plain or dictionary-encoded with codes of any width.
pub enum Strings<'a> {
    /// A string a row.
    Plain(&'a StringArray),
    /// The string of a row is the one at its code; a row without a code is null.
    Coded(Vec<Option<u32>>, &'a StringArray),
}

impl<'a> Strings<'a> {
    /// `None` if the column holds no strings.
    pub fn of(array: &'a dyn Array) -> Option<Self> {
        if let Some(plain) = array.as_string_opt() {
            return Some(Self::Plain(plain));
        }
        let dictionary = array.as_any_dictionary_opt()?;
        let strings: &StringArray = dictionary.values().as_string_opt()?;
        // Codes of an empty dictionary cannot be looked at.
        let codes = if strings.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
        let mut codes: Vec<_> =
            codes.into_iter().map(|code| strings.is_valid(code).then_some(code as u32)).collect();
        codes.resize(array.len(), None);
        if let Some(nulls) = dictionary.keys().nulls() {
            codes.iter_mut().zip(nulls).filter(|(_, valid)| !valid).for_each(|(code, _)| *code = None);
        }
        Some(Self::Coded(codes, strings))
    }

    /// The string of a row, or `None` for null.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Plain(strings) => strings.is_valid(row).then(|| strings.value(row)),
            Self::Coded(codes, strings) => codes[row].map(|code| strings.value(code as usize)),
        }
    }
}
