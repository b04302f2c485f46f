//! The parse service of the split baseline: lines of JSON to typed events.
//!
//! It prints the address it listens on as its first line, is ready when its health says so, and ends when its
//! standard input does. A line that is not an event is dropped and counted.

mod event;

use std::net::Ipv4Addr;
use std::pin::Pin;

use split_wire::proto::parse_server::{Parse, ParseServer};
use split_wire::proto::stage_server::{Stage, StageServer};
use split_wire::proto::{EventBatch, ParsedEventBatch, ReportRequest, StageReport};
use split_wire::{Activity, CONNECTION_WINDOW_BYTES, LEDGER, MeteredSocket, STREAM_WINDOW_BYTES, Window};
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

fn main() -> anyhow::Result<()> {
    split_wire::runtime()?.block_on(serve())
}

async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<ParseServer<Service>>().await;
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .add_service(health_service)
        .add_service(StageServer::new(Service))
        .add_service(ParseServer::new(Service))
        .serve_with_incoming_shutdown(
            TcpListenerStream::new(listener).map(|stream| MeteredSocket::new(stream?)),
            end_of_stdin(),
        )
        .await?;
    Ok(())
}

async fn end_of_stdin() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // An error ends the service just as the end of input does.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = closed.send(());
    });
    let _ = wait.await;
}

struct Service;

#[tonic::async_trait]
impl Parse for Service {
    type ParseStream = Pin<Box<dyn Stream<Item = Result<ParsedEventBatch, Status>> + Send>>;

    async fn parse(
        &self,
        request: Request<Streaming<EventBatch>>,
    ) -> Result<Response<Self::ParseStream>, Status> {
        let window = Window::open();
        let batches = request.into_inner().map(move |batch| {
            let _open = &window; // until the stream is dropped
            Ok(parse_batch(&batch?))
        });
        Ok(Response::new(Box::pin(batches)))
    }
}

fn parse_batch(batch: &EventBatch) -> ParsedEventBatch {
    let parsed = LEDGER.time(Activity::Process, || event::parse_batch(batch));
    LEDGER.count_in(batch.events.len());
    LEDGER.count_out(parsed.events.len());
    LEDGER.count_rejected(batch.events.len() - parsed.events.len());
    parsed
}

#[tonic::async_trait]
impl Stage for Service {
    async fn report(&self, _: Request<ReportRequest>) -> Result<Response<StageReport>, Status> {
        let report =
            LEDGER.report().ok_or_else(|| Status::failed_precondition("the stream is still open"))?;
        Ok(Response::new(report))
    }
}
