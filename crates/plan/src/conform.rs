//! Checks a value against a JSON Schema and says what is wrong in words that a person can act on.
//!
//! What it is: the part of [JSON Schema](https://json-schema.org/draft/2020-12) that is derived from Rust types:
//! types, properties, required and additional ones, items, constants, alternatives, bounds, references, and the
//! formats of `limits`.
//!
//! Guarantees: all problems at once, by path; of alternatives, the problems of the one that was meant.
//!
//! Refuses: patterns, conditions and references to other documents; they are taken as fulfilled.
//!
//! Neighbours: `schema` makes the schema of the whole file, a kind's description holds that of its `with:`.

use modrun_core::{Code, Problem};
use serde_json::{Map, Value};

use crate::limits::check_format;

/// The longest text of a value that is repeated in a message, in characters.
const QUOTED_MAX: usize = 60;

/// Everything in `value` that does not fit `schema`; `name` stands for the whole value in messages.
pub(crate) fn conform(value: &Value, schema: &Value, name: &str) -> Vec<Problem> {
    Check { root: schema }.value(value, schema, name)
}

struct Check<'s> {
    root: &'s Value,
}

impl<'s> Check<'s> {
    fn value(&self, value: &Value, schema: &'s Value, name: &str) -> Vec<Problem> {
        if let Some(target) = self.referenced(schema) {
            return self.value(value, target, name);
        }
        if let Some(schemas) = schema.get("allOf").and_then(Value::as_array) {
            let found: Vec<Problem> = schemas.iter().flat_map(|s| self.value(value, s, name)).collect();
            if !found.is_empty() {
                return found;
            }
        }
        if let Some(words) = self.words(schema) {
            return self.word(value, &words, schema, name);
        }
        if let Some(alternatives) = alternatives(schema) {
            return self.alternatives(value, alternatives, schema, name);
        }
        if !self.fits_type(value, schema) {
            return vec![wrong(&self.expected(schema), value, name)];
        }
        match value {
            Value::Object(object) if object.is_empty() && least(schema, "minProperties") > 0 => {
                vec![Problem::new(Code::WRONG_VALUE, format!("{name} must not be empty"))]
            }
            Value::Object(object) => self.object(object, schema),
            Value::Array(items) => self.items(items, schema, name),
            _ => bounds(value, schema, name).into_iter().collect(),
        }
    }

    fn object(&self, object: &Map<String, Value>, schema: &'s Value) -> Vec<Problem> {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let additional = schema.get("additionalProperties");
        let mut problems = Vec::new();
        for (key, value) in object {
            let known = properties.and_then(|p| p.get(key));
            match known.or(additional) {
                Some(Value::Bool(false)) => problems.push(
                    Problem::new(Code::UNKNOWN_KEY, format!("unknown key {}", quoted(key)))
                        .with_nearest(key, properties.unwrap_or(&none).keys().map(String::as_str))
                        .at(key.as_str())
                        .on_key(),
                ),
                Some(schema) => {
                    let found = self.value(value, schema, &quoted(key));
                    problems.extend(found.into_iter().map(|p| p.at(key.as_str())));
                }
                None => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str).filter(|key| !object.contains_key(*key)) {
            let missing = Problem::new(Code::MISSING_KEY, format!("missing key `{key}`"));
            let about = properties.and_then(|p| p.get(key)).and_then(|s| self.description(s));
            problems.push(match about {
                Some(about) => missing.with_hint(format!("`{key}`: {about}")),
                None => missing,
            });
        }
        problems
    }

    fn items(&self, items: &[Value], schema: &'s Value, name: &str) -> Vec<Problem> {
        let least = least(schema, "minItems");
        if (items.len() as u64) < least {
            let message = format!("{name} needs at least {least} {}", plural(least, "element"));
            return vec![Problem::new(Code::WRONG_VALUE, message)];
        }
        let Some(schema) = schema.get("items") else { return Vec::new() };
        let item = |(index, item): (usize, &Value)| {
            let name = format!("element {} of {name}", index + 1);
            self.value(item, schema, &name).into_iter().map(move |p| p.at(index)).collect::<Vec<_>>()
        };
        items.iter().enumerate().flat_map(item).collect()
    }

    /// One of a closed set of words.
    fn word(&self, value: &Value, words: &[&Value], schema: &Value, name: &str) -> Vec<Problem> {
        if words.contains(&value) {
            return Vec::new();
        }
        let problem = wrong(&one_of(words), value, name);
        let known = words.iter().filter_map(|word| word.as_str());
        let near = value.as_str().and_then(|text| modrun_core::nearest(text, known));
        vec![match (near, schema.get("description").and_then(Value::as_str)) {
            (Some(near), _) => problem.with_hint(format!("did you mean `{near}`?")),
            // A set of one word is a restriction, whose reason the description gives.
            (None, Some(about)) if words.len() == 1 => problem.with_hint(one_line(about)),
            (None, _) => problem,
        }]
    }

    /// The problems of the alternative that comes nearest among those of the value's type.
    fn alternatives(
        &self,
        value: &Value,
        schemas: &'s [Value],
        whole: &'s Value,
        name: &str,
    ) -> Vec<Problem> {
        let fitting = schemas.iter().filter(|schema| self.fits_type(value, schema));
        let nearest = fitting
            .map(|schema| (self.other_tag(value, schema), self.value(value, schema, name)))
            .min_by_key(|(other_tag, problems)| (*other_tag && !problems.is_empty(), problems.len()));
        match nearest {
            Some((_, problems)) => problems,
            None => vec![wrong(&self.expected(whole), value, name)],
        }
    }

    /// Whether a property that tells alternatives apart has the word of another one.
    fn other_tag(&self, value: &Value, schema: &'s Value) -> bool {
        let properties = self.resolved(schema).get("properties").and_then(Value::as_object);
        properties.into_iter().flatten().any(|(key, schema)| match (schema.get("const"), value.get(key)) {
            (Some(word), Some(value)) => word != value,
            _ => false,
        })
    }

    /// Whether a value has the JSON type that `schema` asks for, whatever is inside.
    fn fits_type(&self, value: &Value, schema: &'s Value) -> bool {
        let schema = self.resolved(schema);
        if let Some(words) = self.words(schema) {
            return words.iter().any(|word| std::mem::discriminant(*word) == std::mem::discriminant(value));
        }
        if let Some(schemas) = alternatives(schema) {
            return schemas.iter().any(|schema| self.fits_type(value, schema));
        }
        let types = types(schema);
        types.is_empty() || types.iter().any(|name| has_type(value, name))
    }

    /// What `schema` asks for, in words.
    fn expected(&self, schema: &'s Value) -> String {
        let schema = self.resolved(schema);
        if let Some(words) = self.words(schema) {
            return one_of(&words);
        }
        let mut expected: Vec<String> = match alternatives(schema) {
            Some(schemas) => schemas.iter().map(|schema| self.expected(schema)).collect(),
            None => types(schema).into_iter().map(|name| type_in_words(name, schema)).collect(),
        };
        expected.retain(|words| !words.is_empty());
        expected.dedup();
        expected.join(" or ")
    }

    /// The closed set of values that `schema` allows, if it is nothing else than that.
    fn words(&self, schema: &'s Value) -> Option<Vec<&'s Value>> {
        let schema = self.resolved(schema);
        if let Some(word) = schema.get("const") {
            return Some(vec![word]);
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return Some(words.iter().collect());
        }
        let sets = alternatives(schema)?.iter().map(|schema| self.words(schema));
        sets.collect::<Option<Vec<_>>>().map(|sets| sets.concat())
    }

    fn description(&self, schema: &'s Value) -> Option<String> {
        let own = |schema: &'s Value| schema.get("description").and_then(Value::as_str);
        own(schema).or_else(|| own(self.resolved(schema))).map(one_line)
    }

    fn resolved(&self, schema: &'s Value) -> &'s Value {
        match self.referenced(schema) {
            Some(target) => self.resolved(target),
            None => schema,
        }
    }

    fn referenced(&self, schema: &Value) -> Option<&'s Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer)
    }
}

fn least(schema: &Value, bound: &str) -> u64 {
    schema.get(bound).and_then(Value::as_u64).unwrap_or(0)
}

fn alternatives(schema: &Value) -> Option<&[Value]> {
    let schemas = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    schemas.as_array().map(Vec::as_slice)
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

/// A type for a message; nothing for null, which is the same as leaving the key out.
fn type_in_words(name: &str, schema: &Value) -> String {
    let examples = schema.get("examples").and_then(Value::as_array).into_iter().flatten();
    let words = match (name, examples.filter_map(Value::as_str).next()) {
        ("string", Some(example)) => return format!("a text such as `{example}`"),
        ("string", None) => "a text",
        ("null", _) => "",
        ("boolean", _) => "`true` or `false`",
        ("integer", _) => "a whole number",
        ("number", _) => "a number",
        ("array", _) => "a list",
        ("object", _) => "a mapping",
        (other, _) => other,
    };
    words.to_owned()
}

/// A scalar of the right type that is too small, too large, too short or not well-formed.
fn bounds(value: &Value, schema: &Value, name: &str) -> Option<Problem> {
    let problem = |message: String| Some(Problem::new(Code::WRONG_VALUE, message));
    if let Value::Number(number) = value {
        let number = number.as_f64()?;
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        return if let Some(least) = bound("minimum").filter(|least| number < *least) {
            problem(format!("{name} must be at least {least}, not {value}"))
        } else if let Some(most) = bound("maximum").filter(|most| number > *most) {
            problem(format!("{name} must be at most {most}, not {value}"))
        } else if let Some(least) = bound("exclusiveMinimum").filter(|least| number <= *least) {
            problem(format!("{name} must be more than {least}, not {value}"))
        } else {
            let most = bound("exclusiveMaximum").filter(|most| number >= *most)?;
            problem(format!("{name} must be less than {most}, not {value}"))
        };
    }
    let text = value.as_str()?;
    let length = text.chars().count() as u64;
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    if bound("minLength").is_some_and(|least| length < least) {
        return problem(if text.is_empty() {
            format!("{name} must not be empty")
        } else {
            format!("{name} is too short: {}", quoted(text))
        });
    }
    if bound("maxLength").is_some_and(|most| length > most) {
        return problem(format!("{name} is too long: {}", quoted(text)));
    }
    let format = schema.get("format").and_then(Value::as_str)?;
    check_format(format, text).err().and_then(|message| problem(format!("{name}: {message}")))
}

fn wrong(expected: &str, value: &Value, name: &str) -> Problem {
    let found = match value {
        Value::Null => {
            return Problem::new(Code::WRONG_VALUE, format!("{name} must be {expected}, but it is empty"));
        }
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    };
    let problem = Problem::new(Code::WRONG_VALUE, format!("{name} must be {expected}, not {found}"));
    match value {
        Value::Bool(_) | Value::Number(_) if expected == "a text" => {
            problem.with_hint(format!("put it in quotes: \"{value}\""))
        }
        _ => problem,
    }
}

fn one_of(words: &[&Value]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.as_str().map_or_else(|| format!("`{word}`"), |text| format!("`{text}`")))
        .collect();
    match words.as_slice() {
        [word] => word.clone(),
        words => format!("one of {}", words.join(", ")),
    }
}

/// A name or text of the file in backticks, cut where it is long.
fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED_MAX).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("`{}`", short.replace(['\n', '\r'], " "))
}

/// The first paragraph of a doc comment as a hint: lowercase, without its full stop.
fn one_line(about: &str) -> String {
    let paragraph = about.split("\n\n").next().unwrap_or(about).replace('\n', " ");
    let mut characters = paragraph.trim_end_matches('.').chars();
    let first = characters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}
