//! A TCP connection whose reads and writes are timed into the ledger.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::Connected;

use crate::{Activity, LEDGER};

/// A connection that neither delays small writes nor hides what they cost.
///
/// Only the calls are timed, not the wait for the socket to become ready: that is the runtime's sleep.
#[derive(Debug)]
pub struct MeteredSocket(TcpStream);

impl MeteredSocket {
    /// Takes over `stream`.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }
}

impl AsyncRead for MeteredSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        LEDGER.time(Activity::Read, || Pin::new(&mut self.0).poll_read(ctx, buffer))
    }
}

impl AsyncWrite for MeteredSocket {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        LEDGER.time(Activity::Write, || Pin::new(&mut self.0).poll_write(ctx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        LEDGER.time(Activity::Write, || Pin::new(&mut self.0).poll_write_vectored(ctx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(ctx)
    }
}

impl Connected for MeteredSocket {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}
