//! The socket pair, and descriptors that a process was started with.
//!
//! What it is: [`pair`] is the runtime's call, [`inherited`] the stage's.
//!
//! Guarantees: both ends of a pair are blocking and close on exec, so that no process gets one by accident. An
//! inherited descriptor is taken over once.
//!
//! Refuses: descriptors that this process has opened by itself.
//!
//! Neighbours: `spawn` gives one end its number in the stage.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use modrun_core::{Error, Result};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::sockopt::set_socket_send_buffer_size;

/// Bytes that a socket is asked to hold, enough for a burst of inline payloads; the kernel caps it at `wmem_max`.
const SEND_BUFFER_BYTES: usize = 1 << 20;

/// A connected pair of blocking stream sockets: the runtime's end, and the one to hand to the stage.
///
/// # Errors
/// Unavailable, if there are no descriptors left.
pub fn pair() -> Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()
        .map_err(|error| Error::unavailable("cannot create a socket pair").with_source(error))?;
    for end in [ours.as_fd(), theirs.as_fd()] {
        // A smaller buffer costs speed, not correctness.
        let _ = set_socket_send_buffer_size(end, SEND_BUFFER_BYTES);
    }
    Ok((ours, theirs.into()))
}

/// Takes over the descriptor `number` that this process was started with, and has it close on exec from now on.
///
/// What this process opens by itself closes on exec already; that tells it from what was inherited.
///
/// # Errors
/// Invalid, if the descriptor is a standard stream, is not open, was not inherited or has been taken before.
pub fn inherited(number: RawFd) -> Result<OwnedFd> {
    static TAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let invalid = |why: &str| Error::invalid(format!("cannot use the descriptor `{number}`: {why}"));
    if number < 3 {
        return Err(invalid("a number from 3 on is expected"));
    }
    // SAFETY: `number` is not -1; the borrow ends in this function, which only asks for the flags and sets them, and
    // the kernel refuses both for a number that is not open.
    #[expect(unsafe_code, reason = "a bare number is all that a stage is told")]
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed).map_err(|error| invalid("it is not open").with_source(error))?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(invalid("it was not inherited, or is in use already"));
    }
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)
        .map_err(|error| invalid("its flags cannot be set").with_source(error))?;
    // SAFETY: it is open and had no owner: Rust's own descriptors close on exec, and so does one that was taken here,
    // which the lock makes certain for two callers at once.
    #[expect(unsafe_code, reason = "this is where an inherited descriptor gets its owner")]
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(owned)
}
