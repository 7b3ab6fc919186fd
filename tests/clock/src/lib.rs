//! A wall clock that a test can set for one process. When it is preloaded, it replaces the C library's `clock_gettime`.
//! The file that `PARLOR_CLOCK` names holds the offset in seconds, as eight bytes in native order.
//!
//! Clocks that cannot be set are left alone.
#![expect(unsafe_code, reason = "it takes the place of a function of the C library")]

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// The file has not been opened yet.
const UNKNOWN: c_int = -2;

static FILE: AtomicI32 = AtomicI32::new(UNKNOWN);

/// Replaces the C library's function of this name for the wall clock only.
///
/// # Safety
///
/// The caller must pass a pointer to where a time can be written, as for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    // SAFETY: this makes the system call of the same name, under the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if result == 0 && matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) {
        // SAFETY: the system call has just written there.
        unsafe { (*time).tv_sec += wrong_by() };
    }
    if result == 0 { 0 } else { -1 }
}

fn wrong_by() -> i64 {
    let mut file = FILE.load(Relaxed);
    if file == UNKNOWN {
        // SAFETY: the name is a C library string or null; if no file has that name, nothing is opened.
        file = unsafe {
            let name = libc::getenv(c"PARLOR_CLOCK".as_ptr());
            if name.is_null() { -1 } else { libc::open(name, libc::O_RDONLY | libc::O_CLOEXEC) }
        };
        FILE.store(file, Relaxed);
    }
    let mut seconds = [0; 8];
    // SAFETY: it writes at most eight bytes, into a local variable of eight bytes.
    let read = unsafe { libc::pread(file, seconds.as_mut_ptr().cast(), seconds.len(), 0) };
    if read == 8 { i64::from_ne_bytes(seconds) } else { 0 }
}
