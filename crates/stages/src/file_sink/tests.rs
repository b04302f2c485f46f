use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use modrun_core::env::{Memory, Operation};
use modrun_core::{Limits, OpenContext};
use serde_json::json;

use super::*;

/// All files by name, with their text.
fn files(disk: &Memory) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    disk.files().into_iter().map(|(path, bytes)| (path.display().to_string(), text(bytes))).collect()
}

fn open(disk: &Memory, path: &str) -> Result<Box<dyn Sink>> {
    let bound = FileSink.bind(&json!({"path": path}), None, &Columns::none()).unwrap();
    assert!(bound.output.is_none());
    let Open::Sink(open) = bound.open else { panic!("not a sink") };
    open(OpenContext { env: disk.env(), limits: Limits::default(), states: vec![] })
}

fn rows(from: i64) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![from, from + 1]));
    let words: ArrayRef = Arc::new(StringArray::from(vec!["é", "b"]));
    RecordBatch::try_from_iter([("n", numbers), ("w", words)]).unwrap()
}

/// All steps of a run with two batches.
fn run(disk: &Memory, path: &str, written: &mut Written) -> Result<()> {
    let mut sink = open(disk, path)?;
    sink.write(rows(1), written)?;
    sink.write(rows(3), written)?;
    sink.prepare()?;
    sink.commit()
}

const LINES: &str =
    "{\"n\":1,\"w\":\"é\"}\n{\"n\":2,\"w\":\"b\"}\n{\"n\":3,\"w\":\"é\"}\n{\"n\":4,\"w\":\"b\"}\n";

#[test]
fn the_file_has_its_name_only_when_it_is_whole() {
    let disk = Memory::default();
    let mut written = Written::default();
    let mut sink = open(&disk, "out/a").unwrap();
    sink.write(rows(1), &mut written).unwrap();
    sink.write(rows(3), &mut written).unwrap();
    sink.prepare().unwrap();
    assert_eq!(files(&disk), [("out/a.partial".to_owned(), LINES.to_owned())]);
    sink.commit().unwrap();
    assert_eq!(files(&disk), [("out/a".to_owned(), LINES.to_owned())]);
}

#[test]
fn what_is_recorded_is_what_was_written() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut written = {
        let seen = seen.clone();
        Written::with_witness(move |bytes| seen.lock().unwrap().extend_from_slice(bytes))
    };
    run(&Memory::default(), "a", &mut written).unwrap();
    assert_eq!(written.rows(), 4);
    assert_eq!(String::from_utf8(seen.lock().unwrap().clone()).unwrap(), LINES);
}

#[test]
fn an_error_names_the_file_and_says_what_to_do() {
    let check = |action: Operation, kind: ErrorKind, path: &str, message: &str, hint: &str| {
        let disk = Memory::default();
        disk.fail(action, kind);
        let mut written = Written::default();
        let error = run(&disk, path, &mut written).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.code(), Some(Code::OUTPUT));
        assert!(error.hint().unwrap().contains(hint), "{error:?}");
        assert_eq!(error.source().unwrap().downcast_ref::<io::Error>().unwrap().kind(), kind);
        assert_eq!(
            written.rows(),
            if matches!(action, Operation::Create | Operation::Write) { 0 } else { 4 }
        );
        assert!(!files(&disk).iter().any(|(name, _)| name == path), "{action:?} left a file");
    };
    check(Operation::Create, ErrorKind::NotFound, "no/a", "cannot create `no/a`", "make its folder");
    check(Operation::Create, ErrorKind::PermissionDenied, "a", "cannot create `a`", "permission");
    check(Operation::Create, ErrorKind::IsADirectory, "a", "cannot create `a`", "name a file in that folder");
    check(Operation::Write, ErrorKind::StorageFull, "a", "cannot write `a`", "make room");
    check(Operation::Write, ErrorKind::BrokenPipe, "-", "cannot write standard output", "reads the output");
    check(Operation::Prepare, ErrorKind::StorageFull, "a", "cannot write `a`", "make room");
    check(Operation::Commit, ErrorKind::IsADirectory, "a", "cannot finish `a`", "name a file in that folder");
    check(Operation::Commit, ErrorKind::Other, "a", "cannot finish `a`", "check the disk");
}

#[test]
fn an_empty_path_is_a_problem() {
    let problems = FileSink.bind(&json!({"path": ""}), None, &Columns::none()).unwrap_err();
    assert_eq!(problems, [Problem::new(Code::WRONG_VALUE, "`path` names no file").at("path")]);
}
