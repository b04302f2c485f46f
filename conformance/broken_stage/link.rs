//! The stage's end of the socket and of the segments, with faults.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, anyhow, bail};
use arrow_buffer::Buffer;
use modrun_core::Seq;
use modrun_shm::{Readable, Slot, Writable, inherited};
use modrun_wire::{Batch, Credit, Form, Frames, FromStage, Open, Place, ToStage};

/// A message and its payload.
type Received = (ToStage, Vec<u8>);

pub(crate) struct Link {
    pub(crate) fault: String,
    socket: UnixStream,
    frames: Frames<UnixStream, ToStage>,
    descriptors: Vec<OwnedFd>,
    input: Option<Readable>,
    output: Option<Writable>,
    open: Open,
    waiting: VecDeque<Received>,
    in_flight: HashMap<u64, (Option<Slot>, u64)>,
    next_output: u64,
    next_input: u64,
}

impl Link {
    /// Takes over what the runtime handed down.
    pub(crate) fn inherited(fault: &str, variable: &str) -> Result<Self> {
        let number = |name: &str| -> Result<OwnedFd> {
            let part = variable.split(',').find_map(|part| part.strip_prefix(name));
            Ok(inherited(part.context("a descriptor is missing")?.parse()?)?)
        };
        let socket = UnixStream::from(number("socket=")?);
        let descriptors = vec![number("input=")?, number("output=")?];
        let frames = Frames::new(socket.try_clone()?, 0);
        Ok(Self {
            fault: fault.to_owned(),
            socket,
            frames,
            descriptors,
            input: None,
            output: None,
            open: Open::default(),
            waiting: VecDeque::new(),
            in_flight: HashMap::new(),
            next_output: 0,
            next_input: 0,
        })
    }

    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// Waits for `Open` and maps the segments.
    pub(crate) fn open(&mut self) -> Result<Option<Open>> {
        let Some(frame) = self.frames.next()? else { return Ok(None) };
        let ToStage::Open(open) = frame.message else { bail!("`Open` comes first") };
        self.frames.set_inline_max(open.inline_max as usize);
        let output = self.descriptors.pop().context("no output")?;
        let input = self.descriptors.pop().context("no input")?;
        if open.input_segment > 0 {
            self.input = Some(Readable::attach(input, open.input_segment)?);
        }
        if open.output_segment > 0 {
            self.output = Some(Writable::attach(output, open.output_segment)?);
        }
        self.open = (*open).clone();
        Ok(Some(*open))
    }

    /// The next message that is no credit; nothing at the end of the socket.
    pub(crate) fn next(&mut self) -> Result<Option<Received>> {
        loop {
            if let Some(received) = self.waiting.pop_front() {
                return Ok(Some(received));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    fn read(&mut self) -> Result<bool> {
        let Some(frame) = self.frames.next()? else { return Ok(false) };
        let inline = frame.payload.map(|payload| payload.to_vec()).unwrap_or_default();
        match frame.message {
            ToStage::Credit(credit) => {
                self.in_flight.remove(&credit.seq.0);
            }
            ToStage::Batch(batch) => {
                if batch.seq.0 != self.next_input && !self.is("takes_any_seq") {
                    bail!("batch {} is not the next one", batch.seq.0);
                }
                self.next_input += 1;
                let payload = match batch.place {
                    Place::Inline => inline,
                    Place::Slot(offset) => self.copy(offset, batch.length as usize)?,
                };
                self.waiting.push_back((ToStage::Batch(batch), payload));
            }
            message => self.waiting.push_back((message, inline)),
        }
        Ok(true)
    }

    /// Copies from the input segment.
    pub(crate) fn copy(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut payload = vec![0; length];
        self.input.as_ref().context("there is no input segment")?.copy(offset, &mut payload)?;
        Ok(payload)
    }

    /// Sends a table.
    pub(crate) fn emit(&mut self, (payload, rows): &(Vec<u8>, u32), input: Option<Seq>) -> Result<()> {
        self.emit_as(Form::Table, payload, *rows, input)
    }

    /// Sends a payload, once there is credit for it.
    pub(crate) fn emit_as(
        &mut self,
        form: Form,
        payload: &[u8],
        rows: u32,
        input: Option<Seq>,
    ) -> Result<()> {
        let length = payload.len() as u64;
        while !self.is("ignores_the_window") && self.full(length) {
            if self.is("does_not_read_while_it_waits") {
                std::thread::park();
            }
            if !self.read()? {
                std::process::exit(1);
            }
        }
        let inline = length <= self.open.inline_max || self.open.output_segment == 0;
        let slot = match (inline || self.is("all_inline"), &self.output) {
            (false, Some(segment)) => {
                let mut slot = segment.take(payload.len()).ok_or_else(|| anyhow!("the segment is full"))?;
                slot.copy_from_slice(payload);
                Some(slot)
            }
            _ => None,
        };
        let mut place = slot.as_ref().map_or(Place::Inline, |slot| Place::Slot(slot.offset()));
        if let (Place::Slot(offset), true) = (place, self.is("odd_offset")) {
            place = Place::Slot(offset + 8);
        }
        if let (Place::Slot(_), true) = (place, self.is("outside_the_segment")) {
            place = Place::Slot(self.open.output_segment);
        }
        let seq = Seq(self.next_output + u64::from(self.is("seq_from_1")));
        let input = if self.is("names_no_input") { None } else { input };
        let rows = rows + u32::from(self.is("one_row_more"));
        let batch = Batch { seq, place, length: payload.len() as u32, rows, form, input };
        self.next_output += 1;
        let mut frame = batch.frame().to_vec();
        if place == Place::Inline {
            frame.extend_from_slice(payload);
        }
        if self.is("wrong_length") {
            frame[4] ^= 8;
        }
        // An overlap: the slot is free at once, and the next batch gets it.
        let slot = if self.is("frees_slots_early") { None } else { slot };
        self.in_flight.insert(batch.seq.0, (slot, length));
        self.socket.write_all(&frame)?;
        Ok(())
    }

    fn full(&self, length: u64) -> bool {
        let bytes: u64 = self.in_flight.values().map(|(_, length)| length).sum();
        let batches = self.in_flight.len();
        batches > 0
            && (batches >= self.open.window_batches as usize || bytes + length > self.open.window_bytes)
    }

    /// Gives credit.
    pub(crate) fn credit(&mut self, seq: Seq, events: u32, filtered: u32) -> Result<()> {
        let events = if self.is("counts_no_events") { 0 } else { events };
        let filtered = if self.is("filters_nothing") { 0 } else { filtered };
        let frame = Credit { seq, events, filtered }.frame();
        match self.fault.as_str() {
            "no_credit" => {}
            "credit_twice" => self.socket.write_all(&[frame, frame].concat())?,
            _ => self.socket.write_all(&frame)?,
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, message: &FromStage) -> Result<()> {
        self.send_with(message, &[])
    }

    pub(crate) fn send_with(&mut self, message: &FromStage, payload: &[u8]) -> Result<()> {
        let mut frame = Vec::new();
        message.encode_with_payload(payload, &mut frame)?;
        self.socket.write_all(&frame)?;
        Ok(())
    }

    /// Reads the payload of a batch.
    pub(crate) fn buffer(payload: Vec<u8>) -> Buffer {
        Buffer::from_vec(payload)
    }
}
