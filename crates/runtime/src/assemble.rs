//! From a plan to stage loops: which stages form a chain, how many workers run it, and what joins the chains.
//!
//! A stage that is a process stands alone; the stages between two of them form a span.
//!
//! ```text
//!                  ┌──────────────── span ────────────────┐
//!   source or ──▶  │ stateless… ▶ mergeable │ merge ▶ rest… │ ──▶ sink or
//!   process        │ heads: one loop a worker│ tail: one loop│     process
//!                  └─────────────── ordered link ───────────┘
//! ```
//!
//! With one worker, or where the first stage of a span needs all batches in order, there is one loop for all of it. A
//! span without stages, between two processes, is a loop that forwards.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use modrun_core::env::Env;
use modrun_core::{
    Carrier, Concurrency, Error, Open, OpenContext, Result, StageId, State, Transform, Written,
};
use modrun_link::{Host, HostReceiver, HostSender, Traffic, ordered};
use modrun_plan::{Plan, PlannedStage, Program};
use modrun_worker::{
    Chain, Inlet, Link, Live, Merge, Operator, Outlet, SetAside, SharedHost, SharedSource, Step, Worker,
};

use crate::dead_letters::DeadLetters;
use crate::processes::Processes;

/// How many batches each worker may be ahead of the oldest one.
const CREDIT_PER_WORKER: usize = 4;

/// Builds the stage loops of one run.
pub(crate) struct Assembly<'a> {
    pub(crate) plan: Arc<Plan>,
    pub(crate) env: Env,
    pub(crate) live: Arc<Live>,
    pub(crate) workers: usize,
    pub(crate) dead_letters: Arc<Mutex<DeadLetters>>,
    pub(crate) processes: &'a Processes,
    /// Whether the loops keep ledgers.
    pub(crate) measured: bool,
}

/// The stage loops of one run, in the order of the data, and what comes from its processes.
pub(crate) struct Loops {
    pub(crate) workers: Vec<Worker>,
    /// By stage.
    pub(crate) hosts: Vec<Arc<SharedHost>>,
    /// In the order of the data.
    pub(crate) links: Vec<Link>,
}

/// Where a span's batches come from, for each of its loops.
enum Entry {
    Source(Arc<SharedSource>),
    Host(Arc<SharedHost>),
}

impl Entry {
    fn inlet(&self) -> Inlet {
        match self {
            Entry::Source(source) => Inlet::Source(source.clone()),
            Entry::Host(host) => Inlet::Host(host.clone()),
        }
    }
}

impl Assembly<'_> {
    /// The loops, the last one with the end of the pipeline. Opens every stage that runs here, so that what cannot be
    /// opened ends the run here.
    pub(crate) fn loops(&self, written: Written) -> Result<Loops> {
        let stages = &self.plan.stages;
        let mut loops = Loops { workers: Vec::new(), hosts: Vec::new(), links: Vec::new() };
        let (mut at, mut written) = (0, Some(written));
        loop {
            let (entry, first) = match self.process(at) {
                Some(host) => {
                    loops.hosts.push(host.clone());
                    (Entry::Host(host), at + 1)
                }
                None => (Entry::Source(Arc::new(self.source(&stages[at])?)), at),
            };
            let behind = (first..stages.len()).find(|&at| stages[at].program != Program::Here);
            let span = first..behind.unwrap_or(stages.len());
            self.span(&entry, span, behind, &mut written, &mut loops)?;
            match behind {
                Some(next) if next + 1 < stages.len() => at = next,
                _ => return Ok(loops),
            }
        }
    }

    /// What comes from a stage, if it is a process.
    fn process(&self, at: usize) -> Option<Arc<SharedHost>> {
        let hosts = self.processes.hosts(at)?;
        let receiver = HostReceiver::new(hosts, self.plan.limits.stage.line_bytes as usize);
        Some(Arc::new(SharedHost::new(receiver, self.live.clone())))
    }

    /// The loops of one span; `behind` is the process behind it, if there is one.
    fn span(
        &self,
        entry: &Entry,
        span: Range<usize>,
        behind: Option<usize>,
        written: &mut Option<Written>,
        loops: &mut Loops,
    ) -> Result<()> {
        if let (Entry::Host(host), false) = (entry, span.is_empty()) {
            let received = host.receiver().hosts().iter().map(|host| host.traffic().1).collect();
            loops.links.push(link(
                host.receiver().stage().0,
                span.start,
                Carrier::Process,
                received,
                Vec::new(),
            ));
        }
        self.span_loops(entry, &span, behind, written, loops)?;
        if let Some(hosts) = behind.and_then(|at| self.processes.hosts(at)) {
            let sent = hosts.iter().map(|host| host.traffic().0).collect();
            loops.links.push(link(span.end - 1, span.end, Carrier::Process, sent, hosts));
        }
        Ok(())
    }

    fn span_loops(
        &self,
        entry: &Entry,
        span: &Range<usize>,
        behind: Option<usize>,
        written: &mut Option<Written>,
        loops: &mut Loops,
    ) -> Result<()> {
        let outlet = self.outlet(span, behind, loops)?;
        let (shared, partial) = self.shared(span);
        let with_source = matches!(entry, Entry::Source(_)) as usize;
        if self.workers == 1 || shared <= span.start + with_source {
            let chain = self.chain(span.clone(), None, written)?;
            loops.workers.push(self.worker(entry.inlet(), chain, outlet, false, None));
            return Ok(());
        }
        let (sender, receiver) = ordered(self.workers * CREDIT_PER_WORKER);
        for _ in 0..self.workers {
            let chain = self.chain(span.start..shared, None, &mut None)?;
            let link = Outlet::Link(sender.clone());
            loops.workers.push(self.worker(entry.inlet(), chain, link, partial, None));
        }
        sender.finish();
        let (first, merge) =
            if partial { (shared - 1, Some(self.merge(shared - 1))) } else { (shared, None) };
        let chain = self.chain(first..span.end, merge.as_ref().map(|_| first), written)?;
        let traffic = if self.measured { Traffic::on() } else { Traffic::default() };
        loops.links.push(link(shared - 1, first, Carrier::Memory, vec![traffic.clone()], Vec::new()));
        loops.workers.push(self.worker(Inlet::Link(receiver, traffic), chain, outlet, false, merge));
        Ok(())
    }

    fn outlet(&self, span: &Range<usize>, behind: Option<usize>, loops: &mut Loops) -> Result<Outlet> {
        let Some(at) = behind else { return Ok(Outlet::End(self.set_aside())) };
        let hosts = self.processes.hosts(at).ok_or_else(|| misplaced(&self.plan.stages[at]))?;
        // What leaves a span has the policy of its last stage, or of the process before it.
        let policy = self.plan.stages[span.end - 1].batch;
        let sender = HostSender::new(hosts, policy, self.env.clock.clone());
        if at + 1 < self.plan.stages.len() {
            return Ok(Outlet::Host(sender));
        }
        let sink = self.process(at).ok_or_else(|| misplaced(&self.plan.stages[at]))?;
        loops.hosts.push(sink.clone());
        Ok(Outlet::Sink(sender, sink, self.set_aside()))
    }

    fn worker(
        &self,
        inlet: Inlet,
        chain: Chain,
        outlet: Outlet,
        partial: bool,
        merge: Option<Merge>,
    ) -> Worker {
        let (env, live, measured) = (self.env.clone(), self.live.clone(), self.measured);
        Worker { env, live, measured, inlet, chain, outlet, partial, merge }
    }

    fn source(&self, stage: &PlannedStage) -> Result<SharedSource> {
        let Open::Source(open) = &stage.bound.open else { return Err(misplaced(stage)) };
        let source = open(self.context()).map_err(|error| error.in_stage(&stage.name))?;
        Ok(SharedSource::new(&stage.name, source, self.live.clone()))
    }

    /// A chain of the stages in `range`; the one at `merged` is opened later, the sink accounts to `written`.
    fn chain(
        &self,
        range: Range<usize>,
        merged: Option<usize>,
        written: &mut Option<Written>,
    ) -> Result<Chain> {
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

    fn set_aside(&self) -> SetAside {
        let (plan, dead_letters) = (self.plan.clone(), self.dead_letters.clone());
        Box::new(move |StageId(at), letter| {
            let mut dead_letters = dead_letters.lock().unwrap_or_else(PoisonError::into_inner);
            dead_letters.add(&plan.stages[at].name, letter)
        })
    }

    fn context(&self) -> OpenContext {
        OpenContext { env: self.env.clone(), limits: self.plan.limits.stage, states: Vec::new() }
    }

    /// Where the stages of a span end that several workers may run, and whether the last of them is a partial
    /// instance.
    fn shared(&self, span: &Range<usize>) -> (usize, bool) {
        for at in span.clone() {
            let bound = &self.plan.stages[at].bound;
            match (&bound.open, bound.concurrency) {
                (Open::Source(_), _) | (Open::Transform(_), Concurrency::Stateless) => {}
                (Open::Transform(_), Concurrency::Mergeable) => return (at + 1, true),
                _ => return (at, false),
            }
        }
        (span.end, false)
    }
}

fn link(from: usize, to: usize, carrier: Carrier, traffic: Vec<Traffic>, hosts: Vec<Host>) -> Link {
    Link { from: StageId(from), to: StageId(to), carrier, traffic, hosts }
}

fn misplaced(stage: &PlannedStage) -> Error {
    Error::internal(format!("stage `{}` stands where a plan never puts its kind", stage.name))
}
