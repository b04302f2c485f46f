//! The `file` source: files in blocks of whole lines.
//!
//! ```text
//!   file 1 ─┐                       ┌─ source  name of the file
//!   file 2 ─┼─▶ block of whole ──▶ raw batch ─ offset  of the block in it
//!   …      ─┘   lines, one row      ├─ line    number of its first line
//!                                   └─ text    the lines
//! ```
//!
//! Blocks never span files. A last line without a newline is a line. A line longer than the limit is handed over only
//! up to a point beyond the limit, where the next stage can see that it is too long; its end is skipped. A byte order
//! mark at the beginning of a file is skipped. Block buffers are recycled, so that memory does not grow with the input.
//!
//! Refuses: looking inside a line: that is the next stage's work.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow_array::{BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use modrun_core::env::{Env, Input};
use modrun_core::{
    Bound, Code, Columns, Concurrency, Description, Error, Kind, Open, OpenContext, Polled, Problem,
    Progress, Result, Role, Size, Source, raw_schema, read_config,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Offsets inside a block are 32 bits wide.
const BLOCK_BYTES_MAX: usize = 1 << 30;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads files in blocks of whole lines.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The file, a shell pattern such as `logs/*.ndjson`, `-` for standard input, or a list of these. Relative paths
    /// start in the working directory.
    #[schemars(extend("format" = "path"))]
    path: Paths,
    /// How much is read at once, such as `1MiB`; a block holds at least one line.
    #[serde(default = "default_block")]
    block: Size,
}

fn default_block() -> Size {
    Size(512 << 10)
}

/// One path or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Paths {
    One(String),
    Several(Vec<String>),
}

/// The kind `file` at the beginning of a pipeline.
pub(crate) struct FileSource;

impl Kind for FileSource {
    fn describe(&self) -> Description {
        Description::of::<Config>("file", Role::Source, "reads files in blocks of whole lines")
    }

    fn bind(&self, config: &Value, _: Option<&SchemaRef>, _: &Columns) -> Result<Bound, Vec<Problem>> {
        let config: Config = read_config(config)?;
        let paths = match config.path {
            Paths::One(path) => vec![path],
            Paths::Several(paths) => paths,
        };
        if paths.is_empty() || paths.iter().any(String::is_empty) {
            return Err(vec![Problem::new(Code::WRONG_VALUE, "`path` names no file").at("path")]);
        }
        let block_bytes = config.block.bytes().min(BLOCK_BYTES_MAX);
        Ok(Bound {
            output: Some(raw_schema()),
            uses: Columns::none(),
            concurrency: Concurrency::Ordered,
            open: Open::source(move |ctx| Reader::open(&paths, block_bytes, ctx)),
        })
    }
}

/// Reads one file after the other.
struct Reader {
    env: Env,
    /// The files to come; what is no regular file is open already.
    waiting: std::vec::IntoIter<(PathBuf, Option<Box<dyn Input>>)>,
    current: Option<Current>,
    block_bytes: usize,
    line_bytes_max: usize,
    pool: Arc<Pool>,
    progress: Progress,
}

/// The file that is being read.
struct Current {
    name: String,
    input: Box<dyn Input>,
    /// What has been read and not handed over: the beginning of a line.
    rest: Vec<u8>,
    /// Where `rest` begins.
    offset: u64,
    line: u64,
    /// Inside a line that was too long, behind the part of it that was handed over.
    skipping: bool,
}

impl Reader {
    fn open(patterns: &[String], block_bytes: usize, ctx: OpenContext) -> Result<Self> {
        let mut paths = Vec::new();
        for pattern in patterns {
            paths.extend(find(pattern, &ctx.env)?);
        }
        // Every file is opened once before anything runs, so that a missing one does not end a long run.
        let mut bytes_total = Some(0);
        let mut waiting = Vec::with_capacity(paths.len());
        for path in paths {
            let input = open(&path, &ctx.env)?;
            let bytes = input.bytes_total();
            bytes_total = bytes_total.zip(bytes).map(|(sum, bytes)| sum + bytes);
            // What is no regular file stays open: whoever writes into a pipe would take its closing for the end.
            waiting.push((path, Some(input).filter(|_| bytes.is_none())));
        }
        Ok(Self {
            env: ctx.env,
            waiting: waiting.into_iter(),
            current: None,
            block_bytes,
            line_bytes_max: Size(ctx.limits.line_bytes).bytes().min(BLOCK_BYTES_MAX),
            pool: Arc::new(Pool { block_bytes, free: Mutex::default() }),
            progress: Progress { bytes_total, ..Progress::default() },
        })
    }

    /// Reads one block of the current file; `Polled::End` is the end of the file.
    fn block(&mut self, current: &mut Current, until: Instant) -> Result<Polled> {
        let mut block = self.pool.take();
        let mut filled = current.rest.len();
        make_room(&mut block, filled);
        block[..filled].copy_from_slice(&current.rest);
        current.rest.clear();
        loop {
            let room = filled + self.block_bytes.saturating_sub(filled).max(1);
            make_room(&mut block, room);
            let waited = current.input.waited();
            let read = current.input.read(&mut block[filled..], until);
            self.progress.waited += current.input.waited() - waited;
            let read =
                read.map_err(|error| read_error(&current.name, current.offset + filled as u64, error))?;
            self.progress.bytes_read += read.unwrap_or(0) as u64;
            let start = current.skip(&block[filled..filled + read.unwrap_or(0)]);
            if start > 0 {
                block.copy_within(filled + start..filled + read.unwrap_or(0), filled);
            }
            filled += read.unwrap_or(0) - start;
            let ended = read == Some(0);
            let whole = match memchr::memrchr(b'\n', &block[..filled]) {
                _ if ended => filled,
                Some(newline) => newline + 1,
                None => 0,
            };
            if whole > 0 && (filled >= self.block_bytes || ended || read.is_none()) {
                current.rest.extend_from_slice(&block[whole..filled]);
                return current.hand_over(block, whole, &self.pool);
            }
            if ended {
                self.pool.give_back(block);
                return Ok(Polled::End);
            }
            if filled > self.line_bytes_max {
                current.skipping = true;
                return current.hand_over(block, filled, &self.pool);
            }
            if read.is_none() {
                current.rest.extend_from_slice(&block[..filled]);
                self.pool.give_back(block);
                return Ok(Polled::Idle);
            }
        }
    }
}

impl Source for Reader {
    fn poll(&mut self, until: Instant) -> Result<Polled> {
        loop {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.waiting.next() {
                    Some((path, Some(input))) => Current::new(&path, input),
                    Some((path, None)) => Current::new(&path, open(&path, &self.env)?),
                    None => return Ok(Polled::End),
                },
            };
            match self.block(&mut current, until)? {
                Polled::End => {}
                polled => {
                    self.current = Some(current);
                    return Ok(polled);
                }
            }
        }
    }

    fn progress(&self) -> Progress {
        self.progress
    }
}

impl Current {
    fn new(path: &Path, input: Box<dyn Input>) -> Self {
        let name = path.display().to_string();
        Self { name, input, rest: vec![], offset: 0, line: 1, skipping: false }
    }

    /// How many of the bytes just read belong to the rest of a line that was too long.
    fn skip(&mut self, read: &[u8]) -> usize {
        if !self.skipping {
            return 0;
        }
        let newline = memchr::memchr(b'\n', read);
        self.skipping = newline.is_none();
        let skipped = newline.map_or(read.len(), |at| at + 1);
        self.offset += skipped as u64;
        skipped
    }

    /// Hands over the first `whole` bytes of `block`: whole lines, or the beginning of one that is too long.
    fn hand_over(&mut self, block: Vec<u8>, whole: usize, pool: &Arc<Pool>) -> Result<Polled> {
        let mark =
            if self.offset == 0 && block.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let (offset, line) = (self.offset + mark as u64, self.line);
        self.offset += whole as u64;
        let text = &block[mark..whole];
        self.line += memchr::memchr_iter(b'\n', text).count() as u64 + !text.ends_with(b"\n") as u64;

        let lent = Lent { block, text: mark..whole, pool: pool.clone() };
        let offsets = OffsetBuffer::<i32>::from_lengths([whole - mark]);
        let text = BinaryArray::try_new(offsets, Buffer::from(Bytes::from_owner(lent)), None);
        let batch = text.and_then(|text| {
            RecordBatch::try_new(
                raw_schema(),
                vec![
                    Arc::new(StringArray::from_iter_values([&self.name])),
                    Arc::new(Int64Array::from_iter_values([offset as i64])),
                    Arc::new(Int64Array::from_iter_values([line as i64])),
                    Arc::new(text),
                ],
            )
        });
        batch
            .map(Polled::Batch)
            .map_err(|error| Error::internal("a block does not form a batch").with_source(error))
    }
}

/// Buffers that were read into before; they keep their length, so that none is cleared twice.
struct Pool {
    block_bytes: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    fn take(&self) -> Vec<u8> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps a buffer for the next block, unless a long line has blown it up.
    fn give_back(&self, block: Vec<u8>) {
        if block.len() <= 2 * self.block_bytes {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(block);
        }
    }
}

/// A block that goes back to its pool when the last batch that shows it is gone.
struct Lent {
    block: Vec<u8>,
    text: Range<usize>,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.block[self.text.clone()]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.block));
    }
}

/// Makes a buffer at least `length` long; one that has to grow doubles, as the end of a long line is not in sight.
fn make_room(block: &mut Vec<u8>, length: usize) {
    if block.len() < length {
        block.resize(length.max(2 * block.len()), 0);
    }
}

/// The files that a configured path names.
fn find(pattern: &str, env: &Env) -> Result<Vec<PathBuf>> {
    if !pattern.contains(['*', '?', '[']) {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let found = env.disk.glob(pattern).map_err(|error| {
        Error::invalid(format!("`{pattern}` is no pattern that files can match"))
            .with_code(Code::INPUT)
            .with_source(error)
    })?;
    if found.is_empty() {
        let error = Error::invalid(format!("no file matches `{pattern}`")).with_code(Code::INPUT);
        return Err(error.with_hint("relative patterns start in the working directory"));
    }
    Ok(found)
}

fn open(path: &Path, env: &Env) -> Result<Box<dyn Input>> {
    env.disk.open(path).map_err(|error| {
        let name = path.display();
        let hint = match error.kind() {
            ErrorKind::NotFound => format!("make it with `modrun gen --output {name}`, or name another one"),
            ErrorKind::IsADirectory => format!("name its files with a pattern such as `{name}/*.ndjson`"),
            _ => "check that the file can be read by this user".to_owned(),
        };
        Error::invalid(format!("cannot open input `{name}`"))
            .with_code(Code::INPUT)
            .with_hint(hint)
            .with_source(error)
    })
}

fn read_error(name: &str, offset: u64, error: std::io::Error) -> Error {
    Error::unavailable(format!("cannot read input `{name}` at byte {offset}"))
        .with_code(Code::INPUT)
        .with_source(error)
}

#[cfg(test)]
mod tests;
