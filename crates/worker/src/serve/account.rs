//! The account of a served stage's time, told to the runtime.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use modrun_core::env::Clock;
use modrun_core::{Activity, Ledger, Result, Row};
use modrun_link::Guest;
use modrun_wire::FromStage;

/// How often the runtime hears of it while the stage works.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// The ledgers of all threads of a stage.
pub(super) struct Account {
    clock: Arc<dyn Clock>,
    closed: Mutex<Row>,
}

impl Account {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, closed: Mutex::default() }
    }

    /// The ledger of one thread, begun now.
    pub(super) fn open(&self) -> Loop<'_> {
        let now = self.clock.now();
        Loop { account: self, ledger: Ledger::open(self.clock.clone(), 1), told: now }
    }
}

/// The ledger of one thread.
pub(super) struct Loop<'a> {
    account: &'a Account,
    ledger: Ledger,
    told: Instant,
}

impl Loop<'_> {
    pub(super) fn enter(&mut self, activity: Activity) {
        self.ledger.enter(0, activity);
    }

    /// Of the current activity, `waited` was waiting for input.
    pub(super) fn starved_for(&mut self, waited: Duration) {
        self.ledger.starved_for(waited);
    }

    /// Whether the runtime should hear of it again.
    pub(super) fn is_due(&mut self) -> bool {
        let now = self.account.clock.now();
        let due = now - self.told >= TOLD_EVERY;
        if due {
            self.told = now;
        }
        due
    }

    /// Tells the runtime how this thread's time was spent so far, and how far a source has come.
    pub(super) fn tell(&mut self, guest: &Guest, bytes: (u64, u64)) -> Result<()> {
        self.account.say(guest, self.ledger.so_far().remove(0), bytes)
    }

    /// The thread has ended.
    pub(super) fn close(self) {
        let row = self.ledger.close().remove(0);
        self.account.closed.lock().unwrap_or_else(PoisonError::into_inner).add(&row);
    }
}

impl Account {
    /// Tells the runtime how the time of all threads that have ended was spent.
    pub(super) fn tell(&self, guest: &Guest, bytes: (u64, u64)) -> Result<()> {
        let closed = *self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        self.say(guest, closed, bytes)
    }

    fn say(&self, guest: &Guest, row: Row, (bytes_read, bytes_total): (u64, u64)) -> Result<()> {
        let spent = Activity::ALL.map(|activity| row.spent(activity));
        let activity = modrun_wire::Activity { spent, cpu: row.cpu, bytes_read, bytes_total };
        guest.say(&FromStage::Activity(activity))
    }
}
