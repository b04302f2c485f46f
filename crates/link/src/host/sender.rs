//! What a chain sends to a stage that runs as a process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use modrun_core::env::Clock;
use modrun_core::value::ndjson;
use modrun_core::{Activity, BatchPolicy, DeadLetter, Error, Payload, Result, StageId};
use modrun_wire::ToStage;
use modrun_wire::table::{Layout, rows_within};

use super::Host;
use crate::batcher::{Batcher, Facts};
use crate::peer::Kept;

/// How soon behind one adaptive batch the next one leaves that is not full. Where rows come without a pause, fewer batches
/// wake and run through fewer loops; where they come now and then, none waits.
const PACE: Duration = Duration::from_millis(5);

/// The sending end before a stage. Dropped without [`HostSender::finish`], it ends everything on its sockets.
pub struct HostSender {
    hosts: Vec<Host>,
    /// Which process gets the next batch.
    turn: usize,
    clock: Arc<dyn Clock>,
    batcher: Batcher,
    /// Dead letters of the stages before, which go past the stage with the next batch.
    letters: Vec<(StageId, DeadLetter)>,
    finished: bool,
}

impl HostSender {
    /// Sends to the processes of one stage, in batches as `policy` says.
    ///
    /// # Panics
    /// If there is no process, or the stage is a source.
    pub fn new(hosts: Vec<Host>, policy: BatchPolicy, clock: Arc<dyn Clock>) -> Self {
        let schema = hosts[0].input.as_ref().expect("what is sent to has columns that come in");
        let batcher = Batcher::new(policy, PACE, schema);
        Self { hosts, turn: 0, clock, batcher, letters: Vec::new(), finished: false }
    }

    /// Sends rows, or keeps them for the next batch; `more` says whether more is at hand at once. `meter` is told what
    /// the time is spent on.
    pub fn send(
        &mut self,
        rows: Vec<RecordBatch>,
        letters: Vec<(StageId, DeadLetter)>,
        more: bool,
        meter: &mut dyn FnMut(Activity),
    ) -> Result<()> {
        let now = self.clock.now();
        rows.into_iter().for_each(|batch| self.batcher.push(batch, now));
        self.letters.extend(letters);
        self.send_due(more, false, meter)?;
        if more { Ok(()) } else { self.flush(meter) }
    }

    /// When rows that wait must be sent at the latest, by calling [`HostSender::send`] with nothing.
    pub fn deadline(&self) -> Option<Instant> {
        self.batcher.deadline()
    }

    /// Sends what waits, and the end.
    pub fn finish(mut self, meter: &mut dyn FnMut(Activity)) -> Result<()> {
        self.send_due(false, true, meter)?;
        meter(Activity::Send);
        for host in &self.hosts {
            host.may_end.store(true, Ordering::Release);
            host.say(&ToStage::End)?;
        }
        self.finished = true;
        Ok(())
    }

    fn send_due(&mut self, more: bool, ended: bool, meter: &mut dyn FnMut(Activity)) -> Result<()> {
        loop {
            let in_flight = self.hosts[self.turn].peer.in_flight();
            let facts = Facts { in_flight, more, ended, now: self.clock.now() };
            match self.batcher.take(facts)? {
                Some(batch) => self.send_batch(batch, meter)?,
                None => break,
            }
        }
        if !self.letters.is_empty() && self.batcher.is_empty() {
            self.pass_letters();
        }
        Ok(())
    }

    /// Sends a batch, in parts if its payload is too large for one.
    fn send_batch(&mut self, batch: RecordBatch, meter: &mut dyn FnMut(Activity)) -> Result<()> {
        let mut left = batch;
        while left.num_rows() > 0 {
            let host = self.hosts[self.turn].clone();
            let length_max = host.peer.payload_max();
            let unfit = |error| Error::internal("a batch does not fit the protocol").with_source(error);
            meter(Activity::Encode);
            let mut layout = Layout::of(&left).map_err(unfit)?;
            let mut rows = left.num_rows();
            if layout.length() > length_max {
                rows = rows_within(&left, length_max).map_err(unfit)?;
                layout = Layout::of(&left.slice(0, rows)).map_err(unfit)?;
            }
            if rows == 0 {
                self.letters.push((host.stage, too_large(&left, length_max)));
                left = left.slice(1, left.num_rows() - 1);
                continue;
            }
            let kept = Kept { rows: Some(left.slice(0, rows)), bypass: std::mem::take(&mut self.letters) };
            host.peer.send(&layout, None, kept, meter).map_err(|failure| host.error(failure))?;
            left = left.slice(rows, left.num_rows() - rows);
            self.turn = (self.turn + 1) % self.hosts.len();
        }
        Ok(())
    }

    /// Sends dead letters past the stage, behind the batches that are on their way.
    fn pass_letters(&mut self) {
        let letters = std::mem::take(&mut self.letters);
        let last = (self.turn + self.hosts.len() - 1) % self.hosts.len();
        if let Some(letters) = self.hosts[last].peer.bypass_behind(letters) {
            self.hosts[self.turn].peer.bypass(letters);
        }
    }

    fn flush(&self, meter: &mut dyn FnMut(Activity)) -> Result<()> {
        meter(Activity::Send);
        for host in &self.hosts {
            host.peer.flush().map_err(|failure| host.error(failure))?;
        }
        Ok(())
    }
}

impl Drop for HostSender {
    fn drop(&mut self) {
        if !self.finished {
            self.hosts.iter().for_each(Host::close);
        }
    }
}

/// A row that is larger than a whole segment.
fn too_large(batch: &RecordBatch, length_max: usize) -> DeadLetter {
    DeadLetter {
        reason: "too_large".into(),
        cause: format!("the event is larger than the {length_max} bytes of `limits.segment`"),
        detail: None,
        origin: None,
        payload: Payload::Event(ndjson::event(batch, 0)),
    }
}
