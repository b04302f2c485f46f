//! A world in memory, for tests: files that fail on request, pipes that stall, a clock that moves only when told.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Artifact, Clock, Disk, Env, Input, partial_path};

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Opening a file for reading.
    Open,
    /// Reading from an open file.
    Read,
    /// Creating a file.
    Create,
    /// Writing to a file.
    Write,
    /// Making a file durable.
    Prepare,
    /// Giving a file its final name.
    Commit,
    /// Removing a file.
    Remove,
}

/// A world in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    world: Arc<Mutex<World>>,
}

#[derive(Debug)]
struct World {
    now: Instant,
    thread_cpu: Duration,
    files: BTreeMap<PathBuf, Vec<u8>>,
    pipes: BTreeMap<PathBuf, Vec<Option<Vec<u8>>>>,
    faults: BTreeMap<Operation, ErrorKind>,
}

impl Default for Memory {
    /// An empty world. Its clock starts at the moment it is made: an [`Instant`] cannot be made up.
    #[expect(clippy::disallowed_methods, reason = "there is no other way to an `Instant`")]
    fn default() -> Self {
        let world = World {
            now: Instant::now(),
            thread_cpu: Duration::ZERO,
            files: BTreeMap::new(),
            pipes: BTreeMap::new(),
            faults: BTreeMap::new(),
        };
        Self { world: Arc::new(Mutex::new(world)) }
    }
}

impl Memory {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meet(&self, operation: Operation) -> io::Result<()> {
        self.world().faults.get(&operation).map_or(Ok(()), |&kind| Err(kind.into()))
    }

    /// The doors to this world.
    pub fn env(&self) -> Env {
        Env { clock: Arc::new(self.clone()), disk: Arc::new(self.clone()) }
    }

    /// Lets time pass, and CPU time of every thread with it.
    pub fn pass(&self, wall: Duration, cpu: Duration) {
        let mut world = self.world();
        world.now += wall;
        world.thread_cpu += cpu;
    }

    /// Puts a file there.
    pub fn put(&self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.world().files.insert(path.into(), bytes.into());
    }

    /// Puts a pipe there, whose readers get one piece after the other; at `None` nothing comes in time, which
    /// passes.
    pub fn put_pipe(&self, path: impl Into<PathBuf>, pieces: Vec<Option<Vec<u8>>>) {
        self.world().pipes.insert(path.into(), pieces);
    }

    /// The content of a file, if it is there.
    pub fn file(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.world().files.get(path.as_ref()).cloned()
    }

    /// All files by name, with their content.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.world().files.iter().map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
    }

    /// From now on, `operation` fails.
    pub fn fail(&self, operation: Operation, kind: ErrorKind) {
        self.world().faults.insert(operation, kind);
    }
}

impl Clock for Memory {
    fn now(&self) -> Instant {
        self.world().now
    }

    fn thread_cpu(&self) -> Duration {
        self.world().thread_cpu
    }
}

impl Disk for Memory {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Input>> {
        self.meet(Operation::Open)?;
        let world = self.world();
        let (pieces, bytes_total) = match (world.pipes.get(path), world.files.get(path)) {
            (Some(pieces), _) => (pieces.clone(), None),
            (None, Some(bytes)) => (vec![Some(bytes.clone())], Some(bytes.len() as u64)),
            (None, None) => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Box::new(Reader {
            memory: self.clone(),
            pieces: pieces.into_iter(),
            rest: Vec::new(),
            bytes_total,
            waited: Duration::ZERO,
        }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Artifact>> {
        self.meet(Operation::Create)?;
        self.world().files.insert(partial_path(path), Vec::new());
        Ok(Box::new(Writer { memory: self.clone(), path: path.to_owned() }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.meet(Operation::Remove)?;
        self.world().files.remove(path);
        Ok(())
    }

    /// Knows `*` alone.
    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let matches = |path: &&PathBuf| path.to_str().is_some_and(|name| matches(pattern, name));
        Ok(self.world().files.keys().filter(matches).cloned().collect())
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| matches(after, &rest[at..]))
}

struct Reader {
    memory: Memory,
    pieces: std::vec::IntoIter<Option<Vec<u8>>>,
    rest: Vec<u8>,
    bytes_total: Option<u64>,
    waited: Duration,
}

impl Input for Reader {
    fn read(&mut self, buffer: &mut [u8], until: Instant) -> io::Result<Option<usize>> {
        self.memory.meet(Operation::Read)?;
        if self.rest.is_empty() {
            match self.pieces.next() {
                Some(Some(piece)) => self.rest = piece,
                Some(None) => {
                    let wait = until.saturating_duration_since(self.memory.now());
                    self.memory.pass(wait, Duration::ZERO);
                    self.waited += wait;
                    return Ok(None);
                }
                None => return Ok(Some(0)),
            }
        }
        let read = self.rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&self.rest[..read]);
        self.rest.drain(..read);
        Ok(Some(read))
    }

    fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }

    fn waited(&self) -> Duration {
        self.waited
    }
}

struct Writer {
    memory: Memory,
    path: PathBuf,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.memory.meet(Operation::Write)?;
        self.memory.world().files.entry(partial_path(&self.path)).or_default().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Artifact for Writer {
    fn prepare(&mut self) -> io::Result<()> {
        self.memory.meet(Operation::Prepare)
    }

    fn commit(&mut self) -> io::Result<()> {
        self.memory.meet(Operation::Commit)?;
        let mut world = self.memory.world();
        let bytes = world.files.remove(&partial_path(&self.path)).ok_or(ErrorKind::NotFound)?;
        world.files.insert(self.path.clone(), bytes);
        Ok(())
    }
}
