//! Ctrl-C and its kin: the first asks the run to stop, the second ends the process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::INTERRUPTED;

/// Whether a signal has come.
#[derive(Debug)]
pub(crate) struct Signals {
    came: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn register() -> io::Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal passes the shutdown and arms it for the second.
            flag::register_conditional_shutdown(signal, INTERRUPTED.into(), came.clone())?;
            flag::register(signal, came.clone())?;
        }
        Ok(Self { came })
    }

    /// Something else has asked for the same: the next signal ends the process.
    pub(crate) fn came_otherwise(&self) {
        self.came.store(true, Ordering::Relaxed);
    }

    /// Whether one has come.
    pub(crate) fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}
