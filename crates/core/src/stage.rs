//! User code: sources, transforms and sinks, and the kinds that check and open them.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::env::Env;
use crate::{Code, DeadLetter, Problem, Result, State, Written};

/// What a source had to give.
#[derive(Debug)]
pub enum Polled {
    /// The next batch, in order.
    Batch(RecordBatch),
    /// Nothing came in time; ask again.
    Idle,
    /// There is nothing more.
    End,
}

/// How far a source has come, for progress and ETA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far.
    pub bytes_read: u64,
    /// Bytes in all, where that is known.
    pub bytes_total: Option<u64>,
    /// How long it has waited for input to come, in all: no work of its own.
    pub waited: Duration,
}

/// Where events come from.
pub trait Source: Send {
    /// Hands over the next batch, waiting until `until` at most.
    fn poll(&mut self, until: Instant) -> Result<Polled>;
    /// How far it has come.
    fn progress(&self) -> Progress;
    /// What a new instance must be opened with to go on behind the last batch that was handed over; an empty one begins
    /// anew.
    fn snapshot(&mut self) -> Result<State> {
        Ok(State::new())
    }
}

/// What happens to events on the way.
pub trait Transform: Send {
    /// Takes one batch and hands what follows from it to `out`. One bad event is a dead letter, an error ends the run.
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()>;
    /// Which rows of a batch go on, if that and the dead letters of others are all that `process` would make of it: a
    /// process of its own then answers with one bit a row. `None`: `process` is to be asked.
    fn select(&mut self, _batch: &RecordBatch, _out: &mut Output) -> Result<Option<BooleanArray>> {
        Ok(None)
    }
    /// The input has ended: hands over what was held back. Not called for [`Concurrency::Stateless`].
    fn finish(&mut self, _out: &mut Output) -> Result<()> {
        Ok(())
    }
    /// What a new instance must be opened with to go on from here.
    fn snapshot(&mut self) -> Result<State> {
        Ok(State::new())
    }
}

/// Where results go. They have their final name only after `commit`.
pub trait Sink: Send {
    /// Writes one batch and records what was written.
    fn write(&mut self, batch: RecordBatch, written: &mut Written) -> Result<()>;
    /// Makes all that was written durable, still under its temporary name.
    fn prepare(&mut self) -> Result<()>;
    /// Gives what was prepared its final name.
    fn commit(&mut self) -> Result<()>;
}

/// What a stage hands on while it works on one batch.
#[derive(Debug, Default)]
pub struct Output {
    /// Batches for the next stage, in order.
    pub batches: Vec<RecordBatch>,
    /// Events that went wrong, in order.
    pub dead_letters: Vec<DeadLetter>,
    /// Events that a rule dropped.
    pub filtered: u64,
    /// Events found in the input where they are not its rows (a block of text holds many).
    pub events_found: Option<u64>,
}

impl Output {
    /// Hands a batch to the next stage.
    pub fn emit(&mut self, batch: RecordBatch) {
        self.batches.push(batch);
    }

    /// Sets one event aside.
    pub fn dead_letter(&mut self, letter: DeadLetter) {
        self.dead_letters.push(letter);
    }
}

/// How many instances of a stage may share the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// Each batch stands alone: any number of workers, output put back in order.
    Stateless,
    /// Each worker keeps a partial state; one instance opened with all of them finishes.
    Mergeable,
    /// One instance sees all batches in order.
    Ordered,
}

/// A set of columns that a later stage wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Every column there is.
    All,
    /// These, by name.
    Only(BTreeSet<String>),
}

impl Columns {
    /// No column at all: what the end of a pipeline wants.
    pub fn none() -> Self {
        Columns::Only(BTreeSet::new())
    }

    /// Whether `name` is wanted.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Columns::All => true,
            Columns::Only(names) => names.contains(name),
        }
    }

    /// Adds columns by name.
    pub fn with<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        if let Columns::Only(set) = &mut self {
            set.extend(names.into_iter().map(str::to_owned));
        }
        self
    }
}

impl<S: Into<String>> FromIterator<S> for Columns {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Columns::Only(names.into_iter().map(Into::into).collect())
    }
}

/// A stage's place in a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Has no input.
    Source,
    /// Has an input and an output.
    Transform,
    /// Has no output.
    Sink,
}

/// What `use:` may name: the word, its place and the schema of its `with:`.
#[derive(Clone, Debug)]
pub struct Description {
    /// The word after `use:`; a source and a sink may share one.
    pub word: String,
    /// Its place in a pipeline.
    pub role: Role,
    /// What it does, in one sentence.
    pub about: String,
    /// JSON Schema of its `with:`, derived from the Rust type.
    pub config: schemars::Schema,
}

impl Description {
    /// Describes a kind whose configuration is read as a `C`.
    pub fn of<C: JsonSchema>(word: &str, role: Role, about: &str) -> Self {
        Self { word: word.to_owned(), role, about: about.to_owned(), config: schemars::schema_for!(C) }
    }
}

/// Reads a configuration that fits the schema of `C`, or reports what the schema cannot express.
pub fn read_config<C: DeserializeOwned>(config: &Value) -> Result<C, Vec<Problem>> {
    C::deserialize(config).map_err(|error| vec![Problem::new(Code::WRONG_VALUE, error.to_string())])
}

/// A kind of stage: checks a configuration and opens instances of it.
pub trait Kind: Send + Sync {
    /// Its word, place and configuration.
    fn describe(&self) -> Description;

    /// Binds `config`, which already fits the schema, to the columns that come in (`None` for a source) and those
    /// that later stages want. Reports all problems, by path from the root of `config`.
    ///
    /// A pipeline is bound twice: first wanting [`Columns::All`], to check it against all columns there are, then
    /// with what later stages use.
    fn bind(
        &self,
        config: &Value,
        input: Option<&SchemaRef>,
        wanted: &Columns,
    ) -> Result<Bound, Vec<Problem>>;
}

/// A stage whose configuration fits its input.
pub struct Bound {
    /// Schema of what it hands on; `None` for a sink. A string column may come dictionary-encoded in a batch.
    pub output: Option<SchemaRef>,
    /// The input columns that it uses, or hands on because they are wanted.
    pub uses: Columns,
    /// How many instances may share the input.
    pub concurrency: Concurrency,
    /// Opens an instance.
    pub open: Open,
}

/// Opens an instance of a bound stage.
pub type Opener<T> = Box<dyn Fn(OpenContext) -> Result<Box<T>> + Send + Sync>;

/// Opens an instance of a bound stage, by its place.
pub enum Open {
    /// Has no input.
    Source(Opener<dyn Source>),
    /// Has an input and an output.
    Transform(Opener<dyn Transform>),
    /// Has no output.
    Sink(Opener<dyn Sink>),
    /// Its code is not in this program: it runs as a process only.
    Elsewhere(Role),
}

impl Open {
    /// A factory of sources.
    pub fn source<S: Source + 'static>(
        open: impl Fn(OpenContext) -> Result<S> + Send + Sync + 'static,
    ) -> Self {
        Open::Source(Box::new(move |ctx| Ok(Box::new(open(ctx)?))))
    }

    /// A factory of transforms.
    pub fn transform<T: Transform + 'static>(
        open: impl Fn(OpenContext) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        Open::Transform(Box::new(move |ctx| Ok(Box::new(open(ctx)?))))
    }

    /// A factory of sinks.
    pub fn sink<S: Sink + 'static>(open: impl Fn(OpenContext) -> Result<S> + Send + Sync + 'static) -> Self {
        Open::Sink(Box::new(move |ctx| Ok(Box::new(open(ctx)?))))
    }

    /// Its place in a pipeline.
    pub fn role(&self) -> Role {
        match self {
            Open::Source(_) => Role::Source,
            Open::Transform(_) => Role::Transform,
            Open::Sink(_) => Role::Sink,
            Open::Elsewhere(role) => *role,
        }
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("output", &self.output)
            .field("uses", &self.uses)
            .field("concurrency", &self.concurrency)
            .field("role", &self.open.role())
            .finish()
    }
}

/// The bounds that a stage must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest line that is read, in bytes.
    pub line_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line_bytes: 16 << 20 }
    }
}

/// What an instance is opened with.
#[derive(Debug)]
pub struct OpenContext {
    /// Time and disk.
    pub env: Env,
    /// The bounds that it must keep.
    pub limits: Limits,
    /// The state that it, or each of its partial instances, left; empty at the start.
    pub states: Vec<State>,
}
