//! A stage's process, from its start to its end.
//!
//! What it is: the handle that waits for the process, ends it and says how it ended.
//!
//! Guarantees: signals reach this process group and no other, because the process is reaped only after the last signal
//! was sent, under a lock. When the process has ended, for whatever reason, what is left of its group is killed, so
//! that its pipes and sockets close. A handle that is dropped kills and reaps.
//!
//! Refuses: ending a process gently. A stage ends by itself when its socket does.
//!
//! ```text
//!   running ──ends by itself──▶ zombie ──kill the group──▶ reaped: `Exit`
//!      └────────── `kill`: kill the group ──▲
//! ```
//!
//! Neighbours: `spawn` starts it. A descendant that makes a group of its own leaves this one, and is not killed.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{ChildStderr, ChildStdout};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use modrun_core::{Error, Result};
use nix::sys::signal::Signal as SignalName;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

/// A process that was started by [`Stage::spawn`](crate::Stage::spawn); may be shared by threads.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// Becomes readable when the process ends, and names it even if its number is used again.
    process: OwnedFd,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// How it ended, once it is reaped.
    ended: Mutex<Option<Exit>>,
}

impl Child {
    /// Takes over a process that leads its group and was not waited for yet.
    pub(crate) fn new(mut child: std::process::Child) -> Result<Self> {
        let unavailable = |error: Errno| Error::unavailable("cannot watch a new process").with_source(error);
        let opened = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(Errno::SRCH)
            .and_then(|pid| Ok((pid, rustix::process::pidfd_open(pid, PidfdFlags::empty())?)));
        match opened {
            Ok((pid, process)) => {
                let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
                Ok(Self { pid, process, stdout, stderr, ended: Mutex::new(None) })
            }
            Err(error) => {
                // It is of no use, and has not done anything yet: the error above is the one to tell.
                let _ = child.kill();
                let _ = child.wait();
                Err(unavailable(error))
            }
        }
    }

    /// The number of the process and of its group.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The reading end of the process's standard output, the first time.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// The reading end of the process's standard error, the first time.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.stderr.take()
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    /// Internal, if somebody else has reaped it.
    pub fn try_wait(&self) -> Result<Option<Exit>> {
        let mut ended = self.lock();
        if ended.is_none() && self.waitid(WaitIdOptions::NOWAIT)?.is_some() {
            // Its number stays in use until it is reaped, so that this reaches nobody else. No process left is as good,
            // and one that changed its user cannot be killed by anybody who could do something about it.
            let _ = self.kill_group();
            *ended = self.waitid(WaitIdOptions::empty())?;
        }
        Ok(*ended)
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// As [`try_wait`](Self::try_wait).
    pub fn wait(&self) -> Result<Exit> {
        loop {
            if let Some(exit) = self.try_wait()? {
                return Ok(exit);
            }
            self.poll(None)?;
        }
    }

    /// Waits for the end of the process for at most `limit`; a signal to this process may begin the time anew.
    ///
    /// # Errors
    /// As [`try_wait`](Self::try_wait).
    pub fn wait_for(&self, limit: Duration) -> Result<Option<Exit>> {
        if let Some(exit) = self.try_wait()? {
            return Ok(Some(exit));
        }
        self.poll(Some(limit))?;
        self.try_wait()
    }

    /// Kills the process and all others in its group, and waits for its end.
    ///
    /// A process that has ended before tells how it ended then.
    ///
    /// # Errors
    /// Unavailable, if the process runs under another user by now; otherwise as [`try_wait`](Self::try_wait).
    pub fn kill(&self) -> Result<Exit> {
        let ended = self.lock();
        if let Some(exit) = *ended {
            return Ok(exit);
        }
        self.kill_group().map_err(|error| {
            Error::unavailable(format!("cannot kill the process `{}`", self.pid())).with_source(error)
        })?;
        drop(ended);
        self.wait()
    }

    /// To be called with the lock, and before the process is reaped.
    fn kill_group(&self) -> rustix::io::Result<()> {
        rustix::process::kill_process_group(self.pid, Signal::KILL)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Exit>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waitid(&self, options: WaitIdOptions) -> Result<Option<Exit>> {
        let id = WaitId::PidFd(self.process.as_fd());
        let status = rustix::process::waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | options);
        let status = status.map_err(|error| self.lost(error))?;
        Ok(status.and_then(|status| {
            let signal = || status.terminating_signal().map(Exit::Signal);
            status.exit_status().map(Exit::Status).or_else(signal)
        }))
    }

    /// Waits until the process has ended; without a result, because only `waitid` knows.
    fn poll(&self, limit: Option<Duration>) -> Result<()> {
        // A limit beyond what the kernel counts is none.
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut ended = [PollFd::new(&self.process, PollFlags::IN)];
        loop {
            match poll(&mut ended, limit.as_ref()) {
                Err(Errno::INTR) => {}
                polled => return polled.map(|_| ()).map_err(|error| self.lost(error)),
            }
        }
    }

    fn lost(&self, error: Errno) -> Error {
        Error::internal(format!("cannot wait for the process `{}`", self.pid())).with_source(error)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.kill();
    }
}

/// How a process ended; in words `exit status 3` or `signal 9 (SIGKILL)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Whether the process ended by itself with the status 0.
    pub fn success(self) -> bool {
        self == Self::Status(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(signal) => match SignalName::try_from(signal) {
                Ok(name) => write!(f, "signal {signal} ({name})"),
                Err(_) => write!(f, "signal {signal}"),
            },
        }
    }
}
