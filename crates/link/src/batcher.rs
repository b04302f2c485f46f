//! Gathers and splits rows on their way to a process stage, as the link's policy says.
//!
//! What it is: a queue of rows with one decision, [`Batcher::take`], which is a function of what waits, what is on its
//! way, and the time.
//!
//! Guarantees: rows keep their order and their batch boundaries mean nothing. A `rows` policy gives exactly that many
//! rows but at the end, or when the oldest row has lingered. The adaptive policy sends what there is at once if no batch
//! has left just before; otherwise it gathers until the pace is kept, and on while the receiver is busy and more is at
//! hand.
//!
//! Refuses: waiting. Whoever calls decides when to ask again; [`Batcher::deadline`] says until when at the latest.
//!
//! In raw text a row holds lines; lines are then what is counted, and a block is split between them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use modrun_core::{BatchPolicy, Error, Result, raw_schema};

/// Where the adaptive policy stops gathering: beyond, a batch costs hardly less for each row.
const ADAPTIVE_ROWS: usize = 128 << 10;
const ADAPTIVE_BYTES: usize = 1 << 20;
/// With so many batches on their way, the receiver will not run dry while the next one is gathered.
const BUSY_BATCHES: usize = 2;

/// What the decision depends on, beside the rows that wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Batches on their way without credit.
    pub(crate) in_flight: usize,
    /// Whether more input is at hand at once.
    pub(crate) more: bool,
    /// Whether the input has ended.
    pub(crate) ended: bool,
    /// The time.
    pub(crate) now: Instant,
}

/// Rows that wait for their batch.
pub(crate) struct Batcher {
    policy: BatchPolicy,
    /// How soon behind one adaptive batch the next one leaves that is not full.
    pace: Duration,
    /// When the last adaptive batch has left.
    left: Option<Instant>,
    /// Whether rows hold lines of text.
    text: bool,
    waiting: VecDeque<RecordBatch>,
    /// What `waiting` counts: rows, or under a `rows` policy on text lines.
    count: usize,
    bytes: usize,
    /// Since when the oldest row waits.
    since: Option<Instant>,
}

impl Batcher {
    /// A batcher for rows of `schema`. With a `pace`, whoever calls must ask again at [`Batcher::deadline`].
    pub(crate) fn new(policy: BatchPolicy, pace: Duration, schema: &SchemaRef) -> Self {
        let text = *schema == raw_schema();
        Self { policy, pace, left: None, text, waiting: VecDeque::new(), count: 0, bytes: 0, since: None }
    }

    /// Adds rows behind those that wait.
    pub(crate) fn push(&mut self, batch: RecordBatch, now: Instant) {
        if batch.num_rows() == 0 {
            return;
        }
        self.count += self.count_of(&batch);
        self.bytes += size(&batch);
        self.since.get_or_insert(now);
        self.waiting.push_back(batch);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When rows that wait must leave at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.policy {
            BatchPolicy::Rows { linger, .. } => Some(self.since? + linger?),
            BatchPolicy::Adaptive => self.since.and(self.left).map(|left| left + self.pace),
        }
    }

    /// The next batch that should leave now, if one should.
    pub(crate) fn take(&mut self, facts: Facts) -> Result<Option<RecordBatch>> {
        if self.waiting.is_empty() {
            return Ok(None);
        }
        match self.policy {
            BatchPolicy::Adaptive => {
                let full = self.count >= ADAPTIVE_ROWS || self.bytes >= ADAPTIVE_BYTES;
                let due = self.deadline().is_none_or(|deadline| deadline <= facts.now);
                let busy = facts.more && facts.in_flight >= BUSY_BATCHES;
                if full || facts.ended || (due && !busy) {
                    self.left = Some(facts.now);
                    return self.take_gathered().map(Some);
                }
            }
            BatchPolicy::Rows { rows, .. } => {
                let rows = rows.get() as usize;
                let lingered = self.deadline().is_some_and(|deadline| deadline <= facts.now);
                if self.count >= rows || facts.ended || lingered {
                    return self.take_exactly(rows.min(self.count), facts.now).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// One batch of the oldest rows: as many batches as may be gathered.
    fn take_gathered(&mut self) -> Result<RecordBatch> {
        let (mut parts, mut count, mut bytes) = (Vec::new(), 0, 0);
        while let Some(batch) = self.waiting.front() {
            let (rows, length) = (self.count_of(batch), size(batch));
            if !parts.is_empty() && (count + rows > 2 * ADAPTIVE_ROWS || bytes + length > 2 * ADAPTIVE_BYTES)
            {
                break;
            }
            (count, bytes) = (count + rows, bytes + length);
            parts.extend(self.waiting.pop_front());
        }
        (self.count, self.bytes) = (self.count - count, self.bytes - bytes);
        if self.waiting.is_empty() {
            self.since = None;
        }
        join(parts)
    }

    /// One batch of the `count` oldest rows, or lines.
    fn take_exactly(&mut self, count: usize, now: Instant) -> Result<RecordBatch> {
        let (mut parts, mut left) = (Vec::new(), count);
        while left > 0 {
            let batch = self.waiting.pop_front().expect("what is counted waits");
            self.bytes -= size(&batch);
            let here = self.count_of(&batch);
            if here <= left {
                left -= here;
                parts.push(batch);
                continue;
            }
            let (taken, rest) = if self.text { split_text(&batch, left)? } else { split_rows(&batch, left) };
            parts.push(taken);
            self.bytes += size(&rest);
            self.waiting.push_front(rest);
            left = 0;
        }
        self.count -= count;
        self.since = (!self.waiting.is_empty()).then_some(now);
        join(parts)
    }

    fn count_of(&self, batch: &RecordBatch) -> usize {
        match self.policy {
            BatchPolicy::Rows { .. } if self.text => texts(batch).iter().flatten().map(lines).sum(),
            _ => batch.num_rows(),
        }
    }
}

/// About how many bytes a batch has as a payload; a slice counts for what it shows only.
fn size(batch: &RecordBatch) -> usize {
    let rows = batch.num_rows();
    let text = |offsets: &[i32]| (offsets[rows] - offsets[0]) as usize + 4 * rows;
    let column = |column: &ArrayRef| match column.data_type() {
        DataType::Utf8 => text(column.as_string::<i32>().value_offsets()),
        DataType::Binary => text(column.as_binary::<i32>().value_offsets()),
        DataType::Dictionary(..) => rows,
        _ => 8 * rows,
    };
    batch.columns().iter().map(column).sum()
}

/// The lines in a text; the last one may lack its newline.
fn lines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count() + (!text.ends_with(b"\n")) as usize
}

fn texts(raw: &RecordBatch) -> &BinaryArray {
    raw.column(3).as_binary::<i32>()
}

fn split_rows(batch: &RecordBatch, at: usize) -> (RecordBatch, RecordBatch) {
    (batch.slice(0, at), batch.slice(at, batch.num_rows() - at))
}

/// Splits raw text behind its first `count` lines, of which it has more.
fn split_text(raw: &RecordBatch, count: usize) -> Result<(RecordBatch, RecordBatch)> {
    let mut left = count;
    let text = texts(raw);
    for row in 0..raw.num_rows() {
        let here = lines(text.value(row));
        if here < left {
            left -= here;
            continue;
        }
        if here == left {
            return Ok(split_rows(raw, row + 1));
        }
        let newline = memchr::memchr_iter(b'\n', text.value(row)).nth(left - 1);
        let cut = newline.expect("a line that is not the last one has a newline") + 1;
        let (before, at, behind) =
            (raw.slice(0, row), raw.slice(row, 1), raw.slice(row + 1, raw.num_rows() - row - 1));
        let (first, second) = cut_row(&at, cut, left).map_err(unfit)?;
        return Ok((join(vec![before, first])?, join(vec![second, behind])?));
    }
    Err(Error::internal("a text was to be split behind its end"))
}

/// Cuts one row of raw text at a byte, behind `lines` lines, without copying the text.
fn cut_row(row: &RecordBatch, cut: usize, lines: usize) -> Result<(RecordBatch, RecordBatch), ArrowError> {
    let text = texts(row);
    let begin = text.value_offsets()[0] as usize;
    let length = text.value(0).len();
    let part = |from: usize, to: usize| {
        let values = text.values().slice_with_length(begin + from, to - from);
        BinaryArray::try_new(OffsetBuffer::from_lengths([to - from]), values, None)
    };
    let offset = row.column(1).as_primitive::<Int64Type>().value(0);
    let line = row.column(2).as_primitive::<Int64Type>();
    let line = line.is_valid(0).then(|| line.value(0));
    let make = |offset: i64, line: Option<i64>, text: BinaryArray| {
        let columns: Vec<ArrayRef> = vec![
            row.column(0).clone(),
            Arc::new(Int64Array::from_iter_values([offset])),
            Arc::new(Int64Array::from_iter([line])),
            Arc::new(text),
        ];
        RecordBatch::try_new(row.schema(), columns)
    };
    Ok((
        make(offset, line, part(0, cut)?)?,
        make(offset + cut as i64, line.map(|line| line + lines as i64), part(cut, length)?)?,
    ))
}

/// Puts batches of the same columns behind each other.
fn join(mut parts: Vec<RecordBatch>) -> Result<RecordBatch> {
    if parts.len() > 1 {
        parts.retain(|part| part.num_rows() > 0);
    }
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let first = parts.first().ok_or_else(|| Error::internal("a batch was to be made of nothing"))?;
    let encoded = |part: &RecordBatch| {
        part.columns().iter().any(|column| matches!(column.data_type(), DataType::Dictionary(..)))
    };
    if !parts.iter().any(encoded) {
        return concat_batches(&first.schema(), &parts).map_err(unfit);
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (at, field) in first.schema().fields().iter().enumerate() {
        let pieces: Vec<&ArrayRef> = parts.iter().map(|part| part.column(at)).collect();
        let column = dictionary::join(&pieces).map_err(unfit)?;
        fields.push(Field::new(field.name(), column.data_type().clone(), field.is_nullable()));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(unfit)
}

fn unfit(error: ArrowError) -> Error {
    Error::internal("batches of one link do not fit together").with_source(error)
}

mod dictionary;
#[cfg(test)]
mod tests;
