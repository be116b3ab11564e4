//! NGINX's error log. Main thread only: NGINX formats into cached time slots and buffers that other
//! threads must not touch. They send their lines through the housekeeping channel.

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use ngx::ffi::{self, ngx_cycle, ngx_log_t, ngx_uint_t};
use ngx::log::{LOG_BUFFER_SIZE, log_error, write_fmt};

/// Severity, as in the `error_log` directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Emerg,
    Alert,
    Error,
    Warn,
    Notice,
}

impl Level {
    pub(crate) const fn number(self) -> ngx_uint_t {
        let level = match self {
            Self::Emerg => ffi::NGX_LOG_EMERG,
            Self::Alert => ffi::NGX_LOG_ALERT,
            Self::Error => ffi::NGX_LOG_ERR,
            Self::Warn => ffi::NGX_LOG_WARN,
            Self::Notice => ffi::NGX_LOG_NOTICE,
        };
        level as ngx_uint_t
    }
}

/// A log of NGINX's.
#[derive(Clone, Copy)]
pub(crate) struct Log<'a>(NonNull<ngx_log_t>, PhantomData<&'a ngx_log_t>);

impl Log<'_> {
    /// # Safety
    ///
    /// `log` must be NULL or stay valid for the lifetime of the result, on the main thread.
    pub(crate) unsafe fn from_raw(log: *mut ngx_log_t) -> Option<Self> {
        NonNull::new(log).map(|log| Self(log, PhantomData))
    }

    /// For the other files of this layer.
    pub(super) fn as_ptr(self) -> *mut ngx_log_t {
        self.0.as_ptr()
    }

    /// Writes one line, when the configured level lets it through.
    pub(crate) fn write(self, level: Level, message: fmt::Arguments<'_>) {
        // SAFETY: the pointer is valid by `from_raw`'s contract.
        let enabled = unsafe { (*self.0.as_ptr()).log_level } >= level.number();
        if enabled {
            let mut buffer = [const { MaybeUninit::uninit() }; LOG_BUFFER_SIZE];
            let line = write_fmt(&mut buffer, message);
            // SAFETY: as above; the text goes in with its length, never as a format.
            unsafe { log_error(level.number(), self.0.as_ptr(), 0, line) };
        }
    }
}

/// Writes one line to the log of the running configuration.
pub(crate) fn write(level: Level, message: fmt::Arguments<'_>) {
    // SAFETY: `ngx_cycle` points to the running cycle from the start of main() on, and its log
    // lives as long as it is the running one.
    let log = unsafe { ngx_cycle.as_ref().and_then(|cycle| Log::from_raw(cycle.log)) };
    if let Some(log) = log {
        log.write(level, message);
    }
}
