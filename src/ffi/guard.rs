//! The one guard around every entry from C.

use std::io::{Write, stderr};
use std::mem;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::worker;

/// Runs `body`; a panic ends here, is counted, and becomes `otherwise`.
///
/// `AssertUnwindSafe`: whatever a panic leaves half done is either dropped with the frame, or lies
/// behind a borrow that is released while unwinding, or is shared memory made to be left half
/// written by a process that dies.
pub(crate) fn guarded<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    caught(body).unwrap_or_else(|| {
        worker::count_panic();
        otherwise
    })
}

/// Runs `body`; `None` when it panicked. For the steps of our own threads.
pub(crate) fn caught<T>(body: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(body))
        // What was thrown is leaked: its destructor is foreign code that could panic again.
        .map_err(mem::forget)
        .ok()
}

/// Makes panics one line in the error log (NGINX points standard error there) instead of a
/// backtrace. The hook is this library's own; nothing else in the process uses it.
pub(crate) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic::set_hook(Box::new(report)));
}

fn report(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let (file, line) = info.location().map_or(("?", 0), |at| (at.file(), at.line()));
    let pid = std::process::id();
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(stderr(), "[alert] {pid}: api_abuse: panic at {file}:{line}: {message}");
}
