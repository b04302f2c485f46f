//! The runtime's side of one program: what is sent, what comes, and what it means.
//!
//! What it is: [`Session`], from the start of a program to its end. The steps of a script are its methods.
//!
//! Guarantees: everything that comes is judged by the referee and its payload is checked before it is believed. The
//! socket is read all the time, so that a stage never waits for the kit to read. A slot is overwritten as soon as its
//! credit is there.
//!
//! ```text
//!   script ──▶ send, until ──out──▶ socket ──▶ program ──▶ socket ──reader thread──▶ arrived ──▶ handle ──▶ record
//! ```
//!
//! Neighbours: `program` starts and ends the process, `script` decides what to send.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow_buffer::{Buffer, MutableBuffer};
use modrun_core::Seq;
use modrun_shm::Slot;
use modrun_wire::{
    Barrier, Batch, Credit, Form, Frame, Frames, FromStage, Open, Place, State, ToStage, selection,
};

use crate::case::{Behaviour, Credits};
use crate::program::{Program, Start, process_cpu};
use crate::record::{FailedEvent, Moment, Output, Record, Snapshot};
use crate::referee::Referee;
use crate::stages::Stage;
use crate::value::Row;
use crate::{Error, Result, broken, slack, table};

/// What a slot is overwritten with.
const POISON: u8 = 0xa5;
/// How long nothing must happen before credits that were put aside are given.
const QUIET: Duration = Duration::from_millis(20);
/// How long a stage that was asked for its state waits for each credit.
const SLOW: Duration = Duration::from_millis(1);

/// Something that the reader thread hands over.
enum Arrived {
    Frame(Box<Frame<FromStage>>, Moment),
    Broken(String),
    End,
}

/// A batch on its way to the stage.
struct Sent {
    slot: Option<Slot>,
    bytes: u64,
}

/// What does not change during a session.
pub(crate) struct Setup {
    pub(crate) stage: Stage,
    pub(crate) open: Open,
    pub(crate) behaviour: Behaviour,
    /// All input batches of the run.
    pub(crate) batches: Vec<Vec<Row>>,
    /// The longest silence of the program while it is waited for.
    pub(crate) silence: Duration,
    pub(crate) start: Start,
}

/// A conversation with one program.
pub(crate) struct Session<'s> {
    setup: &'s Setup,
    program: Program,
    arrived: Receiver<Arrived>,
    referee: Referee,
    /// The first batch of the run that this program gets.
    pub(crate) first: usize,
    /// How many batches were sent to this program.
    pub(crate) count: usize,
    in_flight: VecDeque<Sent>,
    out: Vec<u8>,
    withheld: Vec<u64>,
    credits: Credits,
    chunks: Vec<Vec<u8>>,
    epoch: u64,
    deaf: bool,
    pub(crate) gate: Arc<Gate>,
    pub(crate) record: Record,
}

impl<'s> Session<'s> {
    /// Starts a program, which is to get the batches from `first` on.
    pub(crate) fn start(setup: &'s Setup, first: usize, record: Record) -> Result<Self> {
        let program = Program::start(&setup.start)?;
        let cannot = |error: std::io::Error| Error::Kit(format!("the socket cannot be used: {error}"));
        program.socket.set_write_timeout(Some(setup.silence)).map_err(cannot)?;
        let reading = program.socket.try_clone().map_err(cannot)?;
        // What is in the channel is bounded by the windows and by the failures of the events in them.
        let (sender, arrived) = channel();
        let inline_max = usize::try_from(setup.open.inline_max).unwrap_or(usize::MAX);
        let gate = Arc::new(Gate::default());
        let hearing = Hearing { socket: reading, gate: gate.clone() };
        let pid = program.pid();
        std::thread::spawn(move || read(hearing, pid, inline_max, &sender));
        let referee = Referee::new(setup.stage.clone(), setup.open.clone());
        let record = Record {
            ready_at: None,
            told_at: None,
            paused: Duration::ZERO,
            activities: Vec::new(),
            ..record
        };
        Ok(Self {
            setup,
            program,
            arrived,
            referee,
            first,
            count: 0,
            in_flight: VecDeque::new(),
            out: Vec::new(),
            withheld: Vec::new(),
            credits: setup.behaviour.credits,
            chunks: Vec::new(),
            epoch: 0,
            deaf: false,
            gate,
            record,
        })
    }

    /// Sends bytes as they are, at once with what was sent before.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.extend_from_slice(bytes);
        self.flush()
    }

    /// Sends `Open`.
    pub(crate) fn send_open(&mut self, frame: &[u8]) -> Result<()> {
        self.send_bytes(frame)
    }

    /// Sends a chunk of state.
    pub(crate) fn send_state(&mut self, index: u32, chunk: &[u8]) -> Result<()> {
        let cannot = |error| Error::Case(format!("a state cannot be sent: {error}"));
        ToStage::State(State { index }).encode_with_payload(chunk, &mut self.out).map_err(cannot)
    }

    /// Asks for the stage's state.
    pub(crate) fn send_barrier(&mut self) -> Result<()> {
        self.epoch += 1;
        self.chunks.clear();
        self.record.snapshot = None;
        self.referee.barrier_sent(self.epoch);
        self.send(&ToStage::Barrier(Barrier { epoch: self.epoch }))
    }

    /// Says that there is no more.
    pub(crate) fn send_end(&mut self) -> Result<()> {
        self.referee.end_sent();
        self.send(&ToStage::End)
    }

    /// Asks for the results' final name.
    pub(crate) fn send_commit(&mut self) -> Result<()> {
        self.referee.commit_sent();
        self.send(&ToStage::Commit)
    }

    fn send(&mut self, message: &ToStage) -> Result<()> {
        message.encode(&mut self.out).map_err(|error| Error::Case(format!("cannot be sent: {error}")))
    }

    /// Sends a payload as a batch, once the window has room for it.
    pub(crate) fn send_payload(&mut self, payload: &[u8], rows: u32) -> Result<()> {
        let open = &self.setup.open;
        let length = payload.len() as u64;
        let (window_batches, window_bytes) = (open.window_batches as usize, open.window_bytes);
        self.until("credit for input batches", |session| {
            let bytes: u64 = session.in_flight.iter().map(|sent| sent.bytes).sum();
            let batches = session.in_flight.len();
            batches == 0 || batches < window_batches && bytes + length <= window_bytes
        })?;
        let inline = length <= open.inline_max || open.input_segment == 0;
        let slot = if inline { None } else { Some(self.slot(payload)?) };
        let place = slot.as_ref().map_or(Place::Inline, |slot| Place::Slot(slot.offset()));
        let batch = self.message(place, payload.len() as u32, rows);
        self.out.extend_from_slice(&batch.frame());
        if inline {
            self.out.extend_from_slice(payload);
        }
        self.sent(slot, length, rows);
        Ok(())
    }

    /// The next batch's message.
    pub(crate) fn message(&self, place: Place, length: u32, rows: u32) -> Batch {
        Batch { seq: Seq(self.count as u64), place, length, rows, form: Form::Table, input: None }
    }

    /// A batch was sent.
    pub(crate) fn sent(&mut self, slot: Option<Slot>, bytes: u64, rows: u32) {
        self.in_flight.push_back(Sent { slot, bytes });
        self.referee.batch_sent(rows);
        self.count += 1;
    }

    fn slot(&mut self, payload: &[u8]) -> Result<Slot> {
        if payload.len() as u64 > self.setup.open.input_segment {
            return Err(Error::Case(format!(
                "a batch of {} bytes is larger than its segment",
                payload.len()
            )));
        }
        loop {
            if let Some(mut slot) = self.program.input.take(payload.len()) {
                slot.copy_from_slice(payload);
                return Ok(slot);
            }
            self.next("credit for input batches")?;
        }
    }

    /// Whether every batch has its credit.
    pub(crate) fn settled(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Whether the stage has used up its window.
    pub(crate) fn window_full(&self) -> bool {
        self.referee.in_flight() >= self.setup.open.window_batches as usize
    }

    /// Leaves the stage alone for so long; what comes meanwhile is taken.
    pub(crate) fn pause(&mut self, time: Duration) -> Result<()> {
        self.flush()?;
        let begin = Instant::now();
        let end = begin + time;
        loop {
            match self.arrived.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(arrived) => self.handle(arrived)?,
                Err(RecvTimeoutError::Timeout) => {
                    self.record.paused += begin.elapsed();
                    return Ok(());
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Ended),
            }
            self.flush()?;
        }
    }

    /// Gives all credits from now on. What is there by now was sent without them, and is judged so.
    pub(crate) fn release(&mut self) -> Result<()> {
        self.pause(Duration::ZERO)?;
        self.credits = Credits::Prompt;
        self.give_withheld();
        self.flush()
    }

    fn give_withheld(&mut self) {
        let mut withheld = std::mem::take(&mut self.withheld);
        if self.credits == Credits::Reversed {
            withheld.reverse();
        }
        withheld.into_iter().for_each(|seq| self.give(seq));
    }

    fn give(&mut self, seq: u64) {
        self.out.extend_from_slice(&Credit { seq: Seq(seq), events: 0, filtered: 0 }.frame());
        self.referee.credit_sent(seq);
    }

    /// Takes what comes until `reached`.
    pub(crate) fn until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) -> Result<()> {
        while !reached(self) {
            self.next(what)?;
        }
        Ok(())
    }

    /// Takes the next message, which is waited for.
    pub(crate) fn next(&mut self, what: &str) -> Result<()> {
        let arrived = match self.arrived.try_recv() {
            Ok(arrived) => arrived,
            Err(_) => self.wait(what)?,
        };
        self.handle(arrived)
    }

    fn wait(&mut self, what: &str) -> Result<Arrived> {
        self.flush()?;
        let asked = self.epoch > 0 && self.record.snapshot.is_none();
        while !self.withheld.is_empty() {
            let quiet = match self.credits {
                Credits::Reversed if self.window_full() => Duration::ZERO,
                Credits::Reversed => QUIET,
                // A stage that was asked for its state may need a little credit before it gets to it.
                Credits::Withheld if asked => SLOW,
                _ => break,
            };
            match self.arrived.recv_timeout(quiet) {
                Ok(arrived) => return Ok(arrived),
                Err(_) if self.credits == Credits::Reversed => self.give_withheld(),
                Err(_) => {
                    let first = self.withheld.remove(0);
                    self.give(first);
                }
            }
            self.flush()?;
        }
        match self.arrived.recv_timeout(self.setup.silence) {
            Ok(arrived) => Ok(arrived),
            Err(RecvTimeoutError::Timeout) => Err(self.silent(what)),
            Err(RecvTimeoutError::Disconnected) => Err(Error::Ended),
        }
    }

    fn silent(&self, what: &str) -> Error {
        Error::Silent { seconds: self.setup.silence.as_secs(), what: what.to_owned() }
    }

    /// Writes what is to be sent. A stage that has closed its end says why, or ends: that is seen when reading.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let out = std::mem::take(&mut self.out);
        let piece = self.setup.behaviour.write_bytes.unwrap_or(usize::MAX).max(1);
        for part in out.chunks(piece) {
            if self.deaf {
                break;
            }
            match self.program.socket.write_all(part) {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(self.silent("the stage reads its socket"));
                }
                Err(_) => self.deaf = true,
            }
        }
        Ok(())
    }

    fn handle(&mut self, arrived: Arrived) -> Result<()> {
        let (frame, at) = match arrived {
            Arrived::Frame(frame, at) => (*frame, at),
            Arrived::Broken(what) => return broken("F2", what),
            Arrived::End => return Err(Error::Ended),
        };
        self.referee.judge(&frame.message)?;
        match frame.message {
            FromStage::Ready(ready) => {
                self.record.sdk = ready.sdk;
                self.record.ready_at = Some(at);
            }
            FromStage::Batch(batch) => self.output(&batch, frame.payload)?,
            FromStage::Credit(credit) => {
                self.record.filtered += u64::from(credit.filtered);
                if let Some(Sent { slot: Some(mut slot), .. }) = self.in_flight.pop_front() {
                    slot.fill(POISON);
                }
            }
            FromStage::State(_) => {
                self.chunks.push(frame.payload.map(|chunk| chunk.to_vec()).unwrap_or_default());
            }
            FromStage::Snapshot(_) => {
                let chunks = std::mem::take(&mut self.chunks);
                self.record.snapshot = Some(Snapshot { chunks, outputs: self.record.outputs.len() });
            }
            FromStage::Failed(failed) if failed.rows.is_empty() => {
                self.record.failure = Some(failed);
                return Err(Error::Ended);
            }
            FromStage::Failed(failed) => {
                let batch = self.first + failed.input.0 as usize;
                let event = |&row| FailedEvent { batch, row, message: failed.message.clone() };
                self.record.failed.extend(failed.rows.iter().map(event));
            }
            FromStage::Activity(activity) => {
                self.record.activities.push(activity);
                self.record.told_at = Some(at);
            }
            FromStage::Done(done) => {
                self.record.done = Some(done);
            }
            FromStage::Committed => self.record.committed = true,
        }
        Ok(())
    }

    fn output(&mut self, batch: &Batch, inline: Option<Buffer>) -> Result<()> {
        let payload = match batch.place {
            Place::Inline => inline.unwrap_or_else(|| MutableBuffer::new(0).into()),
            Place::Slot(offset) => {
                let mut payload = MutableBuffer::new(0);
                self.program.output.append(offset, batch.length as usize, &mut payload)?;
                payload.into()
            }
        };
        let input = batch.input.map(|seq| self.first + seq.0 as usize);
        let rows = match (batch.form, input) {
            (Form::Selection, Some(input)) => self.selected(batch, payload, input)?,
            _ => self.rows(batch, payload)?,
        };
        self.record.outputs.push(Output { input, form: batch.form, rows });
        match self.credits {
            Credits::Prompt => self.give(batch.seq.0),
            Credits::Reversed | Credits::Withheld => self.withheld.push(batch.seq.0),
        }
        Ok(())
    }

    fn rows(&self, batch: &Batch, payload: Buffer) -> Result<Vec<Row>> {
        let columns = self.setup.stage.output.as_deref().unwrap_or_default();
        let rows = match table::read(columns, payload.clone()) {
            Ok(rows) => rows,
            Err(error) => return broken("P4", format!("batch {}: {error}", batch.seq.0)),
        };
        if rows.len() != batch.rows as usize {
            let named = batch.rows;
            return broken("P4", format!("batch {} has {} rows and names {named}", batch.seq.0, rows.len()));
        }
        match slack::first_set(&payload, &slack::of_table(&payload)) {
            Some(at) => broken("P4", format!("batch {}: unused bits of byte {at} are set", batch.seq.0)),
            None => Ok(rows),
        }
    }

    fn selected(&self, batch: &Batch, payload: Buffer, input: usize) -> Result<Vec<Row>> {
        let rows = self.setup.batches.get(input).map(Vec::as_slice).unwrap_or_default();
        if slack::first_set(&payload, &slack::of_selection(rows.len())).is_some() {
            return broken("P4", format!("batch {}: unused bits of a selection are set", batch.seq.0));
        }
        match selection::decode(payload, rows.len(), batch.rows) {
            Ok(kept) => Ok(kept.set_indices().map(|row| rows[row].clone()).collect()),
            Err(error) => broken("P8", format!("batch {}: {error}", batch.seq.0)),
        }
    }

    /// Closes the runtime's end of the socket.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.flush()?;
        // A stage that has closed its end already has nothing left to be told.
        let _ = self.program.socket.shutdown(std::net::Shutdown::Write);
        Ok(())
    }

    /// Takes what is left until the socket's end, waits for the program's, and returns the record.
    pub(crate) fn finish(mut self) -> (Result<()>, Record) {
        let mut outcome = self.flush();
        while outcome.is_ok() {
            outcome = match self.arrived.recv_timeout(self.setup.silence) {
                Ok(Arrived::End) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(arrived) => match self.handle(arrived) {
                    Err(Error::Ended) => Ok(()),
                    handled => handled,
                },
                Err(RecvTimeoutError::Timeout) => Err(self.silent("the stage closes its socket")),
            };
        }
        if outcome.is_ok() {
            match self.program.wait(self.setup.silence) {
                Ok(Some(exit)) => self.record.exit = Some(exit),
                Ok(None) => outcome = Err(self.silent("the program exits")),
                Err(error) => outcome = Err(error),
            }
        }
        self.kill(outcome)
    }

    /// Ends the program, whatever it does, and returns the record.
    pub(crate) fn kill(self, outcome: Result<()>) -> (Result<()>, Record) {
        let Self { program, mut record, gate, .. } = self;
        gate.open();
        let ended = program.end().map(|log| record.log.extend(log));
        (outcome.and(ended), record)
    }
}

/// Whether the kit reads its end of the socket.
#[derive(Default)]
pub(crate) struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// From the next read on, nothing is read.
    pub(crate) fn close(&self) {
        *self.is_closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// All is read again.
    pub(crate) fn open(&self) {
        *self.is_closed.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let is_closed = self.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(is_closed, |is_closed| *is_closed));
    }
}

/// The socket, as far as the kit reads it.
struct Hearing {
    socket: UnixStream,
    gate: Arc<Gate>,
}

impl Read for Hearing {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.gate.pass();
        let count = self.socket.read(bytes)?;
        // What came while the gate was closed is kept back, too.
        self.gate.pass();
        Ok(count)
    }
}

/// How long this thread could have run and did not, because the processor was another's.
#[derive(Default)]
struct Lateness(Duration);

impl Lateness {
    /// Since the last call; nothing where the kernel does not say.
    fn take(&mut self) -> Duration {
        let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanos = said.split_ascii_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
        let so_far = Duration::from_nanos(nanos.unwrap_or_default());
        so_far.saturating_sub(std::mem::replace(&mut self.0, so_far))
    }
}

fn read(socket: Hearing, pid: u32, inline_max: usize, to: &Sender<Arrived>) {
    let mut frames: Frames<_, FromStage> = Frames::new(socket, inline_max);
    let mut lateness = Lateness::default();
    loop {
        lateness.take();
        let arrived = match frames.next() {
            Ok(Some(frame)) => {
                let at = Instant::now() - lateness.take();
                let cpu = match &frame.message {
                    FromStage::Ready(_) | FromStage::Activity(_) => process_cpu(pid),
                    _ => Duration::ZERO,
                };
                Arrived::Frame(Box::new(frame), Moment { at, cpu })
            }
            Ok(None) => Arrived::End,
            // A process that ends with unread bytes in its socket resets the connection.
            Err(modrun_wire::Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset => Arrived::End,
            Err(error) => Arrived::Broken(error.to_string()),
        };
        let last = !matches!(arrived, Arrived::Frame(..));
        if to.send(arrived).is_err() || last {
            return;
        }
    }
}
