//! `modrun run --metrics ADDRESS`: a run's figures for Prometheus, while it runs.
//!
//! ```text
//!   GET /metrics ──▶ axum, in a thread of its own ──▶ Figures ──▶ Live::observe
//! ```
//!
//! Guarantees: nothing is counted for it: a scrape reads what the stage loops account for anyway. The server ends with
//! the run.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use modrun_core::{Activity, Error, StageId};
use modrun_runtime::{Carried, Link, Live, StageNow};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::oneshot;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds of the buckets of a link's latency, in seconds.
const LATENCY_BOUNDS: [f64; 15] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 1.0, 10.0];

/// Answers scrapes until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to listen; at port 0 wherever there is room.
    pub(crate) fn start(address: SocketAddr, live: Arc<Live>, stages: Vec<String>) -> Result<Self, Error> {
        let unavailable = |error| {
            Error::unavailable(format!("cannot serve metrics at `{address}`"))
                .with_hint("name another address with `--metrics HOST:PORT`; at port 0 a free one is taken")
                .with_source(error)
        };
        let listener = TcpListener::bind(address).map_err(unavailable)?;
        listener.set_nonblocking(true).map_err(unavailable)?;
        let address = listener.local_addr().map_err(unavailable)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(unavailable)?;
        let mut registry = Registry::with_prefix("modrun");
        registry.register_collector(Box::new(Figures { live, stages }));
        let routes = Router::new().route("/metrics", get(scrape)).with_state(Arc::new(registry));
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let serving = tokio::spawn(axum::serve(listener, routes).into_future());
                // The sender says nothing: it goes.
                let _ = ended.await;
                serving.abort();
            });
        });
        Ok(Self { address, end: Some(end), thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say, not even that it panicked.
            let _ = thread.join();
        }
    }
}

async fn scrape(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string takes any text");
    ([(CONTENT_TYPE, OPENMETRICS)], text)
}

/// The figures of a run at the moment of a scrape.
struct Figures {
    live: Arc<Live>,
    /// The stages' names.
    stages: Vec<String>,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").field("stages", &self.stages).finish_non_exhaustive()
    }
}

impl Figures {
    fn name(&self, stage: StageId) -> &str {
        self.stages.get(stage.0).map_or("", String::as_str)
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let live = &self.live;
        let (stages, links) = live.observe(Instant::now());
        let mut family = Families(&mut encoder);
        let events = live.events.load(Ordering::Relaxed);
        family.total("events", "Events that entered the pipeline", None, events)?;
        let letters = live.dead_letters.load(Ordering::Relaxed);
        family.total("dead_letters", "Events that could not be processed", None, letters)?;
        let read = live.bytes_read.load(Ordering::Relaxed);
        family.total("source_read", "Bytes that the source has read", Some(Unit::Bytes), read)?;

        let of_stages = |figure: &dyn Fn(&StageNow) -> u64| {
            stages.iter().map(|now| ([("stage", self.name(now.id))], figure(now) as f64)).collect::<Vec<_>>()
        };
        let received = of_stages(&|now| now.tally.events_in);
        family.counter("stage_events", "Events that a stage has received", None, received)?;
        let received = of_stages(&|now| now.tally.batches_in);
        family.counter("stage_batches", "Batches that a stage has received", None, received)?;
        let filtered = of_stages(&|now| now.tally.filtered);
        family.counter(
            "stage_filtered_events",
            "Events that a stage has dropped on purpose",
            None,
            filtered,
        )?;
        let letters = of_stages(&|now| now.tally.dead_letters);
        family.counter("stage_dead_letters", "Events that went wrong at a stage", None, letters)?;
        let loops = of_stages(&|now| now.loops as u64);
        family.gauge("stage_loops", "Loops or processes that run a stage", loops)?;
        let mut spent = Vec::new();
        for now in &stages {
            for activity in Activity::ALL {
                let labels = [("stage", self.name(now.id)), ("activity", activity.name())];
                spent.push((labels, now.row.spent(activity).as_secs_f64()));
            }
        }
        let help = "Time of a stage's loops by activity; processes tell theirs about once a second";
        family.counter("stage_activity", help, Some(Unit::Seconds), spent)?;

        let labels = |link: &Link| {
            [("from", self.name(link.from)), ("to", self.name(link.to)), ("carrier", link.carrier.name())]
        };
        let of_links = |figure: fn(&Carried) -> u64| {
            links.iter().map(|(link, carried)| (labels(link), figure(carried) as f64)).collect::<Vec<_>>()
        };
        let batches = of_links(|carried| carried.batches);
        family.counter("link_batches", "Batches that a link has carried", None, batches)?;
        family.counter(
            "link_rows",
            "Rows that a link has carried",
            None,
            of_links(|carried| carried.rows),
        )?;
        let bytes = of_links(|carried| carried.bytes);
        family.counter("link", "Bytes that a link has carried", Some(Unit::Bytes), bytes)?;
        let queues = || links.iter().filter(|(link, _)| !link.hosts.is_empty());
        let queued = queues().map(|(link, _)| (labels(link), link.queue().0 as f64)).collect();
        family.gauge("link_batches_in_flight", "Batches on their way that have no credit yet", queued)?;
        let windows = queues().map(|(link, _)| (labels(link), link.queue().1 as f64)).collect();
        family.gauge("link_window_batches", "Batches that may be on their way without credit", windows)?;
        let latencies = links.iter().map(|(link, carried)| (labels(link), carried)).collect();
        family.latency("link_latency", "From sending a batch until its credit, weighted by rows", latencies)
    }
}

/// Writes families of metrics.
struct Families<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    fn total(&mut self, name: &str, help: &str, unit: Option<Unit>, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, f64>(&(value as f64), None)
    }

    fn counter<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        samples: Vec<(L, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        samples.iter().try_for_each(|(labels, value)| {
            metric.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(value, None)
        })
    }

    fn gauge<L: EncodeLabelSet>(&mut self, name: &str, help: &str, samples: Vec<(L, f64)>) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        samples.iter().try_for_each(|(labels, value)| metric.encode_family(labels)?.encode_gauge(value))
    }

    fn latency<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: Vec<(L, &Carried)>,
    ) -> fmt::Result {
        let unit = Unit::Seconds;
        let mut metric = self.0.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
        samples.iter().try_for_each(|(labels, carried)| {
            let (count, sum) = (carried.latency.len(), carried.latency.mean() * carried.latency.len() as f64);
            let mut metric = metric.encode_family(labels)?;
            metric.encode_histogram::<NoLabelSet>(sum * 1e-9, count, &buckets(carried), None)
        })
    }
}

/// How many rows took up to each bound, and more than the bound before.
fn buckets(carried: &Carried) -> Vec<(f64, u64)> {
    let mut below = 0;
    let bounds = LATENCY_BOUNDS.iter().map(|&bound| (bound, (bound * 1e9) as u64));
    bounds
        .chain([(f64::MAX, u64::MAX)])
        .map(|(bound, nanos)| {
            let all = nanos == u64::MAX;
            let count = if all { carried.latency.len() } else { carried.latency.count_between(0, nanos) };
            (bound, count - std::mem::replace(&mut below, count))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_row_is_in_one_bucket() {
        let traffic = modrun_runtime::Traffic::on();
        for (rows, micros) in [(3, 9), (5, 90), (7, 90_000_000)] {
            traffic.passed(rows, 0, Duration::from_micros(micros));
        }
        let buckets = buckets(&traffic.so_far());
        let counts: Vec<u64> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts.iter().sum::<u64>(), 15);
        assert_eq!((counts[0], counts[3], counts[15]), (3, 5, 7));
    }
}
