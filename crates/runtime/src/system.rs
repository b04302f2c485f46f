//! The real world behind [`Env`]: this machine's clocks and files.

pub use modrun_shm::keep_freed_memory;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use modrun_core::CpuSeconds;
use modrun_core::env::{Artifact, Clock, Disk, Env, Input, partial_path};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// This machine.
pub fn env() -> Env {
    Env { clock: Arc::new(Machine), disk: Arc::new(Machine) }
}

/// CPU time of this process so far, and its largest resident memory in bytes.
pub(crate) fn usage() -> (CpuSeconds, u64) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Default::default() };
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 * 1e-6;
    let cpu = CpuSeconds { user: seconds(usage.user_time()), system: seconds(usage.system_time()) };
    (cpu, peak_rss_bytes(None).unwrap_or(usage.max_rss() as u64 * 1024))
}

/// CPU time that another process has used so far.
pub(crate) fn process_cpu(pid: u32) -> Duration {
    let clock = clock_getcpuclockid(Pid::from_raw(pid as i32));
    clock.and_then(clock_gettime).map(Duration::from).unwrap_or_default()
}

/// How a process's CPU time splits: the kernel's counts of ticks, in user mode and in all.
pub(crate) fn process_ticks(pid: u32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before may hold anything, a parenthesis included.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let ticks: Vec<u64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, system] => (user, user + system),
        _ => (0, 0),
    }
}

/// The largest resident memory of a process, by default of this program. `getrusage` would also count what the process held before it became
/// this program: the memory of whoever started it.
pub(crate) fn peak_rss_bytes(pid: Option<u32>) -> Option<u64> {
    let whose = pid.map_or("self".to_owned(), |pid| pid.to_string());
    let status = std::fs::read_to_string(format!("/proc/{whose}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[derive(Debug)]
struct Machine;

impl Clock for Machine {
    #[expect(clippy::disallowed_methods, reason = "this is the door to the clock")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn thread_cpu(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door to the disk")]
impl Disk for Machine {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Input>> {
        if is_standard_stream(path) {
            return Ok(Box::new(Stream { from: io::stdin(), waited: Duration::ZERO }));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Ok(Box::new(Stream { from: file, waited: Duration::ZERO }));
        }
        Ok(Box::new(Regular { file, length: metadata.len() }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Artifact>> {
        if is_standard_stream(path) {
            return Ok(Box::new(InPlace(io::stdout())));
        }
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            // A device or a pipe cannot be replaced by a file.
            Ok(metadata) if !metadata.is_file() => {
                Ok(Box::new(InPlace(File::options().write(true).open(path)?)))
            }
            _ => Ok(Box::new(Partial { file: File::create(partial_path(path))?, path: path.to_owned() })),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let mut paths = Vec::new();
        for path in glob::glob(pattern).map_err(invalid)? {
            let path = path.map_err(std::io::Error::from)?;
            if !path.is_dir() {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }
}

fn is_standard_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A file that is all there.
struct Regular {
    file: File,
    length: u64,
}

impl Input for Regular {
    fn read(&mut self, buffer: &mut [u8], _: Instant) -> io::Result<Option<usize>> {
        read(&mut self.file, buffer)
    }

    fn bytes_total(&self) -> Option<u64> {
        Some(self.length)
    }

    fn waited(&self) -> Duration {
        Duration::ZERO
    }
}

/// A pipe, a terminal or a device: bytes come when they come.
struct Stream<R> {
    from: R,
    waited: Duration,
}

impl<R: Read + AsFd + Send> Input for Stream<R> {
    fn read(&mut self, buffer: &mut [u8], until: Instant) -> io::Result<Option<usize>> {
        let begin = Machine.now();
        let left = PollTimeout::try_from(until.saturating_duration_since(begin)).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)], left);
        self.waited += Machine.now() - begin;
        match ready {
            Ok(0) | Err(nix::Error::EINTR) => Ok(None),
            Ok(_) => read(&mut self.from, buffer),
            Err(error) => Err(error.into()),
        }
    }

    fn bytes_total(&self) -> Option<u64> {
        None
    }

    fn waited(&self) -> Duration {
        self.waited
    }
}

fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done.map(Some),
        }
    }
}

/// A stream or device that is written as it is.
struct InPlace<W>(W);

impl<W: Write> Write for InPlace<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write + Send> Artifact for InPlace<W> {
    fn prepare(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn commit(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file under its temporary name.
struct Partial {
    file: File,
    path: PathBuf,
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door to the disk")]
impl Artifact for Partial {
    fn prepare(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn commit(&mut self) -> io::Result<()> {
        std::fs::rename(partial_path(&self.path), &self.path)
    }
}
