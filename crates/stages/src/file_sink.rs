//! The `file` sink: rows as newline-delimited JSON.
//!
//! ```text
//!   batch ──encode──▶ lines ──▶ FILE.partial ──commit──▶ FILE
//!                       └─────▶ Written (rows, digest)
//! ```
//!
//! Guarantees: the file appears under its own name only when it is whole; what is recorded as written is what was
//! written, byte for byte. An error names the file and says what to do about it.
//!
//! Refuses: appending to a file that is there.
//!
//! Neighbours: [`modrun_core::value::ndjson`] makes the lines, the environment's disk the file.

use std::io;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use modrun_core::env::{Artifact, Env};
use modrun_core::{
    Bound, Code, Columns, Concurrency, Description, Error, Kind, Open, Problem, Result, Role, Sink, Written,
    read_config,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use modrun_core::value::ndjson;

/// Writes one JSON object a line.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The file, or `-` for standard output. A relative path starts in the working directory; a file that is there is
    /// replaced once the new one is whole.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
}

/// The kind `file` at the end of a pipeline.
pub(crate) struct FileSink;

impl Kind for FileSink {
    fn describe(&self) -> Description {
        Description::of::<Config>("file", Role::Sink, "writes one JSON object a line")
    }

    fn bind(&self, config: &Value, _: Option<&SchemaRef>, _: &Columns) -> Result<Bound, Vec<Problem>> {
        let Config { path } = read_config(config)?;
        if path.as_os_str().is_empty() {
            return Err(vec![Problem::new(Code::WRONG_VALUE, "`path` names no file").at("path")]);
        }
        Ok(Bound {
            output: None,
            uses: Columns::All,
            concurrency: Concurrency::Ordered,
            open: Open::sink(move |ctx| Writer::open(&ctx.env, path.clone())),
        })
    }
}

/// Writes one file.
struct Writer {
    path: PathBuf,
    file: Box<dyn Artifact>,
    /// The lines of one batch; kept for its capacity.
    lines: Vec<u8>,
}

impl Writer {
    fn open(env: &Env, path: PathBuf) -> Result<Self> {
        let file = env.disk.create(&path).map_err(|error| failed("create", &path, error))?;
        Ok(Self { path, file, lines: Vec::new() })
    }
}

impl Sink for Writer {
    fn write(&mut self, batch: RecordBatch, written: &mut Written) -> Result<()> {
        self.lines.clear();
        ndjson::write_rows(&batch, &mut self.lines)?;
        self.file.write_all(&self.lines).map_err(|error| failed("write", &self.path, error))?;
        written.record(batch.num_rows() as u64, &self.lines);
        Ok(())
    }

    fn prepare(&mut self) -> Result<()> {
        self.file.prepare().map_err(|error| failed("write", &self.path, error))
    }

    fn commit(&mut self) -> Result<()> {
        self.file.commit().map_err(|error| failed("finish", &self.path, error))
    }
}

/// What could not be done to `path`, and what to do about it.
fn failed(action: &str, path: &Path, error: io::Error) -> Error {
    let name = match path.to_str() {
        Some("-") => "standard output".to_owned(),
        _ => format!("`{}`", path.display()),
    };
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on the disk, or write elsewhere"
        }
        io::ErrorKind::BrokenPipe => "the program that reads the output has ended; let it read to the end",
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            "make its folder first, or name another one"
        }
        io::ErrorKind::PermissionDenied => "ask for write permission on its folder, or write elsewhere",
        io::ErrorKind::IsADirectory => "name a file in that folder",
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only; write elsewhere",
        _ => "check the disk and the path",
    };
    Error::unavailable(format!("cannot {action} {name}"))
        .with_code(Code::OUTPUT)
        .with_hint(hint)
        .with_source(error)
}

#[cfg(test)]
mod tests;
