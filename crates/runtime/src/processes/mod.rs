//! The processes of a run: started before it, watched during it, ended with it.
//!
//! Guarantees: no stage gets more of this process than its socket, its two segments, pipes for its log and the
//! environment variables of the allow-list. A start that fails for one process waits for no other. Whatever happens,
//! every process has ended and is reaped when [`Processes`] is dropped; if this program is killed, the kernel kills them.
//!
//! ```text
//!   Plan ──start──▶ socket, segments, process ──Open, the source last──▶ Ready ──▶ the run ──Done──▶ Commit ──▶ exit
//!                                     └─ stdout, stderr ──▶ log
//! ```

mod logs;
mod start;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use modrun_core::env::{Clock, Env};
use modrun_core::{Code, Concurrency, CpuSeconds, Error, Result, Role, StageId};
use modrun_link::{Gone, Host};
use modrun_plan::{Plan, PlannedStage};
use modrun_shm::Child;
use modrun_wire::Open;
use modrun_worker::is_consequence;

use logs::Tail;
pub use logs::{Level, Log, LogLine};

use crate::system;

/// The position of the source in a pipeline.
const SOURCE: usize = 0;
/// How long a process may take to end by itself once it has nothing more to do.
const END_MAX: Duration = Duration::from_secs(5);
/// How long a process whose socket broke off may take until it can be said how it ended.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);
/// How long a sink may take to give its results their final name.
const COMMIT_MAX: Duration = Duration::from_secs(30);

/// How the processes of a run are started.
pub(crate) struct Setting {
    /// Workers of a built-in stage.
    pub(crate) workers: usize,
    /// What is done with the lines that they write.
    pub(crate) log: Log,
    /// The command that runs a built-in kind.
    pub(crate) built_in: Vec<String>,
    /// Whether they keep ledgers.
    pub(crate) measured: bool,
}

/// All processes of one run.
pub(crate) struct Processes {
    env: Env,
    by_stage: BTreeMap<usize, Vec<Process>>,
}

/// One process of a stage.
struct Process {
    name: String,
    host: Host,
    child: Child,
    tail: Arc<Tail>,
    /// What it is still to be opened with.
    open: Option<Open>,
    sdk: String,
    /// Loops that run the stage in it.
    loops: usize,
    /// CPU time that it had used when it was ready.
    cpu_at_ready: Duration,
    /// When that was: what it says of its time begins there.
    ready_at: Option<Instant>,
}

/// What one stage's processes have used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// CPU time since they were ready.
    pub(crate) cpu: CpuSeconds,
    /// Largest resident memory of one of them, in bytes.
    pub(crate) peak_rss_bytes: u64,
    /// The SDK, as it names itself.
    pub(crate) sdk: String,
    /// Loops in all of them.
    pub(crate) loops: usize,
    /// Time that these loops had spent when the last process of the run was ready.
    pub(crate) early: Duration,
}

impl Processes {
    /// Starts every stage of `plan` that runs as a process, and waits until all are ready.
    pub(crate) fn start(plan: &Plan, env: &Env, setting: &Setting) -> Result<Self> {
        let mut processes = Self { env: env.clone(), by_stage: BTreeMap::new() };
        for at in 0..plan.stages.len() {
            let started = start::stage(plan, at, env, setting)?;
            if !started.is_empty() {
                processes.by_stage.insert(at, started);
            }
        }
        processes.all_ready(plan)?;
        Ok(processes)
    }

    /// Waits until all are ready; as soon as one of them fails, for no other. The source is opened when all others are
    /// ready: what it did before would be in no account.
    fn all_ready(&mut self, plan: &Plan) -> Result<()> {
        let (close, clock, limit) = (&self.closer(), &self.env.clock, plan.limits.start);
        let until = clock.now() + limit;
        let source: Vec<&mut Process> = self.by_stage.get_mut(&SOURCE).into_iter().flatten().collect();
        let opens: Vec<_> = source
            .into_iter()
            .filter_map(|process| Some((process.host.clone(), process.open.take()?)))
            .collect();
        let open_source = &|| {
            opens.iter().try_for_each(|(host, open)| match host.open(open.clone()) {
                // One that has gone is heard of where it is awaited, with how it ended.
                Err(error) if gone(&error).is_some() => Ok(()),
                opened => opened,
            })
        };
        let others =
            self.by_stage.iter().filter(|&(&at, _)| at != SOURCE).map(|(_, replicas)| replicas.len()).sum();
        let others = &AtomicUsize::new(others);
        if others.load(Ordering::Relaxed) == 0 {
            open_source()?;
        }
        let mut heard: Vec<Result<()>> = thread::scope(|scope| {
            let mut threads = Vec::new();
            for (&at, replicas) in &mut self.by_stage {
                let count = replicas.len();
                let until = if at == SOURCE { until + limit } else { until };
                let hear = move |process: &mut Process| {
                    let heard = process.hear_ready(plan, (at, count), until, &**clock).and_then(|()| {
                        let last = at != SOURCE && others.fetch_sub(1, Ordering::Relaxed) == 1;
                        if last { open_source() } else { Ok(()) }
                    });
                    heard.inspect_err(|_| close()).map_err(|error| explain(process, error))
                };
                threads.extend(replicas.iter_mut().map(|process| scope.spawn(move || hear(process))));
            }
            let defect = |_| Err(Error::internal("a thread that waits for a process panicked"));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(defect)).collect()
        });
        // Those for which nobody waited any more fail too: the cause is the error that is no consequence.
        heard.sort_by_key(|heard| heard.as_ref().err().is_some_and(is_consequence));
        heard.into_iter().collect()
    }

    /// The runtime's ends of a stage, if it runs as processes.
    pub(crate) fn hosts(&self, stage: usize) -> Option<Vec<Host>> {
        Some(self.by_stage.get(&stage)?.iter().map(|process| process.host.clone()).collect())
    }

    /// What closes every socket, so that whoever waits on one fails.
    pub(crate) fn closer(&self) -> impl Fn() + Send + Sync + use<> {
        let hosts: Vec<Host> = self.by_stage.values().flatten().map(|process| process.host.clone()).collect();
        move || hosts.iter().for_each(Host::close)
    }

    /// What a stage's processes have used so far.
    pub(crate) fn usage(&self, stage: usize) -> Option<Usage> {
        let mut usage = Usage::default();
        let all_ready = self.by_stage.values().flatten().filter_map(|process| process.ready_at).max();
        for process in self.by_stage.get(&stage)? {
            let cpu = system::process_cpu(process.child.pid()).saturating_sub(process.cpu_at_ready);
            let (user, all) = system::process_ticks(process.child.pid());
            let user = cpu.as_secs_f64() * if all > 0 { user as f64 / all as f64 } else { 1.0 };
            usage.cpu.user += user;
            usage.cpu.system += cpu.as_secs_f64() - user;
            usage.peak_rss_bytes =
                usage.peak_rss_bytes.max(system::peak_rss_bytes(Some(process.child.pid())).unwrap_or(0));
            usage.sdk.clone_from(&process.sdk);
            usage.loops += process.loops;
            let early = all_ready.zip(process.ready_at).map(|(all, own)| all - own).unwrap_or_default();
            usage.early += early * process.loops as u32;
        }
        Some(usage)
    }

    /// Gives the results of a sink that is a process their final name.
    pub(crate) fn commit(&self, sink: usize) -> Result<()> {
        for process in self.by_stage.get(&sink).into_iter().flatten() {
            let until = self.env.clock.now() + COMMIT_MAX;
            process.host.commit(until).map_err(|error| explain(process, error))?;
        }
        Ok(())
    }

    /// Adds to an error that a process caused how the process ended and what it said last.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let Some(Gone(StageId(at))) = gone(&error) else { return error };
        match self.by_stage.get(&at).and_then(|replicas| replicas.first()) {
            Some(process) => explain(process, error),
            None => error,
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.closer()();
        let (begun, others): (Vec<_>, Vec<_>) =
            self.by_stage.values().flatten().partition(|process| process.ready_at.is_some());
        for process in others {
            // It may not have come to reading its socket, and has nothing to lose.
            let _ = process.child.kill();
        }
        let until = self.env.clock.now() + END_MAX;
        for process in begun {
            // One that does not end by itself is killed when its handle is dropped.
            let _ = process.child.wait_for(until.saturating_duration_since(self.env.clock.now()));
        }
    }
}

impl Process {
    /// Sends it what it is opened with.
    fn open(&mut self) -> Result<()> {
        let open = self.open.take().map_or(Ok(()), |open| self.host.open(open));
        open.map_err(|error| explain(self, error))
    }

    /// Waits until it is ready, and sees whether it is what the plan counts on: the stage `at`, in so many replicas.
    fn hear_ready(
        &mut self,
        plan: &Plan,
        (at, replicas): (usize, usize),
        until: Instant,
        clock: &dyn Clock,
    ) -> Result<()> {
        let Some(ready) = self.host.ready(until)? else {
            let limit = plan.limits.start.as_secs_f64();
            return Err(Error::unavailable(format!("it was not ready within {limit} s"))
                .with_code(Code::START)
                .with_hint("`limits.start` gives it more time")
                .with_source(self.tail.words())
                .in_stage(&self.name));
        };
        self.cpu_at_ready = system::process_cpu(self.child.pid());
        self.ready_at = Some(clock.now());
        check_ready(&plan.stages[at], at, plan.stages.len(), replicas, &ready)?;
        self.sdk = ready.sdk;
        Ok(())
    }
}

/// The mark of an error after which a process has to be looked at.
fn gone(error: &Error) -> Option<Gone> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(gone) = error.downcast_ref::<Gone>() {
            return Some(*gone);
        }
        cause = error.source();
    }
    None
}

fn explain(process: &Process, error: Error) -> Error {
    if gone(&error).is_none() {
        return error;
    }
    let broke_off = error.code() == Some(Code::PROCESS_ENDED);
    let exit = process.child.wait_for(LAST_WORDS_MAX).ok().flatten();
    process.tail.wait_for_end(LAST_WORDS_MAX);
    let what = match (broke_off, exit) {
        (false, _) if process.tail.is_empty() => return error,
        (false, _) => return error.with_hint(format!("its last words: {}", process.tail.words())),
        (true, Some(exit)) => format!("its process ended before its work was done: {exit}"),
        (true, None) => "its process closed its socket before its work was done".to_owned(),
    };
    Error::stage(what)
        .with_code(Code::PROCESS_ENDED)
        .with_source(process.tail.words())
        .in_stage(&process.name)
}

/// Whether what a stage says of itself is what the plan counts on.
fn check_ready(
    stage: &PlannedStage,
    at: usize,
    stages: usize,
    replicas: usize,
    ready: &modrun_wire::Ready,
) -> Result<()> {
    let wrong = |what: String| Err(Error::invalid(what).with_code(Code::PROTOCOL).in_stage(&stage.name));
    if ready.protocol != start::PROTOCOL {
        let (is, should) = (ready.protocol, start::PROTOCOL);
        return wrong(format!("it speaks version {is} of the stage protocol, this command speaks {should}"));
    }
    let role = match at {
        0 => Role::Source,
        at if at + 1 == stages => Role::Sink,
        _ => Role::Transform,
    };
    if ready.role != role {
        let name = |role| match role {
            Role::Source => "source",
            Role::Transform => "transform",
            Role::Sink => "sink",
        };
        return wrong(format!(
            "its program is a {}, its place is that of a {}",
            name(ready.role),
            name(role)
        ));
    }
    if replicas > 1 && ready.concurrency != Concurrency::Stateless {
        return wrong(
            "`parallelism` starts it several times, but its program needs all batches in order".into(),
        );
    }
    if let (Some(declared), Some(planned)) = (&ready.output, &stage.bound.output) {
        let planned = modrun_wire::Schema::of(planned)
            .map_err(|error| Error::internal("a plan has columns of no link type").with_source(error))?;
        if *declared != planned {
            let (declared, planned) = (start::columns(declared), start::columns(&planned));
            let hint = format!("if the program is right: `out: {{{declared}}}` in the stage");
            return Err(Error::invalid(format!(
                "its program hands on `{declared}`, the pipeline expects `{planned}`"
            ))
            .with_code(Code::PROTOCOL)
            .with_hint(hint)
            .in_stage(&stage.name));
        }
    }
    Ok(())
}
