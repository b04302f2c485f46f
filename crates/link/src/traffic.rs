//! What a link has carried, and how long it took from sending a batch until its credit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

/// Two digits of a time are exact, as the report says.
const DIGITS: u8 = 2;

/// The running account of a link. Clones share it; one that is off counts nothing and asks for no clock.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Option<Arc<Mutex<Carried>>>);

/// What a link has carried so far.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Batches that have their credit.
    pub batches: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of their payloads; 0 within a process.
    pub bytes: u64,
    /// From sending until credit, in nanoseconds, weighted by rows.
    pub latency: Histogram<u64>,
}

impl Default for Carried {
    fn default() -> Self {
        let latency = Histogram::new(DIGITS).expect("so many digits are allowed");
        Self { batches: 0, rows: 0, bytes: 0, latency }
    }
}

impl Carried {
    /// Adds what another link of the same stages has carried.
    pub fn add(&mut self, other: &Carried) {
        self.batches += other.batches;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.latency.add(&other.latency).expect("a histogram grows with what it is given");
    }
}

impl Traffic {
    /// An account that counts.
    pub fn on() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether it counts.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A batch has its credit, `took` after it was sent.
    pub fn passed(&self, rows: u64, bytes: u64, took: Duration) {
        let Some(mut carried) = self.lock() else { return };
        carried.batches += 1;
        carried.rows += rows;
        carried.bytes += bytes;
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        carried.latency.record_n(nanos, rows).expect("a histogram grows with what it is given");
    }

    /// What was carried so far.
    pub fn so_far(&self) -> Carried {
        self.lock().map(|carried| carried.clone()).unwrap_or_default()
    }

    fn lock(&self) -> Option<MutexGuard<'_, Carried>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_weighted_by_rows() {
        let (one, other) = (Traffic::on(), Traffic::on());
        one.passed(90, 10, Duration::from_micros(10));
        other.passed(9, 5, Duration::from_micros(1000));
        other.passed(1, 5, Duration::from_secs(1));
        let mut both = one.so_far();
        both.add(&other.so_far());
        assert_eq!((both.batches, both.rows, both.bytes), (3, 100, 20));
        let micros = |quantile| both.latency.value_at_quantile(quantile) as f64 / 1e3;
        for (quantile, expected) in [(0.5, 10.0), (0.9, 10.0), (0.99, 1000.0), (1.0, 1e6)] {
            assert!((micros(quantile) / expected - 1.0).abs() < 0.01, "{quantile}: {}", micros(quantile));
        }
    }

    #[test]
    fn one_that_is_off_counts_nothing() {
        let off = Traffic::default();
        off.passed(1, 1, Duration::ZERO);
        assert_eq!(off.so_far().batches, 0);
    }
}
