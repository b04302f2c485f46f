use std::collections::BTreeMap;
use std::error::Error as _;
use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use modrun_core::env::{Clock, Disk, Input, partial_path};
use modrun_core::{Limits, OpenContext};
use serde_json::json;

use super::*;

/// Files in memory, and the errors that their operations are to meet.
#[derive(Clone, Debug, Default)]
struct Memory {
    files: Arc<Mutex<BTreeMap<PathBuf, Vec<u8>>>>,
    faults: BTreeMap<&'static str, ErrorKind>,
}

impl Memory {
    fn meet(&self, action: &str) -> io::Result<()> {
        self.faults.get(action).map_or(Ok(()), |kind| Err(io::Error::from(*kind)))
    }

    fn files(&self) -> Vec<(String, String)> {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        let files = self.files.lock().unwrap();
        files.iter().map(|(path, bytes)| (path.display().to_string(), text(bytes))).collect()
    }
}

impl Disk for Memory {
    fn open(&self, _: &Path) -> io::Result<Box<dyn Input>> {
        Err(ErrorKind::Unsupported.into())
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn Artifact>> {
        self.meet("create")?;
        self.files.lock().unwrap().insert(partial_path(path), Vec::new());
        Ok(Box::new(MemoryFile { path: path.to_owned(), disk: self.clone() }))
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
    fn glob(&self, _: &str) -> io::Result<Vec<PathBuf>> {
        Err(ErrorKind::Unsupported.into())
    }
}

struct MemoryFile {
    path: PathBuf,
    disk: Memory,
}

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.meet("write")?;
        self.disk.files.lock().unwrap().entry(partial_path(&self.path)).or_default().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Artifact for MemoryFile {
    fn prepare(&mut self) -> io::Result<()> {
        self.disk.meet("prepare")
    }
    fn commit(&mut self) -> io::Result<()> {
        self.disk.meet("commit")?;
        let mut files = self.disk.files.lock().unwrap();
        let bytes = files.remove(&partial_path(&self.path)).ok_or(ErrorKind::NotFound)?;
        files.insert(self.path.clone(), bytes);
        Ok(())
    }
}

#[derive(Debug)]
struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Instant {
        unreachable!("a sink needs no clock")
    }
    fn thread_cpu(&self) -> Duration {
        unreachable!("a sink needs no clock")
    }
}

fn open(disk: &Memory, path: &str) -> Result<Box<dyn Sink>> {
    let bound = FileSink.bind(&json!({"path": path}), None, &Columns::none()).unwrap();
    assert!(bound.output.is_none());
    let Open::Sink(open) = bound.open else { panic!("not a sink") };
    let env = Env { clock: Arc::new(NoClock), disk: Arc::new(disk.clone()) };
    open(OpenContext { env, limits: Limits::default(), states: vec![] })
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
    assert_eq!(disk.files(), [("out/a.partial".to_owned(), LINES.to_owned())]);
    sink.commit().unwrap();
    assert_eq!(disk.files(), [("out/a".to_owned(), LINES.to_owned())]);
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
    let check = |action: &'static str, kind: ErrorKind, path: &str, message: &str, hint: &str| {
        let disk = Memory { faults: BTreeMap::from([(action, kind)]), ..Memory::default() };
        let mut written = Written::default();
        let error = run(&disk, path, &mut written).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.code(), Some(Code::OUTPUT));
        assert!(error.hint().unwrap().contains(hint), "{error:?}");
        assert_eq!(error.source().unwrap().downcast_ref::<io::Error>().unwrap().kind(), kind);
        assert_eq!(written.rows(), if matches!(action, "create" | "write") { 0 } else { 4 });
        assert!(!disk.files().iter().any(|(name, _)| name == path), "{action} left a file");
    };
    check("create", ErrorKind::NotFound, "no/a", "cannot create `no/a`", "make its folder");
    check("create", ErrorKind::PermissionDenied, "a", "cannot create `a`", "permission");
    check("create", ErrorKind::IsADirectory, "a", "cannot create `a`", "name a file in that folder");
    check("write", ErrorKind::StorageFull, "a", "cannot write `a`", "make room");
    check("write", ErrorKind::BrokenPipe, "-", "cannot write standard output", "reads the output");
    check("prepare", ErrorKind::StorageFull, "a", "cannot write `a`", "make room");
    check("commit", ErrorKind::IsADirectory, "a", "cannot finish `a`", "name a file in that folder");
    check("commit", ErrorKind::Other, "a", "cannot finish `a`", "check the disk");
}

#[test]
fn an_empty_path_is_a_problem() {
    let problems = FileSink.bind(&json!({"path": ""}), None, &Columns::none()).unwrap_err();
    assert_eq!(problems, [Problem::new(Code::WRONG_VALUE, "`path` names no file").at("path")]);
}
