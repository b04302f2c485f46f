//! A folder of `proto/vectors`: pairs of `NAME.bin` and `NAME.json`.

#![allow(clippy::disallowed_methods, reason = "the vectors are files")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The bytes of a vector and what they mean.
pub(crate) type Vectors = BTreeMap<String, (Vec<u8>, Value)>;

/// The environment variable that has the files written anew.
const BLESS: &str = "MODRUN_BLESS";

fn path(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/vectors").join(folder)
}

/// Compares the folder with `expected`, or makes it so; gives what stands there.
pub(crate) fn check(folder: &str, expected: &Vectors) -> Vectors {
    if std::env::var_os(BLESS).is_some() {
        bless(folder, expected);
    }
    let found = read(folder);
    let names = |vectors: &Vectors| vectors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(expected), "the files of proto/vectors/{folder}");
    for (name, vector) in expected {
        assert_eq!(&found[name], vector, "proto/vectors/{folder}/{name}");
    }
    found
}

/// Compares why vectors were refused with the file of this crate that says so, or writes it.
pub(crate) fn check_reasons(file: &str, reasons: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    if std::env::var_os(BLESS).is_some() {
        fs::write(&path, reasons.join("\n") + "\n").unwrap();
    }
    let expected = fs::read_to_string(path).unwrap();
    assert_eq!(reasons, expected.lines().collect::<Vec<_>>(), "tests/vectors/{file}");
}

fn read(folder: &str) -> Vectors {
    let mut vectors = Vectors::new();
    for entry in fs::read_dir(path(folder)).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "bin") {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let meaning = fs::read(file.with_extension("json")).unwrap();
            vectors.insert(name, (fs::read(&file).unwrap(), serde_json::from_slice(&meaning).unwrap()));
        }
    }
    vectors
}

fn bless(folder: &str, vectors: &Vectors) {
    let path = path(folder);
    fs::create_dir_all(&path).unwrap();
    for entry in fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            fs::remove_file(file).unwrap();
        }
    }
    for (name, (bytes, meaning)) in vectors {
        fs::write(path.join(format!("{name}.bin")), bytes).unwrap();
        let mut text = String::new();
        print(meaning, 0, &mut text);
        fs::write(path.join(format!("{name}.json")), text + "\n").unwrap();
    }
}

/// JSON with a line for each member and element down to the second level, and what is deeper on one line.
fn print(value: &Value, depth: usize, out: &mut String) {
    let indent = |depth: usize| format!("\n{}", "  ".repeat(depth));
    match value {
        Value::Object(members) if depth < 2 && !members.is_empty() => {
            out.push('{');
            for (at, (key, member)) in members.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(&indent(depth + 1));
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(": ");
                print(member, depth + 1, out);
            }
            out.push_str(&indent(depth));
            out.push('}');
        }
        Value::Array(elements) if depth < 2 && elements.iter().any(|e| e.is_array() || e.is_object()) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(&indent(depth + 1));
                print(element, depth + 1, out);
            }
            out.push_str(&indent(depth));
            out.push(']');
        }
        _ => out.push_str(&value.to_string()),
    }
}
