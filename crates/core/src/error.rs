//! The one error that crosses the edge between stages and the runtime.

use crate::Code;

/// The result of everything that stage code and the runtime do.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the reader of an error can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The pipeline or the input is wrong: fix it.
    Invalid,
    /// Something outside failed (a disk, a pipe): retry later.
    Unavailable,
    /// A newer generation runs: stop.
    Fenced,
    /// A stage's own code failed.
    Stage,
    /// A defect of the runtime.
    Internal,
}

/// What failed, why, and what to do; the cause chain is kept.
///
/// The message is lowercase, without a full stop, and names things in backticks.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    code: Option<Code>,
    hint: Option<String>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says what failed and why.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, hint: None, source: None }
    }

    /// The pipeline or its input is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Something outside failed.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A stage's own code failed.
    pub fn stage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Stage, message)
    }

    /// A defect of the runtime.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds the code whose page `modrun explain` prints.
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds one line on what to do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Keeps the error that caused this one.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says in which stage it happened; code and hint stay in front.
    pub fn in_stage(mut self, stage: &str) -> Self {
        let (code, hint) = (self.code, self.hint.take());
        Self { code, hint, ..Self::new(self.kind, format!("stage `{stage}` failed")).with_source(self) }
    }

    /// What the reader can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The code whose page `modrun explain` prints, if the user can cause this error.
    pub fn code(&self) -> Option<Code> {
        self.code
    }

    /// One line on what to do.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}
