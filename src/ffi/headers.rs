//! Lists of headers.

use core::slice;

use ngx::ffi::{ngx_list_part_t, ngx_list_t, ngx_table_elt_t};

use crate::ffi::request::bytes;

/// All headers of a request or a response, in order.
pub(crate) struct Headers<'r> {
    rest: slice::Iter<'r, ngx_table_elt_t>,
    next: *const ngx_list_part_t,
}

/// One header.
#[derive(Clone, Copy)]
pub(crate) struct Header<'r>(&'r ngx_table_elt_t);

impl<'r> Headers<'r> {
    /// # Safety
    ///
    /// `list` must be all zero or a list of headers, none of which changes during `'r`.
    pub(super) unsafe fn new(list: &'r ngx_list_t) -> Self {
        // SAFETY: the caller's promise.
        Self { rest: unsafe { part(&list.part) }.iter(), next: list.part.next }
    }
}

impl<'r> Iterator for Headers<'r> {
    type Item = Header<'r>;

    fn next(&mut self) -> Option<Header<'r>> {
        loop {
            if let Some(header) = self.rest.next() {
                return Some(Header(header));
            }
            // SAFETY: parts of the list that `new` was promised.
            unsafe {
                let next = self.next.as_ref()?;
                self.rest = part(next).iter();
                self.next = next.next;
            }
        }
    }
}

/// # Safety
///
/// `part` must be empty or a part of a list of headers, none of which changes while it is borrowed.
unsafe fn part(part: &ngx_list_part_t) -> &[ngx_table_elt_t] {
    if part.nelts == 0 || part.elts.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(part.elts.cast(), part.nelts) }
}

impl<'r> Header<'r> {
    /// The name of a request header in lower case.
    pub(crate) fn name(self) -> &'r [u8] {
        if self.0.lowcase_key.is_null() {
            return self.sent_name();
        }
        // SAFETY: as long as the key, in the request's pool.
        unsafe { slice::from_raw_parts(self.0.lowcase_key, self.0.key.len) }
    }

    /// The name as it stands in the header. Only this one can be relied on in a response.
    pub(crate) fn sent_name(self) -> &'r [u8] {
        // SAFETY: valid as long as the list.
        unsafe { bytes(&self.0.key) }
    }

    /// The value.
    pub(crate) fn value(self) -> &'r [u8] {
        // SAFETY: valid as long as the list.
        unsafe { bytes(&self.0.value) }
    }

    /// Whether a response header is really sent: NGINX unsets headers in place.
    pub(crate) fn is_set(self) -> bool {
        self.0.hash != 0
    }
}
