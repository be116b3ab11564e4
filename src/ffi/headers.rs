//! Lists of headers.

use core::slice;

use ngx::ffi::{ngx_list_part_t, ngx_list_t, ngx_table_elt_t};

use crate::ffi::request::bytes;

/// All headers of a request or a response, in order, in the pieces in which they lie.
pub(crate) struct Headers<'r> {
    part: Option<&'r ngx_list_part_t>,
}

/// One header.
#[repr(transparent)]
pub(crate) struct Header(ngx_table_elt_t);

impl<'r> Headers<'r> {
    /// # Safety
    ///
    /// `list` must be all zero or a list of headers, none of which changes during `'r`.
    pub(super) unsafe fn new(list: &'r ngx_list_t) -> Self {
        Self { part: Some(&list.part) }
    }
}

impl<'r> Iterator for Headers<'r> {
    type Item = &'r [Header];

    #[inline]
    fn next(&mut self) -> Option<&'r [Header]> {
        let current = self.part?;
        // SAFETY: parts of the list that `new` was promised.
        unsafe {
            self.part = current.next.as_ref();
            Some(part(current))
        }
    }
}

/// # Safety
///
/// `part` must be empty or a part of a list of headers, none of which changes while it is borrowed.
#[inline]
unsafe fn part(part: &ngx_list_part_t) -> &[Header] {
    if part.nelts == 0 {
        return &[];
    }
    // SAFETY: the caller's promise; a header is nothing but an element. What is not empty is somewhere.
    unsafe { slice::from_raw_parts(part.elts.cast(), part.nelts) }
}

impl Header {
    /// NGINX's hash of the name in lower case: [`name_hash`]. Of a request header only.
    #[inline]
    pub(crate) fn hash(&self) -> usize {
        self.0.hash
    }

    /// Length of the name.
    #[inline]
    pub(crate) fn name_len(&self) -> usize {
        self.0.key.len
    }

    /// Whether this is its name, in any case of letters.
    #[inline]
    pub(crate) fn is_named(&self, name: &[u8]) -> bool {
        // SAFETY: valid as long as the list.
        self.0.key.len == name.len() && unsafe { bytes(&self.0.key) }.eq_ignore_ascii_case(name)
    }

    /// The value.
    pub(crate) fn value(&self) -> &[u8] {
        // SAFETY: valid as long as the list.
        unsafe { bytes(&self.0.value) }
    }

    /// Whether a response header is really sent: NGINX unsets headers in place.
    pub(crate) fn is_set(&self) -> bool {
        self.0.hash != 0
    }
}

/// `ngx_hash_key` of a name in lower case.
pub(crate) const fn name_hash(name: &[u8]) -> usize {
    let (mut hash, mut at) = (0_usize, 0);
    while at < name.len() {
        hash = hash.wrapping_mul(31).wrapping_add(name[at] as usize);
        at += 1;
    }
    hash
}
