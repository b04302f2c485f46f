//! What only the runtime says.

use crate::Result;
use crate::field::{Body, Value, write_message, write_string, write_u32, write_u64};
use crate::schema::Schema;

/// Everything a stage needs to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Open {
    /// The version of the protocol.
    pub protocol: u32,
    /// Grows with every restart of the pipeline.
    pub generation: u64,
    /// The stage's name in the pipeline.
    pub stage: String,
    /// The stage's `with`, a JSON object.
    pub config: String,
    /// The columns that come in; a source has none.
    pub input: Option<Schema>,
    /// The columns that go out; a sink has none.
    pub output: Option<Schema>,
    /// Batches that may be without credit, in either direction.
    pub window_batches: u32,
    /// Bytes of payload that may be without credit, in either direction.
    pub window_bytes: u64,
    /// Bytes that a payload may have and travel inline.
    pub inline_max: u64,
    /// Bytes of the input segment; 0: there is none.
    pub input_segment: u64,
    /// Bytes of the output segment; 0: there is none.
    pub output_segment: u64,
    /// How many rows a batch of the stage should have; absent for a sink.
    pub policy: Option<BatchPolicy>,
    /// How many chunks of state follow.
    pub state_chunks: u32,
    /// Which of several processes of the stage this is, from 0.
    pub replica: u32,
    /// How many there are.
    pub replicas: u32,
    /// Whether the stage reads no clocks for its [`crate::Activity`].
    pub unmeasured: bool,
}

impl Body for Open {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        match number {
            1 => self.protocol = value.u32()?,
            2 => self.generation = value.u64()?,
            3 => self.stage = value.string()?,
            4 => self.config = value.string()?,
            5 => self.input.get_or_insert_default().merge(value.bytes()?)?,
            6 => self.output.get_or_insert_default().merge(value.bytes()?)?,
            7 => self.window_batches = value.u32()?,
            8 => self.window_bytes = value.u64()?,
            9 => self.inline_max = value.u64()?,
            10 => self.input_segment = value.u64()?,
            11 => self.output_segment = value.u64()?,
            12 => self.policy.get_or_insert_default().merge(value.bytes()?)?,
            13 => self.state_chunks = value.u32()?,
            14 => self.replica = value.u32()?,
            15 => self.replicas = value.u32()?,
            16 => self.unmeasured = value.bool()?,
            _ => {}
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_u32(1, self.protocol, out);
        write_u64(2, self.generation, out);
        write_string(3, &self.stage, out);
        write_string(4, &self.config, out);
        self.input.iter().for_each(|schema| write_message(5, schema, out));
        self.output.iter().for_each(|schema| write_message(6, schema, out));
        write_u32(7, self.window_batches, out);
        write_u64(8, self.window_bytes, out);
        write_u64(9, self.inline_max, out);
        write_u64(10, self.input_segment, out);
        write_u64(11, self.output_segment, out);
        self.policy.iter().for_each(|policy| write_message(12, policy, out));
        write_u32(13, self.state_chunks, out);
        write_u32(14, self.replica, out);
        write_u32(15, self.replicas, out);
        write_u32(16, u32::from(self.unmeasured), out);
    }
}

/// How many rows a batch should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchPolicy {
    /// So many, except at the end; 0: adaptive.
    pub rows: u32,
    /// A smaller batch leaves after so many microseconds; 0: it waits until it is full.
    pub linger_us: u64,
}

impl Body for BatchPolicy {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        match number {
            1 => self.rows = value.u32()?,
            2 => self.linger_us = value.u64()?,
            _ => {}
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_u32(1, self.rows, out);
        write_u64(2, self.linger_us, out);
    }
}

/// Asks a stage for its state after all batches before this message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Barrier {
    /// What the stage's answer will name.
    pub epoch: u64,
}

impl Body for Barrier {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        if number == 1 {
            self.epoch = value.u64()?;
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_u64(1, self.epoch, out);
    }
}
