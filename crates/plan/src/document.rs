//! The texts that a pipeline comes from, as one tree; finds the place of a problem.

use modrun_core::{Problem, Segment};
use serde_json::Value as Json;

use crate::diagnostics::{Finding, Text};
use crate::scalar;
use crate::yaml::{self, Entry, Node, Place, Value};

/// A pipeline file and the overrides laid over it.
pub(crate) struct Document {
    /// The file, then one text for each override.
    pub(crate) texts: Vec<Text>,
    pub(crate) root: Node,
}

impl Document {
    /// Reads the file. `None` where it is not YAML; `findings` says why.
    pub(crate) fn parse(file: &str, text: &str, findings: &mut Vec<Finding>) -> Option<Self> {
        let text = Text::of_file(file, text);
        let root = yaml::parse(&text.text, &Place { text: 0, range: 0..0 }, findings)?;
        Some(Self { texts: vec![text], root })
    }

    /// The whole tree without places.
    pub(crate) fn json(&self) -> Json {
        self.root.json()
    }

    /// Where to point for `problem`, whose path begins at the root.
    ///
    /// A problem with a collection, or with an empty value, is shown at its key, where the reader looks for its
    /// name; one with a value that is not there, at the key of what should hold it.
    pub(crate) fn place(&self, problem: &Problem) -> Place {
        let mut node = &self.root;
        let mut key: Option<&Place> = None;
        let mut found = true;
        for segment in &problem.path {
            match (segment, &node.value) {
                (Segment::Key(name), Value::Mapping(entries)) => match find(entries, name) {
                    Some(entry) => (key, node) = (Some(&entry.place), &entry.node),
                    None => found = false,
                },
                (Segment::Index(index), Value::Sequence(items)) => match items.get(*index) {
                    Some(item) => (key, node) = (None, item),
                    None => found = false,
                },
                _ => found = false,
            }
            if !found {
                break;
            }
        }
        if problem.at_key
            && found
            && let Some(key) = key
        {
            return key.clone();
        }
        if found && let Some(place) = self.place_within(node, problem) {
            return place;
        }
        match (&node.value, key) {
            (Value::Scalar(_), _) if !node.place.range.is_empty() => node.place.clone(),
            (_, Some(key)) if key.text == node.place.text => key.clone(),
            (Value::Mapping(entries), None) if !entries.is_empty() => entries[0].place.clone(),
            _ => node.place.clone(),
        }
    }

    fn place_within(&self, node: &Node, problem: &Problem) -> Option<Place> {
        let (Value::Scalar(Json::String(text)), Some(within)) = (&node.value, &problem.within) else {
            return None;
        };
        let Place { text: index, range } = &node.place;
        let source = self.texts[*index].text.get(range.clone())?;
        let found = scalar::locate(source, text, within)?;
        Some(Place { text: *index, range: range.start + found.start..range.start + found.end })
    }
}

/// The entry of a key.
pub(crate) fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key == key)
}
