//! The doors to the world: time and disk. Production opens the real ones, a simulator its own.

mod memory;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use memory::{Memory, Operation};

/// Time as stages and the runtime see it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The monotonic time.
    fn now(&self) -> Instant;
    /// CPU time that the calling thread has used so far.
    fn thread_cpu(&self) -> Duration;
}

/// A file or stream open for reading.
pub trait Input: Send {
    /// Reads up to `buffer.len()` bytes, waiting until `until` at most.
    ///
    /// `Ok(None)`: nothing came in time. `Ok(Some(0))`: the end.
    fn read(&mut self, buffer: &mut [u8], until: Instant) -> io::Result<Option<usize>>;
    /// The length in bytes where it is known.
    fn bytes_total(&self) -> Option<u64>;
    /// How long reads have waited for bytes to come, in all; a disk that is slow counts as reading.
    fn waited(&self) -> Duration;
}

/// A file or stream open for writing, whose final name appears only when it is whole.
pub trait Artifact: io::Write + Send {
    /// Makes what was written so far durable under the temporary name.
    fn prepare(&mut self) -> io::Result<()>;
    /// Gives the file its final name.
    fn commit(&mut self) -> io::Result<()>;
}

/// Files, as stages and the runtime see them.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file for reading; `-` is standard input, a directory is an error.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Input>>;
    /// Creates `path` for writing, as `path` + `.partial` until it is committed; `-` is standard output.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Artifact>>;
    /// Removes a file; one that is not there is no error.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The files that match a shell pattern, sorted by name.
    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>>;
}

/// Everything outside that stages and the runtime may use.
#[derive(Clone, Debug)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub disk: Arc<dyn Disk>,
}

/// The temporary name of an output file until it is whole.
pub fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}
