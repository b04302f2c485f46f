//! The five streams, chained: what one service sends is regrouped and sent to the next.
//!
//! ```text
//!   Ingest.Read --> regroup --> Parse.Parse --> regroup --> Rules.Apply --> regroup --> Aggregate.Aggregate
//!                                                                                             |
//!                                                             Sink.Write <-- regroup <--------+
//! ```
//!
//! Each request stream pulls from the response stream before it, so that a slow service holds up everything
//! before it and no leg holds more than one batch and the transport's window. A stream that fails ends early:
//! its error is kept, and looked for before anything reaches the sink.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures_util::{Stream, StreamExt};
use hyper_util::rt::TokioIo;
use split_wire::proto::aggregate_client::AggregateClient;
use split_wire::proto::ingest_client::IngestClient;
use split_wire::proto::parse_client::ParseClient;
use split_wire::proto::rules_client::RulesClient;
use split_wire::proto::sink_client::SinkClient;
use split_wire::proto::stage_client::StageClient;
use split_wire::proto::{
    AggregateResultBatch, EnrichedEventBatch, EventBatch, ParsedEventBatch, ReadRequest, ReportRequest,
    StageReport,
};
use split_wire::{CONNECTION_WINDOW_BYTES, LEDGER, MeteredSocket, STREAM_WINDOW_BYTES, Window};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::batch::{Policy, regroup};

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const READY_INTERVAL: Duration = Duration::from_millis(10);

/// Connections to the services, in the order of [`SERVICES`].
#[derive(Debug)]
pub(crate) struct Pipeline([Channel; 5]);

/// The services' names and what their health is asked by.
pub(crate) const SERVICES: [(&str, &str); 5] = [
    ("ingest", "split.v1.Ingest"),
    ("parse", "split.v1.Parse"),
    ("rules", "split.v1.Rules"),
    ("aggregate", "split.v1.Aggregate"),
    ("sink", "split.v1.Sink"),
];

impl Pipeline {
    /// Connects to every service and waits until each says that it is serving.
    pub(crate) async fn connect(addresses: &[SocketAddr]) -> Result<Self> {
        let mut channels = Vec::new();
        for (&address, (name, service)) in addresses.iter().zip(SERVICES) {
            let ready = tokio::time::timeout(READY_TIMEOUT, connect(address, service)).await;
            let channel =
                ready.map_err(|_| anyhow!("service `{name}` is not ready after {READY_TIMEOUT:?}"))?;
            channels.push(channel.with_context(|| format!("cannot connect to service `{name}`"))?);
        }
        Ok(Self(channels.try_into().map_err(|_| anyhow!("a pipeline has {} services", SERVICES.len()))?))
    }

    /// Runs to the end of the input; the results are in the sink's file when it returns.
    pub(crate) async fn run(&self, policy: Policy) -> Result<()> {
        let _window = Window::open();
        let [ingest, parse, rules, aggregate, sink] = self.0.clone();
        let failure = Failure::default();
        let read = ReadRequest {
            events_max: u32::try_from(policy.events_max)?,
            linger_ms: policy.linger.map(|linger| u32::try_from(linger.as_millis())).transpose()?,
        };

        let lines = IngestClient::new(ingest).read(read).await.map_err(|status| error("ingest", &status))?;
        let lines = forward("ingest", lines.into_inner(), policy, &failure);
        let parsed = ParseClient::new(parse).parse(lines).await.map_err(|status| error("parse", &status))?;
        let parsed = forward("parse", parsed.into_inner(), policy, &failure);
        let enriched =
            RulesClient::new(rules).apply(parsed).await.map_err(|status| error("rules", &status))?;
        let enriched = forward("rules", enriched.into_inner(), policy, &failure);
        let results = AggregateClient::new(aggregate).aggregate(enriched).await;
        failure.check()?;
        let results = results.map_err(|status| error("aggregate", &status))?.into_inner();
        let results = futures_util::stream::iter([receive(results)]);
        let results = regroup(results, policy).map(send::<AggregateResultBatch>);
        SinkClient::new(sink).write(results).await.map_err(|status| error("sink", &status))?;
        Ok(())
    }

    /// Every service's account of the run.
    pub(crate) async fn reports(&self) -> Result<Vec<StageReport>> {
        let mut reports = Vec::new();
        for (channel, (name, _)) in self.0.iter().zip(SERVICES) {
            let report = StageClient::new(channel.clone()).report(ReportRequest {}).await;
            reports.push(report.map_err(|status| error(name, &status))?.into_inner());
        }
        Ok(reports)
    }
}

async fn connect(address: SocketAddr, service: &str) -> Result<Channel> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect_with_connector(tower::service_fn(move |_| async move {
            anyhow::Ok(TokioIo::new(MeteredSocket::new(TcpStream::connect(address).await?)?))
        }))
        .await?;
    let mut health = HealthClient::new(channel.clone());
    let request = HealthCheckRequest { service: service.to_owned() };
    while !health.check(request.clone()).await.is_ok_and(|reply| is_serving(reply.get_ref())) {
        tokio::time::sleep(READY_INTERVAL).await;
    }
    Ok(channel)
}

fn is_serving(reply: &HealthCheckResponse) -> bool {
    reply.status() == ServingStatus::Serving
}

fn forward<B: Batch>(
    from: &'static str,
    batches: Streaming<B>,
    policy: Policy,
    failure: &Failure,
) -> impl Stream<Item = B> + use<B> {
    let failure = failure.clone();
    let groups = batches
        .map(move |batch| batch.map_err(|status| failure.keep(error(from, &status))))
        .take_while(|batch| std::future::ready(batch.is_ok()))
        .filter_map(|batch| std::future::ready(batch.ok().map(receive)));
    regroup(groups, policy).map(send)
}

fn receive<B: Batch>(batch: B) -> Vec<B::Event> {
    let events = batch.into_events();
    LEDGER.count_in(events.len());
    events
}

fn send<B: Batch>(events: Vec<B::Event>) -> B {
    LEDGER.count_out(events.len());
    B::from_events(events)
}

fn error(name: &str, status: &Status) -> anyhow::Error {
    let causes = std::iter::successors(status.source(), |&cause| cause.source());
    let causes: String = causes.map(|cause| format!(": {cause}")).collect();
    anyhow!("service `{name}` failed: {}{causes}", status.message())
}

/// The first error of any stream.
#[derive(Clone, Default)]
struct Failure(Arc<OnceLock<String>>);

impl Failure {
    fn keep(&self, error: anyhow::Error) {
        let _ = self.0.set(error.to_string()); // later ones follow from the first
    }

    fn check(&self) -> Result<()> {
        self.0.get().map_or(Ok(()), |message| Err(anyhow!("{message}")))
    }
}

/// A message that is nothing but a list of events.
trait Batch: Send + 'static {
    type Event: Send + 'static;
    fn into_events(self) -> Vec<Self::Event>;
    fn from_events(events: Vec<Self::Event>) -> Self;
}

macro_rules! batch {
    ($batch:ident . $events:ident: $event:ident) => {
        impl Batch for $batch {
            type Event = split_wire::proto::$event;

            fn into_events(self) -> Vec<Self::Event> {
                self.$events
            }

            fn from_events($events: Vec<Self::Event>) -> Self {
                Self { $events }
            }
        }
    };
}

batch!(EventBatch.events: Event);
batch!(ParsedEventBatch.events: ParsedEvent);
batch!(EnrichedEventBatch.events: EnrichedEvent);
batch!(AggregateResultBatch.results: AggregateResult);
