//! The runtime's end of a stage that runs as a process.
//!
//! ```text
//!   chain ─▶ HostSender ─▶ batcher ─▶ peer ═══════ stage
//!                 │ dead letters of the stages before   ║
//!                 ▼                                     ║
//!   chain ◀─ HostReceiver ◀── in the order of credit ◀══╝
//! ```
//!
//! A stage may have several processes, its replicas: batches go to them in turn, and what comes back is taken in the
//! same turn, so that the order is kept.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use arrow_schema::SchemaRef;
use modrun_core::env::Clock;
use modrun_core::{Error, Result, StageId, Window};
use modrun_shm::{Readable, Writable};
use modrun_wire::{Frames, FromStage, Open, Ready, ToStage};

use crate::Traffic;
use crate::failure::Failure;
use crate::peer::{Arrived, Peer, Side, Sorted, Terms};

mod receiver;
mod sender;

pub use receiver::{Arrival, Ended, HostReceiver, Parcel, Passed, Received};
pub use sender::HostSender;

/// Payloads up to this size travel inline: finding a slot costs more than copying so little.
pub const INLINE_MAX: usize = 4 << 10;

impl Side for FromStage {
    const CREDIT_IS_AN_ANSWER: bool = true;

    fn sort(self) -> Sorted<Self> {
        match self {
            FromStage::Batch(batch) => Sorted::Batch(batch),
            FromStage::Credit(credit) => Sorted::Credit(credit),
            FromStage::Failed(failed) if !failed.rows.is_empty() => {
                let input = failed.input;
                Sorted::Other(FromStage::Failed(failed), Some(input))
            }
            other => Sorted::Other(other, None),
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, FromStage::Done(_))
    }
}

/// One process of a stage, as the runtime sees it.
#[derive(Clone)]
pub struct Host {
    peer: Arc<Peer<FromStage>>,
    /// The stage's position in the pipeline.
    stage: StageId,
    name: Arc<str>,
    input: Option<SchemaRef>,
    output: Option<SchemaRef>,
    /// What came from the stage and was paid for.
    received: Traffic,
    /// Whether the stage may be done: a source at any time, others when they were told that there is no more.
    may_end: Arc<AtomicBool>,
}

impl Host {
    /// Takes the runtime's ends of a process that was started for the stage `name`. `traffic` counts what goes there
    /// and what comes from it.
    ///
    /// # Errors
    /// Unavailable, if there are no descriptors left.
    pub fn new(
        stage: StageId,
        name: &str,
        (socket, input, output): (UnixStream, Writable, Readable),
        clock: Arc<dyn Clock>,
        window: Window,
        schemas: (Option<SchemaRef>, Option<SchemaRef>),
        traffic: (Traffic, Traffic),
    ) -> Result<Self> {
        let terms = Terms { window, inline_max: INLINE_MAX };
        let reading = socket
            .try_clone()
            .map_err(|error| Error::unavailable("no descriptor is left for a socket").with_source(error))?;
        let frames = Frames::new(reading, INLINE_MAX);
        let (sent, received) = traffic;
        let peer = Peer::new(socket, frames, clock, terms, Some(input), Some(output), sent);
        let (input, output) = schemas;
        let may_end = Arc::new(AtomicBool::new(input.is_none()));
        Ok(Self { peer: Arc::new(peer), stage, name: name.into(), input, output, received, may_end })
    }

    /// Tells the stage everything that it needs to know.
    pub fn open(&self, open: Open) -> Result<()> {
        let mut encoded = Ok(());
        self.peer.say(|out| encoded = ToStage::Open(Box::new(open)).encode(out));
        encoded.map_err(|error| {
            Error::invalid(format!("the configuration of stage `{}` is too long", self.name))
                .with_source(error)
        })?;
        self.peer.flush().map_err(|failure| self.error(failure))
    }

    /// Waits until the stage is open; `None` if that takes until `until`.
    pub fn ready(&self, until: Instant) -> Result<Option<Ready>> {
        match self.wait_for(Some(until))? {
            Some(FromStage::Ready(ready)) => Ok(Some(ready)),
            Some(_) => Err(self.garbage("it said something else before `Ready`")),
            None => Ok(None),
        }
    }

    /// Has the results of a sink that is done get their final name.
    pub fn commit(&self, until: Instant) -> Result<()> {
        self.say(&ToStage::Commit)?;
        match self.wait_for(Some(until))? {
            Some(FromStage::Committed) => Ok(()),
            Some(_) => Err(self.garbage("it said something else than `Committed`")),
            None => {
                Err(Error::stage("it did not give its results their final name in time").in_stage(&self.name))
            }
        }
    }

    /// Ends everything on this socket: whoever waits on it fails.
    pub fn close(&self) {
        self.peer.close();
    }

    /// The stage's position in the pipeline.
    pub fn stage(&self) -> StageId {
        self.stage
    }

    /// The accounts of what goes to the process, and of what comes from it.
    pub fn traffic(&self) -> (Traffic, Traffic) {
        (self.peer.traffic().clone(), self.received.clone())
    }

    /// Batches on their way to the process, and how many there may be.
    pub fn in_flight(&self) -> (usize, usize) {
        (self.peer.in_flight(), self.peer.window())
    }

    fn say(&self, message: &ToStage) -> Result<()> {
        let mut encoded = Ok(());
        self.peer.say(|out| encoded = message.encode(out));
        encoded.map_err(|error| Error::internal("a message cannot be written").with_source(error))?;
        self.peer.flush().map_err(|failure| self.error(failure))
    }

    /// The next message that is neither a batch nor credit.
    fn wait_for(&self, until: Option<Instant>) -> Result<Option<FromStage>> {
        let arrived = self.peer.wait(until, |state| state.take()).map_err(|failure| self.error(failure))?;
        match arrived {
            None => Ok(None),
            Some(Arrived::Other(FromStage::Failed(failed), None)) => Err(self.failed(&failed)),
            Some(Arrived::Other(message, None)) => Ok(Some(message)),
            Some(_) => Err(self.garbage("it sent a batch or credit out of turn")),
        }
    }

    /// An error of the stage's own, which it told before it ended.
    fn failed(&self, failed: &modrun_wire::Failed) -> Error {
        let text = match failed.code.as_str() {
            "" => failed.message.clone(),
            code => format!("{code}: {}", failed.message),
        };
        let error = Error::new(failed.kind, text).with_code(modrun_core::Code::STAGE);
        let error = match failed.detail.trim_end() {
            "" => error,
            detail => error.with_source(Detail(detail.to_owned())),
        };
        error.in_stage(&self.name)
    }

    fn garbage(&self, what: &str) -> Error {
        self.error(Failure::garbage(what))
    }

    /// What a failure of the socket means for a run.
    fn error(&self, failure: Failure) -> Error {
        match failure {
            Failure::Closed(closed) => Error::internal("the run has failed elsewhere").with_source(closed),
            Failure::Ended | Failure::Socket(_) => {
                let gone = Error::stage("its process ended before its work was done");
                gone.with_code(modrun_core::Code::PROCESS_ENDED)
                    .with_source(Gone(self.stage))
                    .in_stage(&self.name)
            }
            Failure::Garbage(what) => Error::stage(format!("it broke the stage protocol: {what}"))
                .with_code(modrun_core::Code::PROTOCOL)
                .with_source(Gone(self.stage))
                .in_stage(&self.name),
        }
    }
}

/// What a stage told of its failure, such as a traceback.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Detail(String);

/// Marks an error after which the stage's process has to be looked at.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the process of the stage is gone")]
pub struct Gone(pub StageId);
