//! Kinds of stages that check as the built-in ones do, and cannot be opened.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use indexmap::IndexMap;
use modrun_core::{
    Bound, Code, Columns, Concurrency, Description, Error, Kind, Open, Problem, Role, Type, raw_schema,
};
use modrun_plan::{Diagnostic, Diagnostics, LoadOptions, Plan, load};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Loads `text` as `pipeline.yaml` with the kinds of this file.
pub(crate) fn plan_of(text: &str, overrides: &[&str]) -> Result<Plan, Diagnostics> {
    let overrides = overrides.iter().map(ToString::to_string).collect();
    plan_with(text, &LoadOptions { folder: "folder".into(), overrides, ..LoadOptions::default() })
}

/// Loads `text` as `pipeline.yaml` with all that may be laid over it.
pub(crate) fn plan_with(text: &str, options: &LoadOptions) -> Result<Plan, Diagnostics> {
    load("pipeline.yaml", text, options, &kinds())
}

/// The problems of `text` as they are shown.
pub(crate) fn problems_of(text: &str, overrides: &[&str]) -> String {
    plan_of(text, overrides).expect_err("the pipeline has a problem").to_string()
}

/// Each problem as `code line:column message [hint]`.
pub(crate) fn listed(problems: &Diagnostics) -> Vec<String> {
    let shown = |p: &Diagnostic| {
        let at = p.line.zip(p.column).map(|(line, column)| format!("{line}:{column}")).unwrap_or_default();
        let hint = p.hint.as_ref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
        format!("{} {at} {}{hint}", p.code, p.message)
    };
    problems.iter().map(shown).collect()
}

/// `file` (source and sink), `json`, `filter`, `gen` (source) and `broken`, which forgets what it uses.
pub(crate) fn kinds() -> Vec<Arc<dyn Kind>> {
    vec![
        Arc::new(FileSource),
        Arc::new(Gen),
        Arc::new(Json),
        Arc::new(Filter),
        Arc::new(Broken),
        Arc::new(FileSink),
    ]
}

/// Where events are read from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileSourceConfig {
    /// The file, or a list of files.
    #[schemars(extend("format" = "path"))]
    path: Paths,
    /// How much is read at once.
    block: Option<modrun_core::Size>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema matters")]
enum Paths {
    One(String),
    Several(Vec<String>),
}

struct FileSource;

impl Kind for FileSource {
    fn describe(&self) -> Description {
        let config = schemars::schema_for!(FileSourceConfig);
        Description { word: "file".into(), role: Role::Source, about: "reads files".into(), config }
    }

    fn bind(&self, _: &Value, input: Option<&SchemaRef>, _: &Columns) -> Result<Bound, Vec<Problem>> {
        assert!(input.is_none(), "a source has no input");
        Ok(source())
    }
}

/// Makes events up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GenConfig {}

struct Gen;

impl Kind for Gen {
    fn describe(&self) -> Description {
        let config = schemars::schema_for!(GenConfig);
        Description { word: "gen".into(), role: Role::Source, about: "makes events up".into(), config }
    }

    fn bind(&self, _: &Value, _: Option<&SchemaRef>, _: &Columns) -> Result<Bound, Vec<Problem>> {
        Ok(source())
    }
}

fn source() -> Bound {
    Bound {
        output: Some(raw_schema()),
        uses: Columns::none(),
        concurrency: Concurrency::Ordered,
        open: Open::Source(Box::new(|_| Err(Error::internal("a test kind is never opened")))),
    }
}

/// The fields to parse.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JsonConfig {
    /// The fields by name, with their type.
    fields: IndexMap<String, FieldType>,
}

/// A field's type.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FieldType {
    Timestamp,
    String,
    Int64,
    Float64,
    Bool,
}

impl FieldType {
    fn to_type(self) -> Type {
        match self {
            FieldType::Timestamp => Type::Timestamp,
            FieldType::String => Type::String,
            FieldType::Int64 => Type::Int64,
            FieldType::Float64 => Type::Float64,
            FieldType::Bool => Type::Bool,
        }
    }
}

struct Json;

impl Kind for Json {
    fn describe(&self) -> Description {
        let config = schemars::schema_for!(JsonConfig);
        Description { word: "json".into(), role: Role::Transform, about: "parses lines".into(), config }
    }

    fn bind(&self, config: &Value, _: Option<&SchemaRef>, wanted: &Columns) -> Result<Bound, Vec<Problem>> {
        let config: JsonConfig = serde_json::from_value(config.clone()).expect("it fits the schema");
        let built = config.fields.iter().filter(|(name, _)| wanted.contains(name));
        let fields: Vec<Field> =
            built.map(|(name, of)| Field::new(name, of.to_type().to_arrow(), false)).collect();
        Ok(transform(Arc::new(Schema::new(fields)), Columns::All))
    }
}

/// What goes on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FilterConfig {
    /// The events that go on: those for which this expression is true.
    #[serde(rename = "where")]
    rule: String,
    /// Whether to keep the others instead.
    #[serde(default)]
    invert: bool,
}

/// Knows comparisons of a column with an integer or a text, joined by `and`.
struct Filter;

impl Kind for Filter {
    fn describe(&self) -> Description {
        let config = schemars::schema_for!(FilterConfig);
        Description { word: "filter".into(), role: Role::Transform, about: "keeps events".into(), config }
    }

    fn bind(
        &self,
        config: &Value,
        input: Option<&SchemaRef>,
        wanted: &Columns,
    ) -> Result<Bound, Vec<Problem>> {
        let config: FilterConfig = serde_json::from_value(config.clone()).expect("it fits the schema");
        let input = input.expect("a transform has an input");
        let words = words(&config.rule);
        let mut problems = Vec::new();
        let mut used = Vec::new();
        for comparison in words.split(|(word, _)| *word == "and") {
            match comparison {
                [left, _, right] => {
                    used.push(left.0);
                    problems.extend(check_comparison(input, left, right));
                }
                other => {
                    let end = other.last().map_or(config.rule.len(), |(_, at)| at.end);
                    let message = "expected a column, a value or `(`, found the end";
                    problems.push(Problem::new(Code::EXPRESSION, message).within(end..end));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems.into_iter().map(|problem| problem.at("where")).collect());
        }
        let handed_on: Vec<_> =
            input.fields().iter().filter(|field| wanted.contains(field.name())).cloned().collect();
        Ok(transform(Arc::new(Schema::new(handed_on)), wanted.clone().with(used)))
    }
}

fn check_comparison(input: &SchemaRef, left: &Word<'_>, right: &Word<'_>) -> Option<Problem> {
    let Ok(field) = input.field_with_name(left.0) else {
        let known = input.fields().iter().map(|field| field.name().as_str());
        let problem = Problem::new(Code::UNKNOWN_COLUMN, format!("there is no column `{}` here", left.0));
        return Some(problem.within(left.1.clone()).with_nearest(left.0, known));
    };
    let of = Type::from_arrow(field.data_type()).expect("a link carries it");
    let given = if right.0.starts_with('\'') { Type::String } else { Type::Int64 };
    if of == given {
        return None;
    }
    let message = format!("`{}` is {of} and `{}` is {given}: they cannot be compared", left.0, right.0);
    let hint = format!("write {} without quotes", right.0.trim_matches('\''));
    Some(Problem::new(Code::WRONG_TYPE, message).within(left.1.start..right.1.end).with_hint(hint))
}

type Word<'a> = (&'a str, Range<usize>);

fn words(text: &str) -> Vec<Word<'_>> {
    let place = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace().map(|word| (word, place(word)..place(word) + word.len())).collect()
}

/// Nothing to configure.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BrokenConfig {}

/// Needs a column that it does not say it uses.
struct Broken;

impl Kind for Broken {
    fn describe(&self) -> Description {
        let config = schemars::schema_for!(BrokenConfig);
        Description { word: "broken".into(), role: Role::Transform, about: "is broken".into(), config }
    }

    fn bind(&self, _: &Value, input: Option<&SchemaRef>, _: &Columns) -> Result<Bound, Vec<Problem>> {
        let input = input.expect("a transform has an input");
        match input.field_with_name("user") {
            Ok(_) => Ok(transform(Arc::clone(input), Columns::none())),
            Err(_) => Err(vec![Problem::new(Code::UNKNOWN_COLUMN, "there is no column `user` here")]),
        }
    }
}

fn transform(output: SchemaRef, uses: Columns) -> Bound {
    Bound {
        output: Some(output),
        uses,
        concurrency: Concurrency::Stateless,
        open: Open::Transform(Box::new(|_| Err(Error::internal("a test kind is never opened")))),
    }
}

/// Where results go.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileSinkConfig {
    /// The file.
    path: String,
    /// The columns to write; all if left out.
    columns: Option<Vec<String>>,
}

struct FileSink;

impl Kind for FileSink {
    fn describe(&self) -> Description {
        let config = schemars::schema_for!(FileSinkConfig);
        Description { word: "file".into(), role: Role::Sink, about: "writes NDJSON".into(), config }
    }

    fn bind(&self, config: &Value, _: Option<&SchemaRef>, wanted: &Columns) -> Result<Bound, Vec<Problem>> {
        assert!(*wanted == Columns::All || *wanted == Columns::none(), "nobody reads from a sink");
        let config: FileSinkConfig = serde_json::from_value(config.clone()).expect("it fits the schema");
        Ok(Bound {
            output: None,
            uses: config.columns.map_or(Columns::All, Columns::from_iter),
            concurrency: Concurrency::Ordered,
            open: Open::Sink(Box::new(|_| Err(Error::internal("a test kind is never opened")))),
        })
    }
}
