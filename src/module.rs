//! The tables by which NGINX finds the module: nothing but data, and the hooks that it names.
#![allow(unsafe_code)]

use ngx::ffi::{NGX_HTTP_MODULE, ngx_command_t, ngx_http_module_t, ngx_module_t, ngx_uint_t};

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::directives::DIRECTIVES;
use crate::ffi::{conf, process};

/// A table that NGINX reads and never writes. It is read from one thread, and the pointers in it
/// are to statics.
#[repr(transparent)]
struct Table<T>(T);

// SAFETY: see Table.
unsafe impl<T> Sync for Table<T> {}

static COMMANDS: Table<[ngx_command_t; DIRECTIVES.len() + 1]> = {
    let mut commands = [const { ngx_command_t::empty() }; DIRECTIVES.len() + 1];
    let mut row = 0;
    while row < DIRECTIVES.len() {
        commands[row] = DIRECTIVES[row].command();
        row += 1;
    }
    Table(commands)
};

static CONTEXT: Table<ngx_http_module_t> = Table(ngx_http_module_t {
    preconfiguration: Some(conf::preconfiguration),
    postconfiguration: Some(conf::postconfiguration),
    create_main_conf: Some(conf::create_main),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(conf::create_location),
    merge_loc_conf: Some(conf::merge_location),
});

/// The module. NGINX writes its index, its context's index and its name into it while it loads.
#[unsafe(no_mangle)]
pub(crate) static mut ngx_http_api_abuse_module: ngx_module_t = ngx_module_t {
    ctx: (&raw const CONTEXT).cast_mut().cast(),
    commands: (&raw const COMMANDS).cast_mut().cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(process::init_module),
    init_process: Some(process::init_process),
    exit_process: Some(process::exit_process),
    ..ngx_module_t::default()
};

/// A copy of what NGINX writes into the module: other libraries may see that, so it takes two reads.
static CONTEXT_INDEX: AtomicUsize = AtomicUsize::new(0);

/// Where NGINX keeps this module's part of the configuration.
#[inline]
pub(crate) fn context_index() -> usize {
    CONTEXT_INDEX.load(Ordering::Relaxed)
}

/// Takes in where that is. It is the same for all configurations of a process.
pub(crate) fn note_context_index() {
    // SAFETY: written before any part of the configuration that loads the module is made, on the same
    // thread.
    let index = unsafe { (&raw const ngx_http_api_abuse_module.ctx_index).read() };
    CONTEXT_INDEX.store(index, Ordering::Relaxed);
}

/// What `load_module` looks for: the modules of this library, their names, and before which others
/// they want to come. A library that is linked into NGINX itself leaves these to NGINX's build.
#[cfg(feature = "export-modules")]
mod exports {
    use core::ffi::{CStr, c_char};
    use core::ptr;

    use super::{Table, ngx_http_api_abuse_module, ngx_module_t};

    const NAME: &CStr = c"ngx_http_api_abuse_module";

    #[unsafe(no_mangle)]
    static ngx_modules: Table<[*const ngx_module_t; 2]> =
        Table([&raw const ngx_http_api_abuse_module, ptr::null()]);

    #[unsafe(no_mangle)]
    static ngx_module_names: Table<[*const c_char; 2]> = Table([NAME.as_ptr(), ptr::null()]);

    #[unsafe(no_mangle)]
    static ngx_module_order: Table<[*const c_char; 1]> = Table([ptr::null()]);
}
