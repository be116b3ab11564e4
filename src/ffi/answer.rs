//! Answers on their way out, before anything of them is sent.
//!
//! A filter of response headers meets what NGINX answers before the access phase: `return`, a redirect of
//! `rewrite`, other modules in front. What it makes of an answer has no body.

use ngx::core::Status;
use ngx::ffi::{
    ngx_http_clean_header, ngx_http_output_header_filter_pt, ngx_http_request_t,
    ngx_http_top_header_filter, ngx_int_t, ngx_str_t,
};

use crate::ffi::guard::guarded;
use crate::ffi::request::Request;
use crate::phases::access::Outcome;
use crate::phases::answer;

/// The status by which NGINX closes a connection without an answer.
const CLOSE: u16 = 444;

/// The filter behind ours, as of the configuration that was read last.
static mut NEXT: ngx_http_output_header_filter_pt = None;

/// Puts the filter in front of the others. Called for each configuration, which begins without it.
pub(super) fn register() {
    // SAFETY: the main thread reads the configuration, and runs the filters.
    unsafe {
        NEXT = ngx_http_top_header_filter;
        ngx_http_top_header_filter = Some(filter_header);
    }
}

impl Request<'_> {
    /// Takes back whatever was to be answered, headers and all.
    pub(crate) fn take_back_answer(&self) {
        // SAFETY: nothing of the answer is sent yet.
        unsafe { ngx_http_clean_header(self.as_ptr()) };
    }

    /// Makes the answer one of this status, without a body.
    fn answer_only(&self, status: u16) {
        let request = self.as_ptr();
        // SAFETY: the request lives, and nobody else looks at it now. Who called the filter asks for
        // `header_only` before it sends a body.
        unsafe {
            (*request).err_status = status.into();
            let out = &raw mut (*request).headers_out;
            (*out).status = status.into();
            (*out).status_line = ngx_str_t::empty();
            (*out).content_length_n = 0;
            (*request).set_header_only(1);
        }
    }
}

unsafe extern "C" fn filter_header(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: NGINX hands in a live request.
    if unsafe { !Request::from_raw(r).is_known() && is_closed(r) } {
        return Status::NGX_ERROR.into();
    }
    // SAFETY: written by register on this thread.
    match unsafe { NEXT } {
        // SAFETY: as NGINX called this filter.
        Some(next) => unsafe { next(r) },
        None => Status::NGX_OK.into(),
    }
}

/// Has a request judged that nobody judged yet. Whether its connection is to be closed without an answer.
///
/// # Safety
///
/// `r` must be a live request.
#[inline(never)]
unsafe fn is_closed(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: the caller's promise.
    let request = unsafe { Request::from_raw(r) };
    let Outcome::Deny(denial) = guarded(Outcome::Pass, || answer::handle(&request)) else {
        return false;
    };
    request.answer_only(denial.status);
    denial.status == CLOSE
}
