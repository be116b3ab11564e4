//! A request, as far as the module looks at it.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::slice;

use api_abuse_engine::source::network_of;
use ngx::core::Pool;
use ngx::ffi::{
    NGX_HTTP_GET, NGX_HTTP_VERSION_9, ngx_http_complex_value, ngx_http_core_loc_conf_t,
    ngx_http_core_module, ngx_http_finalize_request, ngx_http_request_t, ngx_http_upstream_state_t,
    ngx_int_t, ngx_msec_t, ngx_str_t, ngx_table_elt_t,
};

use crate::conf::{LocationConf, MainConf};
use crate::ffi::clock;
use crate::ffi::conf::ComplexValue;
use crate::ffi::headers::Headers;
use crate::module;

/// A request during one callback. NGINX's pointers in it may be NULL at any time: a request that
/// could not be parsed has no URI, no method and no headers, and is still logged.
pub(crate) struct Request<'r> {
    raw: NonNull<ngx_http_request_t>,
    life: PhantomData<&'r ngx_http_request_t>,
}

impl Request<'_> {
    /// # Safety
    ///
    /// `r` must be what NGINX handed to a callback, and the result not outlive the callback.
    pub(super) unsafe fn from_raw(r: *mut ngx_http_request_t) -> Self {
        // SAFETY: NGINX never passes NULL.
        Self { raw: unsafe { NonNull::new_unchecked(r) }, life: PhantomData }
    }

    /// For the other files of this layer.
    pub(super) fn as_ptr(&self) -> *mut ngx_http_request_t {
        self.raw.as_ptr()
    }

    /// The request's fields. Nobody changes them while a callback looks at them; the methods that
    /// let NGINX change them do not hold this reference.
    pub(super) fn raw(&self) -> &ngx_http_request_t {
        // SAFETY: valid by the contract of `from_raw`.
        unsafe { self.raw.as_ref() }
    }

    pub(super) fn pool(&self) -> Pool {
        // SAFETY: a request has its pool until after the log phase.
        unsafe { Pool::from_ngx_pool(self.raw().pool) }
    }

    /// Whether this is the client's request, and no subrequest of it.
    pub(crate) fn is_main(&self) -> bool {
        ptr::eq(self.raw().main, self.as_ptr())
    }

    /// Whether it was redirected internally: to an error page, by `try_files`, `X-Accel-Redirect`…
    pub(crate) fn is_internal(&self) -> bool {
        self.raw().internal() != 0
    }

    /// Whether NGINX began to look for its location. Not so for what it could not parse.
    pub(crate) fn was_located(&self) -> bool {
        self.raw().valid_location() != 0
    }

    /// What holds for the whole `http` block.
    pub(crate) fn main_conf(&self) -> &MainConf {
        // SAFETY: every request has the contexts of a server, at first the default one, with a slot
        // for every http module; ours holds what create_main made.
        unsafe { &*(*self.raw().main_conf.add(module::context_index())).cast::<MainConf>() }
    }

    /// What holds for the location that the request is in now.
    pub(crate) fn location_conf(&self) -> &LocationConf {
        // SAFETY: as in main_conf.
        unsafe { &*(*self.raw().loc_conf.add(module::context_index())).cast::<LocationConf>() }
    }

    /// The value for this request, in its pool; `None` when there is no memory.
    pub(crate) fn evaluate(&self, value: ComplexValue) -> Option<&[u8]> {
        let mut text = ngx_str_t::empty();
        // SAFETY: a compiled value of the configuration that the request is served with.
        let status: ngx_int_t =
            unsafe { ngx_http_complex_value(self.as_ptr(), value.as_ptr(), &raw mut text) };
        // SAFETY: NGINX put `len` bytes into the request's pool or points to ones that live as long.
        (status == 0).then(|| unsafe { bytes(&text) })
    }

    /// A copy of `text` in the request's pool, for NGINX; `None` when there is no memory.
    pub(super) fn copy_to_pool(&self, text: &[u8]) -> Option<ngx_str_t> {
        // SAFETY: the pool is valid.
        unsafe { ngx_str_t::from_bytes(self.pool().as_ptr(), text) }
    }

    /// Ends the request with `status`.
    pub(super) fn finalize(self, status: u16) {
        // SAFETY: called where the phase engine would do it; consumes the wrapper, because the
        // request may be gone when this returns.
        unsafe { ngx_http_finalize_request(self.as_ptr(), status as ngx_int_t) };
    }

    /// The client's address as NGINX knows it after realip and PROXY protocol: IPv6, or IPv4
    /// mapped; beside it the word for its network, [`network_of`]. `None` for a unix socket.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "on the path of every request")]
    pub(crate) fn address(&self) -> Option<([u8; 16], u64)> {
        // SAFETY: the connection lives as long as its request; sockaddr points to an address of
        // the family that its first field says.
        unsafe {
            let address = (*self.raw().connection).sockaddr.cast::<libc::sockaddr>();
            match i32::from((*address).sa_family) {
                libc::AF_INET => {
                    let address = address.cast::<libc::sockaddr_in>().read_unaligned();
                    let address = u32::from_be(address.sin_addr.s_addr);
                    let network = 0xffff_0000_0000 | u64::from(address);
                    Some((u128::from(network).to_be_bytes(), network))
                }
                libc::AF_INET6 => {
                    let address = address.cast::<libc::sockaddr_in6>().read_unaligned();
                    let address = address.sin6_addr.s6_addr;
                    Some((address, network_of(address)))
                }
                _ => None,
            }
        }
    }

    /// The headers that came in.
    pub(crate) fn headers_in(&self) -> Headers<'_> {
        // SAFETY: the list is empty (all zero) or valid, and lies in the request's pool.
        unsafe { Headers::new(&self.raw().headers_in.headers) }
    }

    /// The headers that went out.
    pub(crate) fn headers_out(&self) -> Headers<'_> {
        // SAFETY: as in headers_in.
        unsafe { Headers::new(&self.raw().headers_out.headers) }
    }

    /// Value of a header that NGINX keeps at hand.
    pub(crate) fn header(&self, which: KnownHeader) -> Option<&[u8]> {
        let headers = &self.raw().headers_in;
        let header: *const ngx_table_elt_t = match which {
            KnownHeader::Authorization => headers.authorization,
            KnownHeader::ContentType => headers.content_type,
            KnownHeader::Host => headers.host,
            KnownHeader::Referer => headers.referer,
            KnownHeader::UserAgent => headers.user_agent,
        };
        // SAFETY: NULL or an element of the list of headers.
        unsafe { header.as_ref().map(|header| bytes(&header.value)) }
    }

    /// Whether it has anything that most requests have not: a Referer, credentials, an upstream.
    #[inline]
    pub(crate) fn says_more(&self) -> bool {
        let (request, headers) = (self.raw(), &self.raw().headers_in);
        let pointers = [headers.authorization.addr(), headers.referer.addr()];
        pointers[0] | pointers[1] | request.upstream_states.addr() != 0
    }

    /// Content-Length of the request, `u32::MAX` when it is chunked.
    pub(crate) fn content_length(&self) -> u32 {
        let headers = &self.raw().headers_in;
        match headers.content_length_n {
            _ if headers.chunked() != 0 => u32::MAX,
            ..=0 => 0,
            length => u32::try_from(length).unwrap_or(u32::MAX - 1),
        }
    }

    /// Request line as received; empty when NGINX never had one.
    pub(crate) fn request_line(&self) -> &[u8] {
        // SAFETY: empty or valid as long as the request.
        unsafe { bytes(&self.raw().request_line) }
    }

    /// Method as NGINX understood it; that of an internal redirect may differ from the client's.
    pub(crate) fn method_name(&self) -> &[u8] {
        // SAFETY: empty or valid as long as the request.
        unsafe { bytes(&self.raw().method_name) }
    }

    /// Whether the client sent GET: NGINX understood it so, and no redirect made it of another method.
    pub(crate) fn is_sent_get(&self) -> bool {
        self.raw().method == NGX_HTTP_GET as usize && !self.is_internal()
    }

    /// Raw path and query as received, whatever redirects followed.
    pub(crate) fn unparsed_uri(&self) -> &[u8] {
        // SAFETY: empty or valid as long as the request.
        unsafe { bytes(&self.raw().unparsed_uri) }
    }

    /// Where the query begins in [`Self::unparsed_uri`], behind its first question mark.
    #[inline]
    pub(crate) fn query_start(&self) -> Option<usize> {
        let (uri, request) = (self.unparsed_uri(), self.raw());
        if !request.args_start.is_null() {
            // Where NGINX found it, if that is a place in this text.
            let start = (request.args_start as usize).wrapping_sub(uri.as_ptr() as usize);
            if uri.get(start.wrapping_sub(1)) == Some(&b'?') {
                return Some(start);
            }
        } else if request.complex_uri() == 0 {
            return None;
        }
        uri.iter().position(|byte| *byte == b'?').map(|mark| mark + 1)
    }

    /// Path that the location was found by: decoded, without its query.
    pub(crate) fn uri(&self) -> &[u8] {
        // SAFETY: empty or valid as long as the request.
        unsafe { bytes(&self.raw().uri) }
    }

    /// Name of the location that the request is in now.
    pub(crate) fn location_name(&self) -> &[u8] {
        // SAFETY: every request has the contexts of a location, with the core module's slot.
        unsafe {
            let index = (&raw const ngx_http_core_module).read().ctx_index;
            let slot = *self.raw().loc_conf.add(index);
            bytes(&(*slot.cast::<ngx_http_core_loc_conf_t>()).name)
        }
    }

    /// Query of the location that the request is in now.
    pub(crate) fn query(&self) -> &[u8] {
        // SAFETY: empty or valid as long as the request.
        unsafe { bytes(&self.raw().args) }
    }

    /// HTTP version as NGINX counts: 9, 1000, 1001, 2000, 3000.
    pub(crate) fn version(&self) -> usize {
        self.raw().http_version
    }

    /// Status of an error that was found, before an error page changed it; 0: none yet.
    pub(crate) fn error_status(&self) -> u16 {
        self.raw().err_status as u16
    }

    /// Status as NGINX's access log says it.
    pub(crate) fn status(&self) -> u16 {
        let request = self.raw();
        let status = match (request.err_status, request.headers_out.status) {
            (0, 0) if request.http_version == NGX_HTTP_VERSION_9 as usize => 9,
            (0, status) | (status, _) => status,
        };
        // Three digits, in every answer.
        status as u16
    }

    /// Content type of the response.
    pub(crate) fn response_type(&self) -> &[u8] {
        // SAFETY: empty or valid as long as the request.
        unsafe { bytes(&self.raw().headers_out.content_type) }
    }

    /// Bytes sent, headers included.
    pub(crate) fn bytes_sent(&self) -> u64 {
        // SAFETY: the connection lives as long as its request.
        unsafe { (*self.raw().connection).sent as u64 }
    }

    /// Bytes received, headers included.
    pub(crate) fn bytes_received(&self) -> u32 {
        let length = self.raw().request_length;
        u32::try_from(length).unwrap_or_else(|_| unusual(length))
    }

    /// Milliseconds since the first byte of the request.
    pub(crate) fn duration_ms(&self) -> u32 {
        let (seconds, ms) = clock::cached_wall();
        let seconds = seconds.wrapping_sub(self.raw().start_sec as u64);
        let passed = seconds.wrapping_mul(1000).wrapping_add(ms);
        let passed = passed.wrapping_sub(self.raw().start_msec as u64);
        u32::try_from(passed).unwrap_or_else(|_| unusual(passed as i64))
    }

    /// Milliseconds spent waiting for upstreams; `None` when none was asked.
    pub(crate) fn upstream_ms(&self) -> Option<u32> {
        // SAFETY: NULL or an array of states in the request's pool.
        let states = unsafe { self.raw().upstream_states.as_ref()? };
        // SAFETY: its elements are states.
        let states = unsafe { states.as_slice::<ngx_http_upstream_state_t>() };
        let answered = states.iter().map(|state| state.response_time);
        let total = answered.filter(|time| *time != ngx_msec_t::MAX).sum::<ngx_msec_t>();
        (!states.is_empty()).then(|| u32::try_from(total).unwrap_or(u32::MAX - 1))
    }
}

/// As much of a number as fits.
#[cold]
fn unusual(number: i64) -> u32 {
    if number < 0 { 0 } else { u32::MAX - 1 }
}

/// Headers that NGINX finds while it parses.
#[derive(Clone, Copy)]
pub(crate) enum KnownHeader {
    Authorization,
    ContentType,
    Host,
    Referer,
    UserAgent,
}

/// # Safety
///
/// `text` must be empty or point to bytes that live for `'a`.
pub(super) unsafe fn bytes<'a>(text: &ngx_str_t) -> &'a [u8] {
    if text.data.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(text.data, text.len) }
}
