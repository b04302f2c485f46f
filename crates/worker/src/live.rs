//! What others may see of a run while it runs, and how they tell it to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use modrun_core::{Carrier, Row, StageId, Watch};
use modrun_link::{Carried, Host, Traffic};

use crate::{SharedHost, Tally};

/// A run while it runs.
#[derive(Default)]
pub struct Live {
    /// Events that entered the pipeline.
    pub events: AtomicU64,
    /// Dead letters so far.
    pub dead_letters: AtomicU64,
    /// Bytes that the source has read.
    pub bytes_read: AtomicU64,
    /// Bytes that it will have read at the end; 0 where that is not known.
    pub bytes_total: AtomicU64,
    /// Set to end the input early; what was read is still carried to the end.
    pub stop: AtomicBool,
    /// Whether that left some of the input unread.
    pub cut_short: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    loops: Vec<LoopSeen>,
    hosts: Vec<Weak<SharedHost>>,
    links: Vec<Link>,
}

#[derive(Debug)]
struct LoopSeen {
    stages: Vec<StageId>,
    watch: Watch,
    counts: Arc<[Counts]>,
}

/// A link between two stages, and the account of what it carries.
#[derive(Clone)]
pub struct Link {
    /// The stage that sends.
    pub from: StageId,
    /// The stage that receives.
    pub to: StageId,
    /// What carries it.
    pub carrier: Carrier,
    /// One account for each of the stage's processes, or the only one.
    pub traffic: Vec<Traffic>,
    /// The processes that it leads to.
    pub hosts: Vec<Host>,
}

impl Link {
    /// What it has carried so far.
    pub fn carried(&self) -> Carried {
        let mut all = Carried::default();
        self.traffic.iter().for_each(|traffic| all.add(&traffic.so_far()));
        all
    }

    /// Batches on their way to a process, and how many there may be.
    pub fn queue(&self) -> (usize, usize) {
        self.hosts.iter().map(Host::in_flight).fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    }
}

/// One stage at a moment of the run.
#[derive(Clone, Debug, Default)]
pub struct StageNow {
    /// Its position in the pipeline.
    pub id: StageId,
    /// Loops or processes that run it.
    pub loops: usize,
    /// Their time so far. What a process says of itself comes about once a second.
    pub row: Row,
    /// What it has done so far.
    pub tally: Tally,
}

impl Live {
    /// The stages at `now`, in the order of the data, and the links with what they have carried so far.
    pub fn observe(&self, now: Instant) -> (Vec<StageNow>, Vec<(Link, Carried)>) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stages: Vec<StageNow> = Vec::new();
        let mut stage = |id: StageId, row: &Row, tally: &Tally, loops| {
            let at = stages.iter().position(|stage| stage.id == id).unwrap_or_else(|| {
                stages.push(StageNow { id, ..StageNow::default() });
                stages.len() - 1
            });
            stages[at].row.add(row);
            stages[at].tally.add(tally);
            stages[at].loops += loops;
        };
        for LoopSeen { stages, watch, counts } in &seen.loops {
            for ((id, row), counts) in stages.iter().zip(watch.rows(now)).zip(counts.iter()) {
                stage(*id, &row, &counts.tally(), 1);
            }
        }
        for host in seen.hosts.iter().filter_map(Weak::upgrade) {
            let activities = host.receiver().activities();
            let row = activities.iter().fold(Row::default(), |mut sum, activity| {
                sum.add(&Row::new(activity.spent, activity.cpu));
                sum
            });
            stage(host.receiver().stage(), &row, &Tally::from(host.passed()), activities.len());
        }
        stages.sort_by_key(|stage| stage.id);
        let links = seen.links.iter().map(|link| (link.clone(), link.carried())).collect();
        (stages, links)
    }

    /// From now on, these processes and links can be seen.
    pub fn show(&self, hosts: &[Arc<SharedHost>], links: &[Link]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.hosts = hosts.iter().map(Arc::downgrade).collect();
        seen.links = links.to_vec();
    }

    pub(crate) fn show_loop(&self, stages: Vec<StageId>, watch: Watch, counts: Arc<[Counts]>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.loops.push(LoopSeen { stages, watch, counts });
    }
}

/// The counts of one stage within one loop: one thread writes, others may read.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) events_in: Count,
    pub(crate) batches_in: Count,
    pub(crate) filtered: Count,
    pub(crate) dead_letters: Count,
}

impl Counts {
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            events_in: self.events_in.get(),
            batches_in: self.batches_in.get(),
            filtered: self.filtered.get(),
            dead_letters: self.dead_letters.get(),
        }
    }
}

/// A sum that only one thread adds to: no bus is locked.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.get() + more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
