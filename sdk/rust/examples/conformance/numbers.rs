//! The sources `numbers`, `endless` and `fail_source`.

use std::sync::Arc;
use std::time::Instant;

use modular_runtime::arrow::array::cast::AsArray;
use modular_runtime::arrow::array::types::Int64Type;
use modular_runtime::arrow::array::{ArrayRef, Int64Array, StringArray};
use modular_runtime::arrow::schema::{DataType, Field, Schema, SchemaRef};
use modular_runtime::{Error, Polled, Progress, RecordBatch, Result, Source, State};

use crate::defect;

/// Rows that are handed over at once.
pub(crate) const ROWS: i64 = 1000;

/// Numbers from 0 on.
pub(crate) struct Numbers {
    next: i64,
    end: i64,
    fail: Option<i64>,
    rows: i64,
}

/// Its columns.
pub(crate) fn columns() -> SchemaRef {
    let n = Field::new("n", DataType::Int64, false);
    Arc::new(Schema::new(vec![n, Field::new("s", DataType::Utf8, false)]))
}

impl Numbers {
    /// Goes on where `states` say, so many `rows` at once; ends before `end`, and fails at `fail`.
    pub(crate) fn open(states: &[State], end: i64, fail: Option<i64>, rows: i64) -> Self {
        let next = states.iter().flatten().next();
        let next = next.map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0));
        Self { next, end, fail, rows }
    }
}

impl Source for Numbers {
    fn poll(&mut self, _: Instant) -> Result<Polled> {
        if self.fail == Some(self.next) {
            return Err(Error::stage("dry"));
        }
        let end = self.end.min(self.next + self.rows).min(self.fail.unwrap_or(i64::MAX));
        if end <= self.next {
            return Ok(Polled::End);
        }
        let numbers = Int64Array::from_iter_values(self.next..end);
        let texts = StringArray::from_iter_values(numbers.values().iter().map(|n| format!("s{}", n % 10)));
        self.next += numbers.len() as i64;
        RecordBatch::try_new(columns(), vec![Arc::new(numbers), Arc::new(texts)])
            .map(Polled::Batch)
            .map_err(defect)
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn snapshot(&mut self) -> Result<State> {
        let next: ArrayRef = Arc::new(Int64Array::from(vec![self.next]));
        Ok(vec![RecordBatch::try_from_iter([("next", next)]).map_err(defect)?])
    }
}
