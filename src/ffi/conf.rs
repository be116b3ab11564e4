//! NGINX's configuration while it is read, and the structures that the directives fill.

use core::ffi::{c_char, c_void};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use ngx::core::{NGX_CONF_ERROR, NGX_CONF_OK, Pool, Status};
use ngx::ffi::{
    ngx_array_t, ngx_conf_log_error, ngx_conf_t, ngx_core_conf_t, ngx_core_module, ngx_cycle_t,
    ngx_http_compile_complex_value, ngx_http_compile_complex_value_t, ngx_http_complex_value_t,
    ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_int_t, ngx_str_t,
};

use crate::conf::{LocationConf, MainConf};
use crate::ffi::directive::Refusal;
use crate::ffi::error_log::{Level, Log};
use crate::ffi::guard::guarded;
use crate::ffi::request::bytes;
use crate::ffi::{content, phase, realip, remembered, variable};
use crate::{conf, module};

/// The configuration while NGINX reads it.
pub(crate) struct Conf<'a> {
    raw: NonNull<ngx_conf_t>,
    life: PhantomData<&'a mut ngx_conf_t>,
}

impl<'a> Conf<'a> {
    /// # Safety
    ///
    /// `cf` must be what NGINX handed to a configuration callback, and not be used by anyone else
    /// during `'a`.
    pub(super) unsafe fn from_raw(cf: *mut ngx_conf_t) -> Self {
        // SAFETY: NGINX never passes NULL here.
        Self { raw: unsafe { NonNull::new_unchecked(cf) }, life: PhantomData }
    }

    /// For the other files of this layer.
    pub(super) fn as_ptr(&self) -> *mut ngx_conf_t {
        self.raw.as_ptr()
    }

    /// The directive's name and arguments.
    pub(super) fn arguments(&self) -> Vec<&'a [u8]> {
        // SAFETY: while a directive is set, `args` is an array of strings in the pool of the
        // configuration, which outlives 'a.
        unsafe {
            let arguments: *const ngx_array_t = (*self.as_ptr()).args;
            let strings = (*arguments).elts.cast::<ngx_str_t>();
            (0..(*arguments).nelts).map(|i| (*strings.add(i)).as_bytes()).collect()
        }
    }

    pub(super) fn context(&self) -> *const ngx_http_conf_ctx_t {
        // SAFETY: inside an `http` block, `ctx` is the http module's context.
        unsafe { (*self.as_ptr()).ctx.cast() }
    }

    /// What [`Self::main`] refers to.
    pub(super) fn main_ptr(&self) -> *mut MainConf {
        // SAFETY: inside an `http` block there is a slot for every http module.
        unsafe { (*(*self.context()).main_conf.add(module::context_index())).cast() }
    }

    /// What holds for the whole `http` block.
    pub(crate) fn main(&mut self) -> &mut MainConf {
        // SAFETY: what create_main made; `&mut self` keeps a second reference away.
        unsafe { &mut *self.main_ptr() }
    }

    /// What holds for the block that is read: `http`, `server` or `location`.
    pub(crate) fn location(&mut self) -> &mut LocationConf {
        // SAFETY: the slot holds what create_location made; `&mut self` keeps a second reference
        // away.
        unsafe {
            let slot = (*self.context()).loc_conf.add(module::context_index());
            &mut *(*slot).cast::<LocationConf>()
        }
    }

    /// The cycle that the configuration is for.
    pub(crate) fn cycle(&self) -> Option<Cycle> {
        // SAFETY: `cycle` is set in every configuration.
        NonNull::new(unsafe { (*self.as_ptr()).cycle }).map(Cycle)
    }

    /// File and line, as NGINX writes them.
    pub(crate) fn place(&self) -> String {
        // SAFETY: while a file is read, `conf_file` describes it; its name ends with a NUL.
        unsafe {
            let Some(file) = (*self.as_ptr()).conf_file.as_ref() else {
                return "command line".to_owned();
            };
            let name = String::from_utf8_lossy(file.file.name.as_bytes());
            format!("{name}:{}", file.line)
        }
    }

    /// Compiles a value with variables.
    pub(crate) fn compile(&mut self, value: &[u8]) -> Result<ComplexValue, Refusal> {
        // As the arguments that NGINX itself reads: it looks at the byte behind a last `$`.
        let value = [value, b"\0"].concat();
        // SAFETY: the pool lives as long as the configuration; NGINX copies nothing of `text` that
        // it needs later, so it must lie in that pool, too. It reports what it refuses.
        unsafe {
            let pool = Pool::from_ngx_pool((*self.as_ptr()).pool);
            let compiled = pool.calloc_type::<ngx_http_complex_value_t>();
            let Some(mut text) = ngx_str_t::from_bytes(pool.as_ptr(), &value) else {
                return Err(Refusal::Because("no memory".to_owned()));
            };
            text.len -= 1;
            let mut job: ngx_http_compile_complex_value_t = core::mem::zeroed();
            job.cf = self.as_ptr();
            job.value = &raw mut text;
            job.complex_value = compiled;
            if compiled.is_null() || ngx_http_compile_complex_value(&raw mut job) != 0 {
                return Err(Refusal::Said);
            }
            Ok(ComplexValue(NonNull::new_unchecked(compiled)))
        }
    }

    /// Makes the block's content the module's status page.
    pub(crate) fn serve_status(&mut self) {
        // SAFETY: nobody else holds the location that is read.
        unsafe { (*self.core_location()).handler = Some(content::serve_status) };
    }

    /// Makes the block's content the console. The error says why it cannot be.
    pub(crate) fn serve_console(&mut self) -> Result<(), Refusal> {
        let location = self.core_location();
        // SAFETY: as above.
        unsafe {
            let is_prefix = (*location).regex.is_null()
                && (*location).named() == 0
                && (*location).exact_match() == 0;
            if !is_prefix {
                return Err("\"api_abuse_console\" needs a location that is given by a prefix: \
                            addresses are looked up below its name"
                    .to_owned()
                    .into());
            }
            (*location).handler = Some(content::serve_console);
        }
        Ok(())
    }

    /// Whether the block that is merged is a server with locations.
    fn has_locations(&self) -> bool {
        let block = self.core_location();
        // SAFETY: as above.
        unsafe { (*block).name.len == 0 && !(*block).locations.is_null() }
    }

    /// The core module's part of the location that is read or merged.
    fn core_location(&self) -> *mut ngx_http_core_loc_conf_t {
        // SAFETY: its slot was made before ours.
        unsafe {
            let index = (&raw const ngx_http_core_module).read().ctx_index;
            (*(*self.context()).loc_conf.add(index)).cast()
        }
    }

    /// Writes what speaks against the configuration to the log; whether nothing does.
    pub(super) fn report(&self, result: &Result<(), Refusal>) -> bool {
        if let Err(Refusal::Because(message)) = result {
            let level = Level::Emerg.number();
            // SAFETY: the text goes in with its length, never as a format.
            unsafe {
                let format = c"%*s".as_ptr();
                let (len, text) = (message.len(), message.as_ptr());
                ngx_conf_log_error(level, self.as_ptr(), 0, format, len, text);
            }
        }
        result.is_ok()
    }
}

/// A compiled value with variables. Lies in the pool of the configuration, which outlives every
/// request that is served with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ComplexValue(NonNull<ngx_http_complex_value_t>);

impl ComplexValue {
    /// As it was written.
    pub(crate) fn text(&self) -> &[u8] {
        // SAFETY: compiled by Conf::compile, in the pool of the configuration.
        unsafe { bytes(&self.0.as_ref().value) }
    }

    /// For the other files of this layer.
    pub(super) fn as_ptr(self) -> *mut ngx_http_complex_value_t {
        self.0.as_ptr()
    }
}

/// The cycle that a configuration belongs to: something to ask when all of it was read. Kept only
/// in structures that lie in the cycle's own pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cycle(NonNull<ngx_cycle_t>);

impl Cycle {
    /// Worker processes.
    pub(crate) fn workers(self) -> u32 {
        // SAFETY: the cycle lives, see above; the core module's slot always holds its configuration.
        let workers = unsafe {
            let index = (&raw const ngx_core_module).read().index;
            let core = *(*self.0.as_ptr()).conf_ctx.add(index);
            core.cast::<ngx_core_conf_t>().as_ref().map_or(1, |core| core.worker_processes)
        };
        u32::try_from(workers).unwrap_or(1).max(1)
    }
}

pub(crate) unsafe extern "C" fn create_main(cf: *mut ngx_conf_t) -> *mut c_void {
    // The first thing that is asked for of each configuration.
    module::note_context_index();
    // SAFETY: the caller is NGINX, which says so of `cf`.
    guarded(ptr::null_mut(), || unsafe { create::<MainConf>(cf) })
}

pub(crate) unsafe extern "C" fn create_location(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: the caller is NGINX, which says so of `cf`.
    guarded(ptr::null_mut(), || unsafe { create::<LocationConf>(cf) })
}

/// A structure in the pool of the configuration, dropped with it.
///
/// # Safety
///
/// `cf` must be a configuration of NGINX's.
unsafe fn create<T: Default>(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: every configuration has a pool.
    unsafe { Pool::from_ngx_pool((*cf).pool) }.allocate(T::default()).cast()
}

pub(crate) unsafe extern "C" fn merge_location(
    cf: *mut ngx_conf_t,
    parent: *mut c_void,
    child: *mut c_void,
) -> *mut c_char {
    guarded(NGX_CONF_ERROR, || {
        // SAFETY: NGINX hands in the configuration, in which the location that is merged is the
        // current one.
        let mut conf = unsafe { Conf::from_raw(cf) };
        realip::collect(&mut conf);
        // SAFETY: NGINX hands in what create_location made for two different blocks.
        let (parent, child) =
            unsafe { (&*parent.cast::<LocationConf>(), &mut *child.cast::<LocationConf>()) };
        child.inherit(parent);
        child.place = conf.main().place;
        let around = conf.has_locations();
        conf.main().note_location(child, around);
        NGX_CONF_OK
    })
}

/// Runs before the `http` block is read.
pub(crate) unsafe extern "C" fn preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    guarded(Status::NGX_ERROR.into(), || {
        // SAFETY: NGINX hands in the configuration that it is about to read.
        let mut conf = unsafe { Conf::from_raw(cf) };
        let place = remembered::reserve(&conf).filter(|_| variable::register(&conf));
        place
            .map_or(Status::NGX_ERROR, |place| {
                conf.main().place = place;
                Status::NGX_OK
            })
            .into()
    })
}

/// What is to be made for a configuration that uses the module; whether it was.
fn prepare(conf: &mut Conf<'_>) -> bool {
    let state = conf.prepare_state();
    conf.report(&state) && phase::register(conf)
}

/// Runs when the `http` block was read and merged.
pub(crate) unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    guarded(Status::NGX_ERROR.into(), || {
        // SAFETY: NGINX hands in the configuration that it read.
        let mut conf = unsafe { Conf::from_raw(cf) };
        realip::collect(&mut conf);
        let checked = conf::check(conf.main());
        if let Err(message) = &checked {
            // Not through Conf::report, which would add the line where the block ends.
            // SAFETY: the configuration's log, for the time of this call.
            if let Some(log) = unsafe { Log::from_raw((*cf).log) } {
                log.write(Level::Emerg, format_args!("{message}"));
            }
        }
        let used = checked.is_ok() && conf.main().in_use();
        let ready = checked.is_ok() && (!used || prepare(&mut conf));
        if ready { Status::NGX_OK.into() } else { Status::NGX_ERROR.into() }
    })
}
