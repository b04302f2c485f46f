//! Stages made of plain functions.
//!
//! | function of | | an error costs |
//! |---|---|---|
//! | [`filter`] | one event: whether it goes on | that event, which becomes a dead letter with its columns |
//! | [`map`] | one event: the event with other columns that takes its place, or none | that event |
//! | [`map_batch`] | one batch: the batch that takes its place | the run |
//! | [`transform`] | nothing: opens a [`Transform`] with a memory of its own | the run |
//!
//! All but [`map`] hand on the columns that come in. A stage with a `with:` of its own, a source, a sink, or several
//! instances that merge implements [`Kind`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use modrun_core::value::ndjson;
use modrun_core::{
    Bound, Code, Columns, Concurrency, DeadLetter, Description, Error, Kind, Open, OpenContext, Output,
    Payload, Problem, Result, Role, Transform, Type,
};
use serde_json::Value;

use crate::cell::{self, Cell, Rows};
use crate::event::{Event, Events};

/// Any error of a function of the user's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A stage `use: word` that keeps the events for which `rule` is true; it sees the columns `reads`.
///
/// An event for which it fails or panics becomes a dead letter. Several workers call it at once.
///
/// ```
/// let kind = modular_runtime::stage::filter("large", &["value"], |event| Ok(event.int64("value")? >= 10));
/// ```
pub fn filter<F>(word: &str, reads: &[&str], rule: F) -> Arc<dyn Kind>
where
    F: Fn(&Event<'_>) -> Result<bool, BoxError> + Send + Sync + 'static,
{
    let reads: Arc<[String]> = reads.iter().map(|&name| name.to_owned()).collect();
    let (rule, read) = (Arc::new(rule), reads.clone());
    Arc::new(Function {
        word: word.to_owned(),
        about: "keeps the events for which a function is true",
        reads: Some(reads),
        gives: None,
        concurrency: Concurrency::Stateless,
        open: Arc::new(move |_, output| {
            Ok(Box::new(Filter { rule: rule.clone(), reads: read.clone(), output: output.clone() }))
        }),
    })
}

/// A stage `use: word` that puts what `make` gives in the place of each event: one with the columns `gives`, in that
/// order and each with its type (`?` for one that may be null), or none. It sees the columns `reads`.
///
/// An event for which it fails or panics, or gives a cell of another type, becomes a dead letter. Several workers call
/// it at once.
///
/// ```
/// let kind = modular_runtime::stage::map(
///     "levels",
///     &["user", "value"],
///     [("user", "string"), ("level", "string")],
///     |event| {
///         let level = if event.int64("value")? >= 10 { "high" } else { "low" };
///         Ok(Some([event.str("user")?.into(), level.into()]))
///     },
/// );
/// ```
///
/// # Panics
/// If a type of `gives` is none.
pub fn map<F, const N: usize>(word: &str, reads: &[&str], gives: [(&str, &str); N], make: F) -> Arc<dyn Kind>
where
    F: for<'a> Fn(&Event<'a>) -> Result<Option<[Cell<'a>; N]>, BoxError> + Send + Sync + 'static,
{
    let reads: Arc<[String]> = reads.iter().map(|&name| name.to_owned()).collect();
    let (make, read): (Arc<Make<N>>, _) = (Arc::new(make), reads.clone());
    Arc::new(Function {
        word: word.to_owned(),
        about: "makes other events by a function",
        reads: Some(reads),
        gives: Some(cell::schema(&gives)),
        concurrency: Concurrency::Stateless,
        open: Arc::new(move |_, output| {
            Ok(Box::new(Map { make: make.clone(), reads: read.clone(), output: output.clone() }))
        }),
    })
}

/// A stage `use: word` that puts the batch that `map` gives in the place of each batch, with the same columns.
///
/// A string column may come dictionary-encoded. Several workers call it at once, so that it must not depend on where
/// a batch ends.
pub fn map_batch<F>(word: &str, map: F) -> Arc<dyn Kind>
where
    F: Fn(RecordBatch) -> Result<RecordBatch, BoxError> + Send + Sync + 'static,
{
    let map = Arc::new(map);
    Arc::new(Function {
        word: word.to_owned(),
        about: "changes batches by a function",
        reads: None,
        gives: None,
        concurrency: Concurrency::Stateless,
        open: Arc::new(move |_, output| Ok(Box::new(MapBatch { map: map.clone(), output: output.clone() }))),
    })
}

/// A stage `use: word` that one instance, which `open` makes, runs: it sees all batches in order and hands on the
/// columns that come in.
pub fn transform<T, F>(word: &str, open: F) -> Arc<dyn Kind>
where
    T: Transform + 'static,
    F: Fn(OpenContext) -> Result<T> + Send + Sync + 'static,
{
    Arc::new(Function {
        word: word.to_owned(),
        about: "sees all batches in order",
        reads: None,
        gives: None,
        concurrency: Concurrency::Ordered,
        open: Arc::new(move |ctx, _| Ok(Box::new(open(ctx)?))),
    })
}

/// A kind without a configuration of its own.
struct Function {
    word: String,
    about: &'static str,
    /// The columns that it sees; `None`: all.
    reads: Option<Arc<[String]>>,
    /// The columns that it gives; `None`: those that come in.
    gives: Option<SchemaRef>,
    concurrency: Concurrency,
    open: Arc<OpenFunction>,
}

/// Opens an instance that hands on these columns.
type OpenFunction = dyn Fn(OpenContext, &SchemaRef) -> Result<Box<dyn Transform>> + Send + Sync;

impl Kind for Function {
    fn describe(&self) -> Description {
        Description {
            word: self.word.clone(),
            role: Role::Transform,
            about: self.about.to_owned(),
            config: schemars::json_schema!({"type": "object", "additionalProperties": false}),
        }
    }

    fn bind(&self, _: &Value, input: Option<&SchemaRef>, wanted: &Columns) -> Result<Bound, Vec<Problem>> {
        let input = input.cloned().unwrap_or_else(|| Arc::new(Schema::empty()));
        let (output, uses) = match &self.reads {
            None => (input, Columns::All),
            Some(reads) => self.bind_columns(reads, &input, wanted)?,
        };
        let (open, given) = (self.open.clone(), output.clone());
        Ok(Bound {
            output: Some(output),
            uses,
            concurrency: self.concurrency,
            open: Open::Transform(Box::new(move |ctx| open(ctx, &given))),
        })
    }
}

impl Function {
    /// The columns that go on, and those that are used.
    fn bind_columns(
        &self,
        reads: &[String],
        input: &Schema,
        wanted: &Columns,
    ) -> Result<(SchemaRef, Columns), Vec<Problem>> {
        let unknown = reads.iter().filter(|name| input.field_with_name(name).is_err());
        let problems: Vec<Problem> = unknown.map(|name| unknown_column(name, &self.word, input)).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        if let Some(gives) = &self.gives {
            return Ok((gives.clone(), reads.iter().collect()));
        }
        let handed_on = input.fields().iter().filter(|field| wanted.contains(field.name()));
        let output = Schema::new(handed_on.cloned().collect::<Vec<_>>());
        Ok((Arc::new(output), wanted.clone().with(reads.iter().map(String::as_str))))
    }
}

fn unknown_column(name: &str, word: &str, input: &Schema) -> Problem {
    let message = format!("`{word}` reads a column `{name}`, which the stage before does not give");
    let known = input.fields().iter().map(|field| field.name().as_str());
    Problem::new(Code::UNKNOWN_COLUMN, message).with_nearest(name, known)
}

struct Filter<F> {
    rule: Arc<F>,
    reads: Arc<[String]>,
    output: SchemaRef,
}

impl<F> Transform for Filter<F>
where
    F: Fn(&Event<'_>) -> Result<bool, BoxError> + Send + Sync,
{
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        let failed_before = out.dead_letters.len();
        let goes_on = self.goes_on(&batch, out);
        let failed = (out.dead_letters.len() - failed_before) as u64;
        let indices = self.output.fields().iter().map(|field| batch.schema_ref().index_of(field.name()));
        let indices = indices.collect::<Result<Vec<_>, _>>().map_err(defect)?;
        keep(&batch.project(&indices).map_err(defect)?, goes_on, out)?;
        // Those that failed are dead letters, not filtered.
        out.filtered -= failed;
        Ok(())
    }

    fn select(&mut self, batch: &RecordBatch, out: &mut Output) -> Result<Option<BooleanArray>> {
        Ok(Some(self.goes_on(batch, out).into()))
    }
}

impl<F> Filter<F>
where
    F: Fn(&Event<'_>) -> Result<bool, BoxError> + Send + Sync,
{
    /// Whether each event goes on; one for which the rule fails is set aside.
    fn goes_on(&self, batch: &RecordBatch, out: &mut Output) -> Vec<bool> {
        let events = Events::of(batch, self.reads.iter().map(String::as_str));
        let mut goes_on = Vec::with_capacity(batch.num_rows());
        for (row, event) in events.iter().enumerate() {
            goes_on.push(call(|| (self.rule)(&event)).unwrap_or_else(|error| {
                set_aside(batch, row, error.as_ref(), out);
                false
            }));
        }
        goes_on
    }
}

/// Hands on the rows of `batch` for which `goes_on`, and counts the others as filtered.
///
/// # Panics
/// If there is not one word for each row.
pub fn keep(batch: &RecordBatch, goes_on: Vec<bool>, out: &mut Output) -> Result<()> {
    assert_eq!(goes_on.len(), batch.num_rows(), "there is one word for each row");
    let mask = BooleanArray::from(goes_on);
    let kept = mask.true_count();
    out.filtered += (batch.num_rows() - kept) as u64;
    if kept > 0 {
        out.emit(filter_record_batch(batch, &mask).map_err(defect)?);
    }
    Ok(())
}

/// Sets the event in `row` of `batch` aside because of `error`: it becomes a dead letter with its columns. Rows are set
/// aside in their order.
pub fn set_aside(
    batch: &RecordBatch,
    row: usize,
    error: &(dyn std::error::Error + 'static),
    out: &mut Output,
) {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let cause = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    let payload = Payload::Event(ndjson::event(batch, row));
    out.dead_letter(DeadLetter { reason: "function".into(), cause, detail: None, origin: None, payload });
}

/// Calls a function for one event; a panic is its error.
pub(crate) fn call<T>(function: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
    catch_unwind(AssertUnwindSafe(function)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(format!("the code panicked: {}", text.unwrap_or("no message")).into())
    })
}

type Make<const N: usize> =
    dyn for<'a> Fn(&Event<'a>) -> Result<Option<[Cell<'a>; N]>, BoxError> + Send + Sync;

struct Map<const N: usize> {
    make: Arc<Make<N>>,
    reads: Arc<[String]>,
    output: SchemaRef,
}

impl<const N: usize> Transform for Map<N> {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        let mut made = Rows::new(&self.output);
        for (row, event) in Events::of(&batch, self.reads.iter().map(String::as_str)).iter().enumerate() {
            match call(|| (self.make)(&event)?.map(|cells| Ok(made.push(&cells)?)).transpose()) {
                Ok(Some(())) => {}
                Ok(None) => out.filtered += 1,
                Err(error) => set_aside(&batch, row, error.as_ref(), out),
            }
        }
        if !made.is_empty() {
            out.emit(made.finish().map_err(defect)?);
        }
        Ok(())
    }
}

struct MapBatch<F> {
    map: Arc<F>,
    output: SchemaRef,
}

impl<F> Transform for MapBatch<F>
where
    F: Fn(RecordBatch) -> Result<RecordBatch, BoxError> + Send + Sync,
{
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        let failed =
            |error: BoxError| Error::stage("its function failed").with_code(Code::STAGE).with_source(error);
        let batch = (self.map)(batch).map_err(failed)?;
        if columns(batch.schema_ref()).ne(columns(&self.output)) {
            let text = "its function gave a batch with other columns than it got";
            return Err(Error::stage(text)
                .with_code(Code::STAGE)
                .with_hint("implement `Kind` for new columns"));
        }
        out.emit(batch);
        Ok(())
    }
}

/// Names and types; how strings are encoded makes no difference.
fn columns(schema: &Schema) -> impl Iterator<Item = (&str, Option<Type>)> {
    schema.fields().iter().map(|field| (field.name().as_str(), Type::from_arrow(field.data_type())))
}

fn defect(error: arrow_schema::ArrowError) -> Error {
    Error::internal("a batch could not be put together").with_source(error)
}
