//! A case, performed: its steps, one after the other, on a session.
//!
//! What it is: `perform`, from a run to the record of what the program did.
//!
//! Guarantees: no program is left when it returns. A stage that fails or ends skips the steps that are left: whether it
//! should have is the verdict's to say.
//!
//! Neighbours: `session` knows how to do a step, `verdict` what must have come of them.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use modrun_core::Role;
use modrun_shm::Exit;
use modrun_wire::{BatchPolicy, Open, Place, ToStage};
use serde_json::Value as Json;

use crate::case::{Batches, Carrier, Rows, Run, Settings, Strings};
use crate::program::{Program, Start};
use crate::record::Record;
use crate::session::{Session, Setup};
use crate::stages::Stage;
use crate::step::{Breach, Corruption, Part, Step};
use crate::value::{self, Columns, Row};
use crate::{Error, Result, generate, shuffle, slack, table};

/// What `Open` says if a case does not.
const WINDOW_BATCHES: u32 = 4;
const SEGMENT_BYTES: u64 = 64 << 20;
/// So that every payload with a single byte travels in the segment.
const SHM_INLINE_MAX: u64 = 0;
/// The numbers of the socket, the input and the output segment.
const NUMBERS: [i32; 3] = [3, 4, 5];

/// A case with everything that its defaults stand for.
pub(crate) struct Performance {
    pub(crate) setup: Setup,
    pub(crate) config: Json,
    steps: Vec<Step>,
    strings: Strings,
}

impl Performance {
    /// Prepares a run of the program `command`, in the folder `dir`.
    pub(crate) fn new(run: &Run, command: &[OsString], dir: &Path) -> Result<Self> {
        let case = &run.case;
        let stage = Stage::of(case)?;
        let config = substituted(&case.config, &dir.display().to_string());
        let batches = batches(&case.rows, &case.batches, stage.input.as_ref())?;
        let open = open(&case.open, run.carrier, &stage, &config);
        let mut command = command.to_vec();
        command.extend([OsString::from(&case.stage), OsString::from(run.form.word())]);
        let start = Start {
            command,
            folder: std::env::current_dir().map_err(|error| Error::Kit(error.to_string()))?,
            numbers: case.runtime.descriptors.unwrap_or(NUMBERS),
            segments: [open.input_segment, open.output_segment],
        };
        let steps = if case.script.is_empty() { calm(stage.role) } else { case.script.clone() };
        let behaviour = case.runtime.clone();
        let silence = Duration::from_secs(case.seconds);
        let setup = Setup { stage, open, behaviour, batches, silence, start };
        Ok(Self { setup, config, steps, strings: case.strings })
    }

    /// Whether the script waits for `Done`.
    pub(crate) fn expects_done(&self) -> bool {
        self.steps.contains(&Step::Done)
    }

    /// Performs the steps.
    pub(crate) fn perform(&self, shuffled: bool) -> (Result<()>, Record) {
        if self.steps == [Step::StartAlone] {
            return start_alone(&self.setup);
        }
        let mut session = match Session::start(&self.setup, 0, Record::default()) {
            Ok(session) => session,
            Err(error) => return (Err(error), Record::default()),
        };
        for (at, step) in self.steps.iter().enumerate() {
            let outcome = match step {
                Step::Restart => match self.restart(session) {
                    Ok(restarted) => {
                        session = restarted;
                        Ok(())
                    }
                    Err(failed) => return *failed,
                },
                step => self.step(&mut session, step, shuffled),
            };
            match outcome {
                Ok(()) => {}
                // An exit is judged, too; only a fault of the stage or of the kit makes that pointless.
                Err(Error::Ended) => return session.finish(),
                Err(error) => {
                    let error = match error {
                        Error::Silent { seconds, what } => {
                            Error::Silent { seconds, what: format!("{what} (step {} of the script)", at + 1) }
                        }
                        error => error,
                    };
                    return session.kill(Err(error));
                }
            }
        }
        session.finish()
    }

    fn step(&self, session: &mut Session<'_>, step: &Step, shuffled: bool) -> Result<()> {
        match step {
            Step::StartAlone => Err(Error::Case("`start_alone` is a script of its own".to_owned())),
            Step::Restart => Err(Error::Kit("a restart needs the session itself".to_owned())),
            Step::Open => {
                self.open(session, &[], shuffled)?;
                session.until("Ready", |session| session.record.ready_at.is_some())
            }
            Step::OpenWithoutWaiting => self.open(session, &[], shuffled),
            Step::Send => self.send(session, usize::MAX),
            Step::SendBatches(count) => self.send(session, *count),
            Step::Settle => session.until("credit for all input batches", |session| session.settled()),
            Step::AwaitRows(rows) => session.until("output rows", |session| session.record.rows() >= *rows),
            Step::AwaitFullWindow => {
                session.until("a full window of output", |session| session.window_full())
            }
            Step::PauseMs(millis) => session.pause(Duration::from_millis(*millis)),
            Step::Deafen => {
                session.flush()?;
                session.gate.close();
                Ok(())
            }
            Step::Hear => {
                session.gate.open();
                Ok(())
            }
            Step::Release => session.release(),
            Step::Snapshot => {
                session.send_barrier()?;
                session.until("Snapshot", |session| session.record.snapshot.is_some())
            }
            Step::End => session.send_end(),
            Step::Done => session.until("Done", |session| session.record.done.is_some()),
            Step::Commit => {
                session.send_commit()?;
                session.until("Committed", |session| session.record.committed)
            }
            Step::Close => session.close(),
            Step::Bytes(text) => session.send_bytes(&bytes(text)?),
            Step::Payload(text) => {
                let payload = bytes(text)?;
                session.send_payload(&payload, slack::number(&payload, slack::ROWS) as u32)
            }
            Step::Break(breach) => self.breach(session, *breach),
            Step::Failure => {
                session.flush()?;
                session.until("Failed", |_| false)
            }
            Step::Corrupt(corruption) => self.corrupt(session, corruption),
        }
    }

    fn open(&self, session: &mut Session<'_>, state: &[Vec<u8>], shuffled: bool) -> Result<()> {
        let open = Open { state_chunks: state.len() as u32, ..self.setup.open.clone() };
        let mut frame = Vec::new();
        ToStage::Open(Box::new(open))
            .encode(&mut frame)
            .map_err(|error| Error::Case(format!("`Open` cannot be sent: {error}")))?;
        if shuffled {
            frame = shuffle::frame(&frame)?;
        }
        session.send_open(&frame)?;
        for (index, chunk) in (0..).zip(state) {
            session.send_state(index, chunk)?;
        }
        session.flush()
    }

    fn payload(&self, index: usize) -> Result<Vec<u8>> {
        let columns = self.setup.stage.input.as_deref().unwrap_or_default();
        let dictionary = match self.strings {
            Strings::Plain => false,
            Strings::Dictionary => true,
            Strings::Alternating => index.is_multiple_of(2),
        };
        let rows = self
            .setup
            .batches
            .get(index)
            .ok_or_else(|| Error::Case("no batch is left to send".to_owned()))?;
        let mut payload = table::write(columns, rows, dictionary)?;
        if self.setup.behaviour.dirty {
            let free = slack::of_table(&payload);
            slack::fill(&mut payload, &free);
        }
        Ok(payload)
    }

    fn send(&self, session: &mut Session<'_>, count: usize) -> Result<()> {
        let next = session.first + session.count;
        let end = next.saturating_add(count).min(self.setup.batches.len());
        for index in next..end {
            let payload = self.payload(index)?;
            session.send_payload(&payload, self.setup.batches[index].len() as u32)?;
        }
        Ok(())
    }

    fn restart<'s>(&'s self, session: Session<'s>) -> Result<Session<'s>, Box<(Result<()>, Record)>> {
        let first = session.first + session.count;
        let (outcome, mut record) = session.kill(Ok(()));
        if outcome.is_err() {
            return Err(Box::new((outcome, record)));
        }
        let Some(snapshot) = record.snapshot.take() else {
            let error = Error::Case("`restart` needs a `snapshot` before it".to_owned());
            return Err(Box::new((Err(error), record)));
        };
        // What came after the snapshot comes again.
        record.outputs.truncate(snapshot.outputs);
        let started = Session::start(&self.setup, first, record);
        let mut session = started.map_err(|error| Box::new((Err(error), Record::default())))?;
        let opened = self.open(&mut session, &snapshot.chunks, false);
        let opened =
            opened.and_then(|()| session.until("Ready", |session| session.record.ready_at.is_some()));
        session.record.snapshot = Some(snapshot);
        match opened {
            Ok(()) => Ok(session),
            Err(Error::Ended) => Err(Box::new(session.finish())),
            Err(error) => Err(Box::new(session.kill(Err(error)))),
        }
    }

    /// Sends the next batch in a way that breaks a rule.
    fn breach(&self, session: &mut Session<'_>, breach: Breach) -> Result<()> {
        let index = session.first + session.count;
        let payload = self.payload(index)?;
        let rows = self.setup.batches[index].len() as u32;
        let length = payload.len() as u32;
        let mut batch = session.message(Place::Inline, length, rows);
        match breach {
            Breach::SeqGap => batch.seq.0 += 1,
            Breach::OutsideSegment => batch.place = Place::Slot(self.setup.open.input_segment & !63),
            Breach::OddOffset => batch.place = Place::Slot(8),
            Breach::LengthMismatch => batch.length -= 8,
            Breach::RowsMismatch => batch.rows += 1,
            Breach::FieldOrder | Breach::UnknownForm | Breach::LongInline => {}
        }
        let mut frame = batch.frame();
        match breach {
            Breach::LengthMismatch => frame[4..8].copy_from_slice(&length.to_le_bytes()),
            // The fields `length` and `rows`, five bytes each.
            Breach::FieldOrder => frame[28..38].rotate_left(5),
            Breach::UnknownForm => frame[39] = 7,
            _ => {}
        }
        session.sent(None, 0, rows);
        let mut bytes = frame.to_vec();
        if batch.place == Place::Inline {
            bytes.extend_from_slice(&payload);
        }
        session.send_bytes(&bytes)
    }

    fn corrupt(&self, session: &mut Session<'_>, corruption: &Corruption) -> Result<()> {
        let index = session.first + session.count;
        let mut payload = self.payload(index)?;
        let put = bytes(&corruption.put)?;
        let at = position(&payload, corruption) + corruption.at;
        if at + put.len() > payload.len() {
            return Err(Error::Case(format!("the payload of {} bytes ends before {at}", payload.len())));
        }
        let place = at..at + put.len();
        if put.is_empty() {
            payload.truncate(at);
        } else if payload[place.clone()] == put[..] {
            return Err(Error::Case(format!("the payload has these bytes at {at} already")));
        } else {
            payload[place].copy_from_slice(&put);
        }
        session.send_payload(&payload, self.setup.batches[index].len() as u32)?;
        session.flush()
    }
}

/// Where the positions of a corruption are counted from.
fn position(payload: &[u8], corruption: &Corruption) -> usize {
    let Some(column) = corruption.column else { return 0 };
    let column = slack::TABLE + slack::COLUMN * column;
    match corruption.buffer {
        None => column,
        Some(Part::Validity) => slack::number(payload, column + 16),
        Some(Part::Values) => slack::number(payload, column + 24),
        Some(Part::Offsets) => slack::number(payload, column + 32),
        Some(Part::Bytes) => slack::number(payload, column + 40),
    }
}

fn start_alone(setup: &Setup) -> (Result<()>, Record) {
    match Program::run_alone(&setup.start, setup.silence) {
        Ok((Some(exit), log)) => (Ok(()), Record { exit: Some(exit), log, ..Record::default() }),
        Ok((None, log)) => {
            let what = "a program without `MODRUN_STAGE` exits".to_owned();
            let silent = Error::Silent { seconds: setup.silence.as_secs(), what };
            (Err(silent), Record { log, ..Record::default() })
        }
        Err(error) => (Err(error), Record::default()),
    }
}

/// The runtime's steps of a run in which nothing happens.
fn calm(role: Role) -> Vec<Step> {
    match role {
        Role::Source => vec![Step::Open, Step::Done, Step::Close],
        Role::Transform => vec![Step::Open, Step::Send, Step::End, Step::Done, Step::Close],
        Role::Sink => vec![Step::Open, Step::Send, Step::End, Step::Done, Step::Commit, Step::Close],
    }
}

fn open(settings: &Settings, carrier: Carrier, stage: &Stage, config: &Json) -> Open {
    let segment = |written: Option<u64>| match carrier {
        Carrier::Inline => 0,
        Carrier::Shm => written.unwrap_or(SEGMENT_BYTES),
    };
    let inline_max = match carrier {
        Carrier::Inline => SEGMENT_BYTES,
        Carrier::Shm => SHM_INLINE_MAX,
    };
    let policy = BatchPolicy {
        rows: settings.policy_rows.unwrap_or_default(),
        linger_us: settings.policy_linger_us.unwrap_or_default(),
    };
    Open {
        protocol: settings.protocol.unwrap_or(1),
        generation: 1,
        stage: "under_test".to_owned(),
        config: config.to_string(),
        input: stage.input.as_deref().map(table::schema),
        output: stage.output.as_deref().map(table::schema),
        window_batches: settings.window_batches.unwrap_or(WINDOW_BATCHES),
        window_bytes: settings.window_bytes.unwrap_or(SEGMENT_BYTES),
        inline_max: settings.inline_max.unwrap_or(inline_max),
        input_segment: segment(settings.input_segment),
        output_segment: segment(settings.output_segment),
        policy: (stage.role != Role::Sink).then_some(policy),
        state_chunks: 0,
        replica: 0,
        replicas: 1,
        unmeasured: settings.unmeasured,
    }
}

fn batches(rows: &Rows, batches: &Batches, columns: Option<&Columns>) -> Result<Vec<Vec<Row>>> {
    let Some(columns) = columns else {
        return Ok(Vec::new());
    };
    let rows = match rows {
        Rows::Generated(generated) => generate::rows(generated, columns),
        Rows::Written(rows) => rows.iter().map(|row| read_row(row, columns)).collect::<Result<_>>()?,
    };
    let sizes = match batches {
        Batches::One(()) if rows.is_empty() => Vec::new(),
        Batches::One(()) => vec![rows.len()],
        Batches::Each(size) => {
            let size = (*size).max(1);
            (0..rows.len()).step_by(size).map(|start| size.min(rows.len() - start)).collect()
        }
        Batches::List(sizes) => sizes.clone(),
    };
    if sizes.iter().sum::<usize>() != rows.len() {
        return Err(Error::Case(format!("the batches do not sum to the {} rows", rows.len())));
    }
    let mut rows = rows.into_iter();
    Ok(sizes.into_iter().map(|size| rows.by_ref().take(size).collect()).collect())
}

/// Reads a row as cases write it.
pub(crate) fn read_row(row: &[Json], columns: &Columns) -> Result<Row> {
    if row.len() != columns.len() {
        return Err(Error::Case(format!("a row has {} cells instead of {}", row.len(), columns.len())));
    }
    row.iter().zip(columns).map(|(cell, column)| value::read(cell, column.data_type)).collect()
}

/// Reads bytes as cases write them: hexadecimal, in which `00*9` stands for nine bytes.
fn bytes(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
        let read = value::hexadecimal(digits).zip(times.parse().ok());
        let (part, times) = read.ok_or_else(|| Error::Case(format!("`{word}` is not hexadecimal")))?;
        bytes.extend(part.repeat(times));
    }
    Ok(bytes)
}

fn substituted(config: &Json, dir: &str) -> Json {
    match config {
        Json::String(text) => Json::String(text.replace("$DIR", dir)),
        Json::Array(items) => items.iter().map(|item| substituted(item, dir)).collect(),
        Json::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), substituted(value, dir))).collect()
        }
        other => other.clone(),
    }
}

/// The exit code, if the program ended by itself.
pub(crate) fn code(exit: Exit) -> Option<i32> {
    match exit {
        Exit::Status(code) => Some(code),
        Exit::Signal(_) => None,
    }
}

/// The lines of a file; nothing, if there is none.
pub(crate) fn lines(path: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.split_terminator('\n').map(str::to_owned).collect())
}
