//! What a stage that runs as a process hands on to the chain behind it.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use modrun_core::value::ndjson;
use modrun_core::{Activity, DeadLetter, Origin, Payload, Result, Seq, StageId, raw_schema};
use modrun_wire::{Batch, Credit, Done, Failed, Form, FromStage, ToStage, selection, table};

use super::Host;
use crate::failure::Failure;
use crate::peer::Arrived;

/// Bytes of payload that are taken at once: more would only keep other workers waiting.
const TAKEN_BYTES: u32 = 128 << 10;
/// Things that are taken at once.
const TAKEN_MAX: usize = 256;

/// What a stage did with the events that it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Batches that it is done with.
    pub batches: u64,
    /// Events in them.
    pub events: u64,
    /// Events that it dropped on purpose.
    pub filtered: u64,
    /// Events that went wrong.
    pub dead_letters: u64,
}

/// What came out of a stage, decoded.
#[derive(Debug, Default)]
pub struct Arrival {
    /// Rows for the next stage, in order.
    pub rows: Vec<RecordBatch>,
    /// Dead letters of this stage and of those before it, in order.
    pub dead_letters: Vec<(StageId, DeadLetter)>,
    /// What became of the events.
    pub passed: Passed,
}

/// What there is behind a stage.
pub enum Received {
    /// Something, under a number of this link; [`HostReceiver::open`] decodes it.
    Some(Seq, Parcel),
    /// Nothing came in time.
    Nothing,
    /// The stage is done; under a number of this link for what the receiver still has to send.
    End(Seq),
}

/// What came from one process, not decoded yet.
pub struct Parcel {
    from: usize,
    things: Vec<Thing>,
}

enum Thing {
    Batch(Batch, Option<Buffer>, Option<RecordBatch>, Option<Instant>),
    Failed(Failed, RecordBatch),
    Credit(Credit),
    Letters(Vec<(StageId, DeadLetter)>),
}

/// What a process said when it was done, and where its time went.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Its last words.
    pub done: Done,
    /// Where its time went.
    pub activity: modrun_wire::Activity,
}

/// The receiving end behind a stage; several workers may share it. Behind a sink it gives dead letters only.
pub struct HostReceiver {
    hosts: Vec<Host>,
    turn: Mutex<Turn>,
    /// What each process said last of where its time went; apart, as whoever waits for a batch holds the turn.
    activity: Mutex<Vec<modrun_wire::Activity>>,
    /// Longest line that a dead letter shows, in bytes.
    line_bytes_max: usize,
}

struct Turn {
    /// Whose answer is next.
    at: usize,
    next: u64,
    done: Vec<Option<Done>>,
}

impl HostReceiver {
    /// Receives from the processes of one stage.
    pub fn new(hosts: Vec<Host>, line_bytes_max: usize) -> Self {
        let (activity, done) = (vec![Default::default(); hosts.len()], vec![None; hosts.len()]);
        Self {
            hosts,
            turn: Mutex::new(Turn { at: 0, next: 0, done }),
            activity: Mutex::new(activity),
            line_bytes_max,
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        // Nothing of a stage runs under this lock; after a panic elsewhere the run ends.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stage's position in the pipeline.
    pub fn stage(&self) -> StageId {
        self.hosts[0].stage
    }

    /// The stage's processes.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Tells a source to stop: what it has read still comes.
    pub fn stop(&self) -> Result<()> {
        self.hosts.iter().try_for_each(|host| host.say(&ToStage::End))
    }

    /// Whether something has come already.
    pub fn has_arrived(&self) -> bool {
        self.turn.try_lock().is_ok_and(|turn| self.hosts[turn.at].peer.has_arrived())
    }

    /// How far a source has come: bytes read, and bytes in all or 0.
    pub fn progress(&self) -> (u64, u64) {
        let activities = self.activities();
        let sum = |of: fn(&modrun_wire::Activity) -> u64| activities.iter().map(of).sum();
        (sum(|activity| activity.bytes_read), sum(|activity| activity.bytes_total))
    }

    /// What each process said when it was done; `None` for one that is not.
    pub fn ended(&self) -> Vec<Option<Ended>> {
        let turn = self.turn();
        let both = turn.done.iter().zip(self.activities());
        both.map(|(done, activity)| done.clone().map(|done| Ended { done, activity })).collect()
    }

    /// Where each process's time went, as far as it has said.
    pub fn activities(&self) -> Vec<modrun_wire::Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for what the stage hands on, until `until` at most.
    pub fn recv(&self, until: Option<Instant>) -> Result<Received> {
        let mut turn = self.turn();
        loop {
            if turn.done.iter().all(Option::is_some) {
                return Ok(Received::End(turn.take_seq()));
            }
            let at = turn.at;
            let (host, several) = (&self.hosts[at], self.hosts.len() > 1);
            let taken = host.peer.wait(until, |state| {
                let mut taken = Vec::new();
                let mut bytes = 0;
                while taken.len() < TAKEN_MAX && bytes < TAKEN_BYTES {
                    let Some(arrived) = state.take() else { break };
                    let turn_over = several && matches!(arrived, Arrived::Credit(..));
                    if let Arrived::Batch(batch, ..) = &arrived {
                        bytes += batch.length;
                    }
                    taken.push(arrived);
                    if turn_over {
                        break;
                    }
                }
                (!taken.is_empty()).then_some(taken)
            });
            let Some(taken) = taken.map_err(|failure| host.error(failure))? else {
                return Ok(Received::Nothing);
            };
            let things = turn.sort(host, taken, &self.activity)?;
            if !things.is_empty() {
                return Ok(Received::Some(turn.take_seq(), Parcel { from: at, things }));
            }
        }
    }

    /// Decodes what came, and gives credit for it. `meter` is told what the time is spent on.
    pub fn open(&self, parcel: Parcel, meter: &mut dyn FnMut(Activity)) -> Result<Arrival> {
        let host = &self.hosts[parcel.from];
        let (mut arrival, mut credits, mut came) = (Arrival::default(), Vec::new(), Vec::new());
        for thing in parcel.things {
            match thing {
                Thing::Batch(batch, inline, selected_from, came_at) => {
                    meter(Activity::Receive);
                    let payload = host.peer.payload(&batch, inline).map_err(|failure| host.error(failure))?;
                    credits.push(Credit { seq: batch.seq, events: 0, filtered: 0 });
                    came.extend(came_at.map(|at| (at, u64::from(batch.rows), u64::from(batch.length))));
                    meter(Activity::Decode);
                    let rows = decode(&batch, payload, selected_from, host.output.as_ref());
                    arrival.rows.push(rows.map_err(|what| host.error(Failure::garbage(what)))?);
                }
                Thing::Failed(failed, rows) => {
                    let letters = self.letters(host, &failed, &rows)?;
                    arrival.passed.dead_letters += letters.len() as u64;
                    arrival.dead_letters.extend(letters.into_iter().map(|letter| (host.stage, letter)));
                }
                Thing::Credit(credit) => {
                    arrival.passed.batches += 1;
                    arrival.passed.events += u64::from(credit.events);
                    arrival.passed.filtered += u64::from(credit.filtered);
                }
                Thing::Letters(letters) => arrival.dead_letters.extend(letters),
            }
        }
        arrival.rows.retain(|rows| rows.num_rows() > 0);
        if !credits.is_empty() {
            meter(Activity::Receive);
            host.peer.pay(&credits);
            if let Some(now) = host.peer.time() {
                for (at, rows, bytes) in came {
                    host.received.passed(rows, bytes, now.saturating_duration_since(at));
                }
            }
            // With more at hand, its credit goes out in the same write.
            if !host.peer.has_arrived() {
                host.peer.flush().map_err(|failure| host.error(failure))?;
            }
        }
        Ok(arrival)
    }

    /// The dead letters that a stage has told of.
    fn letters(&self, host: &Host, failed: &Failed, rows: &RecordBatch) -> Result<Vec<DeadLetter>> {
        let letter = |&row: &u32| {
            let row = row as usize;
            if row >= rows.num_rows() {
                return Err(host.garbage("it told of a row behind the end of its batch"));
            }
            let (origin, payload) = self.event(failed, rows, row).map_err(|what| host.garbage(what))?;
            Ok(DeadLetter {
                reason: failed.code.clone().into(),
                cause: failed.message.clone(),
                detail: (!failed.detail.is_empty()).then(|| failed.detail.clone()),
                origin,
                payload,
            })
        };
        failed.rows.iter().map(letter).collect()
    }

    /// What is known of an event that went wrong.
    fn event(
        &self,
        failed: &Failed,
        rows: &RecordBatch,
        row: usize,
    ) -> Result<(Option<Origin>, Payload), &'static str> {
        if !failed.event.is_empty() {
            let event = serde_json::from_str(&failed.event);
            return event
                .map(|event| (None, Payload::Event(event)))
                .map_err(|_| "it told of an event that is no JSON object");
        }
        if rows.schema() != raw_schema() {
            return Ok((None, Payload::Event(ndjson::event(rows, row))));
        }
        let text = rows.column(3).as_binary::<i32>().value(row);
        let whole = failed.text_length == 0;
        let begin = if whole { 0 } else { failed.text_offset as usize };
        let length = if whole { text.len() } else { failed.text_length as usize };
        let line = begin.checked_add(length).and_then(|end| text.get(begin..end));
        let line = line.ok_or("it told of a line behind the end of its text")?;
        let first = rows.column(2).as_primitive::<Int64Type>();
        let before = || memchr::memchr_iter(b'\n', &text[..begin]).count() as i64;
        let origin = Origin {
            source: rows.column(0).as_string::<i32>().value(row).to_owned(),
            line: first.is_valid(row).then(|| (first.value(row) + before()) as u64),
            offset: rows.column(1).as_primitive::<Int64Type>().value(row) as u64 + begin as u64,
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let truncated = line.len() > self.line_bytes_max;
        let bytes = line[..line.len().min(self.line_bytes_max)].to_vec();
        Ok((Some(origin), Payload::Raw { bytes, truncated }))
    }
}

impl Turn {
    fn take_seq(&mut self) -> Seq {
        self.next += 1;
        Seq(self.next - 1)
    }

    /// Deals with what concerns the process as a whole; gives the rest.
    fn sort(
        &mut self,
        host: &Host,
        taken: Vec<Arrived<FromStage>>,
        activities: &Mutex<Vec<modrun_wire::Activity>>,
    ) -> Result<Vec<Thing>> {
        let mut things = Vec::with_capacity(taken.len());
        for arrived in taken {
            match arrived {
                Arrived::Batch(batch, inline, selected_from, at) => {
                    things.push(Thing::Batch(batch, inline, selected_from, at));
                }
                Arrived::Credit(credit, kept) => {
                    if !kept.bypass.is_empty() {
                        things.push(Thing::Letters(kept.bypass));
                    }
                    things.push(Thing::Credit(credit));
                    self.advance();
                }
                Arrived::Bypass(letters) => things.push(Thing::Letters(letters)),
                Arrived::Other(FromStage::Failed(failed), Some(rows)) => {
                    things.push(Thing::Failed(failed, rows));
                }
                Arrived::Other(FromStage::Failed(failed), ..) => return Err(host.failed(&failed)),
                Arrived::Other(FromStage::Activity(activity), ..) => {
                    activities.lock().unwrap_or_else(PoisonError::into_inner)[self.at] = activity;
                }
                Arrived::Other(FromStage::Done(done), ..) => {
                    if !host.may_end.load(Ordering::Acquire) {
                        return Err(host.garbage("it said `Done` before its input had ended"));
                    }
                    self.done[self.at] = Some(done);
                    self.advance();
                    return Ok(things);
                }
                Arrived::Other(..) => return Err(host.garbage("it sent a reply that nobody asked for")),
            }
        }
        Ok(things)
    }

    /// It is the turn of the next process that is not done.
    fn advance(&mut self) {
        let count = self.done.len();
        let next = (1..=count).map(|step| (self.at + step) % count).find(|&at| self.done[at].is_none());
        self.at = next.unwrap_or(self.at);
    }
}

/// Makes rows of a payload.
fn decode(
    batch: &Batch,
    payload: Buffer,
    selected_from: Option<RecordBatch>,
    schema: Option<&SchemaRef>,
) -> Result<RecordBatch, String> {
    let schema = schema.ok_or("a sink sent a batch")?;
    match (batch.form, selected_from) {
        (Form::Selection, Some(rows)) => {
            if !same_columns(&rows.schema(), schema) {
                return Err("a selection came from a stage that hands on other columns than it gets".into());
            }
            let kept = selection::decode(payload, rows.num_rows(), batch.rows).map_err(|e| e.to_string())?;
            if batch.rows as usize == rows.num_rows() {
                return Ok(rows);
            }
            filter_record_batch(&rows, &kept.into()).map_err(|error| error.to_string())
        }
        _ => {
            let rows = table::decode(payload, schema).map_err(|error| error.to_string())?;
            if rows.num_rows() != batch.rows as usize {
                return Err(format!("a table of {} rows came as one of {}", rows.num_rows(), batch.rows));
            }
            Ok(rows)
        }
    }
}

/// Whether the columns have the same names; their types follow from the pipeline's plan.
fn same_columns(one: &SchemaRef, other: &SchemaRef) -> bool {
    let names =
        |schema: &SchemaRef| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    names(one) == names(other)
}
