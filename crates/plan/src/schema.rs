//! The JSON Schema of a pipeline file.

use std::sync::Arc;

use modrun_core::{Description, Kind, Role};
use serde_json::{Map, Value, json};

use crate::registry::Registry;
use crate::spec::Spec;

/// The schema of the file as far as it is the same for all kinds of stages.
pub(crate) fn spec_schema() -> Value {
    schemars::schema_for!(Spec).to_value()
}

/// The JSON Schema (draft 2020-12) of a pipeline file, for editors: what `with:` takes depends on `use:`, and on
/// `from:` where a source and a sink share a word.
///
/// It is made from the Rust types that the check itself goes by.
pub fn json_schema(kinds: &[Arc<dyn Kind>]) -> Value {
    let registry = Registry::new(kinds);
    let (mut words, mut definitions) = (Vec::new(), Map::new());
    let mut rules = vec![json!({"anyOf": [{"required": ["use"]}, {"required": ["or"]}]})];
    for word in registry.distinct_words() {
        let kinds: Vec<&Description> = registry.descriptions().filter(|d| d.word == word).collect();
        let about: Vec<&str> = kinds.iter().map(|d| d.about.as_str()).collect();
        words.push(json!({"const": word, "description": about.join("; ")}));

        let (sources, readers): (Vec<&Description>, Vec<_>) =
            kinds.iter().partition(|d| d.role == Role::Source);
        rules.push(json!({"if": stage_without_from(word), "then": configuration(&sources)}));
        rules.push(json!({"if": stage_with_from(word), "then": configuration(&readers)}));
        definitions.extend(kinds.into_iter().map(|d| (name(d), definition(d))));
    }
    let mut schema = spec_schema();
    schema["$defs"]["Stage"]["properties"]["use"]["oneOf"] = words.into();
    schema["$defs"]["Stage"]["allOf"] = rules.into();
    if let Some(all) = schema["$defs"].as_object_mut() {
        all.extend(definitions);
    }
    schema
}

fn stage_without_from(word: &str) -> Value {
    json!({"properties": {"use": {"const": word}}, "required": ["use"], "not": {"required": ["from"]}})
}

fn stage_with_from(word: &str) -> Value {
    json!({"properties": {"use": {"const": word}}, "required": ["use", "from"]})
}

/// What a stage of one of `kinds` must have; without any, it stands at the wrong place.
fn configuration(kinds: &[&Description]) -> Value {
    let reference = |d: &&Description| json!({"$ref": format!("#/$defs/{}", name(d))});
    match kinds {
        [] => json!(false),
        [kind] if needs_with(kind) => {
            json!({"properties": {"with": reference(kind)}, "required": ["with"]})
        }
        [kind] => json!({"properties": {"with": reference(kind)}}),
        kinds => {
            json!({"properties": {"with": {"anyOf": kinds.iter().map(reference).collect::<Vec<_>>()}}})
        }
    }
}

fn needs_with(kind: &Description) -> bool {
    kind.config.get("required").and_then(Value::as_array).is_some_and(|keys| !keys.is_empty())
}

/// The name of a kind's configuration among the definitions.
fn name(kind: &Description) -> String {
    let role = match kind.role {
        Role::Source => "source",
        Role::Transform => "transform",
        Role::Sink => "sink",
    };
    format!("{role}.{}", kind.word)
}

/// A kind's configuration, whose references begin at the root of the whole schema.
fn definition(kind: &Description) -> Value {
    let mut schema = kind.config.clone().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.shift_remove("$schema");
    }
    rebase(&mut schema, &format!("#/$defs/{}/", name(kind)));
    schema
}

fn rebase(schema: &mut Value, base: &str) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref")
                && let Some(path) = reference.strip_prefix("#/")
            {
                *reference = format!("{base}{path}");
            }
            object.values_mut().for_each(|value| rebase(value, base));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rebase(item, base)),
        _ => {}
    }
}
