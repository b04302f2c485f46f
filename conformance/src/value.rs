//! Rows as plain values: slow, simple, and compared bit by bit.
//!
//! What it is: [`Value`], one cell of any type of a link; [`Columns`], the columns of a link with their types; how
//! cases write both.
//!
//! Guarantees: two values are equal only if they are the same bits: `NaN` equals itself, `0.0` does not equal `-0.0`.

use std::fmt;

use indexmap::IndexMap;
use modrun_core::Type;
use serde_json::Value as Json;

use crate::{Error, Result};

/// One cell.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int64(i64),
    /// The bits of a floating-point number.
    Float64(u64),
    /// Text.
    String(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// Microseconds since 1970 in UTC.
    Timestamp(i64),
}

/// The cells of one event, in the order of the columns.
pub type Row = Vec<Value>;

/// One column of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: Type,
    /// Whether it may hold nulls.
    pub nullable: bool,
}

/// The columns of a link, in order.
pub type Columns = Vec<Column>;

/// Reads columns as cases write them: `{n: int64?, s: string}`.
pub fn columns(written: &IndexMap<String, String>) -> Result<Columns> {
    written.iter().map(|(name, text)| column(name, text)).collect()
}

fn column(name: &str, text: &str) -> Result<Column> {
    let (word, nullable) = text.strip_suffix('?').map_or((text, false), |word| (word, true));
    let data_type = serde_json::from_value(Json::String(word.to_owned()))
        .map_err(|_| Error::Case(format!("column `{name}`: `{text}` is not a type")))?;
    Ok(Column { name: name.to_owned(), data_type, nullable })
}

/// Reads a cell as cases write it: binary in hexadecimal, floats that JSON lacks as `nan`, `inf`, `-inf`, `-0` or
/// `bits:7ff8000000000001`, timestamps in microseconds, and `{repeat: x, times: 9}` for a long text.
pub fn read(written: &Json, data_type: Type) -> Result<Value> {
    let value = match (data_type, written) {
        (_, Json::Null) => Some(Value::Null),
        (Type::Bool, Json::Bool(value)) => Some(Value::Bool(*value)),
        (Type::Int64, Json::Number(number)) => number.as_i64().map(Value::Int64),
        (Type::Timestamp, Json::Number(number)) => number.as_i64().map(Value::Timestamp),
        (Type::Float64, Json::Number(number)) => number.as_f64().map(float),
        (Type::Float64, Json::String(text)) => special_float(text),
        (Type::String, Json::String(text)) => Some(Value::String(text.clone())),
        (Type::String, Json::Object(_)) => repeated(written).map(Value::String),
        (Type::Binary, Json::String(text)) => hexadecimal(text).map(Value::Binary),
        (Type::Binary, Json::Object(_)) => repeated(written).map(|text| Value::Binary(text.into_bytes())),
        _ => None,
    };
    value.ok_or_else(|| Error::Case(format!("`{written}` is not a value of the type {data_type}")))
}

/// The value of a floating-point number.
pub fn float(number: f64) -> Value {
    Value::Float64(number.to_bits())
}

/// The bytes that a text of hexadecimal digits stands for; blanks are skipped.
pub(crate) fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

fn special_float(text: &str) -> Option<Value> {
    Some(match text {
        "nan" => float(f64::NAN),
        "inf" => float(f64::INFINITY),
        "-inf" => float(f64::NEG_INFINITY),
        "-0" => float(-0.0),
        _ => Value::Float64(u64::from_str_radix(text.strip_prefix("bits:")?, 16).ok()?),
    })
}

fn repeated(written: &Json) -> Option<String> {
    let times = usize::try_from(written["times"].as_u64()?).ok()?;
    Some(written["repeat"].as_str()?.repeat(times))
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int64(value) => write!(f, "{value}"),
            Value::Float64(bits) => write!(f, "{:?}#{bits:016x}", f64::from_bits(*bits)),
            Value::Timestamp(value) => write!(f, "{value}us"),
            Value::String(text) if text.len() <= SHOWN => write!(f, "{text:?}"),
            Value::String(text) => {
                let head: String = text.chars().take(SHOWN / 4).collect();
                write!(f, "{head:?}… of {} bytes", text.len())
            }
            Value::Binary(bytes) if bytes.len() <= SHOWN => write!(f, "{bytes:02x?}"),
            Value::Binary(bytes) => write!(f, "{:02x?}… of {} bytes", &bytes[..SHOWN / 4], bytes.len()),
        }
    }
}

/// How a row is shown in a failure.
pub(crate) struct Shown<'r>(pub(crate) &'r [Value]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use modrun_core::Type;
    use serde_json::json;

    use super::{Value, float, read};

    #[test]
    fn cells_are_read_as_written() {
        let cases = [
            (Type::Int64, json!(i64::MIN), Value::Int64(i64::MIN)),
            (Type::Float64, json!(1), float(1.0)),
            (Type::Float64, json!("-0"), Value::Float64(1 << 63)),
            (Type::Float64, json!("bits:7ff8000000000001"), Value::Float64(0x7ff8_0000_0000_0001)),
            (Type::Binary, json!("00 ff"), Value::Binary(vec![0, 255])),
            (Type::String, json!({"repeat": "ab", "times": 2}), Value::String("abab".into())),
            (Type::Timestamp, json!(-1), Value::Timestamp(-1)),
            (Type::String, json!(null), Value::Null),
        ];
        for (data_type, written, expected) in cases {
            assert_eq!(read(&written, data_type).unwrap(), expected);
        }
        assert!(read(&json!("x"), Type::Int64).is_err());
        assert!(read(&json!("0"), Type::Binary).is_err());
    }

    #[test]
    fn floats_are_compared_by_their_bits() {
        assert_ne!(float(0.0), float(-0.0));
        assert_eq!(float(f64::NAN), float(f64::NAN));
    }
}
