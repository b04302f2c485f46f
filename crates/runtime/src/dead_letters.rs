//! The dead-letter file: one JSON object a line, in the order of the input.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use modrun_core::env::{Artifact, Env, partial_path};
use modrun_core::{Code, DeadLetter, Error, Payload, Result};
use modrun_plan::DeadLetterLimit;
use modrun_worker::Live;
use serde_json::{Map, Value, json};

/// A ratio says nothing before so many events.
const EVENTS_BEFORE_RATIO: u64 = 1000;
/// How much is collected before it is written.
const BUFFER_BYTES: usize = 64 << 10;

/// Writes dead letters to a file that is there only if there is one.
pub(crate) struct DeadLetters {
    path: PathBuf,
    env: Env,
    live: Arc<Live>,
    limit: Option<DeadLetterLimit>,
    file: Option<Box<dyn Artifact>>,
    buffer: Vec<u8>,
}

impl DeadLetters {
    pub(crate) fn new(path: PathBuf, env: Env, live: Arc<Live>, limit: Option<DeadLetterLimit>) -> Self {
        Self { path, env, live, limit, file: None, buffer: Vec::new() }
    }

    /// Sets one event aside; an error if that was one too many.
    pub(crate) fn add(&mut self, stage: &str, letter: DeadLetter) -> Result<()> {
        let line = Value::Object(line(stage, letter));
        serde_json::to_writer(&mut self.buffer, &line).expect("a JSON value can be written to memory");
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER_BYTES {
            self.write()?;
        }
        let count = self.live.dead_letters.fetch_add(1, Ordering::Relaxed) + 1;
        let events = self.live.events.load(Ordering::Relaxed);
        let exceeded = match self.limit {
            Some(DeadLetterLimit::Ratio(_)) if events < EVENTS_BEFORE_RATIO => None,
            limit => limit.filter(|&limit| exceeds(limit, count, events)),
        };
        exceeded.map_or(Ok(()), |limit| self.too_many(limit, count, events))
    }

    fn too_many(&mut self, limit: DeadLetterLimit, count: u64, events: u64) -> Result<()> {
        self.write()?;
        let text = format!(
            "{count} dead letters among {events} events, more than `limits.dead_letters: {limit}` allows"
        );
        let hint = format!("see `{}` for the events and their causes", partial_path(&self.path).display());
        Err(Error::invalid(text).with_code(Code::DEAD_LETTERS).with_hint(hint))
    }

    fn write(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let created = self.env.disk.create(&self.path);
                self.file.insert(created.map_err(|error| write_error(&self.path, error))?)
            }
        };
        file.write_all(&self.buffer).map_err(|error| write_error(&self.path, error))?;
        self.buffer.clear();
        Ok(())
    }

    /// The input has ended: checks the ratio over all events and makes the file durable.
    pub(crate) fn prepare(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.write()?;
        }
        if let Some(file) = &mut self.file {
            file.prepare().map_err(|error| write_error(&self.path, error))?;
        }
        let count = self.live.dead_letters.load(Ordering::Relaxed);
        let events = self.live.events.load(Ordering::Relaxed);
        match self.limit.filter(|&limit| exceeds(limit, count, events)) {
            Some(limit) => self.too_many(limit, count, events),
            None => Ok(()),
        }
    }

    /// Gives the file its name, or removes an older one if this run had no dead letter; gives the path if it is there.
    pub(crate) fn commit(&mut self) -> Result<Option<PathBuf>> {
        let done = match &mut self.file {
            Some(file) => file.commit().map(|()| Some(self.path.clone())),
            None => self.env.disk.remove(&self.path).map(|()| None),
        };
        done.map_err(|error| write_error(&self.path, error))
    }

    /// The run has failed: leaves what there is under the temporary name, as far as that can be written.
    pub(crate) fn keep(&mut self) {
        if !self.buffer.is_empty() {
            // The run's own error is the one to show; a second one about its remains would hide it.
            let _ = self.write();
        }
    }

    /// Where the letters are while they have no final name, if there are any.
    pub(crate) fn partial(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|_| partial_path(&self.path))
    }
}

fn exceeds(limit: DeadLetterLimit, count: u64, events: u64) -> bool {
    match limit {
        DeadLetterLimit::Count(most) => count > most,
        DeadLetterLimit::Ratio(most) => count as f64 > most * events as f64,
    }
}

fn write_error(path: &Path, error: std::io::Error) -> Error {
    let text = format!("cannot write dead letters to `{}`", path.display());
    Error::unavailable(text)
        .with_code(Code::OUTPUT)
        .with_hint("name another file with `--dead-letters FILE`")
        .with_source(error)
}

/// A dead letter as it stands in the file.
fn line(stage: &str, letter: DeadLetter) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("stage".into(), stage.into());
    if let Some(origin) = letter.origin {
        line.insert("source".into(), origin.source.into());
        line.insert("line".into(), json!(origin.line));
        line.insert("offset".into(), origin.offset.into());
    }
    line.insert("reason".into(), letter.reason.into_owned().into());
    line.insert("cause".into(), letter.cause.into());
    if let Some(detail) = letter.detail {
        line.insert("detail".into(), detail.into());
    }
    match letter.payload {
        Payload::Raw { bytes, truncated } => {
            let (key, text) = match String::from_utf8(bytes) {
                Ok(text) => ("raw", text),
                Err(error) => ("raw_base64", STANDARD.encode(error.into_bytes())),
            };
            line.insert(key.into(), text.into());
            if truncated {
                line.insert("truncated".into(), true.into());
            }
        }
        Payload::Event(event) => {
            line.insert("event".into(), event.into());
        }
    }
    line
}
