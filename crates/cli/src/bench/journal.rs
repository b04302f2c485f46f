//! The file of runs: what is over is in it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use modrun_report::record::{Lane, Line, Outcome, Run, Session};

use super::machine;
use crate::failure::Failure;
use crate::show;

/// An open file of runs.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    done: BTreeSet<(Lane, u32)>,
    left_out: BTreeSet<Lane>,
}

impl Journal {
    /// Goes on with the file at `path`, or begins it; `again` begins it anew.
    pub(crate) fn open(path: &Path, session: &Session, again: bool) -> Result<Self, Failure> {
        let cannot = || format!("cannot write `{}`", path.display());
        let text = match fs::read_to_string(path) {
            Ok(text) if !again => text,
            Ok(_) => String::new(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let error = anyhow!(error).context(format!("cannot read `{}`", path.display()));
                return Err(Failure::Arguments(error));
            }
        };
        let (whole, lines) = read(&text).map_err(|(line, why)| {
            let file = path.display();
            let hint = "it is no file of runs; name another with `--output`, or begin it anew with `--again`";
            Failure::Arguments(anyhow!("`{file}`, line {line}: {why}\n  {hint}"))
        })?;
        let (mut done, mut left_out) = (BTreeSet::new(), BTreeSet::new());
        for line in lines {
            match line {
                Line::Session(before) => check(path, &before, session)?,
                Line::Run(run) if matches!(run.outcome, Outcome::LeftOut(_)) => {
                    left_out.insert(run.lane);
                }
                Line::Run(run) => {
                    done.insert((run.lane, run.turn));
                }
            }
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(cannot)
            .map_err(Failure::Arguments)?;
        // A line that broke off is run again.
        file.set_len(whole as u64).with_context(cannot)?;
        if !done.is_empty() {
            show::note(format!("`{}` has {} runs already, which are kept", path.display(), done.len()));
        }
        write(&mut file, &Line::Session(session.clone())).with_context(cannot)?;
        Ok(Self { path: path.to_owned(), file, done, left_out })
    }

    /// Whether a run is in it.
    pub(crate) fn has(&self, lane: &Lane, turn: u32) -> bool {
        self.left_out.contains(lane) || self.done.contains(&(lane.clone(), turn))
    }

    /// Appends a run.
    pub(crate) fn add(&mut self, run: Run) -> Result<(), Failure> {
        match run.outcome {
            Outcome::LeftOut(_) => _ = self.left_out.insert(run.lane.clone()),
            _ => _ = self.done.insert((run.lane.clone(), run.turn)),
        }
        let written = write(&mut self.file, &Line::Run(Box::new(run)));
        Ok(written.with_context(|| format!("cannot write `{}`", self.path.display()))?)
    }
}

fn check(path: &Path, before: &Session, session: &Session) -> Result<(), Failure> {
    let Some(what) = machine::difference(before, session) else { return Ok(()) };
    let file = path.display();
    Err(Failure::Arguments(anyhow!(
        "`{file}` has runs that cannot be compared with new ones: {what} has changed since\n  \
         name another file with `--output`, or begin it anew with `--again`"
    )))
}

/// The lines of a file and how many bytes of it are whole lines; the last one may be broken off.
fn read(text: &str) -> Result<(usize, Vec<Line>), (usize, String)> {
    let (mut whole, mut lines) = (0, Vec::new());
    for (at, line) in text.split_inclusive('\n').enumerate() {
        if !line.ends_with('\n') {
            break;
        }
        whole += line.len();
        if !line.trim().is_empty() {
            lines.push(serde_json::from_str(line).map_err(|error| (at + 1, error.to_string()))?);
        }
    }
    Ok((whole, lines))
}

fn write(file: &mut File, line: &Line) -> std::io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_broke_off_is_no_line() {
        let session = serde_json::to_string(&Line::Session(Session::default())).unwrap() + "\n";
        assert_eq!(read("").unwrap().0, 0);
        let text = format!("{session}{}", &session[..10]);
        let (whole, lines) = read(&text).unwrap();
        assert_eq!((whole, lines.len()), (session.len(), 1));
        assert_eq!(read(&format!("{session}nonsense\n")).unwrap_err().0, 2);
    }
}
