//! Choosing rows of a batch: those that go on, and those that are set aside.

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::ArrowError;
use arrow_select::filter::FilterBuilder;
use modrun_core::{DeadLetter, Error, Output, Payload, Result};

use modrun_core::value::ndjson;

/// Hands on the rows that `mask` selects, if there are any; null selects nothing. Returns how many there are.
pub(crate) fn keep(batch: RecordBatch, mask: &BooleanArray, out: &mut Output) -> Result<usize> {
    let mut filter = FilterBuilder::new(mask);
    if batch.num_columns() > 1 {
        filter = filter.optimize();
    }
    let filter = filter.build();
    match filter.count() {
        0 => {}
        kept if kept == batch.num_rows() => out.emit(batch),
        _ => out.emit(filter.filter_record_batch(&batch).map_err(defect)?),
    }
    Ok(filter.count())
}

/// Makes a dead letter of each row of `errors`, with its columns.
pub(crate) fn set_aside(
    batch: &RecordBatch,
    errors: impl IntoIterator<Item = (usize, String)>,
    out: &mut Output,
) {
    for (row, cause) in errors {
        let payload = Payload::Event(ndjson::event(batch, row));
        out.dead_letter(DeadLetter {
            reason: "expression".into(),
            cause,
            detail: None,
            origin: None,
            payload,
        });
    }
}

/// Bits that are set for all rows but `failed`.
pub(crate) fn sound(rows: usize, failed: impl IntoIterator<Item = usize>) -> BooleanBuffer {
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, true);
    for row in failed {
        bits.set_bit(row, false);
    }
    bits.finish()
}

/// Arrow refused what the types of this crate rule out.
pub(crate) fn defect(error: ArrowError) -> Error {
    Error::internal("a batch could not be put together").with_source(error)
}

#[cfg(test)]
pub(crate) mod tests;
