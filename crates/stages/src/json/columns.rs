//! The columns of one batch while lines are written into them.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::types::UInt8Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray, UInt8Array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, Field, Schema};
use modrun_core::Type;

/// How many distinct strings a column may have and still travel as codes.
const DICTIONARY_MAX: usize = 256;

/// A column's values so far; a line that turns out bad is taken back by [`Columns::truncate`].
pub(super) struct Column<T> {
    pub(super) values: Vec<T>,
    /// Present only for optional fields.
    valid: Option<Vec<bool>>,
}

impl<T: Default> Column<T> {
    fn new(optional: bool) -> Self {
        Self { values: Vec::new(), valid: optional.then(Vec::new) }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
        if let Some(valid) = &mut self.valid {
            valid.push(true);
        }
    }

    fn push_null(&mut self) {
        self.values.push(T::default());
        if let Some(valid) = &mut self.valid {
            valid.push(false);
        }
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        if let Some(valid) = &mut self.valid {
            valid.truncate(rows);
        }
    }

    fn take(&mut self) -> (Vec<T>, Option<NullBuffer>) {
        let rows = self.values.len();
        let nulls = self.valid.as_mut().map(|valid| NullBuffer::from(std::mem::take(valid)));
        (std::mem::replace(&mut self.values, Vec::with_capacity(rows)), nulls.filter(|n| n.null_count() > 0))
    }
}

/// A column of strings: codes into a dictionary while few are distinct, plain text after that.
pub(super) struct Strings {
    codes: Column<u8>,
    dictionary: Dictionary,
    /// Ends of the plain strings, once the dictionary is full.
    plain: Option<Plain>,
}

struct Plain {
    ends: Column<i32>,
    bytes: Vec<u8>,
}

impl Strings {
    fn new(optional: bool) -> Self {
        Self { codes: Column::new(optional), dictionary: Dictionary::default(), plain: None }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, text: &[u8]) {
        if self.plain.is_none() {
            if let Some(code) = self.dictionary.code(text) {
                return self.codes.push(code);
            }
            self.spell_out();
        }
        if let Some(plain) = &mut self.plain {
            plain.bytes.extend_from_slice(text);
            plain.ends.push(plain.bytes.len() as i32);
        }
    }

    fn push_null(&mut self) {
        match &mut self.plain {
            Some(plain) => {
                plain.ends.push_null();
                if let Some(end) = plain.ends.values.last_mut() {
                    *end = plain.bytes.len() as i32;
                }
            }
            None => self.codes.push_null(),
        }
    }

    /// Turns the codes so far into plain strings, for good: the column has too many distinct values.
    #[cold]
    fn spell_out(&mut self) {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(self.codes.values.len());
        for (row, &code) in self.codes.values.iter().enumerate() {
            if self.codes.valid.as_ref().is_none_or(|valid| valid[row]) {
                bytes.extend_from_slice(self.dictionary.text(code));
            }
            ends.push(bytes.len() as i32);
        }
        let valid = std::mem::take(&mut self.codes.valid);
        self.plain = Some(Plain { ends: Column { values: ends, valid }, bytes });
    }

    fn truncate(&mut self, rows: usize) {
        match &mut self.plain {
            Some(plain) => {
                plain.ends.truncate(rows);
                plain.bytes.truncate(plain.ends.values.last().map_or(0, |&end| end as usize));
            }
            None => self.codes.truncate(rows),
        }
    }

    /// Bytes of text that the batch so far would take; its offsets are 32 bits wide.
    fn text_bytes(&self) -> usize {
        self.plain.as_ref().map_or(0, |plain| plain.bytes.len())
    }

    fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let Some(plain) = &mut self.plain else {
            let (codes, nulls) = self.codes.take();
            let codes = UInt8Array::try_new(ScalarBuffer::from(codes), nulls)?;
            return Ok(Arc::new(DictionaryArray::<UInt8Type>::try_new(codes, self.dictionary.values()?)?));
        };
        let (ends, nulls) = plain.ends.take();
        let offsets = OffsetBuffer::new(std::iter::once(0).chain(ends).collect::<Vec<i32>>().into());
        let capacity = plain.bytes.len();
        let bytes = std::mem::replace(&mut plain.bytes, Vec::with_capacity(capacity));
        Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls)?))
    }
}

/// The distinct strings of a column, numbered as they come; kept from batch to batch.
#[derive(Default)]
struct Dictionary {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Open addressing over [`Dictionary::slot`]; a power of two, at most half full.
    slots: Vec<Slot>,
    /// The values as an array, until there is a new one.
    array: Option<ArrayRef>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// The first eight bytes and the length, so that most look-ups read nothing else.
    head: u64,
    length: u32,
    /// Code + 1; 0 is an empty slot.
    code: u16,
}

impl Dictionary {
    /// The code of `text`, new or known; `None` if the dictionary is full.
    #[inline(always)]
    fn code(&mut self, text: &[u8]) -> Option<u8> {
        let head = head(text);
        if !self.slots.is_empty() {
            let mut at = Self::slot(head, text.len());
            loop {
                let slot = self.slots[at % (2 * DICTIONARY_MAX)];
                if slot.code == 0 {
                    break;
                }
                let same = slot.head == head && slot.length as usize == text.len();
                let code = (slot.code - 1) as u8;
                if same && (text.len() <= 8 || self.text(code) == text) {
                    return Some(code);
                }
                at += 1;
            }
        }
        self.insert(head, text)
    }

    #[inline(always)]
    fn slot(head: u64, length: usize) -> usize {
        ((head ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
    }

    #[cold]
    fn insert(&mut self, head: u64, text: &[u8]) -> Option<u8> {
        let code = u8::try_from(self.ends.len()).ok()?;
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); 2 * DICTIONARY_MAX];
        }
        let mut at = Self::slot(head, text.len());
        while self.slots[at % (2 * DICTIONARY_MAX)].code != 0 {
            at += 1;
        }
        let length = u32::try_from(text.len()).ok()?;
        self.slots[at % (2 * DICTIONARY_MAX)] = Slot { head, length, code: code as u16 + 1 };
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        self.array = None;
        Some(code)
    }

    fn text(&self, code: u8) -> &[u8] {
        let start = if code == 0 { 0 } else { self.ends[code as usize - 1] };
        &self.bytes[start..self.ends[code as usize]]
    }

    fn values(&mut self) -> Result<ArrayRef, ArrowError> {
        if let Some(array) = &self.array {
            return Ok(array.clone());
        }
        let offsets: Vec<i32> = std::iter::once(0).chain(self.ends.iter().map(|&end| end as i32)).collect();
        let bytes = Buffer::from_slice_ref(&self.bytes);
        let array: ArrayRef = Arc::new(StringArray::try_new(OffsetBuffer::new(offsets.into()), bytes, None)?);
        self.array = Some(array.clone());
        Ok(array)
    }
}

/// The first eight bytes, the first one lowest, padded with zeros.
#[inline(always)]
fn head(text: &[u8]) -> u64 {
    if let Some(first) = text.first_chunk() {
        return u64::from_le_bytes(*first);
    }
    match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let (first, last) = (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64);
            first | last << (8 * (text.len() - 4))
        }
        _ => text.iter().rev().fold(0, |head, &byte| head << 8 | byte as u64),
    }
}

/// Where a field's values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Bool(usize),
    Int64(usize),
    Float64(usize),
    String(usize),
    Timestamp(usize),
}

/// The columns of the wanted fields, by type; [`Place`] tells which is which.
pub(super) struct Columns {
    pub(super) bools: Vec<Column<bool>>,
    /// int64 and timestamp columns.
    pub(super) ints: Vec<Column<i64>>,
    pub(super) floats: Vec<Column<f64>>,
    pub(super) strings: Vec<Strings>,
    fields: Vec<(String, Place, bool)>,
    pub(super) rows: usize,
}

impl Columns {
    /// Columns for `fields` of (name, type, optional), and where each one's values go.
    pub(super) fn new<'a>(fields: impl Iterator<Item = (&'a str, Type, bool)>) -> Self {
        let mut columns =
            Self { bools: vec![], ints: vec![], floats: vec![], strings: vec![], fields: vec![], rows: 0 };
        for (name, field_type, optional) in fields {
            let place = columns.add(field_type, optional);
            columns.fields.push((name.to_owned(), place, optional));
        }
        columns
    }

    fn add(&mut self, field_type: Type, optional: bool) -> Place {
        match field_type {
            Type::Bool => {
                self.bools.push(Column::new(optional));
                Place::Bool(self.bools.len() - 1)
            }
            Type::Int64 | Type::Timestamp => {
                self.ints.push(Column::new(optional));
                let at = self.ints.len() - 1;
                if field_type == Type::Int64 { Place::Int64(at) } else { Place::Timestamp(at) }
            }
            Type::Float64 => {
                self.floats.push(Column::new(optional));
                Place::Float64(self.floats.len() - 1)
            }
            Type::String | Type::Binary => {
                self.strings.push(Strings::new(optional));
                Place::String(self.strings.len() - 1)
            }
        }
    }

    /// Where the values of field `name` go, if it is built.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.fields.iter().find(|(field, ..)| field == name).map(|&(_, place, _)| place)
    }

    /// Adds a null to the column at `place`.
    pub(super) fn push_null(&mut self, place: Place) {
        match place {
            Place::Bool(at) => self.bools[at].push_null(),
            Place::Int64(at) | Place::Timestamp(at) => self.ints[at].push_null(),
            Place::Float64(at) => self.floats[at].push_null(),
            Place::String(at) => self.strings[at].push_null(),
        }
    }

    /// Takes back what a line had written before it turned out bad.
    pub(super) fn truncate(&mut self) {
        let rows = self.rows;
        self.bools.iter_mut().for_each(|column| column.truncate(rows));
        self.ints.iter_mut().for_each(|column| column.truncate(rows));
        self.floats.iter_mut().for_each(|column| column.truncate(rows));
        self.strings.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// Whether the batch should end here, for its size alone.
    pub(super) fn is_full(&self, rows_max: usize, text_bytes_max: usize) -> bool {
        self.rows >= rows_max || self.strings.iter().any(|column| column.text_bytes() >= text_bytes_max)
    }

    /// Hands over the rows so far as a batch and starts the next one.
    pub(super) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        let mut fields = Vec::with_capacity(self.fields.len());
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.fields.len());
        for (name, place, optional) in &self.fields {
            let array: ArrayRef = match *place {
                Place::Bool(at) => {
                    let (values, nulls) = self.bools[at].take();
                    Arc::new(BooleanArray::new(pack(&values), nulls))
                }
                Place::Int64(at) => {
                    let (values, nulls) = self.ints[at].take();
                    Arc::new(Int64Array::try_new(values.into(), nulls)?)
                }
                Place::Timestamp(at) => {
                    let (values, nulls) = self.ints[at].take();
                    Arc::new(TimestampMicrosecondArray::try_new(values.into(), nulls)?.with_timezone("UTC"))
                }
                Place::Float64(at) => {
                    let (values, nulls) = self.floats[at].take();
                    Arc::new(Float64Array::try_new(values.into(), nulls)?)
                }
                Place::String(at) => self.strings[at].take()?,
            };
            fields.push(Field::new(name, array.data_type().clone(), *optional));
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
    }
}

fn pack(values: &[bool]) -> BooleanBuffer {
    let mut bits = BooleanBufferBuilder::new(values.len());
    bits.append_slice(values);
    bits.finish()
}
