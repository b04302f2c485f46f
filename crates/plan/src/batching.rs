//! Batch policies and spans of time as people write them.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use modrun_core::BatchPolicy;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// How many rows a batch between two stages should have, where one of them is a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[schemars(rename = "Batch")]
pub enum BatchSpec {
    /// What there is at once, unless a batch has left just before; more while the receiver is busy.
    #[default]
    Adaptive,
    /// So many.
    #[serde(untagged)]
    Rows {
        /// The rows of a full batch.
        #[schemars(range(min = 1, max = 1_000_000))]
        rows: NonZeroU32,
        /// After how long a batch that is not full leaves all the same, such as `10ms`; without it, at the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        linger: Option<Span>,
    },
}

impl From<BatchSpec> for BatchPolicy {
    fn from(spec: BatchSpec) -> Self {
        match spec {
            BatchSpec::Adaptive => BatchPolicy::Adaptive,
            BatchSpec::Rows { rows, linger } => {
                BatchPolicy::Rows { rows, linger: linger.map(|Span(linger)| linger) }
            }
        }
    }
}

/// A span of time, more than none: `10ms`, `500us`, `30s` or `2min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Units, each with its microseconds; a unit that another one ends with stands behind it.
    const UNITS: [(&str, u64); 4] = [("min", 60_000_000), ("ms", 1_000), ("us", 1), ("s", 1_000_000)];
    /// Nobody waits for longer than a day.
    const MICROSECONDS_MAX: u64 = 86_400_000_000;
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let digits = digits.trim_end();
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten()
        };
        let read = Self::UNITS
            .iter()
            .find_map(|(unit, scale)| Some(number(text.strip_suffix(unit)?)?.saturating_mul(*scale)));
        match read {
            None => Err(format!("`{text}` is no span of time: write `10ms`, `500us`, `30s` or `2min`")),
            Some(0) => Err(format!("`{text}` must be more than no time")),
            Some(Self::MICROSECONDS_MAX..) => Err(format!("`{text}` is a day or more")),
            Some(microseconds) => Ok(Span(Duration::from_micros(microseconds))),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let microseconds = self.0.as_micros();
        let fitting = |(_, scale): &&(&str, u64)| microseconds.is_multiple_of(u128::from(*scale));
        let (unit, scale) =
            Self::UNITS.iter().filter(fitting).max_by_key(|(_, scale)| *scale).unwrap_or(&("us", 1));
        write!(f, "{}{unit}", microseconds / u128::from(*scale))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "span", "examples": ["10ms", "30s"]})
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => text.parse().map_err(de::Error::custom),
            other => Err(de::Error::custom(format!("{other} is no span of time"))),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Span;
    use std::time::Duration;

    #[test]
    fn spans_are_read_and_shown() {
        for (text, microseconds, shown) in [
            ("10ms", 10_000, "10ms"),
            ("1500us", 1_500, "1500us"),
            ("30 s", 30_000_000, "30s"),
            ("90s", 90_000_000, "90s"),
            ("2min", 120_000_000, "2min"),
            ("1000ms", 1_000_000, "1s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.0, span.to_string().as_str()), (Duration::from_micros(microseconds), shown));
        }
        for text in ["", "10", "ms", "-1s", "+1s", "1.5s", "1h", "0ms", "24 hours", "1440min"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
