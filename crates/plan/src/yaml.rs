//! YAML as a tree in which every key and value knows its place in the text.
//!
//! What it is: a reader of parser events into [`Node`]s.
//!
//! Guarantees: the tree has a JSON value's shape (text keys, no key twice); depth, size and time are bounded; a
//! key or value that is refused is reported and the rest is read on. Scalars follow the core schema of YAML 1.2.
//!
//! Refuses: anchors, aliases, tags and further documents, because a pipeline has no need of them and each is a way
//! for a value to be something else than what stands at its place.
//!
//! Neighbours: `scalar` resolves scalars, `document` turns paths into places.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, options};
use modrun_core::Code;
use serde_json::Value as Json;

use crate::diagnostics::Finding;
use crate::scalar;

/// The most bytes of a pipeline file, far beyond any that a person writes.
const TEXT_BYTES_MAX: usize = 256 << 10;
/// The deepest nesting of block and of flow collections.
const DEPTH_MAX: usize = 64;

/// A byte range of one of the texts that a pipeline comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which text: 0 is the file, the others are overrides.
    pub(crate) text: usize,
    /// The bytes in it.
    pub(crate) range: Range<usize>,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Null, a boolean, a number or a text.
    Scalar(Json),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key of a mapping, its place and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Node {
    /// The same value without places.
    pub(crate) fn json(&self) -> Json {
        match &self.value {
            Value::Scalar(scalar) => scalar.clone(),
            Value::Sequence(items) => items.iter().map(Node::json).collect(),
            Value::Mapping(entries) => entries.iter().map(|e| (e.key.clone(), e.node.json())).collect(),
        }
    }
}

/// Reads `text`, whose first byte is at `at`. `None` where it is not YAML; that and whatever is refused goes to
/// `findings`.
pub(crate) fn parse(text: &str, at: &Place, findings: &mut Vec<Finding>) -> Option<Node> {
    if text.len() > TEXT_BYTES_MAX {
        let message =
            format!("the file has {} bytes, more than the {TEXT_BYTES_MAX} of any pipeline", text.len());
        findings.push(Finding::new(Code::YAML, Place { range: 0..0, ..at.clone() }, message));
        return None;
    }
    let limits =
        options! { flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX, emit_comments: false };
    let events = Parser::new_from_str_with_options(text, limits);
    Reader { events, bytes: text.len(), at, findings }.document()
}

/// An event and its bytes in the text.
type Located<'t> = (Event<'t>, Range<usize>);

struct Reader<'t, 'f> {
    events: Parser<'t, StrInput<'t>>,
    bytes: usize,
    at: &'f Place,
    findings: &'f mut Vec<Finding>,
}

impl<'t> Reader<'t, '_> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, range) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if root.is_some() => {
                    self.refuse(
                        range,
                        "a pipeline file holds one document",
                        "remove everything from `---` on",
                    );
                    break;
                }
                event => root = Some(self.node(event, range)?),
            }
        }
        Some(root.unwrap_or_else(|| Node { value: Value::Scalar(Json::Null), place: self.place(0..0) }))
    }

    /// The node that begins with `event`, read to its end. `None` after a syntax error.
    fn node(&mut self, event: Event<'t>, range: Range<usize>) -> Option<Node> {
        self.refuse_properties(&event, &range);
        match event {
            Event::SequenceStart(..) => self.sequence(range.start),
            Event::MappingStart(..) => self.mapping(range.start),
            Event::Scalar(text, style, ..) => {
                let json = match style {
                    ScalarStyle::Plain => scalar::resolve(&text),
                    _ => Json::String(text.into_owned()),
                };
                Some(Node { value: Value::Scalar(json), place: self.place(range) })
            }
            _ => {
                let hint = "write the value out; a text that begins with `*` needs quotes";
                self.refuse(range.clone(), "an alias has no place in a pipeline file", hint);
                Some(Node { value: Value::Scalar(Json::Null), place: self.place(range) })
            }
        }
    }

    fn sequence(&mut self, start: usize) -> Option<Node> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, range) => {
                    let place = self.place(start..range.end.max(start));
                    return Some(Node { value: Value::Sequence(items), place });
                }
                (event, range) => items.push(self.node(event, range)?),
            }
        }
    }

    fn mapping(&mut self, start: usize) -> Option<Node> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, range) = self.next()?;
            if event == Event::MappingEnd {
                let place = self.place(start..range.end.max(start));
                return Some(Node { value: Value::Mapping(entries), place });
            }
            let Some(key) = self.key(event, range.clone())? else {
                let (event, range) = self.next()?;
                self.node(event, range)?;
                continue;
            };
            let (event, value_range) = self.next()?;
            let node = self.node(event, value_range)?;
            let place = self.place(range);
            match known.get(&key) {
                Some(first) => {
                    let first = entries[*first].place.clone();
                    self.findings.push(
                        Finding::new(Code::UNKNOWN_KEY, place, format!("key `{key}` is there twice"))
                            .with_also(first, "it is here first")
                            .with_hint("remove one of the two"),
                    );
                }
                None => {
                    known.insert(key.clone(), entries.len());
                    entries.push(Entry { key, place, node });
                }
            }
        }
    }

    /// A key's text; the inner `None` where it is no text.
    fn key(&mut self, event: Event<'t>, range: Range<usize>) -> Option<Option<String>> {
        if let Event::Scalar(text, ..) = &event {
            let text = text.clone().into_owned();
            self.refuse_properties(&event, &range);
            return Some(Some(text));
        }
        self.node(event, range.clone())?;
        self.refuse(range, "a key is a text, not a list, a mapping or an alias", "write `key: value`");
        Some(None)
    }

    fn refuse_properties(&mut self, event: &Event<'t>, range: &Range<usize>) {
        if event.anchor_id().is_some() {
            let hint = "write the value out where it is needed";
            self.refuse(range.clone(), "an anchor has no place in a pipeline file", hint);
        }
        if let Some(tag) = event.tag() {
            let hint = "remove it; a text that begins with `!` needs quotes";
            self.refuse(
                range.clone(),
                &format!("the tag `{}` has no place in a pipeline file", tag.original()),
                hint,
            );
        }
    }

    fn refuse(&mut self, range: Range<usize>, message: &str, hint: &str) {
        let place = self.place(range);
        self.findings.push(Finding::new(Code::YAML, place, message).with_hint(hint));
    }

    fn next(&mut self) -> Option<Located<'t>> {
        match self.events.next_event()? {
            Ok((event, span)) => Some((event, span.byte_range().unwrap_or(0..0))),
            Err(error) => {
                self.syntax(&error);
                None
            }
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = error.marker().byte_offset().unwrap_or(self.bytes).min(self.bytes);
        let place = self.place(at..at);
        self.findings.push(Finding::new(Code::YAML, place, error.info()));
    }

    fn place(&self, range: Range<usize>) -> Place {
        let start = self.at.range.start;
        Place { text: self.at.text, range: range.start + start..range.end + start }
    }
}
