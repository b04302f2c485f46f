//! From a plan to stage loops: which stages form a chain, and how many workers run it.
//!
//! ```text
//!   source ▶ stateless… ▶ mergeable │ merge ▶ rest… ▶ sink
//!   └──── head: one loop a worker ──┘ └── tail: one loop ──┘
//!                               ordered link
//! ```
//!
//! With one worker, or where the stage behind the source needs all batches in order, there is one loop for all.

use std::sync::{Arc, Mutex, PoisonError};

use modrun_core::env::Env;
use modrun_core::{Concurrency, Error, Open, OpenContext, Result, StageId, State, Transform, Written};
use modrun_link::ordered;
use modrun_plan::{Plan, PlannedStage};
use modrun_worker::{Chain, Inlet, Live, Merge, Operator, Outlet, SharedSource, Step, Worker};

use crate::dead_letters::DeadLetters;

/// How many batches each worker may be ahead of the oldest one.
const CREDIT_PER_WORKER: usize = 4;

/// Builds the stage loops of one run.
pub(crate) struct Assembly {
    pub(crate) plan: Arc<Plan>,
    pub(crate) env: Env,
    pub(crate) live: Arc<Live>,
    pub(crate) workers: usize,
    pub(crate) dead_letters: Arc<Mutex<DeadLetters>>,
}

impl Assembly {
    /// The loops, the last one with the sink. Opens every stage, so that what cannot be opened ends the run here.
    pub(crate) fn loops(&self, written: Written) -> Result<Vec<Worker>> {
        let stages = &self.plan.stages;
        let source = Arc::new(self.source(&stages[0])?);
        let (shared, partial) = shared_stages(&self.plan);
        if self.workers == 1 || shared == 1 {
            let chain = self.chain(0..stages.len(), None, Some(written))?;
            return Ok(vec![self.worker(Inlet::Source(source), chain, self.end(), false, None)]);
        }
        let (sender, receiver) = ordered(self.workers * CREDIT_PER_WORKER);
        let mut loops = Vec::new();
        for _ in 0..self.workers {
            let outlet = Outlet::Link { link: sender.clone(), tail: shared - 1 };
            let chain = self.chain(0..shared, None, None)?;
            loops.push(self.worker(Inlet::Source(source.clone()), chain, outlet, partial, None));
        }
        sender.finish();
        let (first, merge) =
            if partial { (shared - 1, Some(self.merge(shared - 1))) } else { (shared, None) };
        let chain = self.chain(first..stages.len(), merge.as_ref().map(|_| first), Some(written))?;
        loops.push(self.worker(Inlet::Link(receiver), chain, self.end(), false, merge));
        Ok(loops)
    }

    fn worker(
        &self,
        inlet: Inlet,
        chain: Chain,
        outlet: Outlet,
        partial: bool,
        merge: Option<Merge>,
    ) -> Worker {
        Worker { env: self.env.clone(), live: self.live.clone(), inlet, chain, outlet, partial, merge }
    }

    fn source(&self, stage: &PlannedStage) -> Result<SharedSource> {
        let Open::Source(open) = &stage.bound.open else { return Err(misplaced(stage)) };
        let source = open(self.context()).map_err(|error| error.in_stage(&stage.name))?;
        Ok(SharedSource::new(&stage.name, source, self.live.clone()))
    }

    /// A chain of the stages in `range`; the one at `merged` is opened later, the sink accounts to `written`.
    fn chain(
        &self,
        range: std::ops::Range<usize>,
        merged: Option<usize>,
        written: Option<Written>,
    ) -> Result<Chain> {
        let mut written = written;
        let mut chain = Vec::new();
        for at in range {
            let stage = &self.plan.stages[at];
            let named = |error: Error| error.in_stage(&stage.name);
            let operator = match &stage.bound.open {
                Open::Elsewhere(_) => return Err(misplaced(stage)),
                Open::Source(_) => Operator::Source,
                Open::Transform(_) if merged == Some(at) => Operator::Merge,
                Open::Transform(open) => {
                    Operator::Transform(open(self.context()).map_err(named)?, stage.bound.concurrency)
                }
                Open::Sink(open) => {
                    let written = written.take().ok_or_else(|| misplaced(stage))?;
                    Operator::Sink(open(self.context()).map_err(named)?, written)
                }
            };
            chain.push((Step { id: StageId(at), name: stage.name.clone() }, operator));
        }
        Ok(Chain::new(chain))
    }

    fn merge(&self, at: usize) -> Merge {
        let (plan, context) = (self.plan.clone(), self.context());
        Box::new(move |states: Vec<State>| -> Result<Box<dyn Transform>> {
            let stage = &plan.stages[at];
            let Open::Transform(open) = &stage.bound.open else { return Err(misplaced(stage)) };
            open(OpenContext { states, ..context }).map_err(|error| error.in_stage(&stage.name))
        })
    }

    fn end(&self) -> Outlet {
        let (plan, dead_letters) = (self.plan.clone(), self.dead_letters.clone());
        Outlet::End(Box::new(move |StageId(at), letter| {
            let mut dead_letters = dead_letters.lock().unwrap_or_else(PoisonError::into_inner);
            dead_letters.add(&plan.stages[at].name, letter)
        }))
    }

    fn context(&self) -> OpenContext {
        OpenContext { env: self.env.clone(), limits: self.plan.limits.stage, states: Vec::new() }
    }
}

/// How many stages from the source on several workers may run, and whether the last of them is a partial instance.
fn shared_stages(plan: &Plan) -> (usize, bool) {
    for (at, stage) in plan.stages.iter().enumerate().skip(1) {
        match (&stage.bound.open, stage.bound.concurrency) {
            (Open::Transform(_), Concurrency::Stateless) => {}
            (Open::Transform(_), Concurrency::Mergeable) => return (at + 1, true),
            _ => return (at, false),
        }
    }
    (plan.stages.len(), false)
}

fn misplaced(stage: &PlannedStage) -> Error {
    Error::internal(format!("stage `{}` stands where a plan never puts its kind", stage.name))
}
