//! Dictionary-encoded strings of several batches as one column.
//!
//! The dictionaries of batches hold much the same few strings, in any order: they become one, and the codes follow. Only
//! where there are too many different strings for codes of one byte does the column become a plain one.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray, UInt8Array};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat;
use arrow_select::take::take;

/// Codes of one byte tell so many strings apart.
const VALUES_MAX: usize = 256;

/// Puts columns of one link behind each other, whichever way their strings are encoded.
pub(super) fn join(pieces: &[&ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let encoded: Option<Vec<_>> = pieces.iter().map(|piece| piece.as_dictionary_opt::<UInt8Type>()).collect();
    if let Some(joined) = encoded.and_then(|pieces| join_encoded(&pieces).transpose()) {
        return joined.map(|joined| Arc::new(joined) as ArrayRef);
    }
    let plain = pieces.iter().map(|piece| plain(piece)).collect::<Result<Vec<_>, _>>()?;
    let plain: Vec<&dyn Array> = plain.iter().map(AsRef::as_ref).collect();
    concat(&plain)
}

/// `None` if the strings are too many.
fn join_encoded(
    pieces: &[&DictionaryArray<UInt8Type>],
) -> Result<Option<DictionaryArray<UInt8Type>>, ArrowError> {
    let rows = pieces.iter().map(|piece| piece.len()).sum();
    let (mut codes, mut values): (Vec<u8>, Vec<&str>) = (Vec::with_capacity(rows), Vec::new());
    for piece in pieces {
        let own: &StringArray = piece.values().as_string();
        if own.null_count() > 0 {
            return Ok(None);
        }
        // The code that each of the piece's codes becomes; those that it does not have are those of null rows.
        let mut becomes = [0_u8; VALUES_MAX];
        for (code, value) in own.iter().flatten().enumerate() {
            let at = values.iter().position(|known| *known == value).unwrap_or(values.len());
            if at == values.len() {
                values.push(value);
            }
            let (Some(slot), Ok(at)) = (becomes.get_mut(code), u8::try_from(at)) else { return Ok(None) };
            *slot = at;
        }
        codes.extend(piece.keys().values().iter().map(|&code| becomes[code as usize]));
    }
    let nulls = pieces.iter().any(|piece| piece.keys().null_count() > 0).then(|| {
        let valid = pieces.iter().flat_map(|piece| (0..piece.len()).map(|row| piece.keys().is_valid(row)));
        NullBuffer::from_iter(valid)
    });
    let values = Arc::new(StringArray::from_iter_values(values));
    DictionaryArray::try_new(UInt8Array::new(codes.into(), nulls), values).map(Some)
}

/// The same strings, each at its row.
fn plain(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Dictionary(..) => {
            let encoded = column.as_any_dictionary();
            take(encoded.values(), encoded.keys(), None)
        }
        _ => Ok(column.clone()),
    }
}
