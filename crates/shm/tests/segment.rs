//! Segments: what each side can and cannot do with them.

use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::ptr;

use arrow_buffer::MutableBuffer;
use modrun_core::ErrorKind;
use modrun_shm::{ALIGNMENT, Readable, Writable, inherited, pair};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::{Errno, FdFlags, fcntl_setfd, pwrite};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap};

const BYTES: u64 = 8192;

fn memfd(bytes: u64, seals: SealFlags) -> OwnedFd {
    let descriptor = memfd_create(c"test", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).expect("memfd");
    ftruncate(&descriptor, bytes).expect("its size");
    fcntl_add_seals(&descriptor, seals).expect("its seals");
    descriptor
}

/// Maps a descriptor, asks for more rights if any, and unmaps it.
fn map(descriptor: impl AsFd, protection: ProtFlags, then: Option<MprotectFlags>) -> rustix::io::Result<()> {
    let bytes = BYTES as usize;
    // SAFETY: nobody uses the address.
    #[expect(unsafe_code, reason = "mapping is what is tested")]
    unsafe {
        let address = mmap(ptr::null_mut(), bytes, protection, MapFlags::SHARED, descriptor, 0)?;
        let then = then.map_or(Ok(()), |then| mprotect(address, bytes, then));
        munmap(address, bytes)?;
        then
    }
}

#[test]
fn slots_arrive_at_the_reader() {
    let (writable, descriptor) = Writable::create(BYTES).unwrap();
    let readable = Readable::attach(descriptor, BYTES).unwrap();
    assert_eq!((writable.bytes(), readable.bytes()), (BYTES, BYTES));
    let mut slots = [writable.take(100).unwrap(), writable.take(0).unwrap(), writable.take(1000).unwrap()];
    assert_eq!(slots.each_ref().map(|slot| (slot.offset(), slot.len())), [(0, 100), (128, 0), (192, 1000)]);
    std::thread::scope(|scope| {
        for (slot, byte) in slots.iter_mut().zip(1..) {
            scope.spawn(move || slot.fill(byte));
        }
    });
    for (slot, byte) in slots.iter().zip(1u8..) {
        let expected = vec![byte; slot.len()];
        let mut copied = vec![0; slot.len()];
        readable.copy(slot.offset(), &mut copied).unwrap();
        let mut appended = MutableBuffer::new(0);
        appended.push(7u8);
        readable.append(slot.offset(), slot.len(), &mut appended).unwrap();
        assert_eq!((&**slot, &*copied, &appended[1..]), (&*expected, &*expected, &*expected));
    }
}

#[test]
fn a_slot_is_free_again_when_it_is_dropped() {
    let (writable, _descriptor) = Writable::create(BYTES).unwrap();
    let all = writable.take(BYTES as usize).unwrap();
    assert!(writable.take(1).is_none());
    drop(all);
    let first = writable.take(ALIGNMENT + 1).unwrap();
    let second = writable.take(1).unwrap();
    assert_eq!(second.offset(), 2 * ALIGNMENT as u64);
    drop(first);
    assert_eq!(writable.take(1).unwrap().offset(), 0);
    // The memory stays as long as a slot does.
    drop(writable);
    assert_eq!(&*second, [0]);
}

#[test]
fn copies_beyond_the_segment_are_errors() {
    let (readable, _descriptor) = Readable::create(BYTES).unwrap();
    let cases = [
        (0, BYTES as usize, true),
        (BYTES, 0, true),
        (BYTES - 1, 1, true),
        (0, BYTES as usize + 1, false),
        (BYTES, 1, false),
        (BYTES + 1, 0, false),
        (u64::MAX, 0, false),
        (u64::MAX, 1, false),
        (u64::MAX - 63, 64, false),
    ];
    for (offset, length, inside) in cases {
        let copied = readable.copy(offset, &mut vec![0; length]);
        let mut buffer = MutableBuffer::new(0);
        let appended = readable.append(offset, length, &mut buffer);
        assert_eq!((copied.is_ok(), appended.is_ok()), (inside, inside), "{length} bytes at {offset}");
        assert_eq!(buffer.len(), if inside { length } else { 0 });
        if let Err(error) = copied {
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert!(error.to_string().ends_with("of a segment: it has 8192 bytes"), "{error}");
        }
    }
}

#[test]
fn seals_keep_size_and_content() {
    let (_writable, input) = Writable::create(BYTES).unwrap();
    let (_readable, output) = Readable::create(BYTES).unwrap();
    for descriptor in [&input, &output] {
        assert_eq!(ftruncate(descriptor, BYTES - 1), Err(Errno::PERM));
        assert_eq!(ftruncate(descriptor, BYTES + 1), Err(Errno::PERM));
        assert_eq!(fcntl_add_seals(descriptor, SealFlags::WRITE), Err(Errno::PERM));
        assert_eq!(map(descriptor, ProtFlags::READ, None), Ok(()));
    }
    assert_eq!(map(&input, ProtFlags::READ | ProtFlags::WRITE, None), Err(Errno::PERM));
    assert_eq!(map(&input, ProtFlags::READ, Some(MprotectFlags::WRITE)), Err(Errno::ACCESS));
    assert_eq!(pwrite(&input, b"x", 0), Err(Errno::PERM));
    assert_eq!(map(&output, ProtFlags::READ | ProtFlags::WRITE, None), Ok(()));
    assert_eq!(pwrite(&output, b"x", 0), Ok(1));
    assert!(Writable::attach(input, BYTES).is_err());
    assert!(Writable::attach(output, BYTES).is_ok());
}

#[test]
fn descriptors_that_are_not_safe_to_map_are_refused() {
    let file = || OwnedFd::from(tempfile());
    let cases: [(OwnedFd, u64, &str); 7] = [
        (memfd(BYTES, SealFlags::empty()), BYTES, "it is not sealed against shrinking"),
        (memfd(BYTES, SealFlags::GROW), BYTES, "it is not sealed against shrinking"),
        (memfd(BYTES, SealFlags::SHRINK), BYTES + 1, "it has 8192 bytes instead of 8193"),
        (memfd(BYTES, SealFlags::SHRINK), 0, "it has 8192 bytes instead of 0"),
        (memfd(BYTES, SealFlags::SHRINK), u64::MAX, "it has 8192 bytes instead of 18446744073709551615"),
        (file(), 0, "it is not a shared segment"),
        (pair().unwrap().1, 0, "it is not a shared segment"),
    ];
    for (descriptor, bytes, why) in cases {
        let copy = descriptor.try_clone().unwrap();
        for error in
            [Readable::attach(descriptor, bytes).unwrap_err(), Writable::attach(copy, bytes).unwrap_err()]
        {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().ends_with(why), "{error}");
        }
    }
}

/// An open file on a disk.
fn tempfile() -> std::fs::File {
    let path = std::env::current_exe().expect("the path of this test");
    std::fs::OpenOptions::new().read(true).open(path).expect("this test can be read")
}

#[test]
fn a_segment_without_bytes_has_no_slots() {
    let (writable, descriptor) = Writable::create(0).unwrap();
    let readable = Readable::attach(descriptor, 0).unwrap();
    assert!(writable.take(0).is_none());
    assert!(readable.copy(0, &mut []).is_ok() && readable.copy(0, &mut [0]).is_err());
    let (_readable, descriptor) = Readable::create(0).unwrap();
    assert_eq!(Writable::attach(descriptor, 0).unwrap().bytes(), 0);
}

#[test]
fn only_inherited_descriptors_are_taken_over() {
    let expect = |number, why: &str| {
        let error = inherited(number).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().ends_with(why), "{error}");
    };
    let own = memfd(BYTES, SealFlags::SHRINK).into_raw_fd();
    expect(-1, "a number from 3 on is expected");
    expect(2, "a number from 3 on is expected");
    expect(1_000_000, "it is not open");
    expect(own, "it was not inherited, or is in use already");

    let inheritable = memfd(BYTES, SealFlags::SHRINK);
    fcntl_setfd(&inheritable, FdFlags::empty()).unwrap();
    let number = inheritable.into_raw_fd();
    let taken = inherited(number).unwrap();
    expect(number, "it was not inherited, or is in use already");
    assert_eq!(Readable::attach(taken, BYTES).unwrap().bytes(), BYTES);
}
