//! Shared segments: the writer's side and the reader's side.
//!
//! What it is: a [`Writable`] hands out slots to write into, a [`Readable`] copies out of the other side's slots. The
//! runtime creates both, the stage attaches itself to both.
//!
//! | segment | runtime | stage | seals |
//! |---|---|---|---|
//! | input | [`Writable::create`] | [`Readable::attach`] | size, and no writing but by the mapping of its creator |
//! | output | [`Readable::create`] | [`Writable::attach`] | size |
//!
//! Guarantees: a mapping is as long as the segment, whose size is sealed before anyone else sees it. A [`Slot`] is the
//! only way to its bytes while it lives, so that threads fill several at once. A reader copies within bounds; what it
//! gets is whatever is there at that moment, and is not borrowed.
//!
//! Refuses: descriptors that are no memfds, are not sealed against shrinking or have another size than expected.
//!
//! Neighbours: `slots` finds the room; `spawn` carries the descriptors.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_buffer::MutableBuffer;
use modrun_core::{Error, Result};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::slots::Slots;

/// Whoever maps a segment relies on these: a page that is gone kills its reader.
const SIZE_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// A segment that this process writes and the other one reads.
#[derive(Debug)]
pub struct Writable {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mapping: Mapping,
    slots: Mutex<Slots>,
}

impl Writable {
    /// Creates the input segment of a stage: `bytes` long, writable through the returned value only.
    ///
    /// The descriptor is for the stage, which can map it to read. A segment of 0 bytes has no slots.
    ///
    /// # Errors
    /// Unavailable, if there is no memory or no descriptor left.
    pub fn create(bytes: u64) -> Result<(Self, OwnedFd)> {
        let (mapping, descriptor) =
            create(bytes, ProtFlags::READ | ProtFlags::WRITE, SIZE_SEALS | SealFlags::FUTURE_WRITE)?;
        Ok((Self::new(mapping), descriptor))
    }

    /// Maps the output segment that a stage has inherited.
    ///
    /// # Errors
    /// Invalid, if the descriptor is no memfd of `bytes` bytes that is sealed against shrinking, or not writable.
    pub fn attach(descriptor: OwnedFd, bytes: u64) -> Result<Self> {
        Ok(Self::new(attach(&descriptor, bytes, ProtFlags::READ | ProtFlags::WRITE)?))
    }

    fn new(mapping: Mapping) -> Self {
        let slots = Mutex::new(Slots::new(mapping.length));
        Self { shared: Arc::new(Shared { mapping, slots }) }
    }

    /// The size of the segment.
    pub fn bytes(&self) -> u64 {
        self.shared.mapping.length as u64
    }

    /// A slot of `length` bytes at the lowest address with room for it, or none if all such room is in use.
    ///
    /// The bytes are what the slot's former users left there. Never waits.
    pub fn take(&self, length: usize) -> Option<Slot> {
        let offset = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner).take(length)?;
        Some(Slot { shared: self.shared.clone(), offset, length })
    }
}

/// Bytes of a [`Writable`] segment that belong to whoever holds this, until it is dropped.
///
/// Fill it, send its offset and length, keep it until the credit for them comes, then drop it: the room is free again.
/// It may be dropped in any thread, and outlive the [`Writable`].
pub struct Slot {
    shared: Arc<Shared>,
    offset: usize,
    length: usize,
}

impl Slot {
    /// Where the slot begins in the segment, a multiple of [`ALIGNMENT`](crate::ALIGNMENT).
    pub fn offset(&self) -> u64 {
        self.offset as u64
    }
}

impl Deref for Slot {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as for `deref_mut`; `&self` lets nobody in this process write.
        #[expect(unsafe_code, reason = "the bytes of a mapping have no other address")]
        unsafe {
            slice::from_raw_parts(self.shared.mapping.start.as_ptr().add(self.offset), self.length)
        }
    }
}

impl DerefMut for Slot {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the allocator gave out offset and length, so that they lie inside the mapping, which `shared` keeps,
        // and overlap no other living slot; there is no other way to write here from this process. From other ones, the
        // seal on writing keeps the input segment; of the output segment, the runtime has a read-only mapping. A memfd
        // begins as zeros, and any byte is a valid `u8`.
        #[expect(unsafe_code, reason = "the bytes of a mapping have no other address")]
        unsafe {
            slice::from_raw_parts_mut(self.shared.mapping.start.as_ptr().add(self.offset), self.length)
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let freed = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner).free(self.offset);
        debug_assert!(freed, "a slot is taken as long as it lives");
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("offset", &self.offset).field("length", &self.length).finish()
    }
}

/// A segment that the other process writes and this one copies from.
#[derive(Debug)]
pub struct Readable {
    mapping: Mapping,
}

impl Readable {
    /// Creates the output segment of a stage: `bytes` long, mapped for reading.
    ///
    /// The descriptor is for the stage, which can map it to write.
    ///
    /// # Errors
    /// Unavailable, if there is no memory or no descriptor left.
    pub fn create(bytes: u64) -> Result<(Self, OwnedFd)> {
        let (mapping, descriptor) = create(bytes, ProtFlags::READ, SIZE_SEALS)?;
        Ok((Self { mapping }, descriptor))
    }

    /// Maps the input segment that a stage has inherited.
    ///
    /// # Errors
    /// Invalid, if the descriptor is no memfd of `bytes` bytes that is sealed against shrinking.
    pub fn attach(descriptor: OwnedFd, bytes: u64) -> Result<Self> {
        Ok(Self { mapping: attach(&descriptor, bytes, ProtFlags::READ)? })
    }

    /// The size of the segment.
    pub fn bytes(&self) -> u64 {
        self.mapping.length as u64
    }

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// Internal, if they do not lie inside the segment: the other side broke the protocol.
    pub fn copy(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let from = self.mapping.range(offset, into.len())?;
        // SAFETY: `range` has checked that so many bytes lie inside the mapping, which `self` keeps; `into` is private
        // memory, so that the two do not overlap. The other process may write meanwhile: then the bytes are a mixture,
        // which is as valid as any, because no reference is made to the source.
        #[expect(unsafe_code, reason = "memory that another process writes can only be copied by address")]
        unsafe {
            ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len());
        }
        Ok(())
    }

    /// Appends `length` bytes from `offset` on to `to`, without writing its new bytes twice.
    ///
    /// # Errors
    /// As [`copy`](Self::copy); `to` is as before then.
    pub fn append(&self, offset: u64, length: usize, to: &mut MutableBuffer) -> Result<()> {
        let from = self.mapping.range(offset, length)?;
        to.reserve(length);
        let before = to.len();
        // SAFETY: as for `copy`; `reserve` made room for `length` bytes behind those in use, and they are all written
        // before the buffer says that it has them.
        #[expect(unsafe_code, reason = "memory that another process writes can only be copied by address")]
        unsafe {
            ptr::copy_nonoverlapping(from, to.as_mut_ptr().add(before), length);
            to.set_len(before + length);
        }
        Ok(())
    }
}

/// A shared mapping of a whole segment, until it is dropped.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread. Its bytes are reached through `Slot`, which owns its
// range, and `Readable`, which copies from what this process does not write.
#[expect(unsafe_code, reason = "an address is of use in every thread")]
unsafe impl Send for Mapping {}

// SAFETY: as for `Send`; nothing in the mapping itself changes.
#[expect(unsafe_code, reason = "an address is of use in every thread")]
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(descriptor: impl AsFd, length: usize, protection: ProtFlags) -> rustix::io::Result<Self> {
        if length == 0 {
            return Ok(Self { start: NonNull::dangling(), length });
        }
        // SAFETY: the kernel chooses an address where nothing else is.
        #[expect(unsafe_code, reason = "mapping is unsafe because of what may be done with the address")]
        let start = unsafe {
            rustix::mm::mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, descriptor, 0)
        }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { start, length })
    }

    /// The address of `offset`, if so many bytes lie behind it.
    fn range(&self, offset: u64, length: usize) -> Result<*const u8> {
        let inside = usize::try_from(offset)
            .ok()
            .filter(|offset| offset.checked_add(length).is_some_and(|end| end <= self.length));
        let Some(offset) = inside else {
            return Err(Error::internal(format!(
                "cannot read {length} bytes at offset {offset} of a segment: it has {} bytes",
                self.length
            )));
        };
        Ok(self.start.as_ptr().wrapping_add(offset))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length == 0 {
            return;
        }
        // SAFETY: this is what `new` mapped, and whoever had an address in it had borrowed or shared this value.
        #[expect(unsafe_code, reason = "unmapping is unsafe because of addresses that are left")]
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "a mapping can be unmapped once: {unmapped:?}");
    }
}

/// A nameless segment that is mapped first and sealed then: the seal on writing spares mappings that exist already.
fn create(bytes: u64, protection: ProtFlags, seals: SealFlags) -> Result<(Mapping, OwnedFd)> {
    let create = || {
        let length = usize::try_from(bytes).map_err(|_| Errno::NOMEM)?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = match rustix::fs::memfd_create(c"modrun", flags | MemfdFlags::NOEXEC_SEAL) {
            // Kernels before 6.3 do not know the flag.
            Err(Errno::INVAL) => rustix::fs::memfd_create(c"modrun", flags),
            created => created,
        }?;
        rustix::fs::ftruncate(&descriptor, bytes)?;
        let mapping = Mapping::new(&descriptor, length, protection)?;
        rustix::fs::fcntl_add_seals(&descriptor, seals)?;
        Ok((mapping, descriptor))
    };
    create().map_err(|error: Errno| {
        Error::unavailable(format!("cannot create a shared segment of {bytes} bytes")).with_source(error)
    })
}

/// Maps a segment that another process has created, once nothing can take its pages away.
fn attach(descriptor: &OwnedFd, bytes: u64, protection: ProtFlags) -> Result<Mapping> {
    let number = descriptor.as_raw_fd();
    let invalid = |why: String| Error::invalid(format!("cannot map the descriptor `{number}`: {why}"));
    let seals = rustix::fs::fcntl_get_seals(descriptor)
        .map_err(|error| invalid("it is not a shared segment".to_owned()).with_source(error))?;
    if !seals.contains(SealFlags::SHRINK) {
        return Err(invalid("it is not sealed against shrinking".to_owned()));
    }
    let size = rustix::fs::fstat(descriptor)
        .map_err(|error| invalid("its size is not known".to_owned()).with_source(error))?
        .st_size;
    let length = usize::try_from(bytes).ok().filter(|_| u64::try_from(size) == Ok(bytes));
    let Some(length) = length else {
        return Err(invalid(format!("it has {size} bytes instead of {bytes}")));
    };
    Mapping::new(descriptor, length, protection)
        .map_err(|error| invalid("the kernel refuses".to_owned()).with_source(error))
}
