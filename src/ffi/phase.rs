//! The phases of a request in which the module takes part.

use core::num::NonZero;

use ngx::core::Status;
use ngx::ffi::{
    ngx_array_push, ngx_http_conf_ctx_t, ngx_http_core_main_conf_t, ngx_http_core_module,
    ngx_http_handler_pt, ngx_http_phases_NGX_HTTP_ACCESS_PHASE, ngx_http_phases_NGX_HTTP_LOG_PHASE,
    ngx_http_request_t, ngx_int_t,
};

use crate::ffi::answer;
use crate::ffi::body;
use crate::ffi::conf::Conf;
use crate::ffi::guard::guarded;
use crate::ffi::request::Request;
use crate::phases::access::{self, Outcome};
use crate::phases::log;

/// Adds the handlers, and what looks at bodies; whether there was memory for it.
pub(super) fn register(conf: &Conf<'_>) -> bool {
    let handlers: [(_, ngx_http_handler_pt); 2] = [
        (ngx_http_phases_NGX_HTTP_ACCESS_PHASE, Some(access_handler)),
        (ngx_http_phases_NGX_HTTP_LOG_PHASE, Some(log_handler)),
    ];
    body::register();
    answer::register();
    handlers.into_iter().all(|(phase, handler)| {
        // SAFETY: after the `http` block was read, `ctx` is its context and the core module's slot
        // holds its configuration with an array of handlers for each phase.
        unsafe {
            let context = (*conf.as_ptr()).ctx.cast::<ngx_http_conf_ctx_t>();
            let index = (&raw const ngx_http_core_module).read().ctx_index;
            let core = (*(*context).main_conf.add(index)).cast::<ngx_http_core_main_conf_t>();
            let slot = ngx_array_push(&raw mut (*core).phases[phase as usize].handlers)
                .cast::<ngx_http_handler_pt>();
            if !slot.is_null() {
                slot.write(handler);
            }
            !slot.is_null()
        }
    })
}

unsafe extern "C" fn access_handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    let denied = guarded(None, || {
        // SAFETY: NGINX hands in a live request and waits for the answer.
        match access::handle(&unsafe { Request::from_raw(r) }) {
            Outcome::Pass => None,
            Outcome::Deny(denial) => NonZero::new(denial.status),
        }
    });
    let Some(status) = denied else { return Status::NGX_DECLINED.into() };
    // A 403 that this handler returned could be forgotten: `satisfy any` goes on to ask the other access
    // modules. So the request ends here, as the phase engine would end it, and NGX_DONE tells the engine
    // to leave it alone. Nothing may touch it from here on.
    // SAFETY: as above.
    unsafe { Request::from_raw(r) }.finalize(status.get());
    Status::NGX_DONE.into()
}

unsafe extern "C" fn log_handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    guarded((), || {
        // SAFETY: NGINX hands in a request that is finished but not yet freed.
        log::handle(&unsafe { Request::from_raw(r) });
    });
    Status::NGX_OK.into()
}
