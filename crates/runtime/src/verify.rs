//! Compares results with expected ones while they are written.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use modrun_core::env::{Env, Input};
use modrun_core::{Code, Error, Result};

/// How many differences are kept to be shown.
const SHOWN_MAX: usize = 10;

/// Where results and expected results differ, line by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// The first ones, in order.
    pub first: Vec<Difference>,
    /// How many lines differ in all.
    pub count: u64,
}

/// One line that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its number, from 1.
    pub line: u64,
    /// What was expected; `None` behind the end of the expected lines.
    pub expected: Option<String>,
    /// What was written; `None` behind the end of the results.
    pub found: Option<String>,
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Difference { line, expected, found } in &self.first {
            writeln!(f, "line {line}:")?;
            writeln!(f, "  - {}", expected.as_deref().unwrap_or("(no more lines)"))?;
            writeln!(f, "  + {}", found.as_deref().unwrap_or("(no more lines)"))?;
        }
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

/// Takes the results as they are written and the expected ones from a file.
pub(crate) struct Verifier {
    expected: Box<dyn BufRead + Send>,
    line: u64,
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
    differences: Differences,
    failure: Option<io::Error>,
}

impl Verifier {
    pub(crate) fn open(path: &Path, env: &Env) -> Result<Self> {
        let input = env.disk.open(path).map_err(|error| {
            let text = format!("cannot open the expected results `{}`", path.display());
            Error::invalid(text).with_code(Code::INPUT).with_source(error)
        })?;
        let far = env.clock.now() + Duration::from_secs(365 * 24 * 3600);
        let expected = Box::new(BufReader::new(Blocking { input, far }));
        Ok(Self { expected, line: 0, rest: Vec::new(), differences: Differences::default(), failure: None })
    }

    /// Takes the next bytes that were written.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let found = std::mem::take(&mut self.rest);
                self.compare(Some(found));
            }
        }
    }

    /// Gives whether there was an expected line.
    fn compare(&mut self, found: Option<Vec<u8>>) -> bool {
        let mut expected = Vec::new();
        match self.expected.read_until(b'\n', &mut expected) {
            Ok(_) => {}
            Err(error) => {
                self.failure.get_or_insert(error);
                return false;
            }
        }
        self.line += 1;
        let [expected, found] =
            [Some(expected).filter(|line| !line.is_empty()), found].map(|line| line.map(text));
        if expected != found {
            self.differences.count += 1;
            if self.differences.first.len() < SHOWN_MAX {
                let difference = Difference { line: self.line, expected: expected.clone(), found };
                self.differences.first.push(difference);
            }
        }
        expected.is_some()
    }

    /// All results have been written: gives where they differ.
    pub(crate) fn finish(&mut self) -> Result<Differences> {
        while self.failure.is_none() && self.compare(None) {}
        match self.failure.take() {
            Some(error) => Err(Error::unavailable("cannot read the expected results")
                .with_code(Code::INPUT)
                .with_source(error)),
            None => Ok(std::mem::take(&mut self.differences)),
        }
    }
}

/// A line without its end, for comparing and showing.
fn text(line: Vec<u8>) -> String {
    String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()
}

/// An input that is waited for.
struct Blocking {
    input: Box<dyn Input>,
    far: Instant,
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(read) = self.input.read(buffer, self.far)? {
                return Ok(read);
            }
        }
    }
}
