//! Directives: the rows of the table in NGINX's form, and what NGINX calls for each that it reads.

use core::ffi::{CStr, c_char, c_void};
use core::ptr;

use ngx::core::{NGX_CONF_ERROR, NGX_CONF_OK};
use ngx::ffi::{
    NGX_CONF_1MORE, NGX_CONF_BLOCK, NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_CONF_TAKE2,
    NGX_CONF_TAKE3, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF,
    NGX_HTTP_SRV_CONF, ngx_command_t, ngx_conf_include, ngx_conf_parse, ngx_conf_t, ngx_str_t,
    ngx_uint_t,
};

use crate::ffi::conf::Conf;
use crate::ffi::guard::guarded;

/// Where a directive may stand.
#[derive(Clone, Copy)]
pub(crate) enum Context {
    Http,
    Location,
    ServerLocation,
    HttpServerLocation,
}

/// How many arguments a directive takes.
#[derive(Clone, Copy)]
pub(crate) enum Arguments {
    None,
    One,
    OneToThree,
    Any,
    /// One, and a block.
    Block,
}

/// Why a configuration is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// NGINX has already said so.
    Said,
    /// To be written to the log, with the place where it was found.
    Because(String),
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::Because(message)
    }
}

/// One row of the table of directives.
pub(crate) struct Directive {
    pub(crate) name: &'static CStr,
    pub(crate) context: Context,
    pub(crate) arguments: Arguments,
    /// Takes the directive's name and its arguments.
    pub(crate) parse: fn(&mut Conf<'_>, &[&[u8]]) -> Result<(), Refusal>,
}

impl Directive {
    /// The row in NGINX's form. All rows share one setter, which finds its row in `post`.
    pub(crate) const fn command(&'static self) -> ngx_command_t {
        let context = match self.context {
            Context::Http => NGX_HTTP_MAIN_CONF,
            Context::Location => NGX_HTTP_LOC_CONF,
            Context::ServerLocation => NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF,
            Context::HttpServerLocation => {
                NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
            }
        };
        let arguments = match self.arguments {
            Arguments::None => NGX_CONF_NOARGS,
            Arguments::One => NGX_CONF_TAKE1,
            Arguments::OneToThree => NGX_CONF_TAKE1 | NGX_CONF_TAKE2 | NGX_CONF_TAKE3,
            Arguments::Any => NGX_CONF_1MORE,
            Arguments::Block => NGX_CONF_BLOCK | NGX_CONF_TAKE1,
        };
        let name =
            ngx_str_t { len: self.name.count_bytes(), data: self.name.as_ptr().cast_mut().cast() };
        ngx_command_t {
            name,
            type_: (context | arguments) as ngx_uint_t,
            set: Some(set_directive),
            conf: NGX_HTTP_LOC_CONF_OFFSET,
            offset: 0,
            post: ptr::from_ref(self).cast_mut().cast(),
        }
    }
}

unsafe extern "C" fn set_directive(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    _conf: *mut c_void,
) -> *mut c_char {
    guarded(NGX_CONF_ERROR, || {
        // SAFETY: NGINX hands in the row that it found the directive's name in. All rows were made
        // by Directive::command, so `post` is a directive of the static table.
        let directive = unsafe { &*(*command).post.cast::<Directive>() };
        // SAFETY: NGINX hands in the configuration that it reads, for the time of this call.
        let mut conf = unsafe { Conf::from_raw(cf) };
        let arguments = conf.arguments();
        let parsed = (directive.parse)(&mut conf, &arguments);
        if conf.report(&parsed) { NGX_CONF_OK } else { NGX_CONF_ERROR }
    })
}

/// What takes the directives of a block of ours: each with its name and its arguments. The error says
/// what is wrong, without the place.
pub(crate) trait Block {
    fn directive(&mut self, words: &[&[u8]]) -> Result<(), String>;
}

impl Conf<'_> {
    /// Reads the block that follows, up to its closing brace.
    pub(crate) fn read_block<B: Block>(&mut self, block: &mut B) -> Result<(), Refusal> {
        // SAFETY: as NGINX's own `types` and `map` do: the handler is called for each directive of the
        // block with the pointer beside it, which is good until ngx_conf_parse returns. It reports what
        // it refuses.
        unsafe {
            let cf = self.as_ptr();
            let around = ((*cf).handler, (*cf).handler_conf);
            (*cf).handler = Some(set_inside::<B>);
            (*cf).handler_conf = ptr::from_mut(block).cast();
            let parsed = ngx_conf_parse(cf, ptr::null_mut());
            ((*cf).handler, (*cf).handler_conf) = around;
            if parsed == NGX_CONF_OK { Ok(()) } else { Err(Refusal::Said) }
        }
    }
}

/// Called for each directive of a block of ours.
unsafe extern "C" fn set_inside<B: Block>(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    block: *mut c_void,
) -> *mut c_char {
    guarded(NGX_CONF_ERROR, || {
        // SAFETY: NGINX hands in the configuration that it reads, for the time of this call.
        let conf = unsafe { Conf::from_raw(cf) };
        let words = conf.arguments();
        if let [b"include", _] = words[..] {
            // SAFETY: as `types` does; it comes back here for each directive of the file.
            return unsafe { ngx_conf_include(cf, command, block) };
        }
        // SAFETY: read_block put it there. Nobody else uses it until it returns, and this function is
        // not entered twice: only `include` comes back here, above, where no reference is held.
        let block = unsafe { &mut *block.cast::<B>() };
        let parsed = block.directive(&words).map_err(Refusal::from);
        if conf.report(&parsed) { NGX_CONF_OK } else { NGX_CONF_ERROR }
    })
}
