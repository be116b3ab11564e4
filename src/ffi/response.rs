//! Answers that the module itself gives.

use core::ptr;
use std::io;

use ngx::core::Pool;
use ngx::ffi::{
    NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_NOT_ALLOWED, NGX_HTTP_OK,
    ngx_alloc_chain_link, ngx_chain_t, ngx_create_temp_buf, ngx_http_discard_request_body,
    ngx_http_output_filter, ngx_http_request_t, ngx_http_send_header, ngx_int_t, ngx_list_push,
    ngx_str_t, ngx_table_elt_t,
};

use crate::ffi::guard::guarded;
use crate::ffi::request::Request;
use crate::status;

/// Bytes of one buffer of a body.
const PIECE: usize = 16 * 1024;

/// A body under construction, in buffers of the request's pool.
pub(crate) struct Body {
    pool: Pool,
    first: *mut ngx_chain_t,
    last: *mut ngx_chain_t,
    bytes: usize,
}

/// What is answered: a content type and a body.
pub(crate) struct Page {
    pub(crate) content_type: &'static str,
    pub(crate) body: Body,
}

impl Body {
    /// An empty body for the answer to `request`.
    pub(crate) fn new(request: &Request<'_>) -> Self {
        Self { pool: request.pool(), first: ptr::null_mut(), last: ptr::null_mut(), bytes: 0 }
    }

    /// Appends an empty buffer.
    fn grow(&mut self) -> io::Result<()> {
        // SAFETY: the pool of the request that is being answered. A link and its buffer are valid
        // when they are not NULL.
        unsafe {
            let buffer = ngx_create_temp_buf(self.pool.as_ptr(), PIECE);
            let link = ngx_alloc_chain_link(self.pool.as_ptr());
            if buffer.is_null() || link.is_null() {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            (*link).buf = buffer;
            (*link).next = ptr::null_mut();
            match self.last.as_mut() {
                Some(last) => last.next = link,
                None => self.first = link,
            }
            self.last = link;
        }
        Ok(())
    }

    /// Marks the end, and hands the chain over.
    fn finish(mut self) -> io::Result<(*mut ngx_chain_t, usize)> {
        if self.last.is_null() {
            self.grow()?;
        }
        // SAFETY: grow() made the last link and its buffer.
        unsafe {
            let buffer = (*self.last).buf;
            (*buffer).set_last_buf(1);
            (*buffer).set_last_in_chain(1);
        }
        Ok((self.first, self.bytes))
    }
}

impl io::Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        // SAFETY: the last link, if there is one, and its buffer were made by grow(); `last..end`
        // is the part of the buffer that is free.
        unsafe {
            let full = self.last.is_null() || (*(*self.last).buf).last == (*(*self.last).buf).end;
            if full {
                self.grow()?;
            }
            let buffer = (*self.last).buf;
            let free = (*buffer).end.offset_from((*buffer).last) as usize;
            let taken = free.min(bytes.len());
            ptr::copy_nonoverlapping(bytes.as_ptr(), (*buffer).last, taken);
            (*buffer).last = (*buffer).last.add(taken);
            self.bytes += taken;
            Ok(taken)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Request<'_> {
    /// Adds a header to the response; left out when there is no memory.
    pub(crate) fn add_header(&self, name: &'static str, value: &str) {
        let Some(value) = self.copy_to_pool(value.as_bytes()) else { return };
        // SAFETY: the list of response headers is ready from the start of the request on. NGINX
        // does not write to the name.
        unsafe {
            let headers = &raw mut (*self.as_ptr()).headers_out.headers;
            let header = ngx_list_push(headers).cast::<ngx_table_elt_t>();
            if let Some(header) = header.as_mut() {
                header.hash = 1;
                header.key = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
                header.value = value;
                header.lowcase_key = ptr::null_mut();
                #[cfg(nginx_header_lists)]
                {
                    header.next = ptr::null_mut();
                }
            }
        }
    }

    /// Whether the method only asks for a representation.
    fn is_get_or_head(&self) -> bool {
        self.raw().method & (NGX_HTTP_GET | NGX_HTTP_HEAD) as usize != 0
    }

    /// Sends a page; what a content handler returns.
    fn send(&self, page: Page) -> ngx_int_t {
        let Ok((chain, bytes)) = page.body.finish() else {
            return NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
        };
        self.add_header("Cache-Control", "no-store");
        // SAFETY: a content handler's own request, whose header is not sent yet; the chain lies in
        // its pool, the content type is static and NGINX does not write to it.
        unsafe {
            let out = &raw mut (*self.as_ptr()).headers_out;
            (*out).status = NGX_HTTP_OK as usize;
            (*out).content_length_n = bytes as _;
            (*out).content_type_len = page.content_type.len();
            (*out).content_type = ngx_str_t {
                len: page.content_type.len(),
                data: page.content_type.as_ptr().cast_mut(),
            };
            let sent = ngx_http_send_header(self.as_ptr());
            if sent != 0 || (*self.as_ptr()).header_only() != 0 {
                return sent;
            }
            ngx_http_output_filter(self.as_ptr(), chain)
        }
    }
}

/// Content handler of `api_abuse_status`.
pub(super) unsafe extern "C" fn serve_status(r: *mut ngx_http_request_t) -> ngx_int_t {
    let failed = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
    guarded(failed, || {
        // SAFETY: NGINX hands in the request that is to be answered.
        let request = unsafe { Request::from_raw(r) };
        if !request.is_get_or_head() {
            return NGX_HTTP_NOT_ALLOWED as ngx_int_t;
        }
        // SAFETY: as above; a content handler reads or discards the body.
        let discarded = unsafe { ngx_http_discard_request_body(r) };
        if discarded != 0 {
            return discarded;
        }
        status::page(&request).map_or(failed, |page| request.send(page))
    })
}
