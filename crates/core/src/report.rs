//! What a run was, in numbers: the run report's schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Activity, Row};

/// One run of a pipeline. Throughput is input events over wall time, always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// The pipeline's name.
    pub pipeline: String,
    /// How each stage ran, by stage: `thread` is inside the runtime's process.
    pub placement: BTreeMap<String, String>,
    /// Events counted at the two ends and lost on the way.
    pub events: Events,
    /// BLAKE3 over the result rows as written, in hex.
    pub results_digest: String,
    /// From the beginning until all processes of stages are ready, in seconds.
    pub start_seconds: f64,
    /// From then, before the first stage of this process is opened, until the results have their final name, in seconds.
    pub wall_seconds: f64,
    /// CPU time of all processes in `wall_seconds`, in seconds.
    pub cpu_seconds: CpuSeconds,
    /// Largest resident memory of the runtime's process, in bytes.
    pub peak_rss_bytes: u64,
    /// `events.in` over `wall_seconds`.
    pub events_per_second: f64,
    /// Lifetimes of all stage loops, in seconds: what the stages' activities sum to.
    pub thread_seconds: f64,
    /// One entry per stage, in the order of the data.
    pub stages: Vec<StageReport>,
    /// The runtime's loops that only forward, from process to process.
    pub forwarding: LoopReport,
    /// The links between loops and processes, in the order of the data. Within a chain there is none.
    pub links: Vec<LinkReport>,
    /// What limited the run, as far as its figures tell.
    pub bottleneck: Bottleneck,
    /// What the account itself cost; null if none was kept.
    pub measuring: Option<Measuring>,
}

/// One link of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkReport {
    /// The stage that sends.
    pub from: String,
    /// The stage that receives.
    pub to: String,
    /// What carries it.
    pub carrier: Carrier,
    /// Batches sent.
    pub batches: u64,
    /// Rows in them; where they hold text, blocks of it.
    pub rows: u64,
    /// Bytes of payload; 0 within a process, where batches are passed by pointer.
    pub bytes: u64,
    /// From sending a batch until its credit came back, weighted by events.
    pub latency: Latency,
}

/// What carries a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// Pointers, within the runtime's process.
    Memory,
    /// A socket and shared segments, to or from a process.
    Process,
}

impl Carrier {
    /// Its word, as in the report.
    pub fn name(self) -> &'static str {
        match self {
            Carrier::Memory => "memory",
            Carrier::Process => "process",
        }
    }
}

/// A distribution of times, in seconds, two digits of each exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Half of the events took no longer.
    pub p50: f64,
    /// 90 % took no longer.
    pub p90: f64,
    /// 99 % took no longer.
    pub p99: f64,
    /// None took longer.
    pub max: f64,
    /// Rising pairs of a share of the events, over 0 and up to 1, and the time that they took at most.
    pub distribution: Vec<(f64, f64)>,
}

/// What limited a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bottleneck {
    /// The stage that could do the fewest events per second on its own; null if no stage was busy.
    pub stage: Option<String>,
    /// CPU time of all processes over wall time: how many cores were in use.
    pub cores_used: f64,
    /// How many there are.
    pub cores: u32,
}

/// What the runtime's own account of a run cost, by its own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measuring {
    /// How often a clock was read.
    pub clock_reads: u64,
    /// What these reads took, by the price of one on this machine, in seconds of CPU.
    pub seconds: f64,
}

/// The time of loops that run no stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoopReport {
    /// Time by activity.
    pub activity_seconds: ActivitySeconds,
    /// What they were busy with.
    pub busy: Busy,
    /// CPU time, in seconds.
    pub cpu_seconds: f64,
}

/// Events by their fate: `in` = `filtered` + `dead_letters` + those that went on to the results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// Events read; blank lines are none.
    pub r#in: u64,
    /// Events that a rule dropped.
    pub filtered: u64,
    /// Events that could not be processed.
    pub dead_letters: u64,
    /// Result rows written.
    pub results: u64,
}

/// CPU time of all processes, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuSeconds {
    /// In user mode.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
}

/// One stage's share of a run, over all its loops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageReport {
    /// The stage's name in the pipeline.
    pub name: String,
    /// The language of its implementation.
    pub language: String,
    /// How it ran.
    pub placement: String,
    /// Events received; for a source, events read.
    pub events_in: u64,
    /// Events passed on; for a sink, rows written.
    pub events_out: u64,
    /// Batches received.
    pub batches_in: u64,
    /// Batches passed on.
    pub batches_out: u64,
    /// Loops that ran it: workers, or processes.
    pub loops: u32,
    /// Time by activity.
    pub activity_seconds: ActivitySeconds,
    /// What it was busy with.
    pub busy: Busy,
    /// Input events that its loops could do in a second if they never waited; null if it was never busy.
    pub events_per_second_alone: Option<f64>,
    /// CPU time of its loops while it was this stage's turn, or of its processes, in seconds.
    pub cpu_seconds: f64,
    /// Largest resident memory of one of its processes, in bytes; null if it runs in the runtime's.
    pub peak_rss_bytes: Option<u64>,
}

/// Time in which loops did not wait: for whom they worked, and how much of it they had a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Busy {
    /// All of it, in seconds: the sum of the next three.
    pub seconds: f64,
    /// The stage's own work, in seconds.
    pub processing_seconds: f64,
    /// Encoding and sending, in seconds.
    pub ipc_send_seconds: f64,
    /// Receiving and decoding, in seconds.
    pub ipc_receive_seconds: f64,
    /// Busy but without a core: preempted, or waiting for a disk, in seconds.
    pub off_cpu_seconds: f64,
}

impl Busy {
    /// The busy part of `activity`, of which `cpu` seconds were spent on a core.
    pub fn of(activity: &ActivitySeconds, cpu: f64) -> Self {
        let ipc_send_seconds = activity.encode + activity.send;
        let ipc_receive_seconds = activity.receive + activity.decode;
        let seconds = activity.process + ipc_send_seconds + ipc_receive_seconds;
        Self {
            seconds,
            processing_seconds: activity.process,
            ipc_send_seconds,
            ipc_receive_seconds,
            off_cpu_seconds: (seconds - cpu).max(0.0),
        }
    }
}

/// Time by activity, in seconds; see [`Activity`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActivitySeconds {
    /// Taking a message from a link, once it is there.
    pub receive: f64,
    /// Turning bytes of a link into batches.
    pub decode: f64,
    /// The stage's own work, reading and writing of files included.
    pub process: f64,
    /// Turning batches into bytes for a link.
    pub encode: f64,
    /// Handing a message to a link, once there is credit.
    pub send: f64,
    /// Waiting for input: nobody's overhead.
    pub starved: f64,
    /// Waiting for credit: nobody's overhead.
    pub backpressured: f64,
}

impl ActivitySeconds {
    /// Waiting, for input or for credit.
    pub fn waiting(&self) -> f64 {
        self.starved + self.backpressured
    }

    /// The sum over all activities.
    pub fn total(&self) -> f64 {
        self.receive
            + self.decode
            + self.process
            + self.encode
            + self.send
            + self.starved
            + self.backpressured
    }
}

impl From<&Row> for ActivitySeconds {
    fn from(row: &Row) -> Self {
        let seconds = |activity| row.spent(activity).as_secs_f64();
        Self {
            receive: seconds(Activity::Receive),
            decode: seconds(Activity::Decode),
            process: seconds(Activity::Process),
            encode: seconds(Activity::Encode),
            send: seconds(Activity::Send),
            starved: seconds(Activity::Starved),
            backpressured: seconds(Activity::Backpressured),
        }
    }
}
