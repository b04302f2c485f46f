//! The `json` transform: lines of text into declared columns.
//!
//! ```text
//!   block of lines ──▶ shape::Reader ──row──▶ Columns ──▶ RecordBatch
//!                          │ not sure            ▲
//!                          └──▶ record::Reader ──┤
//!                                                └──▶ dead letter: no event
//! ```
//!
//! The fast reader ([`shape`]) expects each line to look like the ones before and checks every byte of it; any line
//! that it does not know goes to the slow reader ([`record`]), which alone defines what a line means and why it is
//! no event. Blank lines are skipped. A line that is no event becomes a dead letter with its source, line number,
//! offset and bytes; the lines around it go on.
//!
//! Only the fields that later stages use are built; all declared ones are checked.

mod columns;
mod literal;
mod record;
mod scan;
mod shape;
mod track;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field as ArrowField, Schema, SchemaRef};
use indexmap::IndexMap;
use modrun_core::{
    Bound, Code, Columns as Wanted, Concurrency, DeadLetter, Description, Error, Kind, Open, Origin, Output,
    Payload, Problem, Result, Role, Transform, Type, raw_schema, read_config,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use columns::Columns;

/// Rows of a batch at most, and bytes of one of its string columns.
const ROWS_MAX: usize = 65_536;
const TEXT_BYTES_MAX: usize = 1 << 30;

/// What is kept of a line that is longer than the limit, in bytes.
const KEPT_OF_LONG_LINE: usize = 4096;

/// Parses lines of JSON, one object a line, into declared columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The fields by name, with their type; a `?` after the type lets a field be null or missing.
    fields: IndexMap<String, FieldType>,
}

/// A field's type: `timestamp`, `string`, `int64`, `float64` or `bool`; followed by `?` if it may be null or missing.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum FieldType {
    #[serde(rename = "timestamp")]
    Timestamp,
    #[serde(rename = "timestamp?")]
    OptionalTimestamp,
    #[serde(rename = "string")]
    String,
    #[serde(rename = "string?")]
    OptionalString,
    #[serde(rename = "int64")]
    Int64,
    #[serde(rename = "int64?")]
    OptionalInt64,
    #[serde(rename = "float64")]
    Float64,
    #[serde(rename = "float64?")]
    OptionalFloat64,
    #[serde(rename = "bool")]
    Bool,
    #[serde(rename = "bool?")]
    OptionalBool,
}

impl FieldType {
    fn named(self, name: String) -> Field {
        let (field_type, optional) = match self {
            FieldType::Timestamp => (Type::Timestamp, false),
            FieldType::OptionalTimestamp => (Type::Timestamp, true),
            FieldType::String => (Type::String, false),
            FieldType::OptionalString => (Type::String, true),
            FieldType::Int64 => (Type::Int64, false),
            FieldType::OptionalInt64 => (Type::Int64, true),
            FieldType::Float64 => (Type::Float64, false),
            FieldType::OptionalFloat64 => (Type::Float64, true),
            FieldType::Bool => (Type::Bool, false),
            FieldType::OptionalBool => (Type::Bool, true),
        };
        Field { name, field_type, optional }
    }
}

/// A declared field.
#[derive(Clone, Debug)]
struct Field {
    name: String,
    field_type: Type,
    optional: bool,
}

/// The kind `json`.
pub(crate) struct Json;

impl Kind for Json {
    fn describe(&self) -> Description {
        Description::of::<Config>("json", Role::Transform, "parses lines of JSON into declared columns")
    }

    fn bind(
        &self,
        config: &Value,
        input: Option<&SchemaRef>,
        wanted: &Wanted,
    ) -> Result<Bound, Vec<Problem>> {
        let config: Config = read_config(config)?;
        let text = raw_schema();
        let given = input.and_then(|schema| schema.field_with_name("text").ok());
        if given.map(|field| field.data_type())
            != text.field_with_name("text").ok().map(|field| field.data_type())
        {
            let problem =
                Problem::new(Code::WRONG_TYPE, "`json` reads lines of text, and the stage before gives none");
            return Err(vec![problem.with_hint("put it right behind a source such as `file`")]);
        }
        if config.fields.is_empty() {
            return Err(vec![Problem::new(Code::WRONG_VALUE, "no field is declared").at("fields")]);
        }
        let fields: Vec<Field> =
            config.fields.into_iter().map(|(name, declared)| declared.named(name)).collect();
        let built: Vec<Field> = fields.iter().filter(|field| wanted.contains(&field.name)).cloned().collect();
        let output = built.iter().map(|f| ArrowField::new(&f.name, f.field_type.to_arrow(), f.optional));
        Ok(Bound {
            output: Some(SchemaRef::new(Schema::new(output.collect::<Vec<_>>()))),
            uses: Wanted::All,
            concurrency: Concurrency::Stateless,
            open: Open::transform(move |ctx| Ok(Parser::new(&fields, &built, ctx.limits.line_bytes))),
        })
    }
}

struct Parser {
    columns: Columns,
    fast: shape::Reader,
    slow: record::Reader,
    line_bytes_max: usize,
}

impl Parser {
    fn new(fields: &[Field], built: &[Field], line_bytes_max: u64) -> Self {
        let columns = Columns::new(built.iter().map(|f| (f.name.as_str(), f.field_type, f.optional)));
        let fast = shape::Reader::new(fields, &columns);
        let slow = record::Reader::new(fields, &columns);
        Self { columns, fast, slow, line_bytes_max: usize::try_from(line_bytes_max).unwrap_or(usize::MAX) }
    }

    /// Reads all lines of one text value; gives the number of events.
    fn text(&mut self, text: &[u8], start: &Start<'_>, out: &mut Output) -> Result<u64> {
        let (mut at, mut line, mut events) = (0, 0, 0);
        while at < text.len() {
            let known = self.fast.line(text, at, &mut self.columns);
            if let Some(end) = known.filter(|end| end - at - 1 <= self.line_bytes_max) {
                self.columns.rows += 1;
                at = end;
                events += 1;
            } else {
                let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |newline| at + newline + 1);
                events += self.odd_line(&text[at..end], at, line, start, out) as u64;
                at = end;
            }
            line += 1;
            if self.columns.is_full(ROWS_MAX, TEXT_BYTES_MAX) {
                self.emit(out)?;
            }
        }
        Ok(events)
    }

    /// Reads a line that the fast reader was not sure of; gives whether it was an event, good or bad.
    #[inline(never)]
    fn odd_line(&mut self, whole: &[u8], at: usize, line: u64, start: &Start<'_>, out: &mut Output) -> bool {
        self.columns.truncate();
        let text = whole.strip_suffix(b"\n").unwrap_or(whole);
        if text.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            return false;
        }
        let too_long = text.len() > self.line_bytes_max;
        let read = if too_long {
            let cause = format!("line longer than the limit of {} bytes", self.line_bytes_max);
            Err(record::Fault { reason: "too_long", cause })
        } else {
            self.slow.line(text, &mut self.columns)
        };
        match read {
            Ok(()) => self.fast.learn(whole),
            Err(fault) => {
                let kept = if too_long { text.len().min(KEPT_OF_LONG_LINE) } else { text.len() };
                out.dead_letter(DeadLetter {
                    reason: fault.reason.into(),
                    detail: None,
                    cause: fault.cause,
                    origin: Some(start.line(at, line)),
                    payload: Payload::Raw { bytes: text[..kept].to_vec(), truncated: too_long },
                });
            }
        }
        true
    }

    fn emit(&mut self, out: &mut Output) -> Result<()> {
        if self.columns.rows > 0 {
            let batch = self.columns.take();
            out.emit(
                batch.map_err(|error| {
                    Error::internal("parsed columns do not form a batch").with_source(error)
                })?,
            );
        }
        Ok(())
    }
}

impl Transform for Parser {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        let raw = Raw::of(&batch)?;
        let mut events = 0;
        for row in 0..raw.text.len() {
            events += self.text(raw.text.value(row), &raw.start(row), out)?;
        }
        out.events_found = Some(events);
        self.emit(out)
    }
}

/// The columns of a raw batch.
struct Raw<'a> {
    text: &'a BinaryArray,
    source: Option<&'a StringArray>,
    offset: Option<&'a Int64Array>,
    line: Option<&'a Int64Array>,
}

impl<'a> Raw<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        let column = |name| batch.column_by_name(name);
        Ok(Self {
            text: column("text")
                .and_then(|text| text.as_binary_opt())
                .ok_or_else(|| Error::internal("a batch for `json` has no binary column `text`"))?,
            source: column("source").and_then(|source| source.as_string_opt()),
            offset: column("offset").and_then(|offset| offset.as_primitive_opt::<Int64Type>()),
            line: column("line").and_then(|line| line.as_primitive_opt::<Int64Type>()),
        })
    }

    fn start(&self, row: usize) -> Start<'a> {
        Start {
            source: self.source.map_or("", |source| source.value(row)),
            offset: self.offset.map_or(0, |offset| offset.value(row) as u64),
            line: self.line.filter(|line| line.is_valid(row)).map(|line| line.value(row) as u64),
        }
    }
}

/// Where a text value begins.
struct Start<'a> {
    source: &'a str,
    offset: u64,
    line: Option<u64>,
}

impl Start<'_> {
    fn line(&self, at: usize, line: u64) -> Origin {
        Origin {
            source: self.source.to_owned(),
            line: self.line.map(|first| first + line),
            offset: self.offset + at as u64,
        }
    }
}

#[cfg(test)]
mod tests;
