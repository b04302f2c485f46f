//! Whether a stage keeps the rules: every message, one after the other.
//!
//! What it is: [`Referee`], which is told what the runtime sends and judges what the stage sends. It does no I/O.
//!
//! Guarantees: a message that keeps all rules of `PROTOCOL.md` that can be seen from the order, the numbers and the
//! lengths of messages is accepted, any other is a broken rule with its name.
//!
//! Refuses: looking into payloads; `session` does.

use std::collections::{BTreeMap, HashSet};

use modrun_core::{Concurrency, ErrorKind, Role};
use modrun_wire::{Activity, Batch, Credit, Failed, Form, FromStage, Open, Place, Ready};

use crate::stages::Stage;
use crate::table::schema;
use crate::{Result, broken};

/// Bytes of a failure's message and of its detail.
const MESSAGE_BYTES_MAX: usize = 1 << 10;
const DETAIL_BYTES_MAX: usize = 8 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Working,
    Done,
    Committed,
    Failed,
}

/// What was said so far.
pub(crate) struct Referee {
    stage: Stage,
    open: Open,
    phase: Phase,
    /// The rows of each batch that was sent.
    sent: Vec<u32>,
    /// The next batch that the stage must give credit for.
    next_credit: u64,
    /// The number of the stage's next batch.
    next_output: u64,
    /// The stage's batches without credit: where they are and how long.
    in_flight: BTreeMap<u64, (Place, u32)>,
    failed_rows: HashSet<(u64, u32)>,
    /// Batches that were sent when the state was asked for, and the epoch.
    barrier: Option<(usize, u64)>,
    chunks: u32,
    ended: bool,
    commit: bool,
    last_activity: Option<Activity>,
}

impl Referee {
    /// A referee of a stage that is to be opened with `open`.
    pub(crate) fn new(stage: Stage, open: Open) -> Self {
        Self {
            stage,
            open,
            phase: Phase::Opening,
            sent: Vec::new(),
            next_credit: 0,
            next_output: 0,
            in_flight: BTreeMap::new(),
            failed_rows: HashSet::new(),
            barrier: None,
            chunks: 0,
            ended: false,
            commit: false,
            last_activity: None,
        }
    }

    /// The runtime sends a batch of `rows` rows.
    pub(crate) fn batch_sent(&mut self, rows: u32) {
        self.sent.push(rows);
    }

    /// The runtime gives credit for an output batch.
    pub(crate) fn credit_sent(&mut self, seq: u64) {
        self.in_flight.remove(&seq);
    }

    /// The runtime asks for the state.
    pub(crate) fn barrier_sent(&mut self, epoch: u64) {
        self.barrier = Some((self.sent.len(), epoch));
        self.chunks = 0;
    }

    /// The runtime says that there is no more.
    pub(crate) fn end_sent(&mut self) {
        self.ended = true;
    }

    /// The runtime asks for the results' final name.
    pub(crate) fn commit_sent(&mut self) {
        self.commit = true;
    }

    /// Batches of the stage without credit.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Judges a message.
    pub(crate) fn judge(&mut self, message: &FromStage) -> Result<()> {
        let opening = self.phase == Phase::Opening;
        let first = matches!(message, FromStage::Ready(_))
            || matches!(message, FromStage::Failed(failed) if failed.rows.is_empty());
        if opening && !first {
            return broken("S3", format!("sent {} before `Ready`", name(message)));
        }
        if matches!(self.phase, Phase::Done | Phase::Committed)
            && !matches!(message, FromStage::Credit(_) | FromStage::Committed)
        {
            return broken("N3", format!("sent {} after `Done`", name(message)));
        }
        if self.phase == Phase::Failed {
            return broken("E2", format!("sent {} after it had failed", name(message)));
        }
        match message {
            FromStage::Ready(ready) => self.ready(ready),
            FromStage::Batch(batch) => self.batch(batch),
            FromStage::Credit(credit) => self.credit(credit),
            FromStage::Failed(failed) => self.failed(failed),
            FromStage::Activity(activity) => self.activity(activity),
            FromStage::Done(_) => self.done(),
            FromStage::Committed if self.commit && self.phase == Phase::Done => {
                self.phase = Phase::Committed;
                Ok(())
            }
            FromStage::Committed => broken("N2", "sent `Committed` without `Commit`"),
            FromStage::State(state) => self.state(state.index),
            FromStage::Snapshot(snapshot) => self.snapshot(snapshot.epoch, snapshot.chunks),
        }
    }

    fn ready(&mut self, ready: &Ready) -> Result<()> {
        if self.phase != Phase::Opening {
            return broken("S3", "sent `Ready` a second time");
        }
        if ready.protocol != 1 {
            return broken("S3", format!("speaks the protocol {} instead of 1", ready.protocol));
        }
        if ready.sdk.is_empty() {
            return broken("S3", "does not name its SDK in `Ready`");
        }
        if ready.role != self.stage.role {
            return broken("S3", format!("is a {:?} instead of a {:?}", ready.role, self.stage.role));
        }
        if self.stage.role == Role::Transform && ready.concurrency != self.stage.concurrency {
            let declared = if ready.concurrency == Concurrency::Stateless { "stateless" } else { "ordered" };
            return broken("S3", format!("declares itself {declared}, which STAGES.md says it is not"));
        }
        if let (Some(declared), Some(columns)) = (&ready.output, &self.stage.output)
            && *declared != schema(columns)
        {
            return broken("S3", format!("declares other columns than `Open` has: {declared:?}"));
        }
        self.phase = Phase::Working;
        Ok(())
    }

    fn batch(&mut self, batch: &Batch) -> Result<()> {
        if self.stage.role == Role::Sink {
            return broken("S3", "is a sink and sent a batch");
        }
        if batch.seq.0 != self.next_output {
            return broken("B1", format!("sent batch {} where {} comes next", batch.seq.0, self.next_output));
        }
        self.next_output += 1;
        self.place(batch)?;
        match batch.input {
            Some(input) => self.caused(input.0, "sent a batch")?,
            None if batch.form == Form::Selection => return broken("P8", "sent a selection from no batch"),
            None => {}
        }
        if batch.form == Form::Selection {
            self.selection(batch)?;
        }
        self.in_flight.insert(batch.seq.0, (batch.place, batch.length));
        let bytes: u64 = self.in_flight.values().map(|&(_, length)| u64::from(length)).sum();
        let batches = self.in_flight.len();
        if batches > 1 && (batches > self.open.window_batches as usize || bytes > self.open.window_bytes) {
            return broken("B2", format!("has {batches} batches with {bytes} bytes without credit"));
        }
        Ok(())
    }

    fn place(&self, batch: &Batch) -> Result<()> {
        let length = u64::from(batch.length);
        let inline = length <= self.open.inline_max || self.open.output_segment == 0;
        match batch.place {
            Place::Inline if inline => Ok(()),
            Place::Inline => broken("P1", format!("sent a payload of {length} bytes inline")),
            Place::Slot(_) if inline => broken("P1", format!("sent a payload of {length} bytes by segment")),
            Place::Slot(offset) => {
                let end = offset.saturating_add(length);
                if end > self.open.output_segment {
                    return broken("P1", format!("a payload ends at {end}, beyond the segment"));
                }
                let overlaps = |&(place, other): &(Place, u32)| matches!(place, Place::Slot(start) if start < end && offset < start + u64::from(other));
                if self.in_flight.values().any(overlaps) {
                    return broken("P2", format!("the payload at {offset} lies on one without credit"));
                }
                Ok(())
            }
        }
    }

    fn selection(&self, batch: &Batch) -> Result<()> {
        if self.stage.role != Role::Transform || self.stage.input != self.stage.output {
            return broken("P8", "sent a selection, though its columns are not those of its input");
        }
        let rows = batch.input.and_then(|input| self.sent.get(usize::try_from(input.0).ok()?)).copied();
        if rows.is_some_and(|rows| batch.rows > rows) {
            return broken("P8", format!("sent a selection of {} rows out of {rows:?}", batch.rows));
        }
        Ok(())
    }

    /// Something was caused by the batch `input`, which must be there and must not have got its credit.
    fn caused(&self, input: u64, what: &str) -> Result<()> {
        if input >= self.sent.len() as u64 {
            return broken("B3", format!("{what} for the batch {input}, which was not sent"));
        }
        if input < self.next_credit {
            return broken("B3", format!("{what} for the batch {input} after its credit"));
        }
        Ok(())
    }

    fn credit(&mut self, credit: &Credit) -> Result<()> {
        if credit.seq.0 != self.next_credit {
            return broken(
                "B3",
                format!("gave credit {} where {} comes next", credit.seq.0, self.next_credit),
            );
        }
        let Some(&rows) = self.sent.get(self.next_credit as usize) else {
            return broken("B3", format!("gave credit for the batch {}, which was not sent", credit.seq.0));
        };
        if credit.events != rows {
            return broken("B4", format!("counted {} events in a batch of {rows} rows", credit.events));
        }
        if credit.filtered > credit.events {
            return broken("B4", format!("filtered {} of {rows} events", credit.filtered));
        }
        self.next_credit += 1;
        Ok(())
    }

    fn failed(&mut self, failed: &Failed) -> Result<()> {
        if failed.message.is_empty() || failed.code.is_empty() && !failed.rows.is_empty() {
            return broken("E1", "failed without a message, or an event without a code");
        }
        if failed.message.len() > MESSAGE_BYTES_MAX || failed.message.contains('\n') {
            let length = failed.message.len();
            return broken("E1", format!("the message of {length} bytes is too long, or not one line"));
        }
        if failed.detail.len() > DETAIL_BYTES_MAX {
            return broken("E1", format!("the detail has {} bytes", failed.detail.len()));
        }
        if failed.rows.is_empty() {
            self.phase = Phase::Failed;
            return Ok(());
        }
        if failed.kind != ErrorKind::Stage {
            return broken("E1", format!("events failed with the kind {:?}", failed.kind));
        }
        self.caused(failed.input.0, "failed events")?;
        let rows = self.sent[failed.input.0 as usize];
        for &row in &failed.rows {
            if row >= rows || !self.failed_rows.insert((failed.input.0, row)) {
                return broken("E1", format!("row {row} of {rows} failed, which is not there, or twice"));
            }
        }
        Ok(())
    }

    fn activity(&mut self, activity: &Activity) -> Result<()> {
        if let Some(last) = self.last_activity {
            let shrinks = last.spent.iter().zip(&activity.spent).any(|(before, now)| now < before);
            if shrinks || activity.cpu < last.cpu {
                return broken("A1", format!("an activity has shrunk: {last:?}, then {activity:?}"));
            }
        }
        self.last_activity = Some(*activity);
        Ok(())
    }

    fn done(&mut self) -> Result<()> {
        if !self.ended && self.stage.role != Role::Source {
            return broken("N1", "sent `Done` before `End`");
        }
        if self.next_credit != self.sent.len() as u64 {
            return broken("B3", format!("sent `Done` before the credit {}", self.next_credit));
        }
        if self.barrier.is_some() {
            return broken("T1", "sent `Done` and owes a snapshot");
        }
        if self.last_activity.is_none() {
            return broken("A1", "sent `Done` without `Activity`");
        }
        self.phase = Phase::Done;
        Ok(())
    }

    fn state(&mut self, index: u32) -> Result<()> {
        let Some((sent, _)) = self.barrier else {
            return broken("T1", "sent `State` without being asked");
        };
        if self.next_credit < sent as u64 {
            return broken("T1", format!("sent `State` before the credit {}", self.next_credit));
        }
        if index != self.chunks {
            return broken("T1", format!("sent chunk {index} where {} comes next", self.chunks));
        }
        self.chunks += 1;
        Ok(())
    }

    fn snapshot(&mut self, epoch: u64, chunks: u32) -> Result<()> {
        let Some((sent, asked)) = self.barrier.take() else {
            return broken("T1", "sent `Snapshot` without being asked");
        };
        if self.next_credit < sent as u64 {
            return broken("T1", format!("sent `Snapshot` before the credit {}", self.next_credit));
        }
        if epoch != asked || chunks != self.chunks {
            let came = self.chunks;
            return broken(
                "T1",
                format!(
                    "a snapshot of epoch {epoch} with {chunks} chunks, but epoch {asked} was asked for and {came} came"
                ),
            );
        }
        Ok(())
    }
}

fn name(message: &FromStage) -> &'static str {
    match message {
        FromStage::Ready(_) => "`Ready`",
        FromStage::Batch(_) => "`Batch`",
        FromStage::Credit(_) => "`Credit`",
        FromStage::State(_) => "`State`",
        FromStage::Snapshot(_) => "`Snapshot`",
        FromStage::Failed(_) => "`Failed`",
        FromStage::Activity(_) => "`Activity`",
        FromStage::Done(_) => "`Done`",
        FromStage::Committed => "`Committed`",
    }
}
