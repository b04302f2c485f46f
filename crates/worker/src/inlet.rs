//! Where a chain's batches come from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use modrun_core::env::Env;
use modrun_core::{
    Activity, DeadLetter, Error, Ledger, Message, Polled, Result, Seq, Source, StageId, State,
};
use modrun_link::{HostReceiver, Passed, Readiness, Received, Receiver, Traffic};

use crate::{Live, Sent};

/// How long a source waits before the loop looks whether it should stop.
const POLL_MAX: Duration = Duration::from_millis(100);

/// A source that several workers take their batches from.
pub struct SharedSource {
    name: String,
    turn: Mutex<Turn>,
    live: Arc<Live>,
}

struct Turn {
    source: Box<dyn Source>,
    next: u64,
    ended: bool,
    waited: Duration,
}

impl Turn {
    fn take_seq(&mut self) -> Seq {
        self.next += 1;
        Seq(self.next - 1)
    }
}

impl SharedSource {
    /// Shares `source`, the stage `name`.
    pub fn new(name: &str, source: Box<dyn Source>, live: Arc<Live>) -> Self {
        let turn = Turn { source, next: 0, ended: false, waited: Duration::ZERO };
        let shared = Self { name: name.to_owned(), turn: Mutex::new(turn), live };
        let progress = shared.turn.lock().unwrap_or_else(PoisonError::into_inner).source.progress();
        shared.live.bytes_total.store(progress.bytes_total.unwrap_or(0), Ordering::Relaxed);
        shared
    }

    fn next(&self, env: &Env, until: Option<Instant>, ledger: &mut Ledger) -> Result<Incoming> {
        // A worker that fails ends the run; what it may have left half done is not used.
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !turn.ended && self.live.stop.load(Ordering::Relaxed) {
            turn.ended = true;
            self.live.cut_short.store(true, Ordering::Relaxed);
        }
        if turn.ended {
            return Ok(Incoming::End(turn.take_seq()));
        }
        ledger.enter(0, Activity::Process);
        let look = env.clock.now() + POLL_MAX;
        let until = until.map_or(look, |until| until.min(look));
        let polled = turn.source.poll(until).map_err(|error| error.in_stage(&self.name))?;
        let progress = turn.source.progress();
        self.live.bytes_read.store(progress.bytes_read, Ordering::Relaxed);
        let waited = progress.waited - std::mem::replace(&mut turn.waited, progress.waited);
        if !waited.is_zero() {
            ledger.starved_for(waited);
        }
        Ok(match polled {
            Polled::Batch(batch) => {
                Incoming::Batches { seq: turn.take_seq(), rows: vec![batch], dead_letters: Vec::new() }
            }
            Polled::Idle => Incoming::Idle,
            Polled::End => {
                turn.ended = true;
                Incoming::End(turn.take_seq())
            }
        })
    }
}

/// Where a chain's batches come from.
pub enum Inlet {
    /// The source, shared with other workers.
    Source(Arc<SharedSource>),
    /// The chain before.
    Link(Receiver<Sent>, Traffic),
    /// The stage before, which is a process; shared with other workers.
    Host(Arc<SharedHost>),
}

/// What there is to do next.
pub(crate) enum Incoming {
    Batches {
        seq: Seq,
        rows: Vec<RecordBatch>,
        dead_letters: Vec<(StageId, DeadLetter)>,
    },
    Partial(State),
    Idle,
    /// The end, under a number of this worker's own, for what it still has to send.
    End(Seq),
}

impl Inlet {
    /// Waits for what there is to do next, until `until` at most; the waiting is the head's starvation.
    pub(crate) fn next(&self, env: &Env, until: Option<Instant>, ledger: &mut Ledger) -> Result<Incoming> {
        ledger.enter(0, Activity::Starved);
        let (link, traffic) = match self {
            Inlet::Source(source) => return source.next(env, until, ledger),
            Inlet::Host(host) => return host.next(env, until, ledger),
            Inlet::Link(link, traffic) => (link, traffic),
        };
        let closed = |closed| Error::internal("the stages before have failed").with_source(closed);
        let limit = until.map(|until| until.saturating_duration_since(env.clock.now()));
        if link.ready_within(limit).map_err(closed)? == Readiness::Nothing {
            return Ok(Incoming::Idle);
        }
        ledger.enter(0, Activity::Receive);
        let Some((seq, Sent { message, at })) = link.recv().map_err(closed)? else {
            return Ok(Incoming::End(Seq::default()));
        };
        if let (Some(at), Some(now)) = (at, ledger.since()) {
            traffic.passed(message.rows(), 0, now.saturating_duration_since(at));
        }
        Ok(match message {
            Message::Batches { rows, dead_letters } => Incoming::Batches { seq, rows, dead_letters },
            Message::Partial(state) => Incoming::Partial(state),
        })
    }

    /// Whether more is at hand at once.
    pub(crate) fn has_more(&self) -> bool {
        match self {
            // A source may have to wait for its input at any time.
            Inlet::Source(_) => false,
            Inlet::Link(link, _) => link.has_message(),
            Inlet::Host(host) => host.receiver.has_arrived(),
        }
    }
}

/// What comes from a stage that is a process, and the account of what the stage did.
pub struct SharedHost {
    receiver: HostReceiver,
    live: Arc<Live>,
    stopped: AtomicBool,
    passed: Mutex<Passed>,
}

impl SharedHost {
    /// Shares what comes from a stage.
    pub fn new(receiver: HostReceiver, live: Arc<Live>) -> Self {
        Self { receiver, live, stopped: AtomicBool::new(false), passed: Mutex::default() }
    }

    /// What comes from the stage.
    pub fn receiver(&self) -> &HostReceiver {
        &self.receiver
    }

    /// What the stage did with the events that it was given.
    pub fn passed(&self) -> Passed {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_source(&self) -> bool {
        self.receiver.stage() == StageId(0)
    }

    fn next(&self, env: &Env, until: Option<Instant>, ledger: &mut Ledger) -> Result<Incoming> {
        let until = if self.is_source() {
            self.stop_if_told()?;
            let look = env.clock.now() + POLL_MAX;
            Some(until.map_or(look, |until| until.min(look)))
        } else {
            until
        };
        match self.receiver.recv(until)? {
            Received::Nothing => Ok(Incoming::Idle),
            Received::End(seq) => Ok(Incoming::End(seq)),
            Received::Some(seq, parcel) => {
                let arrival = self.receiver.open(parcel, &mut |activity| ledger.enter(0, activity))?;
                self.account(&arrival.passed);
                Ok(Incoming::Batches { seq, rows: arrival.rows, dead_letters: arrival.dead_letters })
            }
        }
    }

    /// Takes what has come from a sink: dead letters that went past it, and its own. There is no batch among it, whose
    /// opening would be an activity.
    pub(crate) fn settle(&self, until: Option<Instant>) -> Result<Option<Vec<(StageId, DeadLetter)>>> {
        match self.receiver.recv(until)? {
            Received::Nothing | Received::End(_) => Ok(None),
            Received::Some(_, parcel) => {
                let arrival = self.receiver.open(parcel, &mut |_| {})?;
                self.account(&arrival.passed);
                Ok(Some(arrival.dead_letters))
            }
        }
    }

    fn account(&self, passed: &Passed) {
        if self.receiver.stage() == StageId(1) {
            self.live.events.fetch_add(passed.events, Ordering::Relaxed);
        }
        if self.is_source() {
            let (read, total) = self.receiver.progress();
            self.live.bytes_read.store(read, Ordering::Relaxed);
            self.live.bytes_total.store(total, Ordering::Relaxed);
        }
        let mut sum = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        sum.batches += passed.batches;
        sum.events += passed.events;
        sum.filtered += passed.filtered;
        sum.dead_letters += passed.dead_letters;
    }

    /// Passes the wish to stop on to the source's process, once.
    fn stop_if_told(&self) -> Result<()> {
        if self.live.stop.load(Ordering::Relaxed) && !self.stopped.swap(true, Ordering::Relaxed) {
            self.live.cut_short.store(true, Ordering::Relaxed);
            self.receiver.stop()?;
        }
        Ok(())
    }
}
