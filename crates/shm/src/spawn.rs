//! Starting a stage's process.
//!
//! What it is: what a stage's process is made of, and the steps between fork and exec.
//!
//! Guarantees: the process gets the environment and the descriptors that were named, an empty standard input, pipes for
//! its output, a process group of its own and default signal handling; no other descriptor, whoever in this process
//! opened it and how. It is killed when the thread that started it ends. A program that cannot be started is an error
//! here, not a process that fails.
//!
//! Refuses: an inherited environment, and a number that is given twice.
//!
//! ```text
//!   parent        hold 3, 4, 5 ──fork──────────────────────────▶ let go, return `Child`
//!                                 │                         ▲
//!   child                         └▶ group, streams ▶ close-on-exec for all ▶ dup to 3, 4, 5
//!                                    ▶ parent-death signal ▶ signals ▶ scheduling ▶ exec
//! ```
//!
//! The standard library reports a failed exec through a pipe of its own. It would be lost, and its bytes would go into
//! the stage's socket, if that pipe got one of the numbers that are dupped over. So the parent keeps these numbers
//! in use while it forks; where it found them in use, the child makes sure that they are what they were.
//!
//! Neighbours: `segment` and `socket` make the descriptors, `child` waits for the end.

use std::ffi::OsString;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use modrun_core::{Error, Result};
use nix::sys::signal::{SigHandler, Signal as HandledSignal};
use rustix::fs::{CWD, Mode, OFlags, RawDir};
use rustix::io::{Errno, FdFlags};
use rustix::process::{Pid, Signal};
use scheduler::Policy;

use crate::Child;

/// How often a start is tried anew because other threads closed a descriptor whose number is needed.
const ATTEMPTS_MAX: usize = 100;
/// The child says with it that a number is not what it was; nothing else on the way to exec does.
const CHANGED_HANDS: Errno = Errno::UCLEAN;

/// What a stage's process is made of.
#[derive(Debug)]
pub struct Stage {
    /// The program: a path with a slash (a relative one begins at `folder`), or a name to look for in `PATH` of
    /// `environment`.
    pub program: OsString,
    /// Its arguments, without its own name.
    pub arguments: Vec<OsString>,
    /// Where it runs.
    pub folder: PathBuf,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Descriptors and their numbers in the new process, each from 3 on.
    pub descriptors: Vec<(OwnedFd, RawFd)>,
    /// Whether the kernel shall let it compute in long turns (`SCHED_BATCH`); it goes without if that is forbidden.
    pub long_turns: bool,
}

impl Stage {
    /// Starts the process and closes the descriptors here, so that the process is the only one to have them.
    ///
    /// The kernel kills the process when the calling *thread* ends: call this from one that lives as long as the run.
    ///
    /// # Errors
    /// Invalid, if the program or the folder cannot be used; Unavailable, if the system lacks something; Internal, if
    /// a descriptor's number is below 3 or taken.
    pub fn spawn(mut self) -> Result<Child> {
        self.check_numbers()?;
        // What an attempt has got stays for the next one, so that soon only what does not change is not held.
        let mut held = Vec::new();
        for _ in 0..ATTEMPTS_MAX {
            match self.try_spawn(&mut held) {
                Ok(child) => return Child::new(child),
                Err(error) if error.raw_os_error() == Some(CHANGED_HANDS.raw_os_error()) => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Err(Error::unavailable(format!(
            "cannot start `{}`: other threads open and close descriptors all the time",
            self.program.display()
        )))
    }

    fn check_numbers(&self) -> Result<()> {
        for (index, &(_, number)) in self.descriptors.iter().enumerate() {
            if number < 3 || self.descriptors[..index].iter().any(|&(_, other)| other == number) {
                let what = "every descriptor needs a number of its own from 3 on";
                return Err(Error::internal(format!(
                    "cannot give a stage the descriptor `{number}`: {what}"
                )));
            }
        }
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        let message = format!("cannot start `{}` in `{}`", self.program.display(), self.folder.display());
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::invalid(message)
                .with_hint("check that the program and the folder are there, and that /proc is mounted"),
            io::ErrorKind::PermissionDenied => {
                Error::invalid(message).with_hint("check that the program may be executed")
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::ArgumentListTooLong => {
                Error::invalid(message).with_hint("check its arguments and its environment")
            }
            _ => Error::unavailable(message),
        }
        .with_source(error)
    }

    fn try_spawn(&mut self, held: &mut Vec<OwnedFd>) -> io::Result<std::process::Child> {
        self.move_away()?;
        self.hold(held)?;
        let places = self.descriptors.iter().map(|(source, number)| Place::new(source, *number));
        let places = places.collect::<Result<_, _>>()?;
        let steps = Steps { places, parent: rustix::process::getpid(), long_turns: self.long_turns };
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        // SAFETY: between fork and exec only the forking thread is there, and locks of the others stay locked: `run`
        // makes system calls and nothing else; it neither allocates nor locks.
        #[expect(unsafe_code, reason = "a child inherits by its number only what it dups there itself")]
        unsafe {
            command.pre_exec(move || Ok(steps.run()?));
        }
        command.spawn()
    }

    /// Has all numbers in use, by `held` unless something else has them.
    fn hold(&self, held: &mut Vec<OwnedFd>) -> rustix::io::Result<()> {
        for (source, number) in &self.descriptors {
            let holder = rustix::io::fcntl_dupfd_cloexec(source, *number)?;
            if holder.as_raw_fd() == *number {
                held.push(holder);
            }
        }
        Ok(())
    }

    /// Moves descriptors whose own numbers are among those to be given out, so that none is overwritten too early.
    fn move_away(&mut self) -> rustix::io::Result<()> {
        let beyond = self.descriptors.iter().map(|&(_, number)| number.saturating_add(1)).max().unwrap_or(0);
        for (source, _) in &mut self.descriptors {
            if source.as_raw_fd() < beyond {
                *source = rustix::io::fcntl_dupfd_cloexec(&*source, beyond)?;
            }
        }
        Ok(())
    }
}

/// A number that a descriptor is to have in the child.
struct Place {
    source: RawFd,
    number: RawFd,
    /// Device and inode of what has the number in the parent.
    occupant: (u64, u64),
}

impl Place {
    fn new(source: &OwnedFd, number: RawFd) -> rustix::io::Result<Self> {
        Ok(Self { source: source.as_raw_fd(), number, occupant: occupant(number)? })
    }
}

/// What the child does before exec.
struct Steps {
    places: Vec<Place>,
    parent: Pid,
    long_turns: bool,
}

impl Steps {
    fn run(&self) -> rustix::io::Result<()> {
        close_all_on_exec()?;
        for place in &self.places {
            if occupant(place.number)? != place.occupant {
                return Err(CHANGED_HANDS);
            }
        }
        for place in &self.places {
            dup_to(place.source, place.number)?;
        }
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // A parent that ended before the line above has sent no signal.
        if rustix::process::getppid() != Some(self.parent) {
            return Err(Errno::SRCH);
        }
        // The standard library has reset SIGPIPE and the mask, and exec resets handlers; a shell that starts this
        // process in the background has it ignore these two.
        for signal in [HandledSignal::SIGINT, HandledSignal::SIGQUIT] {
            // SAFETY: the default is no function of this process, and no other thread is there.
            #[expect(unsafe_code, reason = "a handler could be any function")]
            let reset = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
            reset.map_err(|error| Errno::from_raw_os_error(error as i32))?;
        }
        if self.long_turns {
            // Only speed depends on it.
            let _ = scheduler::set_self_policy(Policy::Batch, 0);
        }
        Ok(())
    }
}

/// Marks every descriptor, whoever opened it.
fn close_all_on_exec() -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, c"/proc/self/fd", flags, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&folder, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_str().unwrap_or_default();
        match name.parse::<RawFd>() {
            Ok(number) if number > 2 => rustix::io::fcntl_setfd(borrow(number), FdFlags::CLOEXEC)?,
            // A standard stream, or one of the folder's names for itself and its parent.
            _ => {}
        }
    }
    Ok(())
}

/// Device and inode of what has `number`, which something had a moment ago.
fn occupant(number: RawFd) -> rustix::io::Result<(u64, u64)> {
    match rustix::fs::fstat(borrow(number)) {
        Ok(stat) => Ok((stat.st_dev, stat.st_ino)),
        Err(Errno::BADF) => Err(CHANGED_HANDS),
        Err(error) => Err(error),
    }
}

/// Gives `source` the number `number` in this process, open across exec.
fn dup_to(source: RawFd, number: RawFd) -> rustix::io::Result<()> {
    // SAFETY: whoever owned the number is in the parent and never runs in the child; this value does not close it.
    #[expect(unsafe_code, reason = "dup2 replaces a descriptor of a given number")]
    let mut target = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
    rustix::io::dup2(borrow(source), &mut target)
}

/// Names a descriptor for a single system call.
fn borrow(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: `number` is not -1; the callers above end their use with the one call, which the kernel refuses for a
    // number that is not open.
    #[expect(unsafe_code, reason = "a number that is not owned here is asked what it is")]
    unsafe {
        BorrowedFd::borrow_raw(number)
    }
}
