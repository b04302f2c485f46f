//! The account of a stage loop's time: at every moment exactly one stage in exactly one activity.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::env::Clock;

/// What a stage loop is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Taking a message from a link, once it is there.
    Receive,
    /// Turning bytes of a link into batches.
    Decode,
    /// The stage's own work, reading and writing of files included.
    Process,
    /// Turning batches into bytes for a link.
    Encode,
    /// Handing a message to a link, once there is credit.
    Send,
    /// Waiting for input.
    Starved,
    /// Waiting for credit.
    Backpressured,
}

impl Activity {
    /// All activities, in the order of the report.
    pub const ALL: [Activity; 7] = [
        Activity::Receive,
        Activity::Decode,
        Activity::Process,
        Activity::Encode,
        Activity::Send,
        Activity::Starved,
        Activity::Backpressured,
    ];
}

/// The time of one stage within one loop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    spent: [Duration; Activity::ALL.len()],
    /// CPU time of the thread while it was this stage's turn.
    pub cpu: Duration,
}

impl Row {
    /// Time spent in `activity`.
    pub fn spent(&self, activity: Activity) -> Duration {
        self.spent[activity as usize]
    }

    /// Time in all activities.
    pub fn total(&self) -> Duration {
        self.spent.iter().sum()
    }

    /// Adds another loop's time of the same stage.
    pub fn add(&mut self, other: &Row) {
        for (mine, theirs) in self.spent.iter_mut().zip(other.spent) {
            *mine += theirs;
        }
        self.cpu += other.cpu;
    }
}

/// The running account of one stage loop over the stages of its chain.
///
/// [`Ledger::enter`] closes the cell before and opens the next, so that the cells always add up to the loop's
/// lifetime. Two clocks are read per change: change per batch, never per event.
#[derive(Debug)]
pub struct Ledger {
    clock: Arc<dyn Clock>,
    rows: Vec<Row>,
    current: (usize, Activity),
    since: Instant,
    cpu_since: Duration,
}

impl Ledger {
    /// Opens the account of a loop over `stages` stages, at the first one, starved.
    ///
    /// # Panics
    /// If `stages` is 0: a loop without a stage has no time to account for.
    pub fn open(clock: Arc<dyn Clock>, stages: usize) -> Self {
        assert!(stages > 0, "a stage loop has at least one stage");
        let (since, cpu_since) = (clock.now(), clock.thread_cpu());
        Self { clock, rows: vec![Row::default(); stages], current: (0, Activity::Starved), since, cpu_since }
    }

    /// From now on it is `stage`'s turn (its position in the chain), in `activity`.
    pub fn enter(&mut self, stage: usize, activity: Activity) {
        let now = self.clock.now();
        let (row, doing) = (&mut self.rows[self.current.0], self.current.1);
        row.spent[doing as usize] += now - self.since;
        if stage != self.current.0 {
            let cpu = self.clock.thread_cpu();
            row.cpu += cpu.saturating_sub(self.cpu_since);
            self.cpu_since = cpu;
        }
        self.since = now;
        self.current = (stage, activity);
    }

    /// Of the time in the current cell, or spent in it before, `waited` was waiting for input.
    pub fn starved_for(&mut self, waited: Duration) {
        let (stage, activity) = self.current;
        self.enter(stage, activity);
        let row = &mut self.rows[stage];
        let waited = waited.min(row.spent(activity));
        row.spent[activity as usize] -= waited;
        row.spent[Activity::Starved as usize] += waited;
    }

    /// What the row of `stage` has come to by now.
    pub fn so_far(&mut self, stage: usize) -> Row {
        let (at, activity) = self.current;
        self.enter(at, activity);
        let mut row = self.rows[stage];
        if at == stage {
            row.cpu += self.clock.thread_cpu().saturating_sub(self.cpu_since);
        }
        row
    }

    /// Closes the account: one row per stage of the chain, adding up to the loop's lifetime.
    pub fn close(mut self) -> Vec<Row> {
        let stage = self.current.0;
        self.enter(stage, Activity::Starved);
        self.rows[stage].cpu += self.clock.thread_cpu().saturating_sub(self.cpu_since);
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Memory;

    #[test]
    fn every_moment_belongs_to_exactly_one_cell() {
        let world = Memory::default();
        let pass = |wall, cpu| world.pass(Duration::from_millis(wall), Duration::from_millis(cpu));
        let mut ledger = Ledger::open(world.env().clock, 2);
        pass(5, 0);
        ledger.enter(0, Activity::Process);
        pass(10, 9);
        ledger.enter(1, Activity::Process);
        pass(20, 18);
        ledger.enter(1, Activity::Send);
        pass(3, 2);
        ledger.enter(0, Activity::Starved);
        pass(2, 0);
        let rows = ledger.close();

        let ms = Duration::from_millis;
        assert_eq!(rows[0].spent(Activity::Starved), ms(7));
        assert_eq!(rows[0].spent(Activity::Process), ms(10));
        assert_eq!(rows[0].cpu, ms(9));
        assert_eq!(rows[1].spent(Activity::Process), ms(20));
        assert_eq!(rows[1].spent(Activity::Send), ms(3));
        assert_eq!(rows[1].cpu, ms(20));
        assert_eq!(rows[0].total() + rows[1].total(), ms(40));
    }

    #[test]
    fn waiting_inside_a_poll_is_starvation() {
        let world = Memory::default();
        let ms = Duration::from_millis;
        let mut ledger = Ledger::open(world.env().clock, 1);
        ledger.enter(0, Activity::Process);
        world.pass(ms(10), ms(1));
        ledger.starved_for(ms(9));
        let rows = ledger.close();
        assert_eq!((rows[0].spent(Activity::Process), rows[0].spent(Activity::Starved)), (ms(1), ms(9)));
    }
}
