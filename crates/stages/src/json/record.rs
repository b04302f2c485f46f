//! The slow reader: any line, by serde_json, with the cause where it is no event.
//!
//! It defines what a line means; the fast reader only ever agrees with it. Rules: one JSON object a line; the last
//! of duplicate keys counts, as in `JSON.parse` and `json.loads`; every string, needed or not, is well-formed
//! Unicode, every number within the range of float64, and nesting at most 127 deep.

use std::fmt;

use modrun_core::{Type, value::timestamp};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Field;
use super::columns::{Columns, Place};

/// Why a line is no event.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) reason: &'static str,
    pub(super) cause: String,
}

/// What was found under a declared key.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Missing,
    Null,
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    Array,
    Object,
}

/// Reads whole lines by serde_json.
pub(super) struct Reader {
    fields: Vec<Field>,
    places: Vec<Option<Place>>,
    found: Vec<Found>,
}

impl Reader {
    pub(super) fn new(fields: &[Field], columns: &Columns) -> Self {
        Self {
            fields: fields.to_vec(),
            places: fields.iter().map(|field| columns.place(&field.name)).collect(),
            found: Vec::new(),
        }
    }

    /// Reads `line`, without its newline, into a row; on a fault nothing is changed.
    pub(super) fn line(&mut self, line: &[u8], columns: &mut Columns) -> Result<(), Fault> {
        self.found.clear();
        self.found.resize(self.fields.len(), Found::Missing);
        let mut json = serde_json::Deserializer::from_slice(line);
        let object = ObjectReader { fields: &self.fields, found: &mut self.found };
        json.deserialize_map(object).and_then(|()| json.end()).map_err(|error| syntax_fault(line, &error))?;
        for (i, field) in self.fields.iter().enumerate() {
            if let Err(fault) = place(field, self.places[i], &self.found[i], columns) {
                columns.truncate();
                return Err(fault);
            }
        }
        columns.rows += 1;
        Ok(())
    }
}

/// Puts what was found where it belongs, or says why it cannot.
fn place(field: &Field, place: Option<Place>, found: &Found, columns: &mut Columns) -> Result<(), Fault> {
    let name = &field.name;
    match (field.field_type, found) {
        (_, Found::Missing | Found::Null) if field.optional => {
            if let Some(place) = place {
                columns.push_null(place);
            }
        }
        (_, Found::Missing) => {
            return Err(Fault { reason: "missing_field", cause: format!("field `{name}` is missing") });
        }
        (Type::Bool, &Found::Bool(value)) => {
            if let Some(Place::Bool(at)) = place {
                columns.bools[at].push(value);
            }
        }
        (Type::Int64, &Found::Integer(value)) => {
            if let Some(Place::Int64(at)) = place {
                columns.ints[at].push(value);
            }
        }
        (Type::Float64, &(Found::Integer(_) | Found::Unsigned(_) | Found::Float(_))) => {
            let value = match *found {
                Found::Integer(value) => value as f64,
                Found::Unsigned(value) => value as f64,
                Found::Float(value) => value,
                _ => unreachable!("the pattern above names the numbers"),
            };
            if let Some(Place::Float64(at)) = place {
                columns.floats[at].push(value);
            }
        }
        (Type::String, Found::Text(text)) => {
            if let Some(Place::String(at)) = place {
                columns.strings[at].push(text.as_bytes());
            }
        }
        (Type::Timestamp, Found::Text(text)) => {
            let micros = timestamp::parse(text.as_bytes()).ok_or_else(|| Fault {
                reason: "wrong_type",
                cause: format!("field `{name}` is `{}`, not a timestamp with an offset", shorten(text)),
            })?;
            if let Some(Place::Timestamp(at)) = place {
                columns.ints[at].push(micros);
            }
        }
        (wanted, found) => return Err(type_fault(name, wanted, found)),
    }
    Ok(())
}

fn type_fault(name: &str, wanted: Type, found: &Found) -> Fault {
    let what = match found {
        Found::Missing | Found::Null => "null".to_owned(),
        Found::Bool(value) => format!("the bool `{value}`"),
        Found::Integer(value) => format!("the integer `{value}`"),
        Found::Unsigned(value) => format!("the integer `{value}`"),
        Found::Float(value) => format!("the number `{value:?}`"),
        Found::Text(text) => format!("the string `{}`", shorten(text)),
        Found::Array => "an array".to_owned(),
        Found::Object => "an object".to_owned(),
    };
    let beyond = match *found {
        Found::Unsigned(_) => true,
        Found::Float(value) => value.abs() >= 9.2e18,
        _ => false,
    };
    if wanted == Type::Int64 && beyond {
        return Fault {
            reason: "out_of_range",
            cause: format!("field `{name}` is {what}, out of the range of int64"),
        };
    }
    Fault { reason: "wrong_type", cause: format!("field `{name}` is {what}, not {wanted}") }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn syntax_fault(line: &[u8], error: &serde_json::Error) -> Fault {
    if let Err(utf8) = std::str::from_utf8(line) {
        let cause = format!("not UTF-8 at column {}", utf8.valid_up_to() + 1);
        return Fault { reason: "not_utf8", cause };
    }
    let text = error.to_string();
    if error.is_data() {
        let what =
            text.split(',').next().and_then(|head| head.strip_prefix("invalid type: ")).unwrap_or("it");
        return Fault { reason: "not_object", cause: format!("not a JSON object but {what}") };
    }
    let what = text.split(" at line ").next().unwrap_or(&text);
    Fault { reason: "not_json", cause: format!("not JSON: {what} at column {}", error.column()) }
}

/// Reads an object's members, the declared ones into `found`.
struct ObjectReader<'a> {
    fields: &'a [Field],
    found: &'a mut [Found],
}

impl<'de> Visitor<'de> for ObjectReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Key(self.fields))? {
            let value = map.next_value_seed(Scalar { keep: field.is_some() })?;
            if let Some(field) = field {
                self.found[field] = value;
            }
        }
        Ok(())
    }
}

/// Which declared field a key names.
struct Key<'a>(&'a [Field]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|field| field.name == key))
    }
}

/// A value; text is copied only where it is to be kept, and what is inside of arrays and objects is only checked.
#[derive(Clone, Copy)]
struct Scalar {
    keep: bool,
}

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Found, E> {
        Ok(Found::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Found, E> {
        Ok(Found::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Found, E> {
        Ok(i64::try_from(value).map_or(Found::Unsigned(value), Found::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Found, E> {
        Ok(Found::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Found, E> {
        Ok(Found::Text(if self.keep { value.to_owned() } else { String::new() }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        while seq.next_element_seed(Scalar { keep: false })?.is_some() {}
        Ok(Found::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        while map.next_key_seed(Key(&[]))?.is_some() {
            map.next_value_seed(Scalar { keep: false })?;
        }
        Ok(Found::Object)
    }
}
