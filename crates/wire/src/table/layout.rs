//! Writing: where every buffer of a record batch will lie, and then the bytes.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType, UInt8Type};
use arrow_array::{AnyDictionaryArray, Array, RecordBatch};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};
use modrun_core::Type;

use super::{ALIGNMENT, BUFFERS, COLUMN, DICTIONARY_MAX, Encoding, HEADER, MAGIC, bits};
use crate::{Error, Result, schema};

/// Bytes of strings up to which a dictionary always travels as it is; a longer one only if plain strings would not be
/// shorter, which takes a look at every row.
const DICTIONARY_BYTES_ALWAYS: usize = 64 << 10;

/// Where everything in a table will lie, and the columns to write there.
///
/// A column of strings whose codes are `UInt8` stays a dictionary; other dictionaries, and those whose text is long
/// and used by few rows, are written as plain strings. Sliced columns are written as if they had never been part of
/// a longer one.
#[derive(Debug)]
pub struct Layout {
    rows: u32,
    columns: Vec<Column>,
    length: usize,
}

impl Layout {
    /// Finds room for `batch`. Fails if a column has a type that no link can carry, or if the table would be longer
    /// than a payload can be.
    pub fn of(batch: &RecordBatch) -> Result<Self> {
        let schema = batch.schema_ref();
        let mut columns = Vec::with_capacity(batch.num_columns());
        let mut end = (HEADER + COLUMN * batch.num_columns()) as u64;
        for (field, array) in schema.fields().iter().zip(batch.columns()) {
            let mut column = Column::of(field, array.as_ref())?;
            for (at, length) in column.lengths(batch.num_rows()).into_iter().enumerate() {
                if length > 0 {
                    end = end.next_multiple_of(ALIGNMENT as u64);
                    column.spans[at] = end..end + length;
                    end += length;
                }
            }
            columns.push(column);
        }
        let length = u32::try_from(end).map_err(|_| Error::TableLength(end))? as usize;
        let rows = u32::try_from(batch.num_rows()).map_err(|_| Error::TableRows(batch.num_rows()))?;
        Ok(Self { rows, columns, length })
    }

    /// Bytes of the table.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Rows of the table.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Writes the table into the first [`Layout::length`] bytes of `slot`, each of them.
    ///
    /// # Panics
    /// If `slot` is shorter.
    pub fn write(&self, slot: &mut [u8]) {
        let mut to = Writer { slot: &mut slot[..self.length], end: 0 };
        to.put(&MAGIC);
        for number in [self.rows, self.columns.len() as u32, 0] {
            to.put(&number.to_le_bytes());
        }
        for column in &self.columns {
            column.describe(&mut to);
        }
        for column in &self.columns {
            column.write(self.rows as usize, &mut to);
        }
    }
}

/// How many of the first rows of `batch` fit into a table of `bytes` bytes; 0 if not even one does.
pub fn rows_within(batch: &RecordBatch, bytes: usize) -> Result<usize> {
    let fits = |rows| match Layout::of(&batch.slice(0, rows)) {
        Ok(layout) => Ok(layout.length <= bytes),
        Err(Error::TableLength(_)) => Ok(false),
        Err(error) => Err(error),
    };
    if fits(batch.num_rows())? {
        return Ok(batch.num_rows());
    }
    // No rows are known to be too few, all rows to be too many.
    let (mut fitting, mut beyond) = (0, batch.num_rows());
    while beyond - fitting > 1 {
        let middle = fitting + (beyond - fitting) / 2;
        if fits(middle)? { fitting = middle } else { beyond = middle }
    }
    Ok(fitting)
}

/// One column, as the buffers that it is made of.
#[derive(Debug)]
struct Column {
    column_type: Type,
    encoding: Encoding,
    validity: Option<NullBuffer>,
    values: Values,
    text: Option<Text>,
    /// Where its buffers will lie; one of no bytes lies at 0.
    spans: [Range<u64>; BUFFERS.len()],
}

#[derive(Debug)]
enum Values {
    None,
    Bits(BooleanBuffer),
    Bytes { buffer: Buffer, width: usize },
}

/// Strings one after the other; the first offset need not be 0.
#[derive(Debug)]
struct Text {
    offsets: OffsetBuffer<i32>,
    bytes: Buffer,
}

impl Column {
    fn of(field: &Field, array: &dyn Array) -> Result<Self> {
        let data_type = array.data_type();
        let Some(column_type) = Type::from_arrow(data_type) else {
            return Err(Error::Type { column: field.name().clone(), data_type: data_type.clone() });
        };
        let wide = |buffer: &Buffer| Values::Bytes { buffer: buffer.clone(), width: 8 };
        let mut encoding = Encoding::Plain;
        let mut validity = array.nulls().cloned();
        let (values, text) = match column_type {
            Type::Bool => (Values::Bits(array.as_boolean().values().clone()), None),
            Type::Int64 => (wide(array.as_primitive::<Int64Type>().values().inner()), None),
            Type::Float64 => (wide(array.as_primitive::<Float64Type>().values().inner()), None),
            Type::Timestamp => {
                (wide(array.as_primitive::<TimestampMicrosecondType>().values().inner()), None)
            }
            Type::Binary => {
                let array = array.as_binary::<i32>();
                let text = Text { offsets: array.offsets().clone(), bytes: array.values().clone() };
                (Values::None, Some(text))
            }
            Type::String if *data_type == DataType::Utf8 => (Values::None, Some(Text::of(array.as_string()))),
            Type::String => match dictionary(array) {
                Some((values, text)) => {
                    encoding = Encoding::Dictionary;
                    (values, Some(text))
                }
                None => {
                    validity = array.logical_nulls();
                    (Values::None, Some(Text::spelled_out(array.as_any_dictionary())?))
                }
            },
        };
        let validity = validity.filter(|nulls| nulls.null_count() > 0);
        Ok(Self { column_type, encoding, validity, values, text, spans: [const { 0..0 }; BUFFERS.len()] })
    }

    /// The lengths of its buffers.
    fn lengths(&self, rows: usize) -> [u64; BUFFERS.len()] {
        let validity = if self.validity.is_some() { bits(rows) } else { 0 };
        let values = match &self.values {
            Values::None => 0,
            Values::Bits(_) => bits(rows),
            Values::Bytes { width, .. } => width * rows,
        };
        let (offsets, bytes) =
            self.text.as_ref().map_or((0, 0), |text| (4 * text.offsets.len(), text.bytes().len()));
        [validity, values, offsets, bytes].map(|length| length as u64)
    }

    fn describe(&self, to: &mut Writer<'_>) {
        let nulls = self.validity.as_ref().map_or(0, NullBuffer::null_count) as u32;
        let dictionary = match (self.encoding, &self.text) {
            (Encoding::Dictionary, Some(text)) => text.offsets.len() as u32 - 1,
            _ => 0,
        };
        to.put(&[schema::number(self.column_type), self.encoding as u8, 0, 0]);
        for number in [nulls, dictionary, 0] {
            to.put(&number.to_le_bytes());
        }
        for span in &self.spans {
            to.put(&(span.start as u32).to_le_bytes());
            to.put(&((span.end - span.start) as u32).to_le_bytes());
        }
    }

    fn write(&self, rows: usize, to: &mut Writer<'_>) {
        let [validity, values, offsets, bytes] = &self.spans;
        if let Some(nulls) = &self.validity {
            to.put_bits(validity, nulls.inner());
        }
        match &self.values {
            Values::None => {}
            Values::Bits(bits) => to.put_bits(values, bits),
            Values::Bytes { buffer, width } => to.put_at(values, &buffer[..width * rows]),
        }
        if let Some(text) = &self.text {
            to.put_offsets(offsets, &text.offsets);
            to.put_at(bytes, text.bytes());
        }
    }
}

/// The codes and the text of a dictionary that can travel as it is.
fn dictionary(array: &dyn Array) -> Option<(Values, Text)> {
    let array = array.as_dictionary_opt::<UInt8Type>()?;
    let strings = array.values().as_string::<i32>();
    if strings.null_count() > 0 {
        return None;
    }
    // No code reaches further.
    let text = Text::of(&strings.slice(0, strings.len().min(DICTIONARY_MAX)));
    if text.bytes().len() > DICTIONARY_BYTES_ALWAYS {
        let lengths =
            |code: usize| text.offsets.get(code + 1).map_or(0, |end| end - text.offsets[code]) as u64;
        let plain = array.keys().iter().flatten().map(|code| lengths(code.into())).sum::<u64>();
        let (coded, plain) =
            (array.len() + 4 * text.offsets.len() + text.bytes().len(), plain + 4 * (array.len() as u64 + 1));
        if plain < coded as u64 {
            return None;
        }
    }
    Some((Values::Bytes { buffer: array.keys().values().inner().clone(), width: 1 }, text))
}

impl Text {
    fn of(array: &arrow_array::StringArray) -> Self {
        Self { offsets: array.offsets().clone(), bytes: array.values().clone() }
    }

    /// The string of each row, one after the other.
    fn spelled_out(array: &dyn AnyDictionaryArray) -> Result<Self> {
        let strings = array.values().as_string::<i32>();
        let nulls = array.logical_nulls();
        let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        // Codes of an empty dictionary cannot be looked at.
        let codes = if strings.is_empty() { Vec::new() } else { array.normalized_keys() };
        let string =
            |row: usize| codes.get(row).filter(|_| valid(row)).map_or("", |&code| strings.value(code));
        let total: u64 = (0..array.len()).map(|row| string(row).len() as u64).sum();
        if i32::try_from(total).is_err() {
            return Err(Error::TableLength(total));
        }
        let mut bytes = Vec::with_capacity(total as usize);
        (0..array.len()).for_each(|row| bytes.extend_from_slice(string(row).as_bytes()));
        let offsets = OffsetBuffer::from_lengths((0..array.len()).map(|row| string(row).len()));
        Ok(Self { offsets, bytes: bytes.into() })
    }

    /// The bytes between the first offset and the last.
    fn bytes(&self) -> &[u8] {
        let (first, last) = (self.offsets[0], self.offsets[self.offsets.len() - 1]);
        &self.bytes[first as usize..last as usize]
    }
}

/// Fills a slot from its beginning to its end; what lies between buffers is 0.
struct Writer<'a> {
    slot: &'a mut [u8],
    end: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.slot[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// The bytes of `span`, none of which was given out before.
    fn room(&mut self, span: &Range<u64>) -> &mut [u8] {
        let (start, end) = (span.start as usize, span.end as usize);
        self.slot[self.end..start].fill(0);
        self.end = end;
        &mut self.slot[start..end]
    }

    fn put_at(&mut self, span: &Range<u64>, bytes: &[u8]) {
        if !span.is_empty() {
            self.room(span).copy_from_slice(bytes);
        }
    }

    fn put_bits(&mut self, span: &Range<u64>, bits: &BooleanBuffer) {
        if !span.is_empty() {
            crate::selection::write_bits(bits, self.room(span));
        }
    }

    fn put_offsets(&mut self, span: &Range<u64>, offsets: &OffsetBuffer<i32>) {
        let first = offsets[0];
        if first == 0 {
            return self.put_at(span, &offsets.inner().inner()[..4 * offsets.len()]);
        }
        for (to, offset) in self.room(span).chunks_exact_mut(4).zip(offsets.iter()) {
            to.copy_from_slice(&(offset - first).to_le_bytes());
        }
    }
}
