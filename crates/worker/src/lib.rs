//! The loop that runs one chain of stages and keeps its ledger.
//!
//! What it is: a [`Chain`] is the stages that one thread carries a batch through, while it is in cache. A [`Worker`]
//! feeds a chain from an [`Inlet`] and hands what comes out to an [`Outlet`].
//!
//! Guarantees: every moment of the loop is in exactly one cell of the [`Ledger`]: starvation belongs to the head of
//! the chain, back-pressure to its tail. What a batch causes leaves under the batch's number, dead letters included.
//! Once the loop is told to stop, it ends as if its source had ended.
//!
//! Refuses: deciding anything. Which stages form a chain, how many workers run it and when the results get their
//! final name is the runtime's.
//!
//! ```text
//!   Inlet              Chain                        Outlet
//!   shared source, ──▶ json ▶ filter ▶ aggregate ─▶ link, process,
//!   link, process      (or none: it forwards)       or the pipeline's end
//! ```
//!
//! Neighbours: `modrun-link` below, `modrun-runtime` above.

mod chain;
mod inlet;
mod live;
mod outlet;
mod serve;

pub use chain::{Chain, Operator, Prepared, Step, Tally};
pub use inlet::{Inlet, SharedHost, SharedSource};
pub use live::{Link, Live, StageNow};
pub use outlet::{Outlet, Sent, SetAside};
pub use serve::{ServeOptions, serve};

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow_array::RecordBatch;
use modrun_core::env::Env;
use modrun_core::{Activity, DeadLetter, Error, Ledger, Reads, Result, Row, Seq, StageId, State, Transform};

use modrun_link::Closed;

use inlet::Incoming;

/// Opens the head of a chain once the partial states of the workers before it are there.
pub type Merge = Box<dyn FnOnce(Vec<State>) -> Result<Box<dyn Transform>> + Send>;

/// One stage loop.
pub struct Worker {
    /// Time.
    pub env: Env,
    /// What others may see of the run while it runs.
    pub live: Arc<Live>,
    /// Whether it keeps a ledger.
    pub measured: bool,
    /// Where its batches come from.
    pub inlet: Inlet,
    /// What it carries them through.
    pub chain: Chain,
    /// Where they go.
    pub outlet: Outlet,
    /// Whether the last stage of the chain is one of several partial instances, whose state goes to the outlet.
    pub partial: bool,
    /// What merges the partial states that come in.
    pub merge: Option<Merge>,
}

/// What a stage loop leaves behind when it has come to its end.
pub struct Finished {
    /// The stages in the order of the chain: time and counts.
    pub stages: Vec<(Step, Row, Tally)>,
    /// The time of a loop without a stage, which forwards from process to process.
    pub forwarding: Option<Row>,
    /// The sink, if the chain has one: prepared, not committed.
    pub sink: Option<Prepared>,
    /// From its beginning to its end; the ledger's rows add up to it.
    pub lifetime: Duration,
    /// How often its ledger has read the clocks.
    pub reads: Reads,
}

impl Finished {
    /// Whether the stage at this position is in its chain.
    pub fn runs(&self, stage: usize) -> bool {
        self.stages.iter().any(|(step, ..)| step.id == StageId(stage))
    }
}

impl Worker {
    /// Runs to the end of the input.
    pub fn run(mut self) -> Result<Finished> {
        // A loop that only forwards, from process to process, has a row of its own.
        let rows = self.chain.len().max(1);
        let mut ledger =
            if self.measured { Ledger::open(self.env.clock.clone(), rows) } else { Ledger::off(rows) };
        let begin = ledger.since().unwrap_or_else(|| self.env.clock.now());
        let (stages, counts) = self.chain.seen();
        self.live.show_loop(stages, ledger.watch(), counts);
        let tail = self.chain.len().saturating_sub(1);
        let mut partials = Vec::new();
        let end = loop {
            match self.inlet.next(&self.env, self.outlet.deadline(), &mut ledger)? {
                Incoming::Batches { seq, rows, dead_letters } => {
                    let mut passage = self.chain.carry(rows, &mut ledger)?;
                    passage.dead_letters.splice(0..0, dead_letters);
                    self.outlet.deliver(seq, passage, self.inlet.has_more(), tail, &mut ledger)?;
                    self.live.events.fetch_add(self.chain.take_events(), Ordering::Relaxed);
                }
                Incoming::Partial(state) => partials.push(state),
                Incoming::Idle if self.outlet.deadline().is_some() => {
                    self.outlet.deliver(Seq::default(), Passage::default(), false, tail, &mut ledger)?;
                }
                Incoming::Idle => {}
                Incoming::End(seq) => break seq,
            }
        };
        self.end(end, partials, tail, &mut ledger)?;
        self.outlet.finish(tail, &mut ledger)?;
        let (steps, tallies, sink) = self.chain.close();
        let rows = ledger.so_far();
        let lifetime = ledger.since().unwrap_or_else(|| self.env.clock.now()) - begin;
        let reads = ledger.reads();
        let forwarding = steps.is_empty().then(|| rows[0]);
        let stages = steps.into_iter().zip(rows).zip(tallies).map(|((step, row), tally)| (step, row, tally));
        Ok(Finished { stages: stages.collect(), forwarding, sink, lifetime, reads })
    }

    /// The input has ended: hands on what the stages held back.
    fn end(&mut self, seq: Seq, partials: Vec<State>, tail: usize, ledger: &mut Ledger) -> Result<()> {
        if let Some(merge) = self.merge.take() {
            ledger.enter(0, Activity::Process);
            self.chain.replace_head(merge(partials)?);
        }
        if self.partial {
            let state = self.chain.snapshot(ledger)?;
            return self.outlet.deliver_partial(seq, state, tail, ledger);
        }
        let passage = self.chain.finish(ledger)?;
        self.outlet.deliver(seq, passage, false, tail, ledger)
    }
}

/// Whether a loop ended only because the loop at the other end of its link had failed.
pub fn is_consequence(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<Closed>())
}

/// What came out of a chain: batches behind its last stage, and dead letters.
#[derive(Debug, Default)]
pub struct Passage {
    rows: Vec<RecordBatch>,
    dead_letters: Vec<(StageId, DeadLetter)>,
}
