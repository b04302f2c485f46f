//! Starting the processes of one stage.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use modrun_core::env::Env;
use modrun_core::{BatchPolicy, Code, Concurrency, Error, Result, StageId};
use modrun_link::{Host, INLINE_MAX, STAGE_VARIABLE, Traffic};
use modrun_plan::{Plan, PlannedStage, Program, passes_on};
use modrun_shm::{Readable, Stage, Writable, pair};
use modrun_wire::{BatchPolicy as WirePolicy, Column, Open, Schema};

use super::logs::{Level, Tail};
use super::{Process, Setting};

/// The version of the stage protocol.
pub(super) const PROTOCOL: u32 = 1;
/// What the stage's descriptors are numbered, from its socket on.
const SOCKET: i32 = 3;
const INPUT: i32 = 4;
const OUTPUT: i32 = 5;

/// Starts the processes of a stage and sends them `Open`, unless it is the source; none if the stage runs in this process.
pub(super) fn stage(plan: &Plan, at: usize, env: &Env, setting: &Setting) -> Result<Vec<Process>> {
    let stage = &plan.stages[at];
    let wanted = stage.parallelism.map_or(1, |count| count.get());
    let (command, replicas, loops) = match &stage.program {
        Program::Here => return Ok(Vec::new()),
        Program::BuiltIn => {
            let workers = match stage.bound.concurrency {
                Concurrency::Ordered => 1,
                _ => stage.parallelism.map_or(setting.workers, |count| count.get()),
            };
            (Command::built_in(plan, stage, &setting.built_in, workers)?, 1, workers)
        }
        Program::Foreign(implementation) => {
            let command = Command {
                run: implementation.run.clone(),
                folder: implementation.folder.clone(),
                env: implementation.env.clone().into_iter().collect(),
                config: implementation.with.to_string(),
            };
            (command, wanted, 1)
        }
    };
    let start = |replica| {
        let process = start(plan, at, env, setting, &command, (replica, replicas))?;
        Ok(Process { loops, ..process })
    };
    (0..replicas).map(start).collect()
}

/// What to run, where, and with what.
struct Command {
    run: Vec<String>,
    folder: PathBuf,
    env: Vec<(String, String)>,
    config: String,
}

impl Command {
    /// A built-in kind in a process of its own.
    fn built_in(plan: &Plan, stage: &PlannedStage, built_in: &[String], workers: usize) -> Result<Self> {
        let kind = stage.kind.clone().unwrap_or_default();
        if built_in.is_empty() {
            let what = format!("this program cannot run the kind `{kind}` as a process");
            return Err(Error::invalid(what).with_code(Code::START).in_stage(&stage.name));
        }
        let mut run = built_in.to_vec();
        // A source and a sink may share a word.
        let role = format!("{:?}", stage.bound.open.role()).to_lowercase();
        run.extend([kind, "--role".into(), role, "--workers".into(), workers.to_string()]);
        run.extend(["--line-bytes".into(), plan.limits.stage.line_bytes.to_string()]);
        Ok(Self { run, folder: PathBuf::from("."), env: Vec::new(), config: stage.with.to_string() })
    }
}

fn start(
    plan: &Plan,
    at: usize,
    env: &Env,
    setting: &Setting,
    command: &Command,
    (replica, replicas): (usize, usize),
) -> Result<Process> {
    let stage = &plan.stages[at];
    let named = |error: Error| error.with_code(Code::START).in_stage(&stage.name);
    let (socket, stages_end) = pair().map_err(named)?;
    let (input, input_end) = Writable::create(plan.limits.segment).map_err(named)?;
    let (output, output_end) = Readable::create(plan.limits.segment).map_err(named)?;
    let mut environment: Vec<(OsString, OsString)> =
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(passes_on)).collect();
    environment.retain(|(name, _)| !command.env.iter().any(|(own, _)| name == own.as_str()));
    environment.extend(command.env.iter().map(|(name, value)| (name.into(), value.into())));
    environment
        .push((STAGE_VARIABLE.into(), format!("socket={SOCKET},input={INPUT},output={OUTPUT}").into()));

    let (program, arguments) =
        command.run.split_first().ok_or_else(|| named(Error::invalid("`run` names no program")))?;
    let process = Stage {
        program: program.into(),
        arguments: arguments.iter().map(OsString::from).collect(),
        folder: command.folder.clone(),
        environment,
        descriptors: vec![(stages_end, SOCKET), (input_end, INPUT), (output_end, OUTPUT)],
        long_turns: true,
    };
    let missing = "`modrun doctor PIPELINE` shows what a pipeline's programs need, and how to install it";
    let mut child = process.spawn().map_err(|error| named(error.with_hint(missing)))?;
    let tail = Arc::new(Tail::default());
    if let Some(stdout) = child.take_stdout() {
        tail.follow(&stage.name, stdout, Level::Information, &setting.log);
    }
    if let Some(stderr) = child.take_stderr() {
        tail.follow(&stage.name, stderr, Level::Warning, &setting.log);
    }
    let schemas = (stage.input.clone(), stage.bound.output.clone());
    let (clock, window) = (env.clock.clone(), plan.limits.window);
    let traffic = || if setting.measured { Traffic::on() } else { Traffic::default() };
    let traffic = (traffic(), traffic());
    let host = Host::new(StageId(at), &stage.name, (socket, input, output), clock, window, schemas, traffic)?;
    let open = open(plan, stage, command, setting, (replica, replicas))?;
    let name = stage.name.clone();
    let (sdk, loops) = (String::new(), 1);
    let (cpu_at_ready, ready_at) = (Duration::ZERO, None);
    let mut process =
        Process { name, host, child, tail, open: Some(open), sdk, loops, cpu_at_ready, ready_at };
    if at != super::SOURCE {
        process.open()?;
    }
    Ok(process)
}

fn open(
    plan: &Plan,
    stage: &PlannedStage,
    command: &Command,
    setting: &Setting,
    (replica, replicas): (usize, usize),
) -> Result<Open> {
    let schema = |schema: &Option<arrow_schema::SchemaRef>| {
        let schema = schema.as_ref().map(|schema| Schema::of(schema)).transpose();
        schema.map_err(|error| Error::internal("a plan has columns of no link type").with_source(error))
    };
    let output = schema(&stage.bound.output)?;
    let policy = output.is_some().then_some(match stage.batch {
        BatchPolicy::Adaptive => WirePolicy { rows: 0, linger_us: 0 },
        BatchPolicy::Rows { rows, linger } => {
            WirePolicy { rows: rows.get(), linger_us: linger.map_or(0, |linger| linger.as_micros() as u64) }
        }
    });
    Ok(Open {
        protocol: PROTOCOL,
        generation: 1,
        stage: stage.name.clone(),
        config: command.config.clone(),
        input: schema(&stage.input)?,
        output,
        window_batches: plan.limits.window.batches,
        window_bytes: plan.limits.window.bytes,
        inline_max: INLINE_MAX as u64,
        input_segment: plan.limits.segment,
        output_segment: plan.limits.segment,
        policy,
        state_chunks: 0,
        replica: replica as u32,
        replicas: replicas as u32,
        unmeasured: !setting.measured,
    })
}

/// Columns as they are written in a pipeline file.
pub(super) fn columns(schema: &Schema) -> String {
    let column = |column: &Column| {
        let optional = if column.nullable { "?" } else { "" };
        match optional {
            "" => format!("{}: {}", column.name, column.column_type),
            _ => format!("{}: \"{}?\"", column.name, column.column_type),
        }
    };
    schema.columns.iter().map(column).collect::<Vec<_>>().join(", ")
}
