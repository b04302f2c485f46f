//! Stages that are shell scripts, and a socket that tells how they fare.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

use std::io::Read;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use modrun_shm::{Child, Stage};

/// A bound for what comes at once unless something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A program with a path and nothing else.
pub(crate) fn stage(program: &str, arguments: &[&str], descriptors: Vec<(OwnedFd, RawFd)>) -> Stage {
    Stage {
        program: program.into(),
        arguments: arguments.iter().map(Into::into).collect(),
        folder: "/".into(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        descriptors,
        long_turns: false,
    }
}

/// A script of the shell.
pub(crate) fn shell(script: &str, descriptors: Vec<(OwnedFd, RawFd)>) -> Stage {
    stage("/bin/sh", &["-c", script], descriptors)
}

/// All that a process writes to its standard output.
pub(crate) fn stdout(child: &mut Child) -> String {
    let mut text = String::new();
    child.take_stdout().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// Our end of a socket that does not wait forever, and the other one.
pub(crate) fn socket() -> (UnixStream, OwnedFd) {
    let (ours, theirs) = modrun_shm::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    (ours, theirs)
}

/// Reads the line `ready`.
pub(crate) fn await_ready(socket: &mut UnixStream) {
    let mut line = [0; 6];
    socket.read_exact(&mut line).expect("the process says that it is ready");
    assert_eq!(&line, b"ready\n");
}

/// Waits until nobody has the other end any more, which is when all processes that had it are gone.
pub(crate) fn await_end(socket: &mut UnixStream) {
    let rest = socket.read(&mut [0; 1]).expect("every process with the other end is gone");
    assert_eq!(rest, 0);
}
