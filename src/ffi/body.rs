//! The bodies of requests as they stream by.
//!
//! A filter of request bodies sees every buffer once, when it arrives: before NGINX spools it or hands
//! it to an upstream, chunked or not, in every version of HTTP. It makes nobody read a body, and sees
//! nothing of one that nobody reads.

use core::ptr::NonNull;
use core::slice;

use api_abuse_engine::identity::{FIELDS_MAX, Reader};
use ngx::core::Status;
use ngx::ffi::{
    NGX_ALIGNMENT, ngx_buf_t, ngx_chain_t, ngx_http_request_body_filter_pt, ngx_http_request_t,
    ngx_http_top_request_body_filter, ngx_int_t,
};

use crate::ffi::guard::guarded;
use crate::ffi::remembered::Known;
use crate::ffi::request::Request;

/// The filter behind ours, as of the configuration that was read last. NGINX's filters of a process are
/// those of that configuration, too.
static mut NEXT: ngx_http_request_body_filter_pt = None;

/// Puts the filter in front of the others. Called for each configuration, which begins without it.
pub(super) fn register() {
    // SAFETY: the main thread reads the configuration, and runs the filters.
    unsafe {
        NEXT = ngx_http_top_request_body_filter;
        ngx_http_top_request_body_filter = Some(filter_body);
    }
}

/// What looks at the body of a request. Lies in the request's pool and is freed with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchedBody(NonNull<Reader>);

const _: () = assert!(align_of::<Reader>() <= NGX_ALIGNMENT);
const _: () = assert!(!core::mem::needs_drop::<Reader>());

impl Request<'_> {
    /// Has `reader` look at the body once the request's state says so; `None` when there is no memory.
    pub(crate) fn watch_body(&self, reader: &Reader) -> Option<WatchedBody> {
        let place = NonNull::new(self.pool().alloc_type::<Reader>())?;
        // SAFETY: new memory of the right size and alignment.
        unsafe { place.write(*reader) };
        Some(WatchedBody(place))
    }
}

impl WatchedBody {
    /// What was found in the body of the request that it belongs to.
    pub(crate) fn found(self, _request: &Request<'_>) -> [u64; FIELDS_MAX] {
        // SAFETY: made by watch_body, in the pool of the request, which lives. Only the filter changes
        // it, and does not run at the same time.
        unsafe { self.0.read() }.finish()
    }
}

unsafe extern "C" fn filter_body(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: NGINX hands in a live request and a chain of what arrived.
    guarded((), || unsafe { look(&Request::from_raw(r), chain) });
    // SAFETY: written by register on this thread.
    match unsafe { NEXT } {
        // SAFETY: as NGINX called this filter.
        Some(next) => unsafe { next(r, chain) },
        None => Status::NGX_OK.into(),
    }
}

/// # Safety
///
/// `chain` must be NULL or a valid chain.
unsafe fn look(request: &Request<'_>, chain: *const ngx_chain_t) {
    let Some(Known::Closer(state)) = request.known().filter(|_| request.is_main()) else { return };
    let Some(body) = state.body else { return };
    let Some(identity) = &state.location.conf(request).identity else { return };
    // SAFETY: made by watch_body; nobody else holds a reference to it.
    let reader = unsafe { &mut *body.0.as_ptr() };
    let mut link = chain;
    // SAFETY: the caller's promise; the last link has no next one.
    while let Some(ngx_chain_t { buf, next }) = unsafe { link.as_ref() } {
        // SAFETY: every link has a buffer.
        let bytes = unsafe { buf.as_ref() }.map_or(&[][..], in_memory);
        reader.feed(&identity.fields, bytes);
        link = *next;
    }
}

/// The bytes of a buffer that lies in memory.
pub(super) fn in_memory(buffer: &ngx_buf_t) -> &[u8] {
    let is_in_memory = buffer.temporary() | buffer.memory() | buffer.mmap() != 0;
    if !is_in_memory || buffer.pos.is_null() || buffer.pos >= buffer.last {
        return &[];
    }
    // SAFETY: `pos..last` is what a buffer in memory holds.
    unsafe {
        let length = buffer.last.offset_from(buffer.pos) as usize;
        slice::from_raw_parts(buffer.pos, length)
    }
}
