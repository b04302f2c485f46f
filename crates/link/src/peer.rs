//! One end of the socket between the runtime and a stage: batches, credit, and whatever else is said.
//!
//! What it is: both ends are the same. Each sends numbered batches through its own segment, gives credit for those of
//! the other, and keeps all other messages in their order for whoever asks.
//!
//! Guarantees: no more is on its way than the window allows. What the other end sends is checked against what it may
//! send before anything is made of it. A payload in the other's segment is copied once, then checked, and never looked
//! at again.
//!
//! Refuses: a thread of its own. Whoever waits for something has written what it had to say, and reads, for the others
//! as well: there is always a reader while anybody waits, which is why nobody who waits for credit can hold up those
//! who wait for batches.
//!
//! ```text
//!   send ──▶ window ──▶ slot ──▶ out ──▶ socket ──▶ frames ──▶ sort ─┬─ credit: slot and window are free
//!              ▲                                                     ├─ batches ──▶ arrived ──▶ take
//!              └─────────────────────────────────────────────────────┘  others  ──▶
//! ```

use std::collections::VecDeque;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_buffer::{BooleanBuffer, Buffer};
use modrun_core::env::Clock;
use modrun_core::{Activity, DeadLetter, Seq, StageId, Window};
use modrun_shm::{Readable, Slot, Writable};
use modrun_wire::{Batch, Credit, Form, Frames, Incoming, Place, selection, table};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::Closed;
use crate::Traffic;
use crate::failure::Failure;
use crate::pool::Pool;

mod state;

use state::Sent;
pub(crate) use state::State;

/// Frames gathered before they are written.
const OUT_BYTES: usize = 32 << 10;
/// Frames taken from the socket before the others get to see them.
const FRAMES_MAX: usize = 256;

/// What may have come without being asked for yet: a dead letter for each row of some large batches.
const ARRIVED_MAX: usize = 256 << 10;

/// One of the two directions that messages come from.
pub(crate) trait Side: Incoming {
    /// Whether credit says what came of a batch: it then comes in the order of the batches, and somebody takes it.
    /// Otherwise it only says that the batch is done with, in any order.
    const CREDIT_IS_AN_ANSWER: bool;

    /// Tells the messages of the data path from the others.
    fn sort(self) -> Sorted<Self>;
    /// Whether it says that the sender has answered everything.
    fn is_last(&self) -> bool;
}

/// A message, told apart.
pub(crate) enum Sorted<M> {
    Batch(Batch),
    Credit(Credit),
    /// Something else; about one of our batches, if it says so.
    Other(M, Option<Seq>),
}

/// What came from the other end and was not dealt with yet, in order.
pub(crate) enum Arrived<M> {
    /// A batch, its inline payload, for a selection the batch that it selects from, and when it came.
    Batch(Batch, Option<Buffer>, Option<RecordBatch>, Option<Instant>),
    /// The other end is done with a batch.
    Credit(Credit, Kept),
    /// What was to travel past the stage when nothing was on its way.
    Bypass(Vec<(StageId, DeadLetter)>),
    /// Another message, and the batch that it is about.
    Other(M, Option<RecordBatch>),
}

/// What is remembered of a batch until it has credit.
#[derive(Default)]
pub(crate) struct Kept {
    /// Its rows, where an answer may refer to them.
    pub(crate) rows: Option<RecordBatch>,
    /// What travels past the stage with it.
    pub(crate) bypass: Vec<(StageId, DeadLetter)>,
}

/// What both ends have agreed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) window: Window,
    /// Bytes that a payload may have and travel inline.
    pub(crate) inline_max: usize,
}

/// One end of the socket.
pub(crate) struct Peer<M> {
    socket: UnixStream,
    clock: Arc<dyn Clock>,
    /// Frames that were not written yet.
    out: Mutex<Vec<u8>>,
    writing: Mutex<()>,
    state: Mutex<State<M>>,
    changed: Condvar,
    mine: Option<Writable>,
    theirs: Option<Readable>,
    pool: Arc<Pool>,
    /// What was sent and has credit.
    traffic: Traffic,
}

impl<M: Side> Peer<M> {
    pub(crate) fn new(
        socket: UnixStream,
        frames: Frames<UnixStream, M>,
        clock: Arc<dyn Clock>,
        terms: Terms,
        mine: Option<Writable>,
        theirs: Option<Readable>,
        traffic: Traffic,
    ) -> Self {
        let state = State {
            frames: Some(frames),
            waiting: 0,
            terms,
            sent: VecDeque::new(),
            sent_bytes: 0,
            next_sent: 0,
            next_received: 0,
            unpaid: 0,
            arrived: VecDeque::new(),
            failure: None,
        };
        Self {
            socket,
            clock,
            out: Mutex::default(),
            writing: Mutex::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            mine,
            theirs,
            pool: Arc::default(),
            traffic,
        }
    }

    /// The time, if what travels is accounted for.
    pub(crate) fn time(&self) -> Option<Instant> {
        self.traffic.is_on().then(|| self.clock.now())
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends everything on this socket, for the other end as well.
    pub(crate) fn close(&self) {
        self.fail(Failure::Closed(Closed));
        // The other end may have gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// What waits fails from now on; the first failure counts.
    pub(crate) fn fail(&self, failure: Failure) {
        self.lock().failure.get_or_insert(failure);
        self.changed.notify_all();
    }

    /// The account of what was sent.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// How many batches may be on their way.
    pub(crate) fn window(&self) -> usize {
        self.lock().terms.window.batches as usize
    }

    /// Batches on their way without credit.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().sent.len()
    }

    /// Whether the other end has gone.
    pub(crate) fn has_gone(&self) -> bool {
        matches!(self.lock().failure, Some(Failure::Ended | Failure::Socket(_)))
    }

    /// Whether something is here already for whoever takes next.
    pub(crate) fn has_arrived(&self) -> bool {
        let state = self.lock();
        !state.arrived.is_empty() || state.frames.as_ref().is_some_and(Frames::has_frame)
    }

    /// Bytes of the largest payload that can be sent.
    pub(crate) fn payload_max(&self) -> usize {
        let inline_max = self.lock().terms.inline_max;
        self.mine.as_ref().map_or(inline_max, |mine| inline_max.max(mine.bytes() as usize))
    }

    /// Sends a table, once there is credit; `input` is the batch that caused it, `kept` what to remember of it.
    pub(crate) fn send(
        &self,
        layout: &table::Layout,
        input: Option<Seq>,
        kept: Kept,
        meter: &mut dyn FnMut(Activity),
    ) -> Result<(), Failure> {
        let (length, rows) = (layout.length(), layout.rows());
        self.send_payload(length, rows, Form::Table, input, kept, &mut |room| layout.write(room), meter)
    }

    /// Sends a selection from the rows of the batch `input`, once there is credit.
    pub(crate) fn select(
        &self,
        kept: &BooleanBuffer,
        input: Seq,
        meter: &mut dyn FnMut(Activity),
    ) -> Result<(), Failure> {
        let (length, rows) = (selection::length(kept.len()), kept.count_set_bits() as u32);
        let write: &mut dyn FnMut(&mut [u8]) = &mut |room| selection::write(kept, room);
        self.send_payload(length, rows, Form::Selection, Some(input), Kept::default(), write, meter)
    }

    /// Sends a payload of `length` bytes that `write` puts into its place.
    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    fn send_payload(
        &self,
        length: usize,
        rows: u32,
        form: Form,
        input: Option<Seq>,
        kept: Kept,
        write: &mut dyn FnMut(&mut [u8]),
        meter: &mut dyn FnMut(Activity),
    ) -> Result<(), Failure> {
        let mut slot = self.room(length, meter)?;
        meter(Activity::Encode);
        let place = match &mut slot {
            Some(slot) => {
                write(slot);
                Place::Slot(slot.offset())
            }
            None => Place::Inline,
        };
        let sent_at = self.time();
        let seq = {
            let mut state = self.lock();
            let seq = Seq(state.next_sent);
            state.next_sent += 1;
            state.sent_bytes += length as u64;
            state.sent.push_back(Sent { seq, _slot: slot, length: length as u64, rows, sent_at, kept });
            seq
        };
        let batch = Batch { seq, place, length: length as u32, rows, form, input };
        let full = {
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            out.extend_from_slice(&batch.frame());
            if place == Place::Inline {
                let begin = out.len();
                out.resize(begin + length, 0);
                write(&mut out[begin..]);
            }
            out.len() >= OUT_BYTES
        };
        if full {
            meter(Activity::Send);
            self.flush()?;
        }
        Ok(())
    }

    /// Has dead letters travel past the other end with the last batch on its way; gives them back if there is none.
    pub(crate) fn bypass_behind(
        &self,
        letters: Vec<(StageId, DeadLetter)>,
    ) -> Option<Vec<(StageId, DeadLetter)>> {
        match self.lock().sent.back_mut() {
            Some(last) => {
                last.kept.bypass.extend(letters);
                None
            }
            None => Some(letters),
        }
    }

    /// Has dead letters travel past the other end behind what came from it already.
    pub(crate) fn bypass(&self, letters: Vec<(StageId, DeadLetter)>) {
        self.lock().arrived.push_back(Arrived::Bypass(letters));
        self.changed.notify_all();
    }

    /// Puts a message back for the next one who asks.
    pub(crate) fn repeat(&self, message: M) {
        self.lock().arrived.push_front(Arrived::Other(message, None));
        self.changed.notify_all();
    }

    /// Waits until a payload of `length` bytes may be sent; gives its place, or `None` if that is inline.
    fn room(&self, length: usize, meter: &mut dyn FnMut(Activity)) -> Result<Option<Slot>, Failure> {
        let mut waits = false;
        let found = self.wait(None, |state| {
            let room = self.free_room(state, length);
            if room.is_none() && !std::mem::replace(&mut waits, true) {
                meter(Activity::Backpressured);
            }
            room
        })?;
        found.ok_or(Failure::Closed(Closed))
    }

    /// Waits until a payload of `length` bytes may be sent, or something is here for whoever takes next: whether it may
    /// be sent.
    pub(crate) fn has_room(&self, length: usize, meter: &mut dyn FnMut(Activity)) -> Result<bool, Failure> {
        let mut waits = false;
        let found = self.wait(None, |state| {
            if self.free_room(state, length).is_some() {
                return Some(true);
            }
            if !std::mem::replace(&mut waits, true) {
                meter(Activity::Backpressured);
            }
            (!state.arrived.is_empty()).then_some(false)
        })?;
        found.ok_or(Failure::Closed(Closed))
    }

    /// The place of a payload of `length` bytes that may be sent now, or in it `None` if that is inline.
    fn free_room(&self, state: &State<M>, length: usize) -> Option<Option<Slot>> {
        let within = (state.sent.len() as u32) < state.terms.window.batches
            && state.sent_bytes + length as u64 <= state.terms.window.bytes;
        if !within && !state.sent.is_empty() {
            return None;
        }
        match &self.mine {
            Some(mine) if length > state.terms.inline_max => mine.take(length).map(Some),
            _ => Some(None),
        }
    }

    /// Appends frames without a payload.
    pub(crate) fn say(&self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.out.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The batches are done with: their credit goes out with what is written next.
    pub(crate) fn pay(&self, credits: &[Credit]) {
        self.lock().unpaid -= credits.len() as u32;
        self.say(|out| credits.iter().for_each(|credit| out.extend_from_slice(&credit.frame())));
    }

    /// Writes what waits to be written, unless another thread is about to.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        let Err(error) = self.write_out() else { return Ok(()) };
        // What the other end said before it left tells more than that it has left.
        match self.wait(None, |_| None::<()>) {
            Err(failure) => Err(failure),
            Ok(_) => Err(Failure::Socket(Arc::new(error))),
        }
    }

    fn write_out(&self) -> std::io::Result<()> {
        loop {
            let writing = match self.writing.try_lock() {
                Ok(writing) => writing,
                Err(TryLockError::Poisoned(writing)) => writing.into_inner(),
                // Whoever writes looks for more when it is done.
                Err(TryLockError::WouldBlock) => return Ok(()),
            };
            let mut frames = std::mem::take(&mut *self.out.lock().unwrap_or_else(PoisonError::into_inner));
            let written = if frames.is_empty() { Ok(()) } else { (&self.socket).write_all(&frames) };
            frames.clear();
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            let done = out.is_empty();
            if done {
                *out = frames;
            }
            drop(writing);
            drop(out);
            written?;
            if done {
                return Ok(());
            }
        }
    }

    /// Waits until `ready` finds what it looks for, reading meanwhile; `None` if that takes until `until`. What is there
    /// already is always read.
    pub(crate) fn wait<T>(
        &self,
        until: Option<Instant>,
        ready: impl FnMut(&mut State<M>) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        self.wait_told(until, ready, false, &mut |_| {})
    }

    /// As [`Peer::wait`]; if it is to be `told`, `meter` hears when there is nothing to read, and when that is over.
    pub(crate) fn wait_told<T>(
        &self,
        until: Option<Instant>,
        mut ready: impl FnMut(&mut State<M>) -> Option<T>,
        told: bool,
        meter: &mut dyn FnMut(Activity),
    ) -> Result<Option<T>, Failure> {
        let mut state = self.lock();
        let (mut flushed, mut looked) = (false, false);
        loop {
            if let Some(found) = ready(&mut state) {
                return Ok(Some(found));
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            let left = until.map(|until| until.saturating_duration_since(self.clock.now()));
            if !std::mem::replace(&mut flushed, true) {
                // What this thread has said may be what the other end waits for. If it cannot be written, the other end
                // has gone, which is read next, behind what it said last.
                drop(state);
                let _ = self.write_out();
                state = self.lock();
                continue;
            }
            if std::mem::replace(&mut looked, true) && left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            state = match state.frames.take() {
                Some(frames) => {
                    drop(state);
                    let there = frames.has_frame() || self.readable(left, told, meter);
                    self.read(frames, there)
                }
                None => {
                    meter(Activity::Starved);
                    let state = self.follow(state, left);
                    meter(Activity::Receive);
                    state
                }
            };
        }
    }

    /// Waits for what the thread that reads brings.
    fn follow<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<M>>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, State<M>> {
        state.waiting += 1;
        let mut state = match left {
            Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.waiting -= 1;
        state
    }

    /// Reads what there is and sorts it: at least one frame, if anything is `there`.
    fn read(&self, mut frames: Frames<UnixStream, M>, there: bool) -> MutexGuard<'_, State<M>> {
        let mut read = Vec::new();
        let mut failed = None;
        if there {
            loop {
                match frames.next() {
                    Ok(Some(frame)) => read.push(frame),
                    Ok(None) => failed = Some(Failure::Ended),
                    Err(error) => failed = Some(Failure::of_frames(error)),
                }
                if failed.is_some() || read.len() >= FRAMES_MAX || !frames.has_frame() {
                    break;
                }
            }
        }
        let now = self.time();
        let mut state = self.lock();
        state.frames = Some(frames);
        for frame in read {
            if let Err(failure) = state.sort(frame, now, &self.traffic) {
                failed = Some(failure);
                break;
            }
        }
        if let Some(failure) = failed {
            state.failure.get_or_insert(failure);
        }
        if state.waiting > 0 {
            self.changed.notify_all();
        }
        state
    }

    /// Whether there is something to read, or the end, before `left` is over. Who reads may wait, too, so that only a bound
    /// and an account need to know before.
    fn readable(&self, left: Option<Duration>, told: bool, meter: &mut dyn FnMut(Activity)) -> bool {
        if !told {
            return left.is_none() || self.polled(left);
        }
        if self.polled(Some(Duration::ZERO)) {
            return true;
        }
        if left.is_some_and(|left| left.is_zero()) {
            return false;
        }
        meter(Activity::Starved);
        let readable = self.polled(left);
        meter(Activity::Receive);
        readable
    }

    fn polled(&self, left: Option<Duration>) -> bool {
        let timeout =
            |left: Duration| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut sockets = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        poll(&mut sockets, left.map(timeout).as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// Copies a batch's payload to memory of this process.
    pub(crate) fn payload(&self, batch: &Batch, inline: Option<Buffer>) -> Result<Buffer, Failure> {
        match (batch.place, &self.theirs) {
            (Place::Inline, _) => Ok(inline.unwrap_or_default()),
            (Place::Slot(offset), Some(theirs)) => self
                .pool
                .fill(batch.length as usize, |memory| theirs.copy(offset, memory))
                .map_err(|error| Failure::garbage(error.to_string())),
            (Place::Slot(_), None) => Err(Failure::garbage("a batch lies in a segment that does not exist")),
        }
    }
}
