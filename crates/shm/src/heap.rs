//! How the C library's allocator treats freed memory.
//!
//! Columns of a batch are hundreds of kilobytes, allocated in one thread and freed in another, thousands of times in a
//! second. By default such memory goes back to the kernel when it is freed, and comes again page by page, each one
//! cleared at its first use.

/// Largest block that comes from the heap, the most that the allocator takes (`M_MMAP_THRESHOLD` in mallopt(3)).
#[cfg(target_env = "gnu")]
const FROM_HEAP_BYTES_MAX: i32 = 32 << 20;
/// How much free memory at a heap's end is kept.
#[cfg(target_env = "gnu")]
const KEPT_BYTES_MAX: i32 = 64 << 20;

/// Has freed memory kept for what is allocated next. To be called once, when the process begins.
///
/// Where the C library is not GNU's, nothing changes.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    for (option, value) in
        [(libc::M_MMAP_THRESHOLD, FROM_HEAP_BYTES_MAX), (libc::M_TRIM_THRESHOLD, KEPT_BYTES_MAX)]
    {
        // SAFETY: the function takes two numbers and changes nothing but when memory is given back.
        #[expect(unsafe_code, reason = "a function of the C library")]
        let taken = unsafe { libc::mallopt(option, value) };
        debug_assert_eq!(taken, 1, "the allocator takes both options");
    }
}
