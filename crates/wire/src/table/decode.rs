//! Reading: a payload, checked, as columns that point into it.
//!
//! Nothing is believed: every number of the payload is compared with the schema, with the payload's length or with the
//! data before anything is built from it. What Arrow's own constructors check and report (UTF-8, codes) is left to
//! them; what they would panic on is checked before.

use std::sync::Arc;

use arrow_array::types::UInt8Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray, UInt8Array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{Field, Schema, SchemaRef};
use modrun_core::Type;

use super::{ALIGNMENT, BUFFERS, COLUMN, DICTIONARY_MAX, Encoding, HEADER, MAGIC, bits, values_length};
use crate::{Flaw, Garbage, schema};

/// Reads a table that must have the columns of `schema`.
///
/// The batch points into `payload`, which is copied only if it does not begin at a multiple of 8. A column that
/// arrives as a dictionary is a `Dictionary<UInt8, Utf8>`, and so is its field in the schema of the batch.
pub fn decode(payload: Buffer, schema: &SchemaRef) -> Result<RecordBatch, Garbage> {
    let payload = if payload.as_ptr().align_offset(ALIGNMENT) == 0 {
        payload
    } else {
        Buffer::from_slice_ref(payload.as_slice())
    };
    let fields = schema.fields();
    let short = Garbage::Short { length: payload.len(), columns: fields.len() };
    let Some((header, rest)) = payload.split_first_chunk::<HEADER>() else {
        return Err(short);
    };
    if header[..4] != MAGIC {
        return Err(Garbage::Magic);
    }
    let [rows, columns, reserved] = numbers(header, 4);
    if columns as usize != fields.len() {
        return Err(Garbage::Columns { found: columns, expected: fields.len() });
    }
    if reserved != 0 {
        return Err(Garbage::Reserved(reserved));
    }
    let heads = rest.get(..COLUMN * fields.len()).ok_or(short)?;
    let table = Table { payload: &payload, rows: rows as usize, body: HEADER + heads.len() };
    let mut arrays = Vec::with_capacity(fields.len());
    for (field, head) in fields.iter().zip(heads.as_chunks::<COLUMN>().0) {
        let array = table.column(field, head);
        arrays.push(array.map_err(|flaw| Garbage::Column { column: field.name().clone(), flaw })?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(table.rows));
    let batch = RecordBatch::try_new_with_options(adapted(schema, &arrays), arrays, &options);
    Ok(batch.expect("columns have the table's rows, and the schema was adapted to their types"))
}

/// The schema with the types that the columns have.
fn adapted(schema: &SchemaRef, arrays: &[ArrayRef]) -> SchemaRef {
    let mut pairs = schema.fields().iter().zip(arrays);
    if pairs.clone().all(|(field, array)| field.data_type() == array.data_type()) {
        return schema.clone();
    }
    let adapt = |(field, array): (&Arc<Field>, &ArrayRef)| {
        if field.data_type() == array.data_type() {
            field.clone()
        } else {
            Arc::new(field.as_ref().clone().with_data_type(array.data_type().clone()))
        }
    };
    let fields: Vec<_> = pairs.by_ref().map(adapt).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Numbers that lie one after the other, from byte `at` on.
fn numbers<const N: usize>(bytes: &[u8], at: usize) -> [u32; N] {
    let numbers = &bytes[at..].as_chunks::<4>().0[..N];
    std::array::from_fn(|index| u32::from_le_bytes(numbers[index]))
}

/// A payload whose header is right.
struct Table<'a> {
    payload: &'a Buffer,
    rows: usize,
    /// Where buffers may begin.
    body: usize,
}

/// One column's description.
struct Head<'a> {
    nulls: u32,
    dictionary: u32,
    bytes: &'a [u8; COLUMN],
}

impl Table<'_> {
    fn column(&self, field: &Field, bytes: &[u8; COLUMN]) -> Result<ArrayRef, Flaw> {
        let column_type =
            Type::from_arrow(field.data_type()).ok_or_else(|| Flaw::Schema(field.data_type().clone()))?;
        let [found, encoding, ..] = *bytes;
        if found != schema::number(column_type) {
            return Err(Flaw::Type { found, expected: column_type });
        }
        let encoding = match (encoding, column_type) {
            (0, _) => Encoding::Plain,
            (1, Type::String) => Encoding::Dictionary,
            _ => return Err(Flaw::Encoding { found: encoding, of: column_type }),
        };
        let [nulls, dictionary, reserved] = numbers(bytes, 4);
        let reserved = reserved | u32::from(bytes[2]) | u32::from(bytes[3]);
        if reserved != 0 {
            return Err(Flaw::Reserved(reserved));
        }
        let dictionary_max = if encoding == Encoding::Dictionary { DICTIONARY_MAX as u32 } else { 0 };
        if dictionary > dictionary_max {
            return Err(Flaw::DictionaryLength(dictionary));
        }
        if nulls > 0 && !field.is_nullable() {
            return Err(Flaw::NotNullable(nulls));
        }
        let head = Head { nulls, dictionary, bytes };
        let validity = self.validity(&head)?;
        match encoding {
            Encoding::Plain => self.plain(&head, column_type, validity),
            Encoding::Dictionary => self.dictionary(&head, validity),
        }
    }

    fn validity(&self, head: &Head<'_>) -> Result<Option<NullBuffer>, Flaw> {
        let length = if head.nulls == 0 { 0 } else { bits(self.rows) };
        let buffer = self.buffer(head, 0, length as u64)?;
        if head.nulls == 0 {
            return Ok(None);
        }
        let nulls = NullBuffer::new(BooleanBuffer::new(buffer, 0, self.rows));
        if nulls.null_count() != head.nulls as usize {
            return Err(Flaw::Nulls { found: nulls.null_count(), expected: head.nulls });
        }
        Ok(Some(nulls))
    }

    fn plain(&self, head: &Head<'_>, of: Type, validity: Option<NullBuffer>) -> Result<ArrayRef, Flaw> {
        let values = self.buffer(head, 1, values_length(of, self.rows))?;
        let strings = if matches!(of, Type::String | Type::Binary) { Some(self.rows) } else { None };
        let (offsets, bytes) = self.text(head, strings)?;
        Ok(match of {
            Type::Bool => Arc::new(BooleanArray::new(BooleanBuffer::new(values, 0, self.rows), validity)),
            Type::Int64 => Arc::new(Int64Array::new(values.into(), validity)),
            Type::Float64 => Arc::new(Float64Array::new(values.into(), validity)),
            Type::Timestamp => Arc::new(
                TimestampMicrosecondArray::new(values.into(), validity).with_data_type(of.to_arrow()),
            ),
            Type::String => Arc::new(strings_of(offsets, bytes, validity)?),
            Type::Binary => Arc::new(BinaryArray::new(offsets, bytes, validity)),
        })
    }

    fn dictionary(&self, head: &Head<'_>, validity: Option<NullBuffer>) -> Result<ArrayRef, Flaw> {
        let codes = self.buffer(head, 1, self.rows as u64)?;
        let (offsets, bytes) = self.text(head, Some(head.dictionary as usize))?;
        let strings = strings_of(offsets, bytes, None)?;
        // Eight rows at a time, without a way out in between, is what compilers turn into SIMD.
        let highest = codes.iter().copied().fold(0, u8::max);
        let codes = match &validity {
            Some(nulls) if u32::from(highest) >= head.dictionary => known_codes(&codes, nulls),
            _ => codes,
        };
        let codes = UInt8Array::new(codes.into(), validity);
        let array = DictionaryArray::<UInt8Type>::try_new(codes, Arc::new(strings));
        Ok(Arc::new(array.map_err(|_| Flaw::Code(head.dictionary))?))
    }

    /// The offsets and bytes of `strings` strings, if the column has any.
    fn text(&self, head: &Head<'_>, strings: Option<usize>) -> Result<(OffsetBuffer<i32>, Buffer), Flaw> {
        let length = strings.map_or(0, |strings| 4 * (strings as u64 + 1));
        let offsets: ScalarBuffer<i32> = self.buffer(head, 2, length)?.into();
        let last = offsets.last().copied().unwrap_or(0);
        let bytes = self.buffer(head, 3, u64::try_from(last).map_err(|_| Flaw::Offsets)?)?;
        if offsets.is_empty() {
            return Ok((OffsetBuffer::new_empty(), bytes));
        }
        let rising = offsets.windows(2).fold(true, |rising, pair| rising & (pair[0] <= pair[1]));
        if offsets[0] != 0 || !rising {
            return Err(Flaw::Offsets);
        }
        Ok((OffsetBuffer::new(offsets), bytes))
    }

    /// The bytes of a buffer, which must be `expected` many.
    fn buffer(&self, head: &Head<'_>, which: usize, expected: u64) -> Result<Buffer, Flaw> {
        let buffer = BUFFERS[which];
        let [offset, found] = numbers(head.bytes, 16 + 8 * which);
        if u64::from(found) != expected {
            return Err(Flaw::Length { buffer, found, expected });
        }
        let (start, length) = (offset as usize, found as usize);
        if length == 0 {
            // Wherever it is, nothing is there; the beginning of the payload is where any type may lie.
            return if start <= self.payload.len() {
                Ok(self.payload.slice_with_length(0, 0))
            } else {
                Err(Flaw::Outside { buffer, offset })
            };
        }
        if !start.is_multiple_of(ALIGNMENT) {
            return Err(Flaw::Alignment { buffer, offset });
        }
        if start < self.body || start > self.payload.len() || length > self.payload.len() - start {
            return Err(Flaw::Outside { buffer, offset });
        }
        Ok(self.payload.slice_with_length(start, length))
    }
}

fn strings_of(
    offsets: OffsetBuffer<i32>,
    bytes: Buffer,
    validity: Option<NullBuffer>,
) -> Result<StringArray, Flaw> {
    // The offsets are known to end within the bytes; what is left to find is text that is not UTF-8.
    StringArray::try_new(offsets, bytes, validity).map_err(|_| Flaw::Utf8)
}

/// A copy of `codes` where those of null rows, which may be anything, are 0.
fn known_codes(codes: &[u8], nulls: &NullBuffer) -> Buffer {
    let known: Vec<u8> = codes.iter().zip(nulls).map(|(&code, valid)| if valid { code } else { 0 }).collect();
    known.into()
}
