//! One event as a line of JSON, as the sink `lines` must write it.
//!
//! Guarantees: members stand in the order of the columns; numbers are as ECMAScript prints them; timestamps are ISO 8601
//! with `Z` and as few digits of a second's fraction as it takes; binary is base64; what is absent, and what JSON has no
//! number for, is null.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::value::{Column, Value};

/// The line without its newline.
pub(crate) fn write(columns: &[Column], row: &[Value]) -> String {
    let member = |(column, value): (&Column, &Value)| format!("{}:{}", text(&column.name), cell(value));
    let members: Vec<String> = columns.iter().zip(row).map(member).collect();
    format!("{{{}}}", members.join(","))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int64(value) => value.to_string(),
        Value::Float64(bits) => {
            let number = f64::from_bits(*bits);
            if number.is_finite() {
                ryu_js::Buffer::new().format_finite(number).to_owned()
            } else {
                "null".to_owned()
            }
        }
        Value::String(value) => text(value),
        Value::Binary(bytes) => text(&STANDARD.encode(bytes)),
        Value::Timestamp(micros) => text(&moment(*micros)),
    }
}

fn text(value: &str) -> String {
    serde_json::Value::String(value.to_owned()).to_string()
}

fn moment(micros: i64) -> String {
    let mut written = Vec::new();
    modrun_core::value::timestamp::write(micros, &mut written);
    let written = String::from_utf8_lossy(&written).into_owned();
    let shortened = written.trim_end_matches('Z').trim_end_matches('0');
    let (before, fraction) = shortened.split_once('.').unwrap_or((shortened, ""));
    if fraction.is_empty() { format!("{before}Z") } else { format!("{before}.{fraction}Z") }
}

#[cfg(test)]
mod tests {
    use super::{cell, moment};
    use crate::value::{Value, float};

    #[test]
    fn moments_have_as_few_digits_as_it_takes() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (1, "1970-01-01T00:00:00.000001Z"),
            (-500_000, "1969-12-31T23:59:59.5Z"),
            (1_700_000_000_120_000, "2023-11-14T22:13:20.12Z"),
            (1_700_000_010_000_000, "2023-11-14T22:13:30Z"),
        ];
        for (micros, expected) in cases {
            assert_eq!(moment(micros), expected);
        }
    }

    #[test]
    fn cells_are_those_of_ecmascript() {
        let cases = [
            (float(55.0), "55"),
            (float(1e21), "1e+21"),
            (float(-0.0), "0"),
            (float(f64::NAN), "null"),
            (Value::String("a\u{1}\"\n\u{2028}é".into()), "\"a\\u0001\\\"\\n\u{2028}é\""),
            (Value::Binary(vec![0, 255]), "\"AP8=\""),
            (Value::Int64(i64::MIN), "-9223372036854775808"),
        ];
        for (value, expected) in cases {
            assert_eq!(cell(&value), expected);
        }
    }
}
