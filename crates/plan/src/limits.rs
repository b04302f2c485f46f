//! The limit of dead letters as people write it, and the formats of limits in a JSON Schema.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use modrun_core::Size;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::batching::Span;

/// How many dead letters end the run: more than a count (`100`), or more than a part of the events (`1%`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeadLetterLimit {
    /// At most so many; 0 ends the run at the first.
    Count(u64),
    /// At most this part of the events read so far, from 0 to 1.
    Ratio(f64),
}

impl FromStr for DeadLetterLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(percent) = text.strip_suffix('%') else {
            return whole(text).map(DeadLetterLimit::Count).ok_or_else(|| {
                format!("`{text}` is no limit: write a count such as `100` or a percentage such as `1%`")
            });
        };
        match percent.trim_end().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(DeadLetterLimit::Ratio(percent / 100.0)),
            Ok(_) => Err(format!("`{text}` is not between `0%` and `100%`")),
            Err(_) => Err(format!("`{text}` is no percentage: write it as `1%` or `0.5%`")),
        }
    }
}

impl fmt::Display for DeadLetterLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeadLetterLimit::Count(count) => write!(f, "{count}"),
            // Rounded, because 0.07 × 100 is 7.000000000000001.
            DeadLetterLimit::Ratio(ratio) => write!(f, "{}%", (ratio * 1e14).round() / 1e12),
        }
    }
}

impl JsonSchema for DeadLetterLimit {
    fn schema_name() -> Cow<'static, str> {
        "DeadLetterLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "format": "dead-letter-limit",
            "minimum": 0,
            "examples": ["1%", 100],
        })
    }
}

/// Checks a text against the `format` of a schema, if this crate defines it.
pub(crate) fn check_format(format: &str, text: &str) -> Result<(), String> {
    match format {
        "size" => text.parse::<Size>().map(drop),
        "span" => text.parse::<Span>().map(drop),
        "dead-letter-limit" => text.parse::<DeadLetterLimit>().map(drop),
        _ => Ok(()),
    }
}

impl<'de> Deserialize<'de> for DeadLetterLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for DeadLetterLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A whole number in digits alone; `u64::from_str` would also take a sign.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letter_limits_are_read_and_shown() {
        for (text, limit) in [
            ("0", DeadLetterLimit::Count(0)),
            ("100", DeadLetterLimit::Count(100)),
            ("1%", DeadLetterLimit::Ratio(0.01)),
            ("7%", DeadLetterLimit::Ratio(0.07)),
            ("0.5%", DeadLetterLimit::Ratio(0.005)),
        ] {
            assert_eq!(text.parse(), Ok(limit));
            assert_eq!(limit.to_string(), text);
        }
        for text in ["", "%", "101%", "-1%", "NaN%", "inf%", "1.5", "many"] {
            assert!(text.parse::<DeadLetterLimit>().is_err(), "{text}");
        }
    }
}
