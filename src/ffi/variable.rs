//! NGINX variables.

use ngx::core::Status;
use ngx::ffi::{
    NGX_HTTP_VAR_NOCACHEABLE, ngx_http_add_variable, ngx_http_request_t, ngx_int_t, ngx_str_t,
    ngx_uint_t, ngx_variable_value_t,
};

use crate::ffi::conf::Conf;
use crate::ffi::guard::guarded;
use crate::ffi::request::Request;
use crate::variables::VARIABLES;

/// Adds the table's variables; whether there was memory for it. They are not cacheable: one that
/// is asked before the access phase changes in it.
pub(super) fn register(conf: &Conf<'_>) -> bool {
    VARIABLES.iter().enumerate().all(|(row, variable)| {
        let name = variable.name.as_bytes();
        let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        // SAFETY: NGINX copies the name, without changing it because it is lower case, and hands
        // out a variable in the configuration's pool.
        unsafe {
            let flags = NGX_HTTP_VAR_NOCACHEABLE as ngx_uint_t;
            let added = ngx_http_add_variable(conf.as_ptr(), &raw mut name, flags);
            if let Some(added) = added.as_mut() {
                added.get_handler = Some(get_variable);
                added.data = row;
            }
            !added.is_null()
        }
    })
}

unsafe extern "C" fn get_variable(
    r: *mut ngx_http_request_t,
    value: *mut ngx_variable_value_t,
    row: usize,
) -> ngx_int_t {
    // SAFETY: NGINX hands in a live request.
    let request = unsafe { Request::from_raw(r) };
    // A panic, like no memory, leaves the variable empty.
    let text = guarded(None, || {
        let text = VARIABLES.get(row).and_then(|variable| (variable.value)(&request))?;
        request.copy_to_pool(text.as_ref())
    });
    // SAFETY: NGINX hands in the value to fill.
    let value = unsafe { &mut *value };
    value.set_no_cacheable(1);
    value.set_valid(u32::from(text.is_some()));
    value.set_not_found(u32::from(text.is_none()));
    if let Some(text) = text {
        value.set_len(text.len as u32);
        value.data = text.data;
    }
    Status::NGX_OK.into()
}
