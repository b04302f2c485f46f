//! Placement, threads, dead letters and the run report of one pipeline run.
//!
//! What it is: [`run`] takes a checked plan, opens its stages, runs their loops to the end of the input and gives
//! the results their final name. Stages that are placed so run as processes.
//!
//! Guarantees: the results do not depend on the number of workers, or on where a stage runs. They have their final name only if the whole run
//! succeeded; otherwise what there is stays in `FILE.partial`. Events that went wrong are in the dead-letter file,
//! in the order of the input. The first error ends the run, and no thread or process outlives it.
//!
//! Refuses: looking into batches, and knowing any concrete stage.
//!
//! ```text
//!   Plan ──assemble──▶ stage loops ──▶ Finished ──report──▶ RunReport
//!                          └──▶ dead letters   └──▶ sink.commit
//! ```
//!
//! Neighbours: `modrun-plan` makes plans, `modrun-worker` runs one loop, the command shows the [`Outcome`].

mod assemble;
mod dead_letters;
mod processes;
mod report;
pub mod system;
mod verify;

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use modrun_core::env::Env;
use modrun_core::{Code, CpuSeconds, Error, Result, RunReport, StageId, Written};
use modrun_plan::Plan;
use modrun_worker::{Finished, SharedHost, Worker, is_consequence};

use assemble::{Assembly, Loops};
use dead_letters::DeadLetters;
use processes::{Processes, Setting};
use report::{Measured, report};
use verify::Verifier;

pub use modrun_link::{Carried, Traffic};
pub use modrun_worker::{Link, Live, StageNow};
pub use processes::{Level, Log, LogLine};
pub use verify::{Difference, Differences};

/// Results are read back in pieces of so many bytes.
const READ_BYTES: usize = 64 << 10;
/// How long a piece may take; a file on a disk takes no time.
const READ_MAX: Duration = Duration::from_secs(60);

/// How to run a plan.
pub struct Options {
    /// Time and disk.
    pub env: Env,
    /// What others may see of the run while it runs.
    pub live: Arc<Live>,
    /// Where dead letters go; by default beside the results.
    pub dead_letters: Option<PathBuf>,
    /// A file of results to compare with.
    pub expected: Option<PathBuf>,
    /// What is done with the lines that stages in processes of their own write.
    pub log: Log,
    /// Whether the loops keep ledgers, in all processes. Without them a run tells less of itself, and shows what
    /// measuring costs.
    pub measured: bool,
    /// The command that runs a built-in kind as a process, to which the kind's word is added; empty: there is none.
    pub built_in: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            env: system::env(),
            live: Arc::default(),
            dead_letters: None,
            expected: None,
            log: Arc::new(|line| eprintln!("{}: {}", line.stage, line.text)),
            measured: true,
            built_in: Vec::new(),
        }
    }
}

/// How a run ended that did not fail.
#[derive(Debug)]
pub struct Outcome {
    /// The run in numbers.
    pub report: RunReport,
    /// The dead-letter file, if there was any dead letter.
    pub dead_letters: Option<PathBuf>,
    /// Where the results differ from the expected ones, if there were any to compare with.
    pub differences: Option<Differences>,
    /// Whether the run was stopped before the end of its input: its files then end in `.partial`.
    pub interrupted: bool,
}

/// Runs a plan to the end of its input.
///
/// # Errors
/// A stage that cannot be opened or fails, results that cannot be written, too many dead letters.
pub fn run(plan: Plan, options: Options) -> Result<Outcome> {
    let Options { env, live, dead_letters, expected, log, measured, built_in } = options;
    let started = env.clock.now();
    let path = dead_letters.unwrap_or_else(|| beside_results(&plan));
    let dead_letters = DeadLetters::new(path, env.clone(), live.clone(), plan.limits.dead_letters);
    let dead_letters = Arc::new(Mutex::new(dead_letters));
    let verifier = expected.map(|path| Verifier::open(&path, &env)).transpose()?;
    let verifier = verifier.map(|verifier| Arc::new(Mutex::new(verifier)));
    let account = || match verifier.clone() {
        Some(verifier) => Written::with_witness(move |bytes| lock(&verifier).take(bytes)),
        None => Written::default(),
    };
    let workers =
        plan.parallelism.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let setting = Setting { workers, log, built_in, measured };
    let processes = Processes::start(&plan, &env, &setting)?;

    let (begin, (cpu_before, _)) = (env.clock.now(), system::usage());
    let plan = Arc::new(plan);
    let assembly = Assembly {
        plan: plan.clone(),
        env: env.clone(),
        live: live.clone(),
        workers,
        dead_letters: dead_letters.clone(),
        processes: &processes,
        measured,
    };
    let Loops { workers, hosts, links } = assembly.loops(account())?;
    live.show(&hosts, &links);
    let finished = run_loops(workers, processes.closer());
    if finished.is_err() {
        lock(&dead_letters).keep();
    }
    let mut finished = finished.map_err(|error| processes.explain(error))?;
    let sink = plan.stages.len() - 1;
    let (mut local_sink, written) = match finished.iter_mut().find_map(|finished| finished.sink.take()) {
        Some((sink, written)) => (Some(sink), written),
        None => (None, read_back(&env, &hosts, StageId(sink), account())?),
    };

    let mut dead_letters = lock(&dead_letters);
    dead_letters.prepare()?;
    let interrupted = live.cut_short.load(Ordering::Relaxed);
    let dead_letters = if interrupted {
        dead_letters.partial()
    } else {
        match &mut local_sink {
            Some(sink) => sink.commit()?,
            None => processes.commit(sink)?,
        }
        dead_letters.commit()?
    };
    let differences = verifier.map(|verifier| lock(&verifier).finish()).transpose()?;
    let (cpu, peak_rss_bytes) = system::usage();
    let cpu = CpuSeconds { user: cpu.user - cpu_before.user, system: cpu.system - cpu_before.system };
    let (start, wall) = (begin - started, env.clock.now() - begin);
    let price_of_reading = measured.then(|| price_of_reading(&env));
    let measured = Measured { start, wall, cpu, peak_rss_bytes, price_of_reading };
    Ok(Outcome {
        report: report(&plan, &finished, &hosts, &links, &processes, &written, measured),
        dead_letters,
        differences,
        interrupted,
    })
}

/// What it costs to read the time, and a thread's CPU time.
fn price_of_reading(env: &Env) -> (Duration, Duration) {
    const READS: u32 = 200;
    let begin = env.clock.now();
    for _ in 0..READS {
        black_box(env.clock.now());
    }
    let between = env.clock.now();
    for _ in 0..READS {
        black_box(env.clock.thread_cpu());
    }
    ((between - begin) / READS, (env.clock.now() - between) / READS)
}

/// Runs each loop in a thread of its own; the last one's work ends last. `close` ends what any of them waits for.
fn run_loops(loops: Vec<Worker>, close: impl Fn() + Send + Sync) -> Result<Vec<Finished>> {
    let close = &close;
    let ended: Vec<Result<Finished>> = thread::scope(|scope| {
        let run = |worker: Worker| move || worker.run().inspect_err(|_| close());
        let threads: Vec<_> = loops.into_iter().map(|worker| scope.spawn(run(worker))).collect();
        let defect = |_| Err(Error::internal("a stage loop panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(defect)).collect()
    });
    // A loop whose neighbour failed fails too: the cause is the error that is no consequence.
    let (finished, mut errors): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    errors.sort_by_key(|ended| ended.as_ref().err().is_some_and(is_consequence));
    match errors.into_iter().next() {
        Some(error) => error.map(|_| Vec::new()),
        None => finished.into_iter().collect(),
    }
}

/// Accounts for the results of a sink that is a process, by reading what it has prepared.
fn read_back(env: &Env, hosts: &[Arc<SharedHost>], sink: StageId, mut written: Written) -> Result<Written> {
    let host = hosts.iter().find(|host| host.receiver().stage() == sink);
    let ended = host.map(|host| host.receiver().ended()).unwrap_or_default();
    for done in ended.into_iter().flatten().map(|ended| ended.done) {
        written.record(done.rows, &[]);
        let Some(artifact) = done.artifact else { continue };
        let unreadable = |error| {
            let text = format!("cannot read the results `{}` that the sink has prepared", artifact);
            Error::unavailable(text).with_code(Code::OUTPUT).with_source(error)
        };
        let mut results = env.disk.open(Path::new(&artifact)).map_err(unreadable)?;
        let mut buffer = vec![0; READ_BYTES];
        while let Some(read @ 1..) =
            results.read(&mut buffer, env.clock.now() + READ_MAX).map_err(unreadable)?
        {
            written.record(0, &buffer[..read]);
        }
    }
    Ok(written)
}

/// The dead-letter file of results in a file, or of a pipeline that writes none.
pub fn beside_results(plan: &Plan) -> PathBuf {
    let results = plan.stages.last().and_then(|sink| sink.with.get("path")?.as_str());
    match results {
        Some(path) if path != "-" && !path.starts_with("/dev/") => {
            Path::new(path).with_extension("dead-letters.ndjson")
        }
        _ => PathBuf::from(format!("{}.dead-letters.ndjson", plan.pipeline)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
