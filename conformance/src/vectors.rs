//! The vectors of the protocol that must be refused, as runs.
//!
//! What it is: [`runs`], which makes a run of each payload in `garbage` and of each frame in `garbage/frames`: it is
//! sent to the stage `echo`, which must say that it failed, and exit.
//!
//! Neighbours: `proto/vectors/README.md` describes the files; the codec of `modrun-wire` writes them.

use std::fs;
use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::json;

use crate::case::{Carrier, Case, Form, Run};
use crate::{Error, Result};

/// What `NAME.json` says of `NAME.bin`.
#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    schema: Vec<Column>,
    direction: Option<String>,
    inline_max: Option<u64>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
    nullable: bool,
}

/// A run of each vector in the folder `vectors` that a stage must refuse.
///
/// # Errors
/// If the folder is not there, or is not one of vectors.
pub(crate) fn runs(vectors: &Path) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for (folder, group) in [("garbage", "vectors/garbage"), ("garbage/frames", "vectors/frames")] {
        for (index, (name, vector, bytes)) in read(&vectors.join(folder))?.into_iter().enumerate() {
            let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let (case, pair) = match vector.direction.as_deref() {
                None => (payload_case(&name, &vector, &hexadecimal), pair(index)),
                Some("ToStage") => (frame_case(&name, &vector, &hexadecimal), (Form::Event, Carrier::Shm)),
                Some(_) => continue,
            };
            let case: Case = serde_json::from_value(case)
                .map_err(|error| Error::Case(format!("vector `{name}`: {error}")))?;
            let case_id = format!("{group}/{name}");
            let id = format!("{case_id}/{}/{}", pair.0.word(), pair.1.word());
            runs.push(Run { id, case_id, case, form: pair.0, carrier: pair.1 });
        }
    }
    Ok(runs)
}

/// Every vector is sent once; forms and carriers take turns.
fn pair(index: usize) -> (Form, Carrier) {
    let form = if index.is_multiple_of(2) { Form::Event } else { Form::Batch };
    let carrier = if (index / 2).is_multiple_of(2) { Carrier::Inline } else { Carrier::Shm };
    (form, carrier)
}

fn payload_case(name: &str, vector: &Vector, bytes: &str) -> serde_json::Value {
    let written = |column: &Column| {
        let nullable = if column.nullable { "?" } else { "" };
        (column.name.clone(), format!("{}{nullable}", column.data_type))
    };
    let input: IndexMap<String, String> = vector.schema.iter().map(written).collect();
    json!({
        "name": name, "stage": "echo", "input": input,
        "script": ["open", {"payload": bytes}, "failure"],
        "expect": {"failure": {"kind": "internal"}, "exit": 1},
    })
}

fn frame_case(name: &str, vector: &Vector, bytes: &str) -> serde_json::Value {
    json!({
        "name": name, "stage": "echo", "open": {"inline_max": vector.inline_max},
        "script": ["open", {"bytes": bytes}, "failure"],
        "expect": {"failure": {"kind": "internal"}, "exit": 1},
    })
}

/// The vectors of a folder by name.
fn read(folder: &Path) -> Result<Vec<(String, Vector, Vec<u8>)>> {
    let cannot = |error: &dyn std::fmt::Display| {
        Error::Case(format!(
            "`{}` cannot be read: {error}; name the vectors with `--vectors`",
            folder.display()
        ))
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| cannot(&error))? {
        let path = entry.map_err(|error| cannot(&error))?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        if path.extension().is_none_or(|extension| extension != "bin") {
            continue;
        }
        let about = fs::read_to_string(path.with_extension("json")).map_err(|error| cannot(&error))?;
        let about = serde_json::from_str(&about).map_err(|error| cannot(&error))?;
        found.push((name.to_owned(), about, fs::read(&path).map_err(|error| cannot(&error))?));
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}
