//! YAML as JSON values, so that cases can be read by `serde`.
//!
//! What it is: one function from a text to a [`Json`] value. Plain scalars are null, booleans, whole numbers and
//! decimals as JSON writes them, otherwise texts; quoted ones are always texts.
//!
//! Refuses: anchors, tags, several documents and keys that are there twice: a case says what it means where it
//! stands.

use granit_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value as Json};

use crate::{Error, Result};

/// Reads one document.
pub(crate) fn read(text: &str) -> Result<Json> {
    let mut reader = Reader { events: Parser::new_from_str(text) };
    loop {
        match reader.next()? {
            Event::StreamStart | Event::DocumentStart(..) => {}
            Event::StreamEnd => return Ok(Json::Null),
            event => return reader.node(event),
        }
    }
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>> {
        match self.events.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(Error::Case(format!("line {}: {}", error.marker().line(), error.info()))),
            None => Err(Error::Case("the document ends too early".to_owned())),
        }
    }

    fn node(&mut self, event: Event<'t>) -> Result<Json> {
        if event.anchor_id().is_some() || event.tag().is_some() {
            return Err(Error::Case(
                "anchors and tags are not used in cases; write the value out".to_owned(),
            ));
        }
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => Ok(plain(&text)),
            Event::Scalar(text, ..) => Ok(Json::String(text.into_owned())),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Json::Array(items)),
                        event => items.push(self.node(event)?),
                    }
                }
            }
            Event::MappingStart(..) => self.mapping(),
            other => Err(Error::Case(format!("`{other:?}` has no place in a case"))),
        }
    }

    fn mapping(&mut self) -> Result<Json> {
        let mut members = Map::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(Json::Object(members)),
                Event::Scalar(text, ..) => text.into_owned(),
                other => return Err(Error::Case(format!("a key is a text, not `{other:?}`"))),
            };
            let event = self.next()?;
            let value = self.node(event)?;
            if members.insert(key.clone(), value).is_some() {
                return Err(Error::Case(format!("key `{key}` is there twice")));
            }
        }
    }
}

fn plain(text: &str) -> Json {
    match text {
        "" | "~" => Json::Null,
        _ => serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

    #[test]
    fn values_are_those_of_json() {
        let text = "- name: a b\n  rows: [[1, \"1\", null, -0.5], [9223372036854775807, \"\\0\", true, é]]\n  none:\n";
        let expected = json!([{
            "name": "a b",
            "rows": [[1, "1", null, -0.5], [9_223_372_036_854_775_807_i64, "\0", true, "é"]],
            "none": null,
        }]);
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn what_means_two_things_is_refused() {
        for text in ["a: 1\na: 2\n", "a: &x 1\n", "a: [1\n"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
