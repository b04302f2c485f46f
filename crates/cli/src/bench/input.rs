//! What is read, and what should come out.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use modrun_gen::{Generator, Options};
use modrun_report::units;

use crate::failure::Failure;
use crate::show;

/// Where inputs come from.
pub(crate) struct Inputs {
    /// A file of the user's own.
    pub(crate) own: Option<PathBuf>,
    /// Its results.
    pub(crate) expected: Option<PathBuf>,
    /// The pipeline's folder.
    pub(crate) beside: PathBuf,
    /// Where generated input is kept.
    pub(crate) data: PathBuf,
}

/// An input and its results.
pub(crate) struct Input {
    /// A path that stands wherever a program runs.
    pub(crate) path: PathBuf,
    pub(crate) events: u64,
    /// What should come out; `None`: what comes out first.
    pub(crate) expected: Option<String>,
}

impl Input {
    /// Reads it once, so that every run finds it in memory: some systems take pages away that nobody has used for seconds.
    pub(crate) fn warm(&self) -> std::io::Result<()> {
        std::io::copy(&mut fs::File::open(&self.path)?, &mut std::io::sink()).map(drop)
    }
}

impl Inputs {
    /// The input of so many events, each longer by so many bytes, generated if it is not there; without a number the
    /// user's own.
    pub(crate) fn prepare(&self, events: Option<u64>, padding: u32) -> Result<Input, Failure> {
        let (path, events, expected) = match (events, &self.own) {
            (None, Some(own)) => (own.clone(), count(own)?, self.expected.clone()),
            (events, _) => {
                let events = events.unwrap_or_default();
                (self.generated(events, padding)?, events, self.known(events))
            }
        };
        let cannot = |path: &Path| format!("cannot read `{}`", path.display());
        let path = fs::canonicalize(&path).with_context(|| cannot(&path))?;
        let read = |file: PathBuf| fs::read_to_string(&file).with_context(|| cannot(&file));
        let expected = expected.map(read).transpose()?;
        if expected.is_none() {
            let count = units::exact(events);
            show::note(format!("no results are known for {count} events: all are compared with the first"));
        }
        Ok(Input { path, events, expected })
    }

    /// Results that stand beside the pipeline.
    fn known(&self, events: u64) -> Option<PathBuf> {
        let file = self.beside.join("expected").join(format!("{}.ndjson", size(events)));
        file.exists().then_some(file)
    }

    fn generated(&self, events: u64, padding: u32) -> Result<PathBuf, Failure> {
        let longer = if padding > 0 { format!("-padded-{padding}") } else { String::new() };
        let path = self.data.join(format!("events-{}{longer}.ndjson", size(events)));
        if path.exists() {
            return Ok(path);
        }
        let title = if padding > 0 { format!(", longer by {padding} bytes") } else { String::new() };
        show::note(format!("generating {} events{title}", units::exact(events)));
        let options = Options { events, padding, ..Options::default() };
        let generator = Generator::new(&options).context("cannot generate events")?;
        let partial = path.with_extension("ndjson.partial");
        let written = fs::create_dir_all(&self.data).and_then(|()| {
            generator.write(&mut fs::File::create(&partial)?)?;
            fs::rename(&partial, &path)
        });
        written.with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }
}

/// The lines of a file that hold something.
fn count(path: &Path) -> Result<u64, Failure> {
    let cannot = || format!("cannot read `{}`", path.display());
    let mut reader = BufReader::new(fs::File::open(path).with_context(cannot).map_err(Failure::Arguments)?);
    let (mut events, mut line) = (0, Vec::new());
    while reader.read_until(b'\n', &mut line).with_context(cannot)? > 0 {
        events += u64::from(line.iter().any(|byte| !byte.is_ascii_whitespace()));
        line.clear();
    }
    Ok(events)
}

/// A number of events as files are named by it: `100k`, `10M`, `1234`.
fn size(events: u64) -> String {
    match events {
        _ if events > 0 && events.is_multiple_of(1_000_000) => format!("{}M", events / 1_000_000),
        _ if events > 0 && events.is_multiple_of(1000) => format!("{}k", events / 1000),
        _ => events.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_named_by_thousands_and_millions() {
        for (events, expected) in
            [(1, "1"), (1000, "1k"), (100_000, "100k"), (1_500_000, "1500k"), (10_000_000, "10M")]
        {
            assert_eq!(size(events), expected);
        }
    }
}
