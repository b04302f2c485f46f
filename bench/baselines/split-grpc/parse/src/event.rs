//! One line of JSON to one event.

use std::borrow::Cow;

use serde::Deserialize;
use split_wire::proto::{Event, EventBatch, ParsedEvent, ParsedEventBatch};

/// The events of the good lines, in order.
pub(crate) fn parse_batch(batch: &EventBatch) -> ParsedEventBatch {
    ParsedEventBatch { events: batch.events.iter().filter_map(parse).collect() }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    ts: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: String,
    user: String,
    value: i64,
}

fn parse(event: &Event) -> Option<ParsedEvent> {
    if event.line.trim_ascii_start().first() != Some(&b'{') {
        return None; // serde reads a struct from an array as well
    }
    let line: Line<'_> = serde_json::from_slice(&event.line).ok()?;
    let ts: jiff::Timestamp = line.ts.parse().ok()?;
    Some(ParsedEvent {
        ts_micros: ts.as_microsecond(),
        r#type: line.kind,
        user: line.user,
        value: line.value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &'static str, expected: Option<(i64, &str, &str, i64)>) {
        let batch = EventBatch { events: vec![Event { line: line.into() }] };
        let expected = expected.map(|(ts_micros, kind, user, value)| ParsedEvent {
            ts_micros,
            r#type: kind.to_owned(),
            user: user.to_owned(),
            value,
        });
        assert_eq!(parse_batch(&batch).events, Vec::from_iter(expected), "{line}");
    }

    #[test]
    fn reads_events_and_drops_everything_else() {
        check(
            r#"{"ts":"1970-01-01T00:00:01.500Z","type":"click","user":"u1","value":42,"metadata":{"seq":0}}"#,
            Some((1_500_000, "click", "u1", 42)),
        );
        check(
            r#" {"value":-1,"user":"\u00fc","type":"a\"b","ts":"1970-01-01T01:00:00+01:00"}"#,
            Some((0, "a\"b", "ü", -1)),
        );
        check(r#"{"ts":"1970-01-01T00:00:00Z","type":"click","user":"u1"}"#, None);
        check(r#"{"ts":"1970-01-01T00:00:00","type":"click","user":"u1","value":1}"#, None);
        check(r#"{"ts":"1970-01-01T00:00:00Z","type":"click","user":"u1","value":"42"}"#, None);
        check(r#"{"ts":"1970-01-01T00:00:00Z","type":"click","user":"u1","value":4.5}"#, None);
        check(r#"["1970-01-01T00:00:00Z","click","u1",1]"#, None);
        check("not json", None);
    }
}
