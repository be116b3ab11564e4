//! NGINX's clocks and the kernel's.

use ngx::ffi::{ngx_cached_time, ngx_current_msec};

/// Milliseconds of the monotonic clock as NGINX last read it: once in each turn of its event loop.
/// Main thread only, which is where every request is.
pub(crate) fn cached_ms() -> u64 {
    // SAFETY: a word that only the main thread, on which this runs, writes.
    unsafe { ngx_current_msec as u64 }
}

/// Wall clock milliseconds since 1970 as NGINX last read them.
pub(crate) fn cached_wall_ms() -> u64 {
    let (seconds, ms) = cached_wall();
    seconds * 1000 + ms
}

/// Wall clock seconds since 1970 as NGINX last read them, and the milliseconds of the next one.
pub(crate) fn cached_wall() -> (u64, u64) {
    // SAFETY: points into NGINX's static table of cached times from before the first request on;
    // only the main thread, on which this runs, moves it.
    let time = unsafe { ngx_cached_time.read() };
    (time.sec as u64, time.msec as u64)
}

/// Microseconds of the monotonic clock, asked from the kernel: for threads which NGINX does not
/// know. The same clock as [`cached_ms`], in every process.
pub(crate) fn monotonic_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the structure that it is given; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64) * 1_000_000 + time.tv_nsec as u64 / 1000
}
