//! The program under test: its start, its log and its end.
//!
//! What it is: [`Program`], a process with the runtime's ends of its socket and segments.
//!
//! Guarantees: the process leads a group of its own, which is killed and reaped when the value is dropped. The threads
//! that read its log end with it. The log is cut at a bound.
//!
//! Neighbours: `modrun-shm` starts it; `session` talks to it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use modrun_shm::{Child, Exit, Readable, Stage, Writable, pair};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::case::Level;
use crate::record::Line;
use crate::{Error, Result};

/// Bytes of a log that are kept of each stream.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// How the program is started.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// The command, to which the stage's name and form are appended.
    pub(crate) command: Vec<OsString>,
    /// Where relative paths of the command begin.
    pub(crate) folder: PathBuf,
    /// The numbers of the socket and the two segments in the program.
    pub(crate) numbers: [RawFd; 3],
    /// Bytes of the segments.
    pub(crate) segments: [u64; 2],
}

/// A running program.
pub(crate) struct Program {
    child: Child,
    pub(crate) socket: UnixStream,
    pub(crate) input: Writable,
    pub(crate) output: Readable,
    log: Vec<JoinHandle<Vec<Line>>>,
}

impl Program {
    /// Starts the program as the runtime starts a stage.
    pub(crate) fn start(start: &Start) -> Result<Self> {
        let [socket_number, input_number, output_number] = start.numbers;
        let (socket, theirs) = pair()?;
        let (input, input_descriptor) = Writable::create(start.segments[0])?;
        let (output, output_descriptor) = Readable::create(start.segments[1])?;
        let variable = format!("socket={socket_number},input={input_number},output={output_number}");
        let descriptors = vec![
            (theirs, socket_number),
            (input_descriptor, input_number),
            (output_descriptor, output_number),
        ];
        let (child, log) = spawn(start, Some(variable), descriptors)?;
        Ok(Self { child, socket, input, output, log })
    }

    /// Starts the program as somebody would who does not know that it is a stage, and waits for its end.
    pub(crate) fn run_alone(start: &Start, limit: Duration) -> Result<(Option<Exit>, Vec<Line>)> {
        let (child, log) = spawn(start, None, Vec::new())?;
        let exit = child.wait_for(limit)?;
        child.kill()?;
        Ok((exit, join(log)))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits for the end of the program; nothing, if it goes on.
    pub(crate) fn wait(&self, limit: Duration) -> Result<Option<Exit>> {
        Ok(self.child.wait_for(limit)?)
    }

    /// Ends the program, if it has not ended, and returns what it wrote.
    pub(crate) fn end(mut self) -> Result<Vec<Line>> {
        self.child.kill()?;
        Ok(join(std::mem::take(&mut self.log)))
    }
}

/// CPU time that a process has used so far; none, if it has gone.
pub(crate) fn process_cpu(pid: u32) -> Duration {
    let clock = clock_getcpuclockid(Pid::from_raw(pid as i32));
    clock.and_then(clock_gettime).map(Duration::from).unwrap_or_default()
}

type Log = Vec<JoinHandle<Vec<Line>>>;

fn spawn(
    start: &Start,
    variable: Option<String>,
    descriptors: Vec<(OwnedFd, RawFd)>,
) -> Result<(Child, Log)> {
    let (program, arguments) =
        start.command.split_first().ok_or_else(|| Error::Case("there is no command to test".to_owned()))?;
    let mut environment: Vec<(OsString, OsString)> =
        std::env::vars_os().filter(|(name, _)| name != "MODRUN_STAGE").collect();
    environment.extend(variable.map(|variable| ("MODRUN_STAGE".into(), variable.into())));
    let mut child = Stage {
        program: program.clone(),
        arguments: arguments.to_vec(),
        folder: start.folder.clone(),
        environment,
        descriptors,
        long_turns: false,
    }
    .spawn()?;
    let mut log = Vec::new();
    log.extend(child.take_stdout().map(|stream| read_log(stream, Level::Information)));
    log.extend(child.take_stderr().map(|stream| read_log(stream, Level::Warning)));
    Ok((child, log))
}

fn read_log(stream: impl Read + Send + 'static, without_prefix: Level) -> JoinHandle<Vec<Line>> {
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        let mut kept = 0;
        let mut line = Vec::new();
        while matches!(stream.read_until(b'\n', &mut line), Ok(length) if length > 0) {
            kept += line.len() as u64;
            if kept <= LOG_BYTES_MAX {
                let text = String::from_utf8_lossy(&line);
                lines.push(Line::of(text.trim_end_matches('\n'), without_prefix));
            }
            line.clear();
        }
        lines
    })
}

fn join(log: Log) -> Vec<Line> {
    // A thread that reads a log cannot panic; a log that is lost is an empty one.
    log.into_iter().flat_map(|reader| reader.join().unwrap_or_default()).collect()
}
