//! Why one end of a socket cannot go on.

use std::sync::Arc;

use crate::Closed;

/// Why one end of a socket cannot go on; every thread that waits on it gets the same.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// This side has closed it.
    #[error(transparent)]
    Closed(Closed),
    /// The other end has gone without a word.
    #[error("the other end has gone")]
    Ended,
    /// The socket failed.
    #[error("the socket failed")]
    Socket(#[source] Arc<std::io::Error>),
    /// The other end broke the protocol.
    #[error("{0}")]
    Garbage(String),
}

impl Failure {
    pub(crate) fn garbage(what: impl Into<String>) -> Self {
        Failure::Garbage(what.into())
    }

    /// What the frames tell: a connection that breaks off is an end like any other.
    pub(crate) fn of_frames(error: modrun_wire::Error) -> Self {
        match error {
            modrun_wire::Error::Truncated => Failure::Ended,
            modrun_wire::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                Failure::Ended
            }
            error => Failure::Garbage(error.to_string()),
        }
    }
}
