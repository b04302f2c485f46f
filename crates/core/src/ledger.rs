//! The account of a stage loop's time: at every moment exactly one stage in exactly one activity.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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

    /// Its word, as in the report.
    pub fn name(self) -> &'static str {
        match self {
            Activity::Receive => "receive",
            Activity::Decode => "decode",
            Activity::Process => "process",
            Activity::Encode => "encode",
            Activity::Send => "send",
            Activity::Starved => "starved",
            Activity::Backpressured => "backpressured",
        }
    }
}

/// The time of one stage within one loop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    spent: [Duration; Activity::ALL.len()],
    /// CPU time of the thread while it was this stage's turn.
    pub cpu: Duration,
}

impl Row {
    /// A row of times by activity, in the order of [`Activity::ALL`], and CPU time.
    pub fn new(spent: [Duration; Activity::ALL.len()], cpu: Duration) -> Self {
        Self { spent, cpu }
    }

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
/// lifetime. A clock is read per change: change per batch, never per event.
///
/// One that is off reads no clock and gives empty rows: what it costs is the difference.
#[derive(Debug)]
pub struct Ledger {
    cells: Arc<Cells>,
    current: (usize, Activity),
    /// Unless it is off.
    clocks: Option<Clocks>,
}

#[derive(Debug)]
struct Clocks {
    clock: Arc<dyn Clock>,
    since: Instant,
    cpu_since: Duration,
    reads: Reads,
}

/// How often a ledger has read its clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// The time.
    pub time: u64,
    /// The thread's CPU time.
    pub cpu: u64,
}

impl Clocks {
    fn now(&mut self) -> Instant {
        self.reads.time += 1;
        self.clock.now()
    }

    /// CPU time since the last call.
    fn take_cpu(&mut self) -> Duration {
        self.reads.cpu += 1;
        let cpu = self.clock.thread_cpu();
        cpu.saturating_sub(std::mem::replace(&mut self.cpu_since, cpu))
    }
}

impl Ledger {
    /// Opens the account of a loop over `stages` stages, at the first one, starved.
    ///
    /// # Panics
    /// If `stages` is 0: a loop without a stage has no time to account for.
    pub fn open(clock: Arc<dyn Clock>, stages: usize) -> Self {
        let (since, cpu_since) = (clock.now(), clock.thread_cpu());
        let cells = Arc::new(Cells::new(stages, Some(since)));
        let reads = Reads { time: 1, cpu: 1 };
        let clocks = Some(Clocks { clock, since, cpu_since, reads });
        Self { cells, current: (0, Activity::Starved), clocks }
    }

    /// No account of a loop over `stages` stages.
    ///
    /// # Panics
    /// If `stages` is 0.
    pub fn off(stages: usize) -> Self {
        Self { cells: Arc::new(Cells::new(stages, None)), current: (0, Activity::Starved), clocks: None }
    }

    /// What others may see of it while the loop runs.
    pub fn watch(&self) -> Watch {
        Watch(self.cells.clone())
    }

    /// From now on it is `stage`'s turn (its position in the chain), in `activity`.
    pub fn enter(&mut self, stage: usize, activity: Activity) {
        let Some(clocks) = &mut self.clocks else { return };
        let now = clocks.now();
        let (before, doing) = self.current;
        self.cells.add(before, doing, now - std::mem::replace(&mut clocks.since, now));
        if stage != before {
            self.cells.add_cpu(before, clocks.take_cpu());
        }
        self.current = (stage, activity);
        self.cells.begin(self.current, now);
    }

    /// Of the time in the current cell, or spent in it before, `waited` was waiting for input.
    pub fn starved_for(&mut self, waited: Duration) {
        let (stage, activity) = self.current;
        self.enter(stage, activity);
        self.cells.move_to_starved(stage, activity, waited);
    }

    /// What the rows of all stages have come to by now: they add up to the time since it was opened.
    pub fn so_far(&mut self) -> Vec<Row> {
        let (stage, activity) = self.current;
        self.enter(stage, activity);
        if let Some(clocks) = &mut self.clocks {
            self.cells.add_cpu(stage, clocks.take_cpu());
        }
        self.cells.rows()
    }

    /// When the activity that it is in began, unless it is off.
    pub fn since(&self) -> Option<Instant> {
        self.clocks.as_ref().map(|clocks| clocks.since)
    }

    /// How often it has read its clocks.
    pub fn reads(&self) -> Reads {
        self.clocks.as_ref().map(|clocks| clocks.reads).unwrap_or_default()
    }
}

/// A loop's account as another thread sees it while it is kept: a display's worth of truth.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Cells>);

impl Watch {
    /// The rows of all stages at `now`, with the activity that has not ended; CPU time is that of ended turns.
    pub fn rows(&self, now: Instant) -> Vec<Row> {
        let mut rows = self.0.rows();
        if let Some((stage, activity, since)) = self.0.current() {
            rows[stage].spent[activity as usize] += now.saturating_duration_since(since);
        }
        rows
    }
}

/// The cells of a loop's account: one thread writes, others may read. Nanoseconds.
#[derive(Debug)]
struct Cells {
    rows: Vec<RowCells>,
    /// When the account began, if it did.
    origin: Option<Instant>,
    /// The stage times the number of activities, plus the activity.
    current: AtomicUsize,
    /// When that began, since `origin`.
    since: AtomicU64,
}

#[derive(Debug, Default)]
struct RowCells {
    spent: [AtomicU64; Activity::ALL.len()],
    cpu: AtomicU64,
}

impl Cells {
    fn new(stages: usize, origin: Option<Instant>) -> Self {
        assert!(stages > 0, "a stage loop has at least one stage");
        let rows = (0..stages).map(|_| RowCells::default()).collect();
        let current = AtomicUsize::new(Activity::Starved as usize);
        Self { rows, origin, current, since: AtomicU64::new(0) }
    }

    fn add(&self, stage: usize, activity: Activity, spent: Duration) {
        add(&self.rows[stage].spent[activity as usize], spent);
    }

    fn add_cpu(&self, stage: usize, cpu: Duration) {
        add(&self.rows[stage].cpu, cpu);
    }

    fn begin(&self, (stage, activity): (usize, Activity), now: Instant) {
        let since = self.origin.map(|origin| now - origin).unwrap_or_default();
        self.since.store(since.as_nanos() as u64, Ordering::Relaxed);
        self.current.store(stage * Activity::ALL.len() + activity as usize, Ordering::Relaxed);
    }

    fn move_to_starved(&self, stage: usize, from: Activity, waited: Duration) {
        let cell = &self.rows[stage].spent[from as usize];
        let before = cell.load(Ordering::Relaxed);
        let waited = before.min(waited.as_nanos() as u64);
        cell.store(before - waited, Ordering::Relaxed);
        self.add(stage, Activity::Starved, Duration::from_nanos(waited));
    }

    fn current(&self) -> Option<(usize, Activity, Instant)> {
        let origin = self.origin?;
        let current = self.current.load(Ordering::Relaxed);
        let (stage, activity) = (current / Activity::ALL.len(), current % Activity::ALL.len());
        let since = Duration::from_nanos(self.since.load(Ordering::Relaxed));
        Some((stage, Activity::ALL[activity], origin + since))
    }

    fn rows(&self) -> Vec<Row> {
        let duration = |cell: &AtomicU64| Duration::from_nanos(cell.load(Ordering::Relaxed));
        let row = |row: &RowCells| Row { spent: row.spent.each_ref().map(duration), cpu: duration(&row.cpu) };
        self.rows.iter().map(row).collect()
    }
}

/// Adds to a cell that only this thread writes: a plain sum, no bus is locked.
fn add(cell: &AtomicU64, more: Duration) {
    cell.store(cell.load(Ordering::Relaxed) + more.as_nanos() as u64, Ordering::Relaxed);
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
        let rows = ledger.so_far();

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
    fn who_watches_sees_the_activity_that_has_not_ended() {
        let (world, ms) = (Memory::default(), Duration::from_millis);
        let env = world.env();
        let mut ledger = Ledger::open(env.clock.clone(), 2);
        let watch = ledger.watch();
        ledger.enter(1, Activity::Process);
        world.pass(ms(4), ms(4));
        assert_eq!(watch.rows(env.clock.now())[1].spent(Activity::Process), ms(4));
        ledger.enter(1, Activity::Send);
        world.pass(ms(2), ms(0));
        let rows = watch.rows(env.clock.now());
        assert_eq!((rows[1].spent(Activity::Process), rows[1].spent(Activity::Send)), (ms(4), ms(2)));
    }

    #[test]
    fn one_that_is_off_reads_no_clock() {
        let mut ledger = Ledger::off(2);
        ledger.enter(1, Activity::Process);
        assert_eq!(ledger.since(), None);
        ledger.starved_for(Duration::from_millis(1));
        assert_eq!(ledger.reads(), Reads::default());
        assert_eq!(ledger.so_far(), [Row::default(); 2]);
    }

    #[test]
    fn waiting_inside_a_poll_is_starvation() {
        let world = Memory::default();
        let ms = Duration::from_millis;
        let mut ledger = Ledger::open(world.env().clock, 1);
        ledger.enter(0, Activity::Process);
        world.pass(ms(10), ms(1));
        ledger.starved_for(ms(9));
        let rows = ledger.so_far();
        assert_eq!((rows[0].spent(Activity::Process), rows[0].spent(Activity::Starved)), (ms(1), ms(9)));
    }
}
