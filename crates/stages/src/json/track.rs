//! The straight way through a line that looks exactly like the one before.
//!
//! A [`Track`] is a line taken apart: the bytes that stood between its values, and what kind each value was. It
//! passes a line in which the same bytes stand between values of the same kinds, and nothing else.

use modrun_core::Type;

use super::Field;
use super::columns::{Columns, Place};
use super::literal::Literal;
use super::scan::{self, HourCache};

/// How many values a line may hold and still be worth a track.
const STOPS_MAX: usize = 64;

/// What to do with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A declared field that is built.
    Build(Place),
    /// A declared field that nobody wants: checked for its type.
    Check(Type),
    /// A value that is not declared: checked to be JSON.
    Skip,
    /// A number inside a value that is not declared.
    SkipNumber,
}

impl Value {
    /// Whether its literal ends with its opening quote.
    pub(super) fn is_quoted(self) -> bool {
        matches!(
            self,
            Value::Build(Place::String(_) | Place::Timestamp(_))
                | Value::Check(Type::String | Type::Timestamp)
        )
    }
}

/// What is kept between lines while values are read.
#[derive(Default)]
pub(super) struct Memory {
    hours: HourCache,
    scratch: Vec<u8>,
}

/// Reads one value at `at`; gives the position after it.
#[inline(always)]
pub(super) fn value(
    value: Value,
    text: &[u8],
    at: usize,
    columns: &mut Columns,
    memory: &mut Memory,
) -> Option<usize> {
    let Memory { hours, scratch } = memory;
    match value {
        Value::Build(Place::String(column)) => {
            let (value, end) = scan::string(text, at, scratch)?;
            columns.strings[column].push(value);
            Some(end)
        }
        Value::Build(Place::Int64(column)) => {
            let (value, end) = scan::integer(text, at)?;
            columns.ints[column].push(value);
            Some(end)
        }
        Value::Build(Place::Timestamp(column)) => {
            let (value, end) = hours.timestamp(text, at, scratch)?;
            columns.ints[column].push(value);
            Some(end)
        }
        Value::Build(Place::Float64(column)) => {
            let (value, end) = scan::float(text, at)?;
            columns.floats[column].push(value);
            Some(end)
        }
        Value::Build(Place::Bool(column)) => {
            let (value, end) = scan::boolean(text, at)?;
            columns.bools[column].push(value);
            Some(end)
        }
        Value::Check(Type::String | Type::Binary) => scan::skip_string(text, at),
        Value::Check(Type::Int64) => scan::integer(text, at).map(|(_, end)| end),
        Value::Check(Type::Timestamp) => hours.timestamp(text, at, scratch).map(|(_, end)| end),
        Value::Check(Type::Float64) => scan::float(text, at).map(|(_, end)| end),
        Value::Check(Type::Bool) => scan::boolean(text, at).map(|(_, end)| end),
        Value::Skip => scan::skip(text, at, scan::DEPTH_MAX),
        Value::SkipNumber => scan::skip_number(text, at),
    }
}

/// A value, and the bytes before it.
struct Stop {
    before: Literal,
    value: Value,
}

/// A line taken apart.
pub(super) struct Track {
    stops: Vec<Stop>,
    close: Literal,
    /// Optional fields that the line leaves out.
    absent: Vec<Place>,
}

impl Track {
    /// Reads the line at `at`; gives the position after its newline, or `None` with the columns to be truncated.
    #[inline(always)]
    pub(super) fn line(
        &self,
        text: &[u8],
        mut at: usize,
        columns: &mut Columns,
        memory: &mut Memory,
    ) -> Option<usize> {
        for stop in &self.stops {
            at = stop.before.pass(text, at)?;
            at = value(stop.value, text, at, columns, memory)?;
        }
        for &place in &self.absent {
            columns.push_null(place);
        }
        self.close.pass(text, at)
    }

    /// Lays a track along a line that the slow reader accepted, if it is a plain one: `padded` is the line with its
    /// newline, up to `end`, and at least sixteen bytes of padding.
    pub(super) fn lay(padded: &[u8], end: usize, fields: &[Field], places: &[Option<Place>]) -> Option<Self> {
        let mut layer =
            Layer { padded, fields, places, from: 0, stops: Vec::new(), seen: vec![false; fields.len()] };
        let close = layer.object()?;
        let tail = scan::blanks(padded, close);
        if tail + 1 != end || layer.stops.len() > STOPS_MAX {
            return None;
        }
        // The line was accepted, so the fields that it leaves out are optional ones.
        let unseen = places.iter().zip(&layer.seen).filter(|(_, seen)| !**seen);
        let absent = unseen.filter_map(|(place, _)| *place).collect();
        Some(Self { close: Literal::new(&padded[layer.from..end]), stops: layer.stops, absent })
    }
}

/// Walks along a line and notes its stops.
struct Layer<'a> {
    padded: &'a [u8],
    fields: &'a [Field],
    places: &'a [Option<Place>],
    /// Where the literal before the next stop begins.
    from: usize,
    stops: Vec<Stop>,
    seen: Vec<bool>,
}

impl Layer<'_> {
    /// Notes the members of the line's object; gives the position after it.
    fn object(&mut self) -> Option<usize> {
        let open = scan::blanks(self.padded, 0);
        let mut at = scan::blanks(self.padded, open + 1);
        if self.padded[at] == b'}' {
            return Some(at + 1);
        }
        loop {
            let (name, value_at) = self.key(at)?;
            let declared = self.fields.iter().position(|field| field.name.as_bytes() == name);
            at = scan::blanks(self.padded, self.member(declared, value_at)?);
            if self.padded[at] != b',' {
                return Some(at + 1);
            }
            at = scan::blanks(self.padded, at + 1);
        }
    }

    /// The key at `at`, if it is a plain one, and where its value begins.
    fn key(&self, at: usize) -> Option<(&[u8], usize)> {
        let after = scan::skip_string(self.padded, at + 1)?;
        let name = &self.padded[at + 1..after - 1];
        let colon = scan::blanks(self.padded, after);
        (!name.contains(&b'\\')).then(|| (name, scan::blanks(self.padded, colon + 1)))
    }

    fn member(&mut self, declared: Option<usize>, at: usize) -> Option<usize> {
        let Some(field) = declared else { return self.undeclared(at) };
        if std::mem::replace(&mut self.seen[field], true) || self.padded[at] == b'n' {
            return None; // a duplicate, or a null: not the straight way
        }
        let value = self.places[field].map_or(Value::Check(self.fields[field].field_type), Value::Build);
        self.stop(value, at)
    }

    /// Notes the stops inside a value that is not declared; keys, brackets and words belong to the literals.
    fn undeclared(&mut self, at: usize) -> Option<usize> {
        let is_object = match self.padded[at] {
            b'"' => return self.stop(Value::Check(Type::String), at),
            b'-' | b'0'..=b'9' => return self.stop(Value::SkipNumber, at),
            b'{' => true,
            b'[' => false,
            _ => return scan::skip(self.padded, at, 1),
        };
        let mut at = scan::blanks(self.padded, at + 1);
        if matches!(self.padded[at], b'}' | b']') {
            return Some(at + 1);
        }
        loop {
            if is_object {
                (_, at) = self.key(at)?;
            }
            at = scan::blanks(self.padded, self.undeclared(at)?);
            if self.padded[at] != b',' {
                return Some(at + 1);
            }
            at = scan::blanks(self.padded, at + 1);
        }
    }

    /// Notes the value at `at`; gives the position after it.
    fn stop(&mut self, value: Value, at: usize) -> Option<usize> {
        let start = at + value.is_quoted() as usize;
        self.stops.push(Stop { before: Literal::new(&self.padded[self.from..start]), value });
        self.from = scan::skip(self.padded, at, 1)?;
        Some(self.from)
    }
}
