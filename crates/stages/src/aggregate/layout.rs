//! The columns of an `aggregate`: what it reads, what it gives, and what its state looks like.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use modrun_core::{Code, Error, Problem, Result, Segment, Type};

use super::call::{Call, Function};
use super::{By, Config};

/// A configuration that fits its input.
pub(super) struct Layout {
    pub(super) keys: Vec<Key>,
    /// The columns that values are made of, each once.
    pub(super) arguments: Vec<Argument>,
    pub(super) values: Vec<Value>,
    pub(super) output: SchemaRef,
    /// Keys, rows of the group, and the accumulators of [`Layout::arguments`].
    pub(super) state: SchemaRef,
}

/// A column to group by.
pub(super) struct Key {
    pub(super) column: String,
    pub(super) key_type: Type,
}

/// A column that values are made of, and what is asked of it beyond the count.
pub(super) struct Argument {
    pub(super) column: String,
    pub(super) argument_type: Type,
    pub(super) sum: bool,
    pub(super) min: bool,
    pub(super) max: bool,
}

/// An output column after the keys.
pub(super) struct Value {
    pub(super) function: Function,
    /// The position among [`Layout::arguments`]; none for `count()`.
    pub(super) argument: Option<usize>,
}

impl Layout {
    /// Checks `config` against the columns that come in.
    pub(super) fn new(config: &Config, input: &Schema) -> Result<Self, Vec<Problem>> {
        let mut builder = Builder { input, problems: Vec::new(), names: HashSet::new(), fields: Vec::new() };
        let keys = builder.keys(&config.by);
        let (arguments, values) = builder.values(config);
        if config.values.is_empty() && keys.is_empty() && builder.problems.is_empty() {
            let problem =
                Problem::new(Code::MISSING_KEY, "`aggregate` has neither columns to group by nor values");
            builder.problems.push(problem.with_hint("add `values: {count: count()}`"));
        }
        if !builder.problems.is_empty() {
            return Err(builder.problems);
        }
        let mut state = builder.fields[..keys.len()].to_vec();
        state.push(Field::new("rows", DataType::Int64, false));
        arguments.iter().for_each(|argument| argument.state_fields(&mut state));
        let output = Arc::new(Schema::new(builder.fields));
        Ok(Self { keys, arguments, values, output, state: Arc::new(Schema::new(state)) })
    }

    pub(super) fn input_columns(&self) -> impl Iterator<Item = &str> {
        let keys = self.keys.iter().map(|key| key.column.as_str());
        keys.chain(self.arguments.iter().map(|argument| argument.column.as_str()))
    }

    pub(super) fn key_columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.keys.iter().map(|key| column(batch, &key.column).cloned()).collect()
    }
}

impl Argument {
    fn state_fields(&self, fields: &mut Vec<Field>) {
        let name = |what: &str| format!("{what}({})", self.column);
        fields.push(Field::new(name("nulls"), DataType::Int64, false));
        if self.sum {
            fields.push(Field::new(name("sum"), DataType::Binary, false));
        }
        for (asked, what) in [(self.min, "min"), (self.max, "max")] {
            if asked {
                fields.push(Field::new(name(what), self.argument_type.to_arrow(), true));
            }
        }
    }
}

/// A column that the plan promised.
pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::internal(format!("a batch has no column `{name}`")))
}

/// Collects columns and problems.
struct Builder<'a> {
    input: &'a Schema,
    problems: Vec<Problem>,
    /// Output names so far.
    names: HashSet<String>,
    /// Output columns so far.
    fields: Vec<Field>,
}

impl Builder<'_> {
    fn keys(&mut self, by: &By) -> Vec<Key> {
        let entries: Vec<(Segment, &String, &String)> = match by {
            By::Columns(columns) => {
                columns.iter().enumerate().map(|(i, column)| (i.into(), column, column)).collect()
            }
            By::Renamed(columns) => {
                columns.iter().map(|(name, column)| (name.clone().into(), name, column)).collect()
            }
        };
        entries.into_iter().filter_map(|(at, name, column)| self.key(at, name, column)).collect()
    }

    fn key(&mut self, at: Segment, name: &str, column: &str) -> Option<Key> {
        let path = |problem: Problem| problem.at(at).at("by");
        let found = self.column(column).and_then(|(key_type, nullable)| {
            self.name(name)?;
            Ok((key_type, nullable))
        });
        match found {
            Ok((key_type, nullable)) => {
                self.fields.push(Field::new(name, key_type.to_arrow(), nullable));
                Some(Key { column: column.to_owned(), key_type })
            }
            Err(problem) => {
                self.problems.push(path(problem));
                None
            }
        }
    }

    fn values(&mut self, config: &Config) -> (Vec<Argument>, Vec<Value>) {
        let (mut arguments, mut values) = (Vec::new(), Vec::new());
        for (name, text) in &config.values {
            let path = |problem: Problem| problem.at(name.as_str()).at("values");
            if let Err(problem) = self.name(name) {
                self.problems.push(path(problem.on_key()));
            }
            match Call::parse(text).and_then(|call| self.value(name, &call, &mut arguments)) {
                Ok(value) => values.push(value),
                Err(problem) => self.problems.push(path(problem)),
            }
        }
        (arguments, values)
    }

    fn value(&mut self, name: &str, call: &Call, arguments: &mut Vec<Argument>) -> Result<Value, Problem> {
        let function = call.function;
        let Some(column) = &call.argument else {
            self.fields.push(Field::new(name, DataType::Int64, false));
            return Ok(Value { function, argument: None });
        };
        let within = |problem: Problem| problem.within(call.argument_at.clone());
        let (argument_type, _) = self.column(column).map_err(within)?;
        let result = result_type(function, argument_type).ok_or_else(|| {
            let message = format!("`{}` cannot take `{column}`, which is {argument_type}", function.name());
            within(Problem::new(Code::WRONG_TYPE, message).with_hint(takes(function)))
        })?;
        self.fields.push(Field::new(name, result.to_arrow(), function != Function::Count));
        let at = arguments.iter().position(|known| known.column == *column).unwrap_or_else(|| {
            let column = column.clone();
            arguments.push(Argument { column, argument_type, sum: false, min: false, max: false });
            arguments.len() - 1
        });
        match function {
            Function::Count => {}
            Function::Sum | Function::Avg => arguments[at].sum = true,
            Function::Min => arguments[at].min = true,
            Function::Max => arguments[at].max = true,
        }
        Ok(Value { function, argument: Some(at) })
    }

    /// Type and nullability of an input column.
    fn column(&self, name: &str) -> Result<(Type, bool), Problem> {
        let known = self.input.fields();
        let Some(field) = known.iter().find(|field| field.name() == name) else {
            return Err(Problem::new(Code::UNKNOWN_COLUMN, format!("there is no column `{name}`"))
                .with_nearest(name, known.iter().map(|field| field.name().as_str())));
        };
        let column_type = Type::from_arrow(field.data_type()).ok_or_else(|| {
            let message = format!("`{name}` is {}, which is no link type", field.data_type());
            Problem::new(Code::WRONG_TYPE, message)
        })?;
        Ok((column_type, field.is_nullable()))
    }

    /// Takes an output name.
    fn name(&mut self, name: &str) -> Result<(), Problem> {
        if self.names.insert(name.to_owned()) {
            return Ok(());
        }
        Err(Problem::new(Code::WRONG_VALUE, format!("there are two output columns `{name}`"))
            .with_hint("give one of them another name"))
    }
}

/// The type of a function's result, if it can take the argument.
fn result_type(function: Function, argument: Type) -> Option<Type> {
    let number = matches!(argument, Type::Int64 | Type::Float64);
    match function {
        Function::Count => Some(Type::Int64),
        Function::Sum => number.then_some(argument),
        Function::Avg => number.then_some(Type::Float64),
        Function::Min | Function::Max => (argument != Type::Binary).then_some(argument),
    }
}

/// What a function takes.
fn takes(function: Function) -> &'static str {
    match function {
        Function::Count => "`count` takes any column",
        Function::Sum | Function::Avg => "it takes int64 and float64",
        Function::Min | Function::Max => "it takes int64, float64, string, timestamp and bool",
    }
}
