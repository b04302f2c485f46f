//! Stages that sleep: `slow_end`, `slow_numbers`, `slow_sink`.

use std::thread;
use std::time::{Duration, Instant};

use modular_runtime::{
    Output, Polled, Progress, RecordBatch, Result, Sink, Source, State, Transform, Written,
};
use serde_json::Value;

use crate::numbers::Numbers;

/// For how long to sleep.
#[derive(Clone, Copy)]
pub(crate) struct Rest(Duration);

impl Rest {
    /// As the configuration says.
    pub(crate) fn of(config: &Value) -> Self {
        Self(Duration::from_millis(config["sleep_ms"].as_u64().unwrap_or_default()))
    }

    /// Sleeps.
    pub(crate) fn sleep(self) {
        if !self.0.is_zero() {
            thread::sleep(self.0);
        }
    }
}

/// Sleeps for its state and at its end.
pub(crate) struct SlowEnd(pub(crate) Rest);

impl Transform for SlowEnd {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        out.emit(batch);
        Ok(())
    }

    fn finish(&mut self, _: &mut Output) -> Result<()> {
        self.0.sleep();
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        self.0.sleep();
        Ok(State::new())
    }
}

/// Sleeps before it goes on.
pub(crate) struct SlowNumbers(pub(crate) Numbers, pub(crate) Rest);

impl Source for SlowNumbers {
    fn poll(&mut self, until: Instant) -> Result<Polled> {
        let polled = self.0.poll(until)?;
        if matches!(polled, Polled::Batch(_)) {
            self.1.sleep();
        }
        Ok(polled)
    }

    fn progress(&self) -> Progress {
        self.0.progress()
    }

    fn snapshot(&mut self) -> Result<State> {
        self.1.sleep();
        self.0.snapshot()
    }
}

/// Sleeps per batch and when it prepares.
pub(crate) struct SlowSink(pub(crate) Rest);

impl Sink for SlowSink {
    fn write(&mut self, _: RecordBatch, _: &mut Written) -> Result<()> {
        self.0.sleep();
        Ok(())
    }

    fn prepare(&mut self) -> Result<()> {
        self.0.sleep();
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }
}
