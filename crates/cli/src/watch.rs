//! What goes on beside a run: progress is shown, and a signal stops it.
//!
//! ```text
//!   main: the run ─────────────────────────────▶ outcome
//!           ▲ live.stop      │ live.events, live.bytes_read
//!   watch: ─┴─ every TICK ◀──┴─▶ progress on standard error
//! ```
//!
//! A run that does not come to its end [`DRAIN_MAX`] after the signal is given up: the process ends.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use modrun_runtime::Live;

use crate::failure::INTERRUPTED;
use crate::progress::Progress;
use crate::show;
use crate::signals::Signals;

/// How often it looks.
const TICK: Duration = Duration::from_millis(50);
/// How long a stopped run may take to carry what it has read to the end.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What is watched.
pub(crate) struct Watch<'a> {
    pub(crate) live: &'a Live,
    pub(crate) signals: &'a Signals,
    pub(crate) progress: &'a Progress,
}

impl Watch<'_> {
    /// Does `work` and watches it until it is done.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let (working, done) = mpsc::channel::<()>();
            scope.spawn(move || self.until(&done));
            let result = work();
            drop(working);
            result
        })
    }

    fn until(&self, done: &mpsc::Receiver<()>) {
        let progress = self.progress;
        let mut stopped: Option<Instant> = None;
        while done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            match stopped {
                None if self.signals.came() || progress.wants_stop() => {
                    self.signals.came_otherwise();
                    progress.clear();
                    show::note("stopping: what was read is carried to the end; Ctrl-C again ends at once");
                    self.live.stop.store(true, Ordering::Relaxed);
                    stopped = Some(Instant::now());
                }
                Some(at) if at.elapsed() > DRAIN_MAX => {
                    show::note(format!(
                        "interrupted: not at the end after {} s; what was written so far is in files \
                         that end in `.partial`",
                        DRAIN_MAX.as_secs()
                    ));
                    std::process::exit(INTERRUPTED.into());
                }
                Some(_) => {}
                None => progress.show(self.live),
            }
        }
        progress.clear();
    }
}
