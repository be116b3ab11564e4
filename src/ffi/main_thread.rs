//! What belongs to NGINX's main thread, on which it calls everything: hooks, phases, filters, timers.

use crate::ffi::request::Request;

/// A value that is handed out on the main thread alone. Finding a thread-local of a library that was
/// loaded at run time takes a call; this takes none.
pub(crate) struct MainThread<T>(T);

// SAFETY: `of` and `get` hand the value out on the main thread only. It is a static, so it is dropped
// on none.
unsafe impl<T> Sync for MainThread<T> {}

impl<T> MainThread<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for who holds a request. NGINX handles those on its main thread, and none can be
    /// sent to another.
    #[inline]
    pub(crate) fn of(&self, _request: &Request<'_>) -> &T {
        &self.0
    }

    /// The value; `None` on any other thread.
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: neither has a precondition. On Linux the first thread has the id of its process,
        // and a process that was forked has the forking thread as its first one.
        let is_main = unsafe { libc::gettid() == libc::getpid() };
        is_main.then_some(&self.0)
    }
}
