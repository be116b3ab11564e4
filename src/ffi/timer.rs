//! A periodic timer of NGINX's event loop.

use core::ffi::c_void;

use ngx::ffi::{ngx_add_timer, ngx_connection_t, ngx_del_timer, ngx_event_t, ngx_msec_t};

use crate::ffi::error_log::Log;
use crate::ffi::guard::guarded;

/// Calls a function on the main thread at an interval until it is dropped, which must happen on
/// the main thread, too.
pub(crate) struct Timer(*mut Armed);

/// What NGINX points to while the timer is set.
#[repr(C)]
struct Armed {
    /// First, so that a pointer to the event is a pointer to all of it.
    event: ngx_event_t,
    /// NGINX's debug log reads the descriptor of the connection that an event belongs to.
    connection: ngx_connection_t,
    interval_ms: ngx_msec_t,
    call: fn(),
}

impl Timer {
    /// Starts to call `call`. The timer does not keep a worker alive that was told to go. `log` is
    /// that of the configuration with which it is dropped.
    pub(crate) fn every(interval_ms: u64, log: Log<'_>, call: fn()) -> Self {
        // SAFETY: all-zero bits are what NGINX itself starts events and connections from.
        let (event, connection) = unsafe { (core::mem::zeroed(), core::mem::zeroed()) };
        let interval_ms = interval_ms as ngx_msec_t;
        let armed = Box::into_raw(Box::new(Armed { event, connection, interval_ms, call }));
        // SAFETY: `armed` is ours alone until it is in NGINX's tree of timers, and stays where it
        // is until `drop` takes it out again, before the log is gone.
        unsafe {
            (*armed).connection.fd = -1;
            (*armed).event.data = (&raw mut (*armed).connection).cast::<c_void>();
            (*armed).event.handler = Some(expired);
            (*armed).event.log = log.as_ptr();
            (*armed).event.set_cancelable(1);
            ngx_add_timer(armed.cast(), interval_ms);
        }
        Self(armed)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: made by `every`, and out of NGINX's tree before it is freed. On the main thread,
        // so it is not being called.
        unsafe {
            if (*self.0).event.timer_set() != 0 {
                ngx_del_timer(self.0.cast());
            }
            drop(Box::from_raw(self.0));
        }
    }
}

unsafe extern "C" fn expired(event: *mut ngx_event_t) {
    let armed = event.cast::<Armed>();
    // SAFETY: only events made by `every` have this handler. Armed again first, because the call
    // may drop the timer.
    let call = unsafe {
        ngx_add_timer(event, (*armed).interval_ms);
        (*armed).call
    };
    guarded((), call);
}
