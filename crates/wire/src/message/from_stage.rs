//! What only a stage says.

use std::time::Duration;

use modrun_core::{Concurrency, ErrorKind, Role, Seq};

use super::read;
use crate::field::{
    Body, Value, write_fixed64, write_message, write_string, write_u32, write_u32s, write_u64,
};
use crate::schema::Schema;
use crate::{Error, Result};

/// The stage is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// The version of the protocol that it speaks.
    pub protocol: u32,
    /// The SDK and its version, such as `python 0.1.0`.
    pub sdk: String,
    /// What the code is.
    pub role: Role,
    /// What the code declares; `Ordered` where it says nothing. A process cannot be merged: `Mergeable` is sent as
    /// `Ordered`.
    pub concurrency: Concurrency,
    /// The output columns that the code declares, if it does.
    pub output: Option<Schema>,
}

/// [`Ready`] as it crosses the socket, where the enumerations may hold any number.
#[derive(Default)]
pub(super) struct RawReady {
    protocol: u32,
    sdk: String,
    role: u32,
    concurrency: u32,
    output: Option<Schema>,
}

impl RawReady {
    pub(super) fn of(body: &[u8]) -> Result<Ready> {
        let Self { protocol, sdk, role, concurrency, output } = read(body)?;
        let role = match role {
            1 => Role::Source,
            2 => Role::Transform,
            3 => Role::Sink,
            value => return Err(Error::Meaning { name: "Ready.role", value: value.into() }),
        };
        let concurrency = match concurrency {
            1 => Concurrency::Stateless,
            0 | 2 => Concurrency::Ordered,
            value => return Err(Error::Meaning { name: "Ready.concurrency", value: value.into() }),
        };
        Ok(Ready { protocol, sdk, role, concurrency, output })
    }
}

impl From<&Ready> for RawReady {
    fn from(ready: &Ready) -> Self {
        let role = match ready.role {
            Role::Source => 1,
            Role::Transform => 2,
            Role::Sink => 3,
        };
        let concurrency = match ready.concurrency {
            Concurrency::Stateless => 1,
            Concurrency::Mergeable | Concurrency::Ordered => 2,
        };
        let Ready { protocol, sdk, output, .. } = ready.clone();
        Self { protocol, sdk, role, concurrency, output }
    }
}

impl Body for RawReady {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        match number {
            1 => self.protocol = value.u32()?,
            2 => self.sdk = value.string()?,
            3 => self.role = value.u32()?,
            4 => self.concurrency = value.u32()?,
            5 => self.output.get_or_insert_default().merge(value.bytes()?)?,
            _ => {}
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_u32(1, self.protocol, out);
        write_string(2, &self.sdk, out);
        write_u32(3, self.role, out);
        write_u32(4, self.concurrency, out);
        self.output.iter().for_each(|schema| write_message(5, schema, out));
    }
}

/// All chunks of the state at `epoch` were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The barrier's.
    pub epoch: u64,
    /// How many there were.
    pub chunks: u32,
}

impl Body for Snapshot {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        match number {
            1 => self.epoch = value.u64()?,
            2 => self.chunks = value.u32()?,
            _ => {}
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_u64(1, self.epoch, out);
        write_u32(2, self.chunks, out);
    }
}

/// Something went wrong: with single events where `rows` is not empty, with the stage otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// What to do about it; a kind that is not known is `Internal`.
    pub kind: ErrorKind,
    /// A stable word such as `KeyError`.
    pub code: String,
    /// One line.
    pub message: String,
    /// Such as a traceback.
    pub detail: String,
    /// The batch of the events; without `rows` it means nothing.
    pub input: Seq,
    /// The events' rows in it.
    pub rows: Vec<u32>,
    /// Where the only event of `rows` begins, if it is a line of its row's text.
    pub text_offset: u64,
    /// The line's bytes, without the newline; 0: the event is its whole row.
    pub text_length: u64,
    /// The only event of `rows` as a JSON object, if it is not its whole row; may be empty.
    pub event: String,
}

impl Default for Failed {
    fn default() -> Self {
        Self {
            kind: ErrorKind::Internal,
            code: String::new(),
            message: String::new(),
            detail: String::new(),
            input: Seq(0),
            rows: Vec::new(),
            text_offset: 0,
            text_length: 0,
            event: String::new(),
        }
    }
}

impl Body for Failed {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        match number {
            1 => {
                self.kind = match value.u32()? {
                    1 => ErrorKind::Invalid,
                    2 => ErrorKind::Unavailable,
                    3 => ErrorKind::Fenced,
                    4 => ErrorKind::Stage,
                    _ => ErrorKind::Internal,
                }
            }
            2 => self.code = value.string()?,
            3 => self.message = value.string()?,
            4 => self.detail = value.string()?,
            5 => self.input = Seq(value.fixed64()?),
            6 => value.extend_u32s(&mut self.rows)?,
            7 => self.text_offset = value.u64()?,
            8 => self.text_length = value.u64()?,
            9 => self.event = value.string()?,
            _ => {}
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            ErrorKind::Invalid => 1,
            ErrorKind::Unavailable => 2,
            ErrorKind::Fenced => 3,
            ErrorKind::Stage => 4,
            ErrorKind::Internal => 5,
        };
        write_u32(1, kind, out);
        write_string(2, &self.code, out);
        write_string(3, &self.message, out);
        write_string(4, &self.detail, out);
        write_fixed64(5, self.input.0, out);
        write_u32s(6, &self.rows, out);
        write_u64(7, self.text_offset, out);
        write_u64(8, self.text_length, out);
        write_string(9, &self.event, out);
    }
}

/// Where the time of the stage's loop went since `Ready`; and how far a source has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Time in each activity, in the order of [`modrun_core::Activity::ALL`].
    pub spent: [Duration; modrun_core::Activity::ALL.len()],
    /// CPU time of the process.
    pub cpu: Duration,
    /// Bytes that a source has read.
    pub bytes_read: u64,
    /// Bytes that a source will have read at the end; 0: unknown.
    pub bytes_total: u64,
}

impl Activity {
    /// Time in one activity.
    pub fn spent(&self, activity: modrun_core::Activity) -> Duration {
        self.spent[activity as usize]
    }
}

impl Body for Activity {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        match number {
            1..=7 => self.spent[number as usize - 1] = Duration::from_nanos(value.u64()?),
            8 => self.cpu = Duration::from_nanos(value.u64()?),
            9 => self.bytes_read = value.u64()?,
            10 => self.bytes_total = value.u64()?,
            _ => {}
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        for (number, &time) in (1..).zip(&self.spent) {
            write_u64(number, nanos(time), out);
        }
        write_u64(8, nanos(self.cpu), out);
        write_u64(9, self.bytes_read, out);
        write_u64(10, self.bytes_total, out);
    }
}

/// The stage has sent all that it will. Results are durable under a temporary name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The file in which a sink has prepared its results, if it writes one; an absolute path.
    pub artifact: Option<String>,
    /// Result rows in it.
    pub rows: u64,
}

impl Body for Done {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        match number {
            1 => self.artifact = Some(value.string()?).filter(|path| !path.is_empty()),
            2 => self.rows = value.u64()?,
            _ => {}
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_string(1, self.artifact.as_deref().unwrap_or_default(), out);
        write_u64(2, self.rows, out);
    }
}
