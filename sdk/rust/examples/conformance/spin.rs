//! The transform `spin`, which computes for a known time.

use std::sync::Arc;
use std::time::Duration;

use modular_runtime::arrow::array::Int64Array;
use modular_runtime::arrow::schema::{DataType, Field, Schema, SchemaRef};
use modular_runtime::env::Clock;
use modular_runtime::{Error, Output, RecordBatch, Result};

use crate::defect;

/// What it gives.
pub(crate) fn columns() -> SchemaRef {
    let s = Field::new("s", DataType::Utf8, true);
    Arc::new(Schema::new(vec![s, Field::new("wall", DataType::Int64, false)]))
}

/// Computes for so long per event, or once per batch.
pub(crate) struct Spin {
    clock: Arc<dyn Clock>,
    cpu: Duration,
    is_batch: bool,
}

impl Spin {
    pub(crate) fn new(clock: Arc<dyn Clock>, cpu: Duration, is_batch: bool) -> Self {
        Self { clock, cpu, is_batch }
    }

    /// Answers a batch.
    pub(crate) fn process(&self, batch: &RecordBatch, out: &mut Output) -> Result<()> {
        let column = |name| batch.column_by_name(name).cloned();
        let texts = column("s").ok_or_else(|| Error::invalid("the stage needs a column `s`"))?;
        let spun = |row| if self.is_batch && row > 0 { 0 } else { self.spun().as_nanos() as i64 };
        let walls = Int64Array::from_iter_values((0..batch.num_rows()).map(spun));
        let texts = match texts.data_type() {
            DataType::Utf8 => texts,
            _ => return Err(Error::invalid("the column `s` is no plain string")),
        };
        out.emit(RecordBatch::try_new(columns(), vec![texts, Arc::new(walls)]).map_err(defect)?);
        Ok(())
    }

    fn spun(&self) -> Duration {
        let (begin, cpu) = (self.clock.now(), self.clock.thread_cpu());
        while self.clock.thread_cpu() - cpu < self.cpu {
            std::hint::spin_loop();
        }
        self.clock.now() - begin
    }
}
