//! The report on a run, as JSON. What was not measured is null.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use split_wire::proto::StageReport;

use crate::fleet::Exit;

/// One run of the whole system.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) system: &'static str,
    pub(crate) batch: String,
    /// Input events.
    pub(crate) events: u64,
    pub(crate) rejected: u64,
    /// From the orchestrator's first instruction until every service is reaped.
    pub(crate) wall_seconds: f64,
    /// The part of it from the first request to the results in their file.
    pub(crate) stream_seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// The sum of every process's peak.
    pub(crate) peak_rss_bytes: u64,
    pub(crate) services: Vec<ServiceReport>,
}

/// One process. For the orchestrator, events and batches count once for each leg.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceReport {
    pub(crate) name: &'static str,
    pub(crate) language: &'static str,
    events_in: u64,
    events_out: u64,
    batches_in: u64,
    batches_out: u64,
    window_seconds: f64,
    process_seconds: Option<f64>,
    ipc_send_seconds: Option<f64>,
    ipc_receive_seconds: Option<f64>,
    waiting_seconds: Option<f64>,
    serialise_seconds: Option<f64>,
    write_seconds: Option<f64>,
    read_seconds: Option<f64>,
    deserialise_seconds: Option<f64>,
    /// The whole life of the process, its start included.
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_rss_bytes: u64,
}

impl ServiceReport {
    pub(crate) fn new(name: &'static str, language: &'static str, stage: &StageReport, usage: Usage) -> Self {
        let both = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        Self {
            name,
            language,
            events_in: stage.events_in,
            events_out: stage.events_out,
            batches_in: stage.batches_in,
            batches_out: stage.batches_out,
            window_seconds: stage.window_seconds,
            process_seconds: stage.process_seconds,
            ipc_send_seconds: both(stage.serialise_seconds, stage.write_seconds),
            ipc_receive_seconds: both(stage.read_seconds, stage.deserialise_seconds),
            waiting_seconds: stage.waiting_seconds,
            serialise_seconds: stage.serialise_seconds,
            write_seconds: stage.write_seconds,
            read_seconds: stage.read_seconds,
            deserialise_seconds: stage.deserialise_seconds,
            cpu_seconds: usage.cpu.as_secs_f64(),
            peak_rss_bytes: usage.peak_rss_bytes,
        }
    }
}

/// What a process took from the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    cpu: Duration,
    peak_rss_bytes: u64,
}

impl Usage {
    /// Of a process that has ended.
    pub(crate) fn of(exit: &Exit) -> Self {
        Self { cpu: exit.usage.utime + exit.usage.stime, peak_rss_bytes: exit.usage.maxrss }
    }

    /// Of this process so far.
    pub(crate) fn current() -> Result<Self> {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let peak_kib: u64 = peak.context("the kernel tells no peak memory")?.parse()?;
        Ok(Self { cpu: cpu.try_into()?, peak_rss_bytes: peak_kib * 1024 })
    }
}
