//! The account of a served stage's time, told to the runtime.
//!
//! A stage may have several threads, each with a loop and a ledger of its own: what is told is their sum, which only grows.

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
    /// Whether there are ledgers: without, only CPU time is told.
    measured: bool,
    /// Each loop so far, as of when it last said how it spent its time.
    loops: Mutex<Vec<Row>>,
}

impl Account {
    pub(super) fn new(clock: Arc<dyn Clock>, guest: &Guest) -> Self {
        Self { clock, measured: !guest.opened_with().unmeasured, loops: Mutex::default() }
    }

    /// The ledger of one thread, this one, begun now with sending.
    pub(super) fn open(&self) -> Loop<'_> {
        let ledger = match self.measured {
            true => Ledger::open(self.clock.clone(), 1),
            false => Ledger::off(1),
        };
        let at = {
            let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
            loops.push(Row::default());
            loops.len() - 1
        };
        let mut time = Loop { account: self, at, ledger, cpu_before: Duration::ZERO, told: self.clock.now() };
        time.move_here();
        time.enter(Activity::Send);
        time
    }

    /// Tells the runtime how the time of all threads was spent, as far as they have said.
    pub(super) fn tell(&self, guest: &Guest, (bytes_read, bytes_total): (u64, u64)) -> Result<()> {
        // Held until it is told: a later sum is told later.
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = Row::default();
        loops.iter().for_each(|row| sum.add(row));
        let spent = Activity::ALL.map(|activity| sum.spent(activity));
        let activity = modrun_wire::Activity { spent, cpu: sum.cpu, bytes_read, bytes_total };
        guest.say(&FromStage::Activity(activity))
    }
}

/// The ledger of one thread.
pub(super) struct Loop<'a> {
    account: &'a Account,
    at: usize,
    ledger: Ledger,
    cpu_before: Duration,
    told: Instant,
}

impl Loop<'_> {
    /// From here on it is this thread's.
    pub(super) fn move_here(&mut self) {
        self.cpu_before = self.account.clock.thread_cpu();
    }

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

    /// Tells the runtime how the stage's time was spent so far, and how far a source has come.
    pub(super) fn tell(&mut self, guest: &Guest, bytes: (u64, u64)) -> Result<()> {
        self.note();
        self.account.tell(guest, bytes)
    }

    /// The thread has ended.
    pub(super) fn close(mut self) {
        self.note();
    }

    fn note(&mut self) {
        let row = self.ledger.so_far().remove(0);
        // An account that is off has no CPU time either.
        let cpu = self.account.clock.thread_cpu().saturating_sub(self.cpu_before);
        let spent = Activity::ALL.map(|activity| row.spent(activity));
        let mut loops = self.account.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops[self.at] = Row::new(spent, cpu);
    }
}
