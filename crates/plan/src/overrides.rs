//! What the command line lays over the file: another placement, and single values.
//!
//! A placement file is the mapping that stands under `placement` in a pipeline file, or a document with `placement`,
//! `batch` and `parallelism`, each of which takes the place of the pipeline's. `--place rules=python` sets one word of
//! it, `--set stages.ingest.with.path=FILE` any value.
//!
//! A path is keys separated by dots; a key with a dot in it is put in quotes. A value that begins with `[`, `{` or a
//! quote is YAML, any other is one plain scalar as it stands, so that `-`, `*.ndjson` and `a: b` need no quotes
//! beyond the shell's.

use std::ops::Range;

use modrun_core::{Code, Problem};
use serde_json::Value as Json;

use crate::diagnostics::{Finding, Text};
use crate::document::Document;
use crate::plan::LoadOptions;
use crate::scalar;
use crate::yaml::{self, Entry, Node, Place, Value};

/// What stands before an override where it is shown.
const SET: &str = "--set ";
/// What stands before a word of the placement where it is shown.
const PLACE: &str = "--place ";
/// The keys of a placement file that is more than the mapping.
const SECTIONS: [&str; 3] = ["placement", "batch", "parallelism"];

/// Lays the placement over the document, then its single words, then the overrides; what is wrong is left out and
/// reported.
pub(crate) fn apply(document: &mut Document, options: &LoadOptions, findings: &mut Vec<Finding>) {
    if let Some((name, text)) = &options.placement {
        lay_placement(document, name, text, findings);
    }
    let words = options.place.iter().map(|text| (format!("{PLACE}{text}"), Override::parse_place as Parse));
    let values = options.overrides.iter().map(|text| (format!("{SET}{text}"), Override::parse_set as Parse));
    for (shown, parse) in words.chain(values) {
        let index = document.texts.len();
        document.texts.push(Text::of_command_line(&shown));
        let laid = parse(&shown, index).and_then(|laid| laid.lay(&mut document.root));
        findings.extend(laid.err().into_iter().flatten());
    }
}

/// Puts the sections of a placement file in the place of the pipeline's.
fn lay_placement(document: &mut Document, name: &str, text: &str, findings: &mut Vec<Finding>) {
    let index = document.texts.len();
    let text = Text::of_file(name, text);
    let node = yaml::parse(&text.text, &Place { text: index, range: 0..0 }, findings);
    document.texts.push(text);
    // A pipeline that is no mapping is reported as such.
    let (Some(node), Value::Mapping(root)) = (node, &mut document.root.value) else { return };
    let is_document = |entries: &[Entry]| {
        entries.iter().any(|entry| {
            entry.key == "placement" && !matches!(entry.node.value, Value::Scalar(Json::String(_)))
        })
    };
    let sections = match node.value {
        Value::Mapping(entries) if is_document(&entries) => entries,
        value => {
            let place = node.place.clone();
            vec![Entry { key: "placement".to_owned(), place: place.clone(), node: Node { value, place } }]
        }
    };
    for section in sections {
        if !SECTIONS.contains(&section.key.as_str()) {
            let unknown =
                Problem::new(Code::UNKNOWN_KEY, format!("unknown key `{}` of a placement", section.key));
            findings.push(Finding::of_problem(unknown.with_nearest(&section.key, SECTIONS), section.place));
            continue;
        }
        root.retain(|entry| entry.key != section.key);
        root.push(section);
    }
}

type Parse = fn(&str, usize) -> Result<Override, Vec<Finding>>;

struct Override {
    keys: Vec<(String, Place)>,
    node: Node,
}

impl Override {
    /// Reads `--place rules=python`.
    fn parse_place(shown: &str, text: usize) -> Result<Self, Vec<Finding>> {
        let place = |range: Range<usize>| Place { text, range };
        let given = &shown[PLACE.len()..];
        // A name may have any character, a word that is typed in a shell hardly this one.
        let Some((stage, word)) =
            given.rsplit_once('=').filter(|(stage, word)| !stage.is_empty() && !word.is_empty())
        else {
            let finding = Finding::new(
                Code::WRONG_VALUE,
                place(PLACE.len()..shown.len()),
                "a stage and its placement are missing",
            );
            return Err(vec![finding.with_hint("write it as `--place rules=python`")]);
        };
        let stage_end = PLACE.len() + stage.len();
        let value = Value::Scalar(Json::String(word.to_owned()));
        Ok(Self {
            keys: vec![
                ("placement".to_owned(), place(0..PLACE.len() - 1)),
                (stage.to_owned(), place(PLACE.len()..stage_end)),
            ],
            node: Node { value, place: place(stage_end + 1..shown.len()) },
        })
    }

    /// Reads `--set stages.ingest.with.path=FILE`.
    fn parse_set(shown: &str, text: usize) -> Result<Self, Vec<Finding>> {
        let place = |range: Range<usize>| Place { text, range };
        let wrong = |range, message: &str| {
            let hint = "write it as `--set stages.ingest.with.path=events.ndjson`";
            vec![Finding::new(Code::WRONG_VALUE, place(range), message).with_hint(hint)]
        };
        let mut keys = Vec::new();
        let mut at = SET.len();
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
                None => return Err(wrong(SET.len()..end, "the value is missing")),
            }
        }
    }

    /// Puts the value into the tree, and keys that are not there yet.
    fn lay(self, root: &mut Node) -> Result<(), Vec<Finding>> {
        let mut node = root;
        let mut name = String::from("the pipeline");
        for (depth, (key, place)) in self.keys.iter().enumerate() {
            // `--set batch.rows=100` where the file says `batch: adaptive`: both are ways to say the same.
            if depth > 0 && self.keys[depth - 1].0 == "batch" && matches!(node.value, Value::Scalar(_)) {
                node.value = Value::Mapping(Vec::new());
            }
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
