//! Where this process's time goes, each activity apart.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::proto::StageReport;

/// What a moment is spent on.
#[derive(Debug, Clone, Copy)]
pub enum Activity {
    /// The stage's own work.
    Process,
    /// Messages to bytes.
    Serialise,
    /// Bytes to the kernel.
    Write,
    /// Bytes from the kernel.
    Read,
    /// Bytes to messages.
    Deserialise,
    /// Asleep: nothing to read, nothing may be written.
    Waiting,
}

/// Totals of time and traffic; see [`LEDGER`].
#[derive(Debug)]
pub struct Ledger {
    nanos: [AtomicU64; 6],
    events_in: AtomicU64,
    events_out: AtomicU64,
    batches_in: AtomicU64,
    batches_out: AtomicU64,
    rejected: AtomicU64,
    report: OnceLock<StageReport>,
}

/// The one ledger of this process.
pub static LEDGER: Ledger = Ledger {
    nanos: [const { AtomicU64::new(0) }; 6],
    events_in: AtomicU64::new(0),
    events_out: AtomicU64::new(0),
    batches_in: AtomicU64::new(0),
    batches_out: AtomicU64::new(0),
    rejected: AtomicU64::new(0),
    report: OnceLock::new(),
};

impl Ledger {
    /// Runs `work` and adds its wall time to `activity`.
    pub fn time<T>(&self, activity: Activity, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(activity, start.elapsed());
        result
    }

    /// Counts a batch of `events` that came in.
    pub fn count_in(&self, events: usize) {
        self.batches_in.fetch_add(1, Relaxed);
        self.events_in.fetch_add(events as u64, Relaxed);
    }

    /// Counts a batch of `events` that went out.
    pub fn count_out(&self, events: usize) {
        self.batches_out.fetch_add(1, Relaxed);
        self.events_out.fetch_add(events as u64, Relaxed);
    }

    /// Counts malformed lines.
    pub fn count_rejected(&self, events: usize) {
        self.rejected.fetch_add(events as u64, Relaxed);
    }

    /// The report on the closed [`Window`].
    pub fn report(&self) -> Option<StageReport> {
        self.report.get().copied()
    }

    fn close(&self, window: &Window) -> StageReport {
        let seconds = |activity| Some(self.seconds(activity));
        StageReport {
            events_in: self.events_in.load(Relaxed),
            events_out: self.events_out.load(Relaxed),
            batches_in: self.batches_in.load(Relaxed),
            batches_out: self.batches_out.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            window_seconds: window.start.elapsed().as_secs_f64(),
            process_seconds: seconds(Activity::Process),
            serialise_seconds: seconds(Activity::Serialise),
            write_seconds: seconds(Activity::Write),
            read_seconds: seconds(Activity::Read),
            deserialise_seconds: seconds(Activity::Deserialise),
            waiting_seconds: Some(self.seconds(Activity::Waiting) - window.waited_before),
        }
    }

    fn add(&self, activity: Activity, time: Duration) {
        self.nanos[activity as usize].fetch_add(time.as_nanos() as u64, Relaxed);
    }

    fn seconds(&self, activity: Activity) -> f64 {
        self.nanos[activity as usize].load(Relaxed) as f64 / 1e9
    }
}

/// The time in which a stage's stream is open: from creation to drop, which leaves the report.
///
/// Waiting before and after it is nobody's.
#[derive(Debug)]
pub struct Window {
    start: Instant,
    waited_before: f64,
}

impl Window {
    /// Opens the window now.
    pub fn open() -> Self {
        Self { start: Instant::now(), waited_before: LEDGER.seconds(Activity::Waiting) }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // Only the first stream counts: a service serves one run.
        let _ = LEDGER.report.set(LEDGER.close(self));
    }
}

/// A single-threaded runtime that enters its sleep into [`LEDGER`] as [`Activity::Waiting`].
///
/// One thread is enough for a service that is one of five on few cores, and makes its waiting exact.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    thread_local! {
        static PARKED: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(|| PARKED.set(Some(Instant::now())))
        .on_thread_unpark(|| {
            if let Some(start) = PARKED.take() {
                LEDGER.add(Activity::Waiting, start.elapsed());
            }
        })
        .build()
}
