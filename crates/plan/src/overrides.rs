//! `--set stages.ingest.with.path=FILE`: values of the command line laid over those of the file.
//!
//! A path is keys separated by dots; a key with a dot in it is put in quotes. A value that begins with `[`, `{` or a
//! quote is YAML, any other is one plain scalar as it stands, so that `-`, `*.ndjson` and `a: b` need no quotes
//! beyond the shell's.

use std::ops::Range;

use modrun_core::{Code, Problem};
use serde_json::Value as Json;

use crate::diagnostics::{Finding, Text};
use crate::document::Document;
use crate::scalar;
use crate::yaml::{self, Entry, Node, Place, Value};

/// What stands before an override where it is shown.
const FLAG: &str = "--set ";

/// Lays `overrides` over the document, in order; one that is wrong is left out and reported.
pub(crate) fn apply(document: &mut Document, overrides: &[String], findings: &mut Vec<Finding>) {
    for text in overrides {
        let index = document.texts.len();
        let shown = format!("{FLAG}{text}");
        document.texts.push(Text::of_command_line(&shown));
        let laid = Override::parse(&shown, index).and_then(|o| o.lay(&mut document.root));
        findings.extend(laid.err().into_iter().flatten());
    }
}

struct Override {
    keys: Vec<(String, Place)>,
    node: Node,
}

impl Override {
    /// Reads an override as it is shown.
    fn parse(shown: &str, text: usize) -> Result<Self, Vec<Finding>> {
        let place = |range: Range<usize>| Place { text, range };
        let wrong = |range, message: &str| {
            let hint = "write it as `--set stages.ingest.with.path=events.ndjson`";
            vec![Finding::new(Code::WRONG_VALUE, place(range), message).with_hint(hint)]
        };
        let mut keys = Vec::new();
        let mut at = FLAG.len();
        loop {
            let (key, end) = read_key(shown, at);
            let rest = &shown[end..];
            if key.is_empty() {
                return Err(wrong(at..end.max(at), "a key is missing here"));
            }
            keys.push((key, place(at..end)));
            match rest.chars().next() {
                Some('.') => at = end + 1,
                Some('=') => {
                    let start = end + 1;
                    let node = read_value(&shown[start..], place(start..shown.len()))?;
                    return Ok(Self { keys, node });
                }
                Some(_) => {
                    return Err(wrong(end..shown.len(), "a key ends with `.` or `=`"));
                }
                None => return Err(wrong(FLAG.len()..end, "the value is missing")),
            }
        }
    }

    /// Puts the value into the tree, and keys that are not there yet.
    fn lay(self, root: &mut Node) -> Result<(), Vec<Finding>> {
        let mut node = root;
        let mut name = String::from("the pipeline");
        for (depth, (key, place)) in self.keys.iter().enumerate() {
            let Value::Mapping(entries) = &mut node.value else {
                let message = format!("{name} is no mapping, so it has no key `{key}`");
                return Err(vec![Finding::new(Code::WRONG_VALUE, place.clone(), message)]);
            };
            let position = entries.iter().position(|entry| entry.key == *key);
            if position.is_none() && depth == 1 && self.keys[0].0 == "stages" {
                return Err(vec![unknown_stage(key, place, entries)]);
            }
            let position = position.unwrap_or_else(|| {
                let empty = Node { value: Value::Mapping(Vec::new()), place: place.clone() };
                entries.push(Entry { key: key.clone(), place: place.clone(), node: empty });
                entries.len() - 1
            });
            name = format!("`{key}`");
            node = &mut entries[position].node;
        }
        *node = self.node;
        Ok(())
    }
}

/// A stage that the file does not have: created here, it could only be half a stage.
fn unknown_stage(key: &str, place: &Place, entries: &[Entry]) -> Finding {
    let problem = Problem::new(Code::UNKNOWN_STAGE, format!("there is no stage `{key}`"))
        .with_nearest(key, entries.iter().map(|entry| entry.key.as_str()));
    Finding::of_problem(problem, place.clone())
}

/// A key from `at` on, without its quotes, and where it ends.
fn read_key(text: &str, at: usize) -> (String, usize) {
    let rest = &text[at..];
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\''))
        && let Some(length) = rest[1..].find(quote)
    {
        return (rest[1..=length].to_owned(), at + length + 2);
    }
    let length = rest.find(['.', '=']).unwrap_or(rest.len());
    (rest[..length].to_owned(), at + length)
}

fn read_value(text: &str, place: Place) -> Result<Node, Vec<Finding>> {
    if text.starts_with(['[', '{', '"', '\'']) {
        let mut findings = Vec::new();
        let node = yaml::parse(text, &place, &mut findings);
        return node.filter(|_| findings.is_empty()).ok_or(findings);
    }
    let value = match scalar::resolve(text) {
        // `--set a=` means an empty text: the shell has no other way to write one.
        Json::Null if text.is_empty() => Json::String(String::new()),
        value => value,
    };
    Ok(Node { value: Value::Scalar(value), place })
}
