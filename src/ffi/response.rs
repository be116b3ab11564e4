//! Answers that the module itself gives.

use core::ptr::{self, NonNull};
use std::io;

use ngx::core::Pool;
use ngx::ffi::{
    NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_INTERNAL_SERVER_ERROR, ngx_alloc_chain_link, ngx_chain_t,
    ngx_create_temp_buf, ngx_http_output_filter, ngx_http_send_header, ngx_int_t, ngx_list_push,
    ngx_str_t, ngx_table_elt_t,
};

use crate::ffi::request::Request;

/// Bytes of one buffer of a body.
const PIECE: usize = 16 * 1024;

/// A body under construction, in buffers of the request's pool.
pub(crate) struct Body {
    pool: Pool,
    first: *mut ngx_chain_t,
    last: *mut ngx_chain_t,
    bytes: usize,
}

/// What is answered.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) cache_control: &'static str,
    pub(crate) etag: Option<String>,
    pub(crate) body: Body,
}

/// How a request ends.
pub(crate) enum Reply {
    /// With this.
    Page(Page),
    /// With NGINX's own page for this status, or what `error_page` makes of it.
    Status(u16),
}

impl Body {
    /// An empty body for the answer to `request`. It must not be used when the request has ended.
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
        self.push_header(name, value);
    }

    fn push_header(&self, name: &'static str, value: &str) -> Option<NonNull<ngx_table_elt_t>> {
        let value = self.copy_to_pool(value.as_bytes())?;
        // SAFETY: the list of response headers is ready from the start of the request on. NGINX
        // does not write to the name.
        unsafe {
            let headers = &raw mut (*self.as_ptr()).headers_out.headers;
            let mut place = NonNull::new(ngx_list_push(headers).cast::<ngx_table_elt_t>())?;
            let header = place.as_mut();
            header.hash = 1;
            header.key = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
            header.value = value;
            header.lowcase_key = ptr::null_mut();
            #[cfg(nginx_header_lists)]
            {
                header.next = ptr::null_mut();
            }
            Some(place)
        }
    }

    /// Whether the method only asks for a representation.
    pub(crate) fn is_get_or_head(&self) -> bool {
        self.raw().method & (NGX_HTTP_GET | NGX_HTTP_HEAD) as usize != 0
    }

    /// Answers; what a content handler returns, or the request is finalized with.
    pub(super) fn reply(&self, reply: Reply) -> ngx_int_t {
        match reply {
            Reply::Page(page) => self.send(page),
            Reply::Status(status) => ngx_int_t::from(status as i16),
        }
    }

    fn send(&self, page: Page) -> ngx_int_t {
        let Ok((chain, bytes)) = page.body.finish() else {
            return NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
        };
        self.add_header("Cache-Control", page.cache_control);
        let etag = page.etag.and_then(|etag| self.push_header("ETag", &etag));
        let content_type = page.content_type;
        // SAFETY: a content handler's own request, whose header is not sent yet; chain and ETag lie
        // in its pool, the content type is static and NGINX does not write to it.
        unsafe {
            let out = &raw mut (*self.as_ptr()).headers_out;
            (*out).status = page.status.into();
            (*out).content_length_n = bytes as _;
            // Without its parameters: what `gzip_types` compares.
            (*out).content_type_len = content_type.find(';').unwrap_or(content_type.len());
            (*out).content_type =
                ngx_str_t { len: content_type.len(), data: content_type.as_ptr().cast_mut() };
            if let Some(etag) = etag {
                (*out).etag = etag.as_ptr();
            }
            let sent = ngx_http_send_header(self.as_ptr());
            if sent != 0 || (*self.as_ptr()).header_only() != 0 {
                return sent;
            }
            ngx_http_output_filter(self.as_ptr(), chain)
        }
    }
}
